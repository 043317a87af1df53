"""Every exception of lateint.

    LateintError                        .hint
    ├ ConfigurationError (ValueError)
    │   UnknownBackend · MissingDependency (ImportError) · InvalidURL · DuplicatePlugin · EncoderMismatch
    ├ InvalidInput (ValueError)         .document .row .report
    │   DimensionMismatch · EmptyMultiVector · MalformedMultiVector · NonFiniteVector · ZeroVector ·
    │   PayloadTypeError · DocumentTooLarge
    ├ UnsupportedFeature                .backend .feature .since .alternative
    ├ BackendError                      .backend .operation .index .retryable .status .report
    │   ConnectionFailed* · Timeout* · RateLimited* (.retry_after) · AuthenticationFailed · PermissionDenied ·
    │   IndexNotFound · IndexExists · SchemaMismatch · PartialWrite (.failed) · PartialResult · StorageFull ·
    │   UnexpectedResponse               (* retryable)
    ├ StoreError
    │   CorruptPart · UnsupportedStoreVersion
    ├ CopyError
    │   CheckpointMismatch · SourceChanged
    └ VerificationFailed                .report

A message says what was wrong, with the value and the place, and ends with what to do about it (also alone, as `.hint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from lateint.jobs.report import VerificationReport
    from lateint.types import WriteFailure, WriteReport


class LateintError(Exception):
    """Root of all errors that lateint raises on purpose.

    Attributes:
        hint: what to do about it; empty where nothing useful can be said.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".rstrip())
        self.hint = hint


class ConfigurationError(LateintError, ValueError):
    """What was asked for cannot be set up: nothing was sent anywhere."""


class UnknownBackend(ConfigurationError):
    """No installed plugin answers to the URL's scheme."""


class MissingDependency(ConfigurationError, ImportError):
    """A package that an extra installs is not there."""


class InvalidURL(ConfigurationError):
    """A URL that names no server or folder, holds a key, or has an unknown option."""


class DuplicatePlugin(ConfigurationError):
    """Two installed distributions claim the same URL scheme."""


class EncoderMismatch(ConfigurationError):
    """The encoder in use is not the one that made the vectors of the index."""


class InvalidInput(LateintError, ValueError):
    """A document, query, filter or argument that no engine should see.

    Attributes:
        document: id of the document at fault, where there is one.
        row: its row (token) at fault, where there is one.
        report: what had been written before, when raised by `write`.
    """

    report: WriteReport | None = None

    def __init__(self, message: str, *, hint: str = "", document: str | None = None, row: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.document = document
        self.row = row


class DimensionMismatch(InvalidInput):
    """Rows of another dimension than the index or the other side has."""


class EmptyMultiVector(InvalidInput):
    """No rows, or rows without values."""


class MalformedMultiVector(InvalidInput):
    """Not a two-dimensional array of real numbers: ragged, 1-D, 3-D, complex, text."""


class NonFiniteVector(InvalidInput):
    """NaN, infinity, or a value that the storage format would turn into infinity."""


class ZeroVector(InvalidInput):
    """A row of length zero where rows are to be normalised."""


class PayloadTypeError(InvalidInput):
    """A payload value that cannot be kept exactly, or not of its field's declared type."""


class DocumentTooLarge(InvalidInput):
    """More rows, values or bytes than the engine takes for one document."""


class UnsupportedFeature(LateintError):
    """The engine, its version or this index cannot do what was asked; nothing was sent.

    Attributes:
        backend: name of the backend.
        feature: what was asked.
        since: the version that can, empty where none can.
        alternative: what does work.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        backend: str = "",
        feature: str = "",
        since: str = "",
        alternative: str = "",
    ) -> None:
        super().__init__(message, hint=hint or alternative)
        self.backend = backend
        self.feature = feature
        self.since = since
        self.alternative = alternative


class BackendError(LateintError):
    """An engine refused, failed, or could not be reached.

    Attributes:
        backend: name of the backend.
        operation: the verb that failed.
        index: the index it was for, where there is one.
        retryable: whether the same call may succeed later.
        status: the engine's own status code or name, where it gave one.
        report: what had been written before, when raised by `write`.
    """

    default_retryable: ClassVar[bool] = False
    report: WriteReport | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        backend: str = "",
        operation: str = "",
        index: str | None = None,
        retryable: bool | None = None,
        status: int | str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.backend = backend
        self.operation = operation
        self.index = index
        self.retryable = self.default_retryable if retryable is None else retryable
        self.status = status


class ConnectionFailed(BackendError):
    """The server could not be reached, or the connection broke."""

    default_retryable = True


class Timeout(BackendError):
    """No answer in time; the operation may or may not have been applied."""

    default_retryable = True


class RateLimited(BackendError):
    """The engine asks for patience.

    Attributes:
        retry_after: seconds to wait, where the engine says so.
    """

    default_retryable = True
    retry_after: float | None = None


class AuthenticationFailed(BackendError):
    """No key, or a wrong one."""


class PermissionDenied(BackendError):
    """The key is known and may not do this; or the client is read-only."""


class IndexNotFound(BackendError):
    """No index of that name."""


class IndexExists(BackendError):
    """There is an index of that name already."""


class SchemaMismatch(BackendError):
    """The index exists and is not what was asked for."""


class PartialWrite(BackendError):
    """Some documents of a write were refused.

    Attributes:
        failed: which, and why.
    """

    failed: tuple[WriteFailure, ...] = ()


class PartialResult(BackendError):
    """The engine answered for a part of the index only; the half answer was discarded."""


class StorageFull(BackendError):
    """The engine has no room left."""


class UnexpectedResponse(BackendError):
    """An answer that the adapter does not understand."""


class StoreError(LateintError):
    """Multi-vectors on disk cannot be read or written."""


class CorruptPart(StoreError):
    """A part of a store fails its checksum or its length."""


class UnsupportedStoreVersion(StoreError):
    """A store written by a newer lateint."""


class CopyError(LateintError):
    """A copy between indexes cannot go on."""


class CheckpointMismatch(CopyError):
    """The checkpoint belongs to another copy."""


class SourceChanged(CopyError):
    """The source is not what it was when the copy began."""


class VerificationFailed(LateintError):
    """An index does not return what the reference scorer says it should, or an encoder gives what it cannot score.

    Attributes:
        report: the whole finding, for an index.
    """

    def __init__(self, message: str, *, hint: str = "", report: VerificationReport | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report
