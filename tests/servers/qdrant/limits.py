"""What the server refuses before its engine sees it, in its words.

Texts marked *seen* were noted on a running 1.18.3; those marked *source* follow the server's public source; the rest
are this double's own wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any
from uuid import UUID

import grpc

MAX_VALUES = 1_048_576
"""A multi-vector must hold fewer values than this (seen)."""
MAX_BODY = 33_554_432
"""Bytes of the largest JSON body (seen)."""

Json = dict[str, Any]


class Kind(Enum):
    """Why a call is refused: status over REST, and over gRPC."""

    INVALID = 400, grpc.StatusCode.INVALID_ARGUMENT
    UNPROCESSABLE = 422, grpc.StatusCode.INVALID_ARGUMENT
    UNAUTHENTICATED = 401, grpc.StatusCode.UNAUTHENTICATED
    FORBIDDEN = 403, grpc.StatusCode.PERMISSION_DENIED
    NOT_FOUND = 404, grpc.StatusCode.NOT_FOUND
    TIMEOUT = 408, grpc.StatusCode.DEADLINE_EXCEEDED
    EXISTS = 409, grpc.StatusCode.ALREADY_EXISTS
    RATE_LIMIT = 429, grpc.StatusCode.RESOURCE_EXHAUSTED
    INTERNAL = 500, grpc.StatusCode.INTERNAL
    UNKNOWN = 501, grpc.StatusCode.UNIMPLEMENTED
    UNAVAILABLE = 503, grpc.StatusCode.UNAVAILABLE


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, kind: Kind, text: str, *, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.retry_after = retry_after


class InvalidMatrix(Exception):
    """A multi-vector that the server's validation refuses; what its text says depends on the transport."""

    def __init__(self, problem: str, detail: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.detail = detail


def check_matrix(rows: Sequence[Sequence[float]]) -> None:
    """Refuse what validation refuses of any multi-vector (source: `validate_multi_vector`).

    Raises:
        InvalidMatrix: none or empty rows, rows of different length, or too many values.
    """
    if not rows:
        raise InvalidMatrix("empty")
    if not all(len(row) for row in rows):
        raise InvalidMatrix("empty row")
    total = sum(map(len, rows))
    if total >= MAX_VALUES:
        raise InvalidMatrix("too large", total)
    for row in rows:
        if len(row) != len(rows[0]):
            raise InvalidMatrix("ragged", len(row))


def over_grpc(error: InvalidMatrix, path: str) -> Refused:
    """Seen, all but the text around the last three."""
    text = {
        "empty": "multi vector must not be empty",
        "empty row": "all vectors must be non-empty",
        "too large": f"Total size of all vectors ({error.detail}) must be less than {MAX_VALUES}",
        "ragged": f"all vectors must have the same dimension, found vector with dimension {error.detail}",
    }[error.problem]
    return Refused(Kind.INVALID, f"Validation error in body: [{path}.data: {text}]")


def over_rest(error: InvalidMatrix, path: str) -> Refused:
    """Seen, all but the text around the first two."""
    text = {
        "empty": "data: dense vector must not be empty",
        "empty row": "data: all vectors must be non-empty",
        "too large": f"data: Total size of all vectors ({error.detail}) must be less than {MAX_VALUES}",
        "ragged": "values: Validation error: must be the same length as indices [{}]",
    }[error.problem]
    return Refused(Kind.UNPROCESSABLE, f"Validation error in JSON body: [{path}.?.{text}]")


def check_vector(name: str, value: Any, params: Mapping[str, Json]) -> Any:
    """A vector as the collection takes it: rows for a multi-vector, numbers for a plain one.

    Args:
        name: which vector; empty for the unnamed one.
        value: a list of numbers, or a list of rows that passed `check_matrix`.
        params: the collection's vectors by name.

    Raises:
        Refused: no such vector (source), wrong dimension (seen), rows for a plain vector (the engine's text).
    """
    if name not in params:
        raise Refused(Kind.INVALID, f"Wrong input: Not existing vector name error: {name}")
    is_matrix = bool(value) and not isinstance(value[0], (int, float))
    if not params[name].get("multivector_config"):
        if is_matrix and len(value) == 1:  # a matrix of one row is taken for a plain vector
            value, is_matrix = value[0], False
        if is_matrix:
            raise Refused(Kind.INVALID, "Wrong input: Conversion between multi and regular vectors failed")
        rows = [value]
    else:
        rows = value = value if is_matrix else [value]
    size = params[name]["size"]
    for row in rows:
        if len(row) != size:
            where = f" for vector '{name}'" if name else ""
            message = f"Wrong input: Vector dimension error: expected dim: {size}, got {len(row)}{where}"
            raise Refused(Kind.INVALID, message)
    return value


def point_id(value: Any) -> int | UUID:
    """An id as the engine takes it.

    Raises:
        Refused: neither an unsigned 64-bit integer nor a UUID (source).
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        text = f"value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID"
        raise Refused(Kind.INVALID, f"Format error in JSON body: {text}") from None


def check_collection_name(name: str) -> None:
    """Refuse names that cannot be folders (source: `validate_collection_name`)."""
    bad = next((letter for letter in '<>:"/\\|?*\0\x1f' if letter in name), None)
    if bad is not None:
        text = f'collection name cannot contain "{bad}" char'
        raise Refused(Kind.UNPROCESSABLE, f"Validation error in path: [collection_name: {text}]")
    if not 0 < len(name) <= 255:
        text = "must be at least 1 characters" if not name else "must be at most 255 characters"
        raise Refused(Kind.UNPROCESSABLE, f"Validation error in path: [collection_name: {text}]")


def collection_missing(name: str) -> Refused:
    """Source."""
    return Refused(Kind.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")


def collection_exists(name: str) -> Refused:
    """Source."""
    return Refused(Kind.EXISTS, f"Wrong input: Collection `{name}` already exists!")
