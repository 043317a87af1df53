"""One table from what the in-process engine raises to `lateint.errors`.

The engine raises bare `Exception` with a text, or `PanicException`, which is no `Exception`, when it breaks inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lateint import errors
from lateint_qdrant.schema import EDGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a text of the engine, or of the operating system below it, means.

    Attributes:
        text: part of the exception as `repr` shows it.
        raises: the error it becomes.
        message: what was wrong; empty for the engine's own words.
        hint: what to do.
        retryable: whether the same call may succeed later.
    """

    text: str
    raises: type[errors.BackendError]
    message: str = ""
    hint: str = ""
    retryable: bool = False


_IN_USE = "another process, or another client in this one, has this index open; the engine lets in one."
_FREE = "Free space on the disk that holds the folder, then open the index again."
_RESTORE = "Its files are missing or damaged: restore its folder from a copy, or drop the index and write it anew."
_CLOSE = "Close that client first."
_MODE = "Make the folder readable and writable for this user."

_TABLE = (
    Rule(text="BlockingIOError", raises=errors.ConnectionFailed, message=_IN_USE, hint=_CLOSE),  # lateint's own lock
    Rule(text="WouldBlock", raises=errors.ConnectionFailed, message=_IN_USE, hint=_CLOSE),  # the engine's
    Rule(text="No space left", raises=errors.StorageFull, hint=_FREE),
    Rule(text="StorageFull", raises=errors.StorageFull, hint=_FREE),
    Rule(text="quota exceeded", raises=errors.StorageFull, hint=_FREE),
    Rule(text="Permission denied", raises=errors.PermissionDenied, hint=_MODE),
    Rule(
        text="Read-only file system",
        raises=errors.PermissionDenied,
        message="the file system is read-only, and the engine must write even to search.",
        hint="Copy the folder to a disk that can be written to.",
    ),
    Rule(
        text="Shard is not initialized",
        raises=errors.ConnectionFailed,
        message="this client has been closed.",
        hint="Connect again.",
    ),
    Rule(text="cannot load edge shard", raises=errors.SchemaMismatch, hint=_RESTORE),
    Rule(text="no segments were loaded", raises=errors.SchemaMismatch, hint=_RESTORE),
    Rule(text="FileNotFoundError", raises=errors.SchemaMismatch, hint=_RESTORE),
)
_OTHERWISE = Rule(text="", raises=errors.UnexpectedResponse)
_PANIC = Rule(
    text="",
    raises=errors.UnexpectedResponse,
    hint="The engine broke inside: close this client, and report it with the lines that it wrote to stderr.",
)

_MAX_TEXT = 300


@contextmanager
def translated(operation: str, index: str | None = None) -> Iterator[None]:
    """Turn whatever the engine raises inside into one of `lateint.errors`, with the cause chained.

    Errors of lateint pass as they are; where they do not say for what operation and index, that is filled in.

    Args:
        operation: the verb.
        index: name of the index, where there is one.
    """
    try:
        yield
    except errors.LateintError as error:
        if isinstance(error, errors.BackendError) and not error.backend:
            error.backend, error.operation, error.index = EDGE, operation, index
        raise
    except Exception as error:
        rule = next((rule for rule in _TABLE if rule.text in repr(error)), _OTHERWISE)
        raise _raised(rule, error, operation, index) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a class that the engine does not export
            raise
        raise _raised(_PANIC, error, operation, index) from error


def _raised(rule: Rule, error: BaseException, operation: str, index: str | None) -> errors.BackendError:
    place = f"index {index!r}" if index else EDGE
    return rule.raises(
        f"{operation} on {place}: {rule.message or _short(str(error))}",
        hint=rule.hint,
        backend=EDGE,
        operation=operation,
        index=index,
        retryable=rule.retryable,
    )


def _short(text: str) -> str:
    line = " ".join(text.split()).removesuffix(".")
    return f"{line}." if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}…"
