"""One table from what Weaviate, and what carries calls to it, raises to `lateint.errors`.

No client is imported here: each is recognised by what its exceptions carry. Most errors of Weaviate's gRPC service have
the code UNKNOWN, so that their text is all there is to go by.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lateint import errors
from lateint.engine import faults
from lateint.engine.faults import Fault, Rule


class Refused(Exception):
    """A request that the REST interface answered with an error.

    Attributes:
        status: of HTTP.
        text: what it says.
    """

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.text = _server_text(content)


_KEY = "Pass connect(url, api_key=…) or set WEAVIATE_API_KEY; a bearer token goes the same way."
_RIGHTS = "Use a key that may do this."
_GONE = "this client has been closed."
_TLS = (
    "A server with TLS is weaviate+https://…, one without is weaviate://…; the gRPC port follows the REST port in that."
)
_FREE = "Free space on the disk that holds the data; then set the shard to READY, or restart the server."
_REOPEN = "Open the index again; if the server keeps saying so, a document of another dimension is stored in it."
_LIST = "See `list_indexes()`."

TABLE = (
    # Of the caller's rights.
    Rule(status=("401", "UNAUTHENTICATED"), raises=errors.AuthenticationFailed, hint=_KEY),
    Rule(text="extract auth: unauthorized", raises=errors.AuthenticationFailed, hint=_KEY),
    Rule(text="anonymous access not enabled", raises=errors.AuthenticationFailed, hint=_KEY),
    Rule(
        status=("403", "PERMISSION_DENIED", "InsufficientPermissionsError"),
        raises=errors.PermissionDenied,
        hint=_RIGHTS,
    ),
    Rule(text="forbidden", raises=errors.PermissionDenied, hint=_RIGHTS),
    # Of the machine.
    Rule(text="no space left", raises=errors.StorageFull, hint=_FREE),
    Rule(text="store is read-only", raises=errors.StorageFull, hint=_FREE),
    Rule(text="status READONLY", raises=errors.StorageFull, hint=_FREE),
    Rule(text="not enough memory", raises=errors.StorageFull, hint="Give the server more memory."),
    # Of the connection.
    Rule(
        status=("WeaviateClosedClientError", "RuntimeError", "ValueError", "UsageError"),
        text="closed",
        raises=errors.ConnectionFailed,
        message=_GONE,
        hint="Connect again.",
        retryable=False,
    ),
    Rule(text="handshake failed", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(text="WRONG_VERSION_NUMBER", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(text="CERTIFICATE_VERIFY_FAILED", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(
        status=("TimeoutException", "WeaviateTimeoutError", "DEADLINE_EXCEEDED", "408", "504"),
        raises=errors.Timeout,
    ),
    Rule(text="context deadline exceeded", raises=errors.Timeout),
    Rule(text="context canceled", raises=errors.Timeout),
    Rule(
        status=("TransportError", "WeaviateConnectionError", "UNAVAILABLE", "502", "503"),
        raises=errors.ConnectionFailed,
    ),
    Rule(status=("CANCELLED",), raises=errors.ConnectionFailed),
    # Of the server's limits.
    Rule(
        text="larger than max",
        raises=errors.UnexpectedResponse,
        hint="Ask for fewer documents at a time, or raise GRPC_MAX_MESSAGE_SIZE of the server.",
    ),
    Rule(status=("429", "RESOURCE_EXHAUSTED"), raises=errors.RateLimited),
    # Of what is there and what is not.
    Rule(text="already exists", raises=errors.IndexExists, hint="Open it, drop it, or choose another name."),
    Rule(text="found similar class", raises=errors.IndexExists, hint="Open it, drop it, or choose another name."),
    Rule(text="could not find class", raises=errors.IndexNotFound, hint=_LIST),
    Rule(text="class not found", raises=errors.IndexNotFound, hint=_LIST),
    Rule(status=("404",), raises=errors.IndexNotFound, hint=_LIST),
    Rule(text="vector lengths don't match", raises=errors.SchemaMismatch, hint=_REOPEN),
    # Whatever else goes wrong inside the server may go right the next time.
    Rule(status=("INTERNAL", "ABORTED", "500"), raises=errors.UnexpectedResponse, retryable=True),
)


@contextmanager
def translated(operation: str, index: str | None = None, *, backend: str, secret: str | None = None) -> Iterator[None]:
    """See `lateint.engine.faults.translated`."""
    with faults.translated(operation, index, backend=backend, table=TABLE, taken_apart=_taken_apart, secret=secret):
        yield


def of_object(text: str) -> errors.BackendError | None:
    """What an error that came with one object of a batch says of all of them; None if it is about that object."""
    fault = Fault(names=frozenset(), status=None, text=text)
    rule = next((rule for rule in TABLE if rule.fits(fault)), None)
    if rule is None or rule.raises not in _OF_ALL:
        return None
    return rule.raises(f"write: {faults.short(text)}", hint=rule.hint)


_OF_ALL = {errors.PermissionDenied, errors.StorageFull, errors.IndexNotFound, errors.AuthenticationFailed}


def _taken_apart(error: Exception) -> Fault:
    names = {kind.__name__ for kind in type(error).__mro__}
    status = _status(error)
    return Fault(
        names=frozenset(names if status is None else {*names, str(status)}),
        status=status,
        text=_text(error),
    )


def _status(error: Exception) -> int | str | None:
    if isinstance(error, Refused):
        return error.status
    code: Any = getattr(error, "status_code", None)
    if code is None and callable(getattr(error, "code", None)):  # of gRPC
        code = getattr(error.code(), "name", None)  # type: ignore[attr-defined]
    return code if isinstance(code, (int, str)) else None


def _text(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.text or str(error)
    if callable(getattr(error, "details", None)):
        return error.details() or type(error).__name__  # type: ignore[attr-defined]
    return str(error) or type(error).__name__


def _server_text(content: bytes) -> str:
    """The messages in the JSON of an error."""
    try:
        data = json.loads(content)
        if "error" in data:
            return "; ".join(str(part["message"]) for part in data["error"])
        return str(data["message"])
    except (ValueError, LookupError, TypeError):
        return content[:600].decode(errors="replace")
