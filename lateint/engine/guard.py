"""The last look at a multi-vector before an engine sees it.

The pipelines have checked it already. It is looked at once more for engines that do not forgive: they store NaN and
infinities, which hide a document or put it first, and one ragged matrix or one row of another dimension breaks every
later search.
"""

from __future__ import annotations

import numpy as np

from lateint import errors
from lateint.spec import DType, IndexSpec
from lateint.vectors import MultiVector

_HALF_OVERFLOW = 65_520.0
"""The smallest magnitude that rounds to infinity in float16."""


def check(
    vectors: MultiVector, spec: IndexSpec, *, engine: str, document: str | None = None, max_values: int | None = None
) -> None:
    """Refuse what an engine could not keep, or score, as it is.

    Args:
        vectors: shape (tokens, dim).
        spec: the index they are for.
        engine: name to put into errors.
        document: id to name in errors; None for a query.
        max_values: most values of one multi-vector; None for no limit.

    Raises:
        MalformedMultiVector: not a float32, two-dimensional, C-contiguous array.
        EmptyMultiVector: no rows.
        DimensionMismatch: rows of another dimension than the index has.
        DocumentTooLarge: more values than the engine takes.
        NonFiniteVector: NaN, infinity, or beyond the range of the storage format.
    """
    place = "query" if document is None else f"document {document!r}"
    if not _is_plain(vectors):
        raise errors.MalformedMultiVector(
            f"{place}: not a C-contiguous float32 array of shape (tokens, dim).", hint=_HINT, document=document
        )
    rows, dim = vectors.shape
    if dim != spec.dim:
        raise errors.DimensionMismatch(
            f"{place}: rows have dimension {dim}, index {spec.name!r} takes {spec.dim}.",
            hint="Encode it with the model that the index was made for.",
            document=document,
        )
    if rows == 0:
        raise errors.EmptyMultiVector(f"{place}: no rows.", hint="It needs at least one.", document=document)
    if max_values is not None and vectors.size > max_values:
        raise errors.DocumentTooLarge(
            f"{place}: {rows} rows of {dim} are {vectors.size:,} values, {engine} takes {max_values:,}.",
            hint=f"Split it, or pool it to {max_values // dim:,} rows at most.",
            document=document,
        )
    limit = _HALF_OVERFLOW if spec.dtype is DType.FLOAT16 else np.inf
    if not np.abs(vectors).max() < limit:  # also true for NaN
        raise _out_of_range(vectors, spec.dtype, limit, place, document)


_HINT = "Pass it through lateint.vectors.as_multivector."


def _is_plain(vectors: object) -> bool:
    if not isinstance(vectors, np.ndarray):
        return False
    return vectors.ndim == 2 and vectors.dtype == np.float32 and bool(vectors.flags.c_contiguous)


def _out_of_range(
    vectors: MultiVector, dtype: DType, limit: float, place: str, document: str | None
) -> errors.NonFiniteVector:
    row, column = (int(position) for position in np.argwhere(~(np.abs(vectors) < limit))[0])
    return errors.NonFiniteVector(
        f"{place}, row {row}, column {column}: {vectors[row, column]} is not a finite {dtype.value}.",
        hint="Look for an overflow or a division by zero in the encoder; nothing was written.",
        document=document,
        row=row,
    )
