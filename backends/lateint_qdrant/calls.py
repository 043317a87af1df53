"""What is asked of a server and what comes back, before any client or transport is chosen."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from lateint import errors
from lateint.vectors import MultiVector
from lateint_qdrant.keeping import PointId

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One point to be written.

    Attributes:
        id: its id.
        rows: its multi-vector.
        payload: JSON values.
    """

    id: PointId
    rows: MultiVector
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One point as it was read.

    Attributes:
        id: its id.
        payload: as asked for; None without any.
        rows: its multi-vector; None where there is none, or it was not asked for.
        score: of a search.
    """

    id: PointId
    payload: dict[str, Any] | None
    rows: MultiVector | None = None
    score: float = float("nan")


def as_it_is(reply: Any) -> Any:  # noqa: ANN401
    """A reply that needs no reading."""
    return reply


def applied(reply: Any) -> None:  # noqa: ANN401
    """Read what became of a change, from the models of the client; see `check_applied`."""
    check_applied(str(getattr(reply.status, "value", reply.status)))


def check_applied(found: str) -> None:
    """Refuse a change that the server has only taken note of, though it was asked to wait for it.

    Raises:
        Timeout: it is not there yet.
    """
    if found != "completed":
        raise errors.Timeout(
            f"the server took the change and has not applied it in time ({found}).",
            hint="It may yet be; making it again does no harm.",
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """Call a method of the client that everybody uses.

    Attributes:
        method: its name.
        arguments: by name.
        read: turns the reply into what the verb wants.
    """

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[Any], Any] = as_it_is


@dataclass(frozen=True, slots=True)
class Post:
    """Call a method of the points service over gRPC, with a message that is serialised already.

    Attributes:
        method: its name.
        message: the request.
        request: class of the request.
        reply: class of the reply.
        timeout_s: seconds for this call; None for the client's own.
        read: turns the reply into what the verb wants.
    """

    method: str
    message: bytes
    request: Any
    reply: Any
    timeout_s: float | None = None
    read: Callable[[Any], Any] = as_it_is


Call: TypeAlias = Ask | Post
Steps: TypeAlias = Generator[Call, Any, T]
