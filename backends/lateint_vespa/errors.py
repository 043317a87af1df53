"""One table from what Vespa, and what carries calls to it, says to `lateint.errors`.

What carries calls is Python's own `http.client`; its exceptions are recognised by the names of their classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lateint import errors
from lateint.engine import faults
from lateint.engine.faults import Fault, Rule


class Refused(Exception):
    """A call that was answered with an error.

    Attributes:
        status: of HTTP.
        text: what it says, short: Vespa repeats whole tensors.
        retry_after: seconds to wait, where the server says so.
    """

    def __init__(self, status: int, content: bytes, *, headers: Mapping[str, str]) -> None:
        self.status = status
        self.text = said(content) or f"HTTP {status}"
        super().__init__(self.text)
        self.retry_after = _seconds(headers.get("retry-after"))


_LIST = "See `list_indexes()`."
_CERTIFICATE = "Set VESPA_CLI_DATA_PLANE_CERT_FILE and VESPA_CLI_DATA_PLANE_KEY_FILE, to what it trusts."
_TLS = "An application with TLS is vespa+https://…, one without is vespa://…."
_FREE = "Free memory or disk on the content nodes, or add nodes: they take no documents until there is room."
_DEPLOY = "Deploy it as `lateint schema` writes it, and wait until the application has converged."
_SLOW = "Raise the timeout, or give the content nodes more threads for each search."
_GONE = "this client has been closed."

TABLE = (
    # Of the caller's rights.
    Rule(
        status=("401",),
        raises=errors.AuthenticationFailed,
        hint="Set VESPA_CLOUD_SECRET_TOKEN, or the certificate and key of the data plane.",
    ),
    Rule(status=("403",), raises=errors.PermissionDenied, hint="Use a certificate or token that may do this."),
    # Of the connection.
    Rule(
        status=("RuntimeError", "ValueError"),
        text="closed",
        raises=errors.ConnectionFailed,
        message=_GONE,
        hint="Connect again.",
        retryable=False,
    ),
    Rule(text="WRONG_VERSION_NUMBER", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(text="CERTIFICATE_VERIFY_FAILED", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    # What a server says of the certificate that it was shown, or was not. Some close first, and it is not heard.
    *(
        Rule(text=f"_ALERT_{alert}", raises=errors.AuthenticationFailed, hint=_CERTIFICATE)
        for alert in ("CERTIFICATE_", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")
    ),
    Rule(status=("SSLEOFError",), raises=errors.ConnectionFailed, hint=f"Does it want a certificate? {_CERTIFICATE}"),
    Rule(status=("TimeoutError", "408", "504"), raises=errors.Timeout, hint=_SLOW),
    Rule(status=("HTTPException", "OSError", "502"), raises=errors.ConnectionFailed),
    # Of its load.
    Rule(status=("507",), raises=errors.StorageFull, hint=_FREE),
    Rule(status=("429",), raises=errors.RateLimited),
    Rule(status=("503",), raises=errors.ConnectionFailed),
    # Of what is there and what is not. Vespa tells of a timeout within a search by its own number.
    Rule(text="There is no document type", raises=errors.IndexNotFound, hint=_LIST),
    Rule(text="Document type", raises=errors.IndexNotFound, hint=_LIST),
    Rule(text="No profile named", raises=errors.SchemaMismatch, hint=_DEPLOY),
    Rule(text="does not contain requested rank profile", raises=errors.SchemaMismatch, hint=_DEPLOY),
    Rule(text="Could not resolve query profile", raises=errors.SchemaMismatch, hint=_DEPLOY),
    Rule(text="No such field", raises=errors.SchemaMismatch, hint=_DEPLOY),
    Rule(text="does not exist", raises=errors.SchemaMismatch, hint=_DEPLOY),
    Rule(text="INVALID_APPLICATION_PACKAGE", raises=errors.SchemaMismatch, hint="See what Vespa says of it."),
    Rule(text="ACTIVATION_CONFLICT", raises=errors.ConnectionFailed, retryable=True),
    Rule(
        status=("413",),
        raises=errors.UnexpectedResponse,
        hint="The document is larger than the application takes: pool it to fewer rows, or split it.",
    ),
    Rule(status=("404",), raises=errors.UnexpectedResponse, hint="Is this the container of a Vespa application?"),
    # Whatever else goes wrong inside the server may go right the next time.
    Rule(status=("500",), raises=errors.UnexpectedResponse, retryable=True),
)

OF_ONE_DOCUMENT = frozenset({400, 413})
"""Statuses that say something of the document that was sent, and nothing of the next one."""


@contextmanager
def translated(operation: str, index: str | None = None, *, backend: str, secret: str | None = None) -> Iterator[None]:
    """See `lateint.engine.faults.translated`."""
    with faults.translated(operation, index, backend=backend, table=TABLE, taken_apart=_taken_apart, secret=secret):
        yield


def said(content: bytes) -> str:
    """The messages in an answer that is an error: of the config server, of documents, or of a search."""
    try:
        data = json.loads(content)
        if "root" in data:
            return told(data["root"]["errors"])
        return ": ".join(str(data[name]) for name in ("error-code", "message") if name in data)[:_SAID]
    except (ValueError, LookupError, TypeError):
        return " ".join(content[:600].decode(errors="replace").split())


def told(found: Any) -> str:  # noqa: ANN401 - of JSON
    """What the errors of a search say, without what they repeat of the query."""
    shown = [_shortened(str(each.get("message") or each.get("summary"))) for each in found[:_TOLD]]
    more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return "; ".join(shown) + more


_SAID = 1000
_ECHO = 120
_TOLD = 2


def _shortened(message: str) -> str:
    """A message without the middle: a tensor stands there, and what is wrong with it at the end."""
    return message if len(message) <= 2 * _ECHO else f"{message[:_ECHO]} … {message[-_ECHO:]}"


def _taken_apart(error: BaseException) -> Fault:
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, Refused):
        return Fault(
            names=frozenset({*names, str(error.status)}),
            status=error.status,
            text=error.text,
            retry_after=error.retry_after,
        )
    return Fault(names=frozenset(names), status=None, text=str(error) or type(error).__name__)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:  # a date, or nonsense
        return None
