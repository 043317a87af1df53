"""One table from what Qdrant and its clients raise to `lateint.errors`.

The in-process engine and the client's local mode raise bare exceptions with a text; a server answers with a status, of
HTTP or of gRPC, and a text. No client is imported here: each is recognised by what its exceptions carry.
"""

from __future__ import annotations

import json
from functools import partial

from lateint import errors
from lateint.engine import faults
from lateint.engine.faults import Fault, Rule
from lateint_qdrant.schema import EDGE

_IN_USE = "another process, or another client in this one, has this index open; the engine lets in one."
_CLOSE = "Close that client first."
_FREE = "Free space on the disk that holds the data, then open the index again."
_RESTORE = "Its files are missing or damaged: restore its folder from a copy, or drop the index and write it anew."
_MODE = "Make the folder readable and writable for this user."
_KEY = "Pass connect(url, api_key=…) or set QDRANT_API_KEY."
_TLS = "A server with TLS is qdrant+https://…, one without is qdrant://…; the gRPC port follows the REST port in that."
_STRICT = "The strict mode of the collection forbids it."
_LARGE = "Reach the server over gRPC (transport=grpc), or make documents and payloads smaller."
_OLD = "The server may be too old for it, or no Qdrant server at all."
_DEEP = "the filter is nested too deeply."
_NESTED = "Join its parts with one `&` or `|` chain, or reach the server over REST (transport=rest)."
_BROKEN = "The engine broke inside: close this client, and report it with the lines that it wrote to stderr."
_SCHEMA = "The collection has changed since it was opened: open it again."

_closed = partial(
    Rule,
    raises=errors.ConnectionFailed,
    message="this client has been closed.",
    hint="Connect again.",
    retryable=False,
)

_TABLE = (
    Rule(status=("PanicException",), raises=errors.UnexpectedResponse, hint=_BROKEN),
    # Of the machine, whoever says it.
    Rule(text="No space left", raises=errors.StorageFull, hint=_FREE),
    Rule(text="StorageFull", raises=errors.StorageFull, hint=_FREE),
    Rule(text="quota exceeded", raises=errors.StorageFull, hint=_FREE),
    Rule(status=("507",), raises=errors.StorageFull, hint=_FREE),
    Rule(text="Permission denied", raises=errors.PermissionDenied, hint=_MODE),
    Rule(
        text="Read-only file system",
        raises=errors.PermissionDenied,
        message="the file system is read-only, and the engine must write even to search.",
        hint="Copy the folder to a disk that can be written to.",
    ),
    # Of the in-process engine, and of the lock around it.
    Rule(status=("BlockingIOError",), raises=errors.ConnectionFailed, message=_IN_USE, hint=_CLOSE, retryable=False),
    Rule(text="WouldBlock", raises=errors.ConnectionFailed, message=_IN_USE, hint=_CLOSE, retryable=False),
    _closed(text="Shard is not initialized"),
    Rule(text="cannot load edge shard", raises=errors.SchemaMismatch, hint=_RESTORE),
    Rule(text="no segments were loaded", raises=errors.SchemaMismatch, hint=_RESTORE),
    Rule(status=("FileNotFoundError",), raises=errors.SchemaMismatch, hint=_RESTORE),
    # Of the connection.
    Rule(
        text="vent loop is closed",
        raises=errors.ConnectionFailed,
        message="the event loop that this client was connected in has ended.",
        hint="Connect anew in each asyncio.run(…).",
        retryable=False,
    ),
    _closed(status=("UsageError", "RuntimeError", "ValueError"), text="closed"),
    Rule(text="handshake failed", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(text="[SSL: WRONG_VERSION_NUMBER]", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(text="CERTIFICATE_VERIFY_FAILED", raises=errors.ConnectionFailed, hint=_TLS, retryable=False),
    Rule(status=("TimeoutException", "DEADLINE_EXCEEDED", "408", "504"), raises=errors.Timeout),
    Rule(status=("TransportError", "UNAVAILABLE", "502", "503"), raises=errors.ConnectionFailed),
    Rule(status=("CANCELLED",), raises=errors.ConnectionFailed),
    # Of strict mode, which alone adds help; how many points a collection may have it says without.
    Rule(status=("400", "INVALID_ARGUMENT"), text=". Help: ", raises=errors.UnexpectedResponse, hint=_STRICT),
    Rule(text="Max points count limit", raises=errors.UnexpectedResponse, hint=_STRICT),
    # Of the caller's rights.
    Rule(status=("UNAUTHENTICATED", "401"), raises=errors.AuthenticationFailed, hint=_KEY),
    Rule(status=("PERMISSION_DENIED", "403"), raises=errors.PermissionDenied, hint="Use a key that may do this."),
    # Of what only a Qdrant server would say, and this client understands.
    Rule(
        status=("ValidationError",),
        text=".score",
        raises=errors.UnexpectedResponse,
        message="a document has a score that is no number: its stored rows hold NaN or infinities.",
        hint="Find it by a scan with vectors, and delete it or write it anew.",
    ),
    Rule(
        status=("ValidationError", "JSONDecodeError"),
        raises=errors.UnexpectedResponse,
        message="qdrant-client cannot read the answer.",
        hint="Look whether a Qdrant server answers at this address, and no other; if it is one, upgrade qdrant-client.",
    ),
    # Of the server's limits.
    Rule(text="MaxDepth", raises=errors.UnexpectedResponse, message=_DEEP, hint=_NESTED),
    Rule(text="recursion limit", raises=errors.UnexpectedResponse, message=_DEEP, hint=_NESTED),
    Rule(text="Error parsing message", raises=errors.UnexpectedResponse, message=_DEEP, hint=_NESTED),  # protobuf 6
    Rule(text="larger than max", raises=errors.UnexpectedResponse, hint="Raise the client's message limit."),
    Rule(text="larger than allowed", raises=errors.UnexpectedResponse, hint=_LARGE),
    Rule(status=("413",), raises=errors.UnexpectedResponse, hint=_LARGE),
    Rule(status=("ResourceExhaustedResponse", "RESOURCE_EXHAUSTED", "429"), raises=errors.RateLimited),
    # Of what is there and what is not.
    Rule(text="already exists", raises=errors.IndexExists, hint="Open it, drop it, or choose another name."),
    Rule(
        text="No point with id",
        raises=errors.UnexpectedResponse,
        message="a document was deleted while it was being changed.",
        retryable=True,
    ),
    Rule(status=("NOT_FOUND", "404"), text="ollection", raises=errors.IndexNotFound, hint="See `list_indexes()`."),
    Rule(status=("ValueError",), text="not found", raises=errors.IndexNotFound, hint="See `list_indexes()`."),
    Rule(text="Vector dimension error", raises=errors.SchemaMismatch, hint=_SCHEMA),
    Rule(text="Not existing vector name", raises=errors.SchemaMismatch, hint=_SCHEMA),
    # Whatever else goes wrong inside the server may go right the next time.
    Rule(status=("INTERNAL", "ABORTED", "500"), raises=errors.UnexpectedResponse, retryable=True),
    Rule(status=("UNIMPLEMENTED", "404", "405"), raises=errors.UnexpectedResponse, hint=_OLD),
)


def _taken_apart(error: BaseException) -> Fault:
    source = getattr(error, "source", None)  # what a client's "could not handle the response" is about
    return Fault.of(error, _text(error, source), source=source)


def _text(error: BaseException, source: object) -> str:
    """What the server says, else what the client says, else what kind of error it is."""
    if callable(getattr(error, "details", None)):
        return error.details() or type(error).__name__  # type: ignore[attr-defined]
    content = getattr(error, "content", None)
    if isinstance(content, bytes):
        return _server_text(content) or str(getattr(error, "reason_phrase", "")) or type(error).__name__
    return str(source or "") or str(error) or type(source if source is not None else error).__name__


def _server_text(content: bytes) -> str:
    try:
        return str(json.loads(content)["status"]["error"])
    except (ValueError, LookupError, TypeError):
        return content[:600].decode(errors="replace")


translated = partial(faults.translated, backend=EDGE, table=_TABLE, taken_apart=_taken_apart)
"""See `lateint.engine.faults.translated`."""
