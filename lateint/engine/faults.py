"""One table per engine from what its client raises to `lateint.errors`: what a row of it is, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lateint import errors

_MAX_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An exception of some client, taken apart.

    Attributes:
        names: status, and names of the classes of the exception.
        status: of HTTP or gRPC; None where there is none.
        text: what it says.
        retry_after: seconds to wait, where the server says so.
    """

    names: frozenset[str]
    status: int | str | None
    text: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a status or a text means; both must fit where both are given.

    Attributes:
        status: HTTP statuses, names of gRPC codes, or names of exception classes; none for any.
        text: part of the text; empty for any.
        raises: the error it becomes.
        message: what was wrong; empty for the engine's own words.
        hint: what to do.
        retryable: whether the same call may succeed later; None for what is usual for the error.
    """

    status: tuple[str, ...] = ()
    text: str = ""
    raises: type[errors.BackendError]
    message: str = ""
    hint: str = ""
    retryable: bool | None = None

    def fits(self, fault: Fault) -> bool:
        """Whether it is about this fault."""
        return (not self.status or not fault.names.isdisjoint(self.status)) and self.text in fault.text


_OTHERWISE = Rule(raises=errors.UnexpectedResponse)


@contextmanager
def translated(
    operation: str,
    index: str | None = None,
    *,
    backend: str,
    table: Sequence[Rule],
    taken_apart: Callable[[Exception], Fault],
    secret: str | None = None,
) -> Iterator[None]:
    """Turn whatever an engine's client raises inside into one of `lateint.errors`, with the cause chained.

    Errors of lateint pass as they are; where they do not say for what operation and index, that is filled in.

    Args:
        operation: the verb.
        index: name of the index, where there is one.
        backend: who speaks.
        table: rules, the most specific first.
        taken_apart: what an exception of that client holds.
        secret: a key that must not be shown, should a text repeat it.
    """
    try:
        yield
    except errors.LateintError as error:
        if isinstance(error, errors.BackendError) and not error.backend:
            error.backend, error.operation, error.index = backend, operation, index
        raise
    except Exception as error:
        fault = taken_apart(error)
        rule = next((rule for rule in table if rule.fits(fault)), _OTHERWISE)
        place = f"index {index!r}" if index else backend
        text = fault.text.replace(secret, "…") if secret else fault.text
        raised = rule.raises(
            f"{operation} on {place}: {rule.message or short(text)}",
            hint=rule.hint,
            backend=backend,
            operation=operation,
            index=index,
            retryable=rule.retryable,
            status=fault.status,
        )
        if isinstance(raised, errors.RateLimited):
            raised.retry_after = fault.retry_after
        raise raised from error


def short(text: str) -> str:
    """A server's text on one line, ended."""
    line = " ".join(text.split()).removesuffix(".")
    return f"{line}." if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}…"
