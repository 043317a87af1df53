"""From what a user has to what lateint works on: float32, C-contiguous, shape (tokens, dim)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lateint import errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

MultiVector: TypeAlias = "NDArray[np.float32]"

UNIT_SLACK = 2.0**-22
"""A row whose norm is this close to 1 counts as normalised and keeps its bits."""

STORED_SLACK = 2.0**-7
"""How far rounding to float16 or bfloat16 can move the norm of a unit row (twice the unit roundoff of bfloat16)."""


def as_multivector(vectors: Any, dim: int | None = None, *, document: str | None = None) -> MultiVector:  # noqa: ANN401
    """Check and convert one multi-vector.

    Args:
        vectors: a NumPy array, a torch tensor or nested lists, shape (tokens, dim), real numbers.
        dim: the dimension that the rows must have; None for any.
        document: id to name in errors; None names a query or a bare array.

    Returns:
        float32, C-contiguous, shape (tokens, dim). The input itself where it is that already, a copy otherwise; the
        input is never changed.

    Raises:
        MalformedMultiVector: ragged, 1-D, 3-D, complex, or not numbers.
        EmptyMultiVector: no rows, or rows without values.
        DimensionMismatch: rows of another dimension than `dim`.
        NonFiniteVector: NaN or infinity, also by overflow of float32.
    """
    place = f"document {document!r}" if document is not None else "multi-vector"
    array = _as_array(vectors, place, document)
    if array.ndim != 2:
        shape = f"shape {array.shape}"
        hint = (
            "Pass one row per token, shape (tokens, dim); a single vector is `vector[None, :]`."
            if array.ndim == 1
            else "Pass one document at a time, shape (tokens, dim)."
        )
        if array.size == 0 and array.ndim <= 1:
            raise errors.EmptyMultiVector(f"{place}: no vectors.", hint=_EMPTY_HINT, document=document)
        raise errors.MalformedMultiVector(f"{place}: {shape} is not two-dimensional.", hint=hint, document=document)
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise errors.EmptyMultiVector(
            f"{place}: shape {array.shape} holds no values.", hint=_EMPTY_HINT, document=document
        )
    if dim is not None and array.shape[1] != dim:
        raise errors.DimensionMismatch(
            f"{place}: rows have dimension {array.shape[1]}, {dim} is needed.",
            hint=f"Encode it with the model that the index was made for, or create an index with dim={array.shape[1]}.",
            document=document,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.ascontiguousarray(array, dtype=np.float32)
    _check_finite(result, place, document)
    return result


def normalized(vectors: MultiVector, *, document: str | None = None) -> MultiVector:
    """Scale every row to length 1.

    Norms are taken in float64. A row with |norm - 1| <= 2**-22 keeps its bits; if all do, the input is returned as it
    is.

    Args:
        vectors: float32, shape (tokens, dim), finite.
        document: id to name in errors.

    Raises:
        ZeroVector: a row has length zero.
    """
    norms = row_norms(vectors)
    off = np.abs(norms - 1.0) > UNIT_SLACK
    if not off.any():
        return vectors
    check_nonzero(norms, document=document)
    return np.where(off[:, None], vectors / norms[:, None], vectors).astype(np.float32)


def check_nonzero(norms: NDArray[np.float64], *, document: str | None = None) -> None:
    """Refuse rows that no length can be given: they are padding that was left in.

    Args:
        norms: of the rows, shape (tokens,).
        document: id to name in errors.

    Raises:
        ZeroVector: a row has length zero.
    """
    if norms.all():
        return
    row = int(np.argmin(norms))
    place = f"document {document!r}" if document is not None else "multi-vector"
    raise errors.ZeroVector(
        f"{place}, row {row}: length 0 cannot be normalised.",
        hint="Drop padding rows before passing the vectors on; or create the index with normalize=False.",
        document=document,
        row=row,
    )


def row_norms(vectors: MultiVector) -> NDArray[np.float64]:
    """Euclidean length of every row in float64, shape (tokens,)."""
    wide = vectors.astype(np.float64)
    norms: NDArray[np.float64] = np.sqrt(np.einsum("td,td->t", wide, wide))
    return norms


_EMPTY_HINT = "A document needs at least one row; leave it out, or encode it again."


def _as_array(vectors: Any, place: str, document: str | None) -> NDArray[Any]:  # noqa: ANN401
    if hasattr(vectors, "detach"):  # a torch tensor, perhaps on a device, perhaps bfloat16, which NumPy lacks
        vectors = vectors.detach().cpu()
        vectors = vectors.float().numpy() if vectors.is_floating_point() else vectors.numpy()
    if isinstance(vectors, np.ma.MaskedArray):
        raise errors.MalformedMultiVector(
            f"{place}: a masked array would lose its mask.",
            hint="Keep the rows wanted: array[~mask].",
            document=document,
        )
    try:
        array = np.asarray(vectors)
    except (ValueError, TypeError) as error:
        raise _malformed(vectors, place, document) from error
    if array.dtype.kind not in "fiu" and array.size:
        if array.dtype.kind == "O":
            raise _malformed(vectors, place, document)
        raise errors.MalformedMultiVector(
            f"{place}: values of type {array.dtype} are not real numbers.",
            hint="Pass floats of 16, 32 or 64 bits, or integers.",
            document=document,
        )
    return array


def _malformed(vectors: Any, place: str, document: str | None) -> errors.MalformedMultiVector:  # noqa: ANN401
    """Name the first row whose length differs, if that is what is wrong."""
    rows = vectors if isinstance(vectors, (list, tuple)) or (isinstance(vectors, np.ndarray) and vectors.ndim) else []
    lengths = [len(row) if hasattr(row, "__len__") else None for row in rows]
    for row, length in enumerate(lengths):
        if length != lengths[0]:
            return errors.MalformedMultiVector(
                f"{place}, row {row}: {length} values, row 0 has {lengths[0]}.",
                hint="All rows of a multi-vector have the same dimension.",
                document=document,
                row=row,
            )
    return errors.MalformedMultiVector(
        f"{place}: {type(vectors).__name__} is not an array of numbers.",
        hint="Pass a NumPy array, a torch tensor or nested lists of shape (tokens, dim).",
        document=document,
    )


def _check_finite(vectors: MultiVector, place: str, document: str | None) -> None:
    if np.isfinite(vectors).all():
        return
    row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
    column = int(np.flatnonzero(~np.isfinite(vectors[row]))[0])
    raise errors.NonFiniteVector(
        f"{place}, row {row}, column {column}: {vectors[row, column]} is not a finite float32.",
        hint="Look for an overflow in half precision or a division by zero in the encoder; nothing was sent.",
        document=document,
        row=row,
    )
