"""One table per engine from what its client raises to `lateint.errors`: what a row of it is, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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

    @classmethod
    def of(cls, error: BaseException, text: str, *, source: BaseException | None = None) -> Fault:
        """What an exception of a client of HTTP or gRPC holds.

        Args:
            error: the exception.
            text: what it says.
            source: another exception that it wraps.
        """
        status = _status(error)
        names = {kind.__name__ for one in (error, source) if one is not None for kind in type(one).__mro__}
        return cls(
            names=frozenset(names if status is None else {*names, str(status)}),
            status=status,
            text=text,
            retry_after=_retry_after(error),
        )


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

_PANIC = "PanicException"
"""Of engines in Rust: no `Exception`, and of a class that they do not export."""


@contextmanager
def translated(
    operation: str,
    index: str | None = None,
    *,
    backend: str,
    table: Sequence[Rule],
    taken_apart: Callable[[Any], Fault],
    secret: str | None = None,
    location: str = "",
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
        location: the server, where the message should name it.
    """
    try:
        yield
    except errors.LateintError as error:
        if isinstance(error, errors.BackendError) and not error.backend:
            error.backend, error.operation, error.index = backend, operation, index
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        fault = taken_apart(error)
        rule = next((rule for rule in table if rule.fits(fault)), _OTHERWISE)
        place = f"index {index!r}" if index else location or backend
        text = _hidden(fault.text, secret)
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
        # A traceback shows the cause too, and that repeats the key.
        raise raised from error if text == fault.text else None


def short(text: str) -> str:
    """A server's text on one line, ended."""
    line = " ".join(text.split()).removesuffix(".")
    return f"{line}." if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}…"


def _hidden(text: str, secret: str | None) -> str:
    """The text without the key, which clients may also show with its odd letters escaped."""
    for shown in (secret, repr(secret)[1:-1]) if secret else ():
        text = text.replace(shown, "…")
    return text


def _status(error: BaseException) -> int | str | None:
    code = getattr(error, "status_code", None)
    if code is None and callable(getattr(error, "code", None)):  # of gRPC
        code = getattr(error.code(), "name", None)  # type: ignore[attr-defined]
    return code if isinstance(code, (int, str)) else None


def _retry_after(error: BaseException) -> float | None:
    given: Any = getattr(error, "retry_after_s", None)
    if given is None:
        given = (getattr(error, "headers", None) or {}).get("retry-after")
    if given is None and callable(getattr(error, "trailing_metadata", None)):
        # Pair by pair: grpcio before 1.80 cannot turn its asyncio metadata into a dict.
        told = error.trailing_metadata() or ()  # type: ignore[attr-defined]
        given = next((value for name, value in told if name == "retry-after"), None)
    try:
        return None if given is None else max(0.0, float(given))
    except ValueError:  # a date, or nonsense
        return None
