"""What an engine's storage does to a vector: float32, float16 and bfloat16, to nearest with ties to even; and bits.

`mirrored` gives the values that an engine will score, so that its scores can be compared with a reference on the same
values. NumPy has no bfloat16: it is kept as uint16, the upper half of the bits of a float32. Binary storage keeps one
bit of each value, set if it is above 0, eight of them in a uint8 with the first one highest; what is scored are the
numbers 0.0 and 1.0. That is another function of the values, not a rounding of them, but one that changes nothing when
it is applied again.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.spec import DType
from lateint.vectors import MultiVector, as_multivector

Stored: TypeAlias = "NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16] | NDArray[np.uint8]"

ARRAY_TYPES: dict[DType, np.dtype[Any]] = {
    DType.FLOAT32: np.dtype(np.float32),
    DType.FLOAT16: np.dtype(np.float16),
    DType.BFLOAT16: np.dtype(np.uint16),
    DType.BINARY: np.dtype(np.uint8),
}
"""The NumPy type in which values of a storage format are held: one in each element, eight if they are bits."""

_ROUNDOFF = {DType.FLOAT32: 2.0**-24, DType.FLOAT16: 2.0**-11, DType.BFLOAT16: 2.0**-8}

# The smallest magnitude that rounds to infinity: halfway between the largest finite value and the next power of two
# (where the tie goes to the even significand, which is the power of two).
_TOO_LARGE = {
    DType.FLOAT16: np.float32(65520.0),
    DType.BFLOAT16: np.float32(2.0**128 - 2.0**119),
}

_SIGN_AND_MAGNITUDE = np.int32(-0x70002000)  # the bits 0x8FFFE000
_EXPONENT_SHIFT = np.float32(2.0**112)  # the exponent of a float16 is biased by 15, of a float32 by 127

_BITS_OF_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)


def storage_type(dtype: str) -> DType:
    """The storage format of that name.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return DType(dtype)
    except ValueError:
        known = ", ".join(DType)
        raise errors.InvalidInput(f"{dtype!r} is not a storage format.", hint=f"There are: {known}.") from None


def unit_roundoff(dtype: str) -> float:
    """Largest relative error of rounding to a storage format: 2⁻²⁴, 2⁻¹¹ or 2⁻⁸ (half the spacing at 1).

    Raises:
        InvalidInput: an unknown format, or bits, which are no rounding.
    """
    kind = storage_type(dtype)
    if kind is DType.BINARY:
        raise errors.InvalidInput(
            "bits are not a rounding of what they were made from, near which they would have to be.",
            hint="Compare with the reference on the same bits: `mirrored(vectors, 'binary')`.",
        )
    return _ROUNDOFF[kind]


def mirrored(vectors: MultiVector, dtype: str, *, document: str | None = None) -> MultiVector:
    """The values that storage holds after it was given `vectors`.

    Args:
        vectors: float32, shape (tokens, dim), checked by `as_multivector`.
        dtype: float32, float16, bfloat16 or binary.
        document: id to name in errors.

    Returns:
        float32, same shape; for float32 the input itself, not looked at; for binary 1.0 where the value is above 0,
        else 0.0.

    Raises:
        InvalidInput: an unknown format.
        DimensionMismatch: a dimension that bits cannot be packed for.
        NonFiniteVector: a value that would be rounded to infinity, or is not finite itself.
    """
    return widened(stored(vectors, dtype, document=document))


def stored(vectors: MultiVector, dtype: str, *, document: str | None = None) -> Stored:
    """As storage holds it: float32 (the input itself), float16, bfloat16 as uint16, or packed bits as uint8.

    Args:
        vectors: float32, shape (tokens, dim), checked by `as_multivector`.
        dtype: float32, float16, bfloat16 or binary.
        document: id to name in errors.

    Raises:
        InvalidInput: an unknown format.
        DimensionMismatch: a dimension that bits cannot be packed for.
        NonFiniteVector: a value that would be rounded to infinity, or is not finite itself.
    """
    kind = storage_type(dtype)
    if kind is DType.FLOAT32:
        return vectors
    if kind is DType.BFLOAT16:
        return to_bfloat16_bits(vectors, document=document)
    if kind is DType.BINARY:
        return pack_bits(vectors, document=document)
    _refuse_overflow(vectors, kind, document)
    return vectors.astype(np.float16)


def widened(tokens: Stored, *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Stored values as float32, exactly.

    Args:
        tokens: finite; float32, float16, bfloat16 as uint16, or packed bits as uint8.
        out: C-contiguous, shape (tokens, dim), to be filled; not used for float32.

    Returns:
        The input itself for float32; else `out`, or a new array.
    """
    if tokens.dtype == np.float16:
        return widen_float16(tokens, out=out)  # type: ignore[arg-type]
    if tokens.dtype == np.uint16:
        return from_bfloat16_bits(tokens, out=out)  # type: ignore[arg-type]
    if tokens.dtype == np.uint8:
        return unpack_bits(tokens, out=out)  # type: ignore[arg-type]
    return tokens  # type: ignore[return-value]


def widen_float16(values: NDArray[np.float16], *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Finite float16 as float32, exactly, subnormals included; about twice as fast as `astype`.

    Sign, exponent and significand are moved to their places in a float32, and a multiplication by 2¹¹² mends the bias
    of the exponent. Infinity and NaN would come out as finite numbers: check before.

    Args:
        values: finite.
        out: C-contiguous, same shape, to be filled.
    """
    result = np.empty(values.shape, np.float32) if out is None else out
    bits = result.view(np.int32)
    np.copyto(bits, values.view(np.int16))  # extends the sign, whose copies the mask then removes
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _SIGN_AND_MAGNITUDE, out=bits)
    # Folded into the query instead, the factor would leave float32 subnormals to the matrix product: slow on many CPUs.
    return np.multiply(result, _EXPONENT_SHIFT, out=result)


def to_bfloat16_bits(vectors: NDArray[np.float32], *, document: str | None = None) -> NDArray[np.uint16]:
    """Round float32 to bfloat16, to nearest with ties to even.

    Args:
        vectors: float32, any shape.
        document: id to name in errors.

    Returns:
        The bits, uint16, same shape.

    Raises:
        NonFiniteVector: NaN, infinity, or a value that would be rounded to infinity.
    """
    _refuse_overflow(vectors, DType.BFLOAT16, document)
    bits = np.ascontiguousarray(vectors).view(np.uint32)
    rounded = (bits >> 16) & 1  # with it a tie carries into an odd upper half, and not into an even one
    rounded += 0x7FFF
    rounded += bits
    rounded >>= 16
    return rounded.astype(np.uint16)


def from_bfloat16_bits(bits: NDArray[np.uint16], *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Bits of bfloat16 as float32, exactly.

    Args:
        bits: uint16, any shape.
        out: C-contiguous, same shape, to be filled.
    """
    result = np.empty(bits.shape, np.float32) if out is None else out
    wide = result.view(np.uint32)
    np.copyto(wide, bits)
    np.left_shift(wide, 16, out=wide)
    return result


def pack_bits(vectors: MultiVector, *, document: str | None = None) -> NDArray[np.uint8]:
    """One bit of each value, set if it is above 0; eight in a byte, the first one highest.

    Args:
        vectors: float32, shape (tokens, dim).
        document: id to name in errors.

    Returns:
        uint8, shape (tokens, dim // 8).

    Raises:
        DimensionMismatch: the dimension is not a multiple of 8.
        NonFiniteVector: NaN or infinity, whose sign says nothing.
    """
    checked = as_multivector(vectors, document=document)
    dim = checked.shape[1]
    if dim % 8:
        raise errors.DimensionMismatch(
            f"{'multi-vector' if document is None else f'document {document!r}'}: rows of dimension {dim} cannot be "
            "packed into whole bytes.",
            hint=f"Append zeros to all rows and queries, up to dimension {dim + -dim % 8}: scores stay the same.",
            document=document,
        )
    return np.packbits(checked > 0, axis=1)


def unpack_bits(packed: NDArray[np.uint8], *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """What `pack_bits` packed, as 0.0 and 1.0; from a table, faster than by way of `numpy.unpackbits`.

    Args:
        packed: uint8, shape (tokens, dim // 8).
        out: C-contiguous, shape (tokens, dim), to be filled.
    """
    rows, width = packed.shape
    result = np.empty((rows, 8 * width), np.float32) if out is None else out
    # No uint8 is beyond the table; the mode only spares NumPy a copy that it makes to undo what goes wrong.
    np.take(_BITS_OF_BYTES, packed, axis=0, out=result.reshape(rows, width, 8), mode="clip")
    return result


def _refuse_overflow(vectors: NDArray[np.float32], kind: DType, document: str | None) -> None:
    fits = np.abs(vectors) < _TOO_LARGE[kind]
    if fits.all():
        return
    place = tuple(int(axis) for axis in np.argwhere(~fits)[0])
    where = f"row {place[0]}, column {place[1]}" if len(place) == 2 else f"position {place}"
    raise errors.NonFiniteVector(
        f"{'multi-vector' if document is None else f'document {document!r}'}, {where}: {vectors[place]} has no finite "
        f"{kind}.",
        hint="Normalise the rows, or store them as float32.",
        document=document,
        row=place[0] if place else None,
    )
