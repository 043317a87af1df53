"""What is asked of a server, before any connection is chosen."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


def as_it_is(reply: Any) -> Any:  # noqa: ANN401
    """A reply that needs no reading."""
    return reply


@dataclass(frozen=True, slots=True)
class Http:
    """A request to the REST interface; the reply is JSON, or None without any.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE.
        path: under `/v1`, quoted.
        body: JSON, or None.
        query: what follows `?`.
    """

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Rpc:
    """A call of the gRPC service.

    Attributes:
        method: its name.
        message: the request; serialised already where that is faster.
        request: class of the request.
        reply: class of the reply.
        read: turns the reply into what the verb wants.
        timeout_s: seconds for this call; None for the client's own.
    """

    method: str
    message: Any
    request: Any
    reply: Any
    read: Callable[[Any], Any] = as_it_is
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait a moment.

    Attributes:
        seconds: how long.
    """

    seconds: float


Call: TypeAlias = Http | Rpc | Pause
Steps: TypeAlias = Generator[Call, Any, T]
