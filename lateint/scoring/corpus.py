"""Many multi-vectors as one flat matrix: what the reference scorer reads."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.scoring.rounding import ARRAY_TYPES, Stored, storage_type, stored, widened
from lateint.spec import DType
from lateint.vectors import MultiVector, as_multivector

_CHECKED_VALUES = 1 << 18
_EXPONENT_BITS = {DType.FLOAT32: 0x7F800000, DType.FLOAT16: 0x7C00, DType.BFLOAT16: 0x7F80}


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class Corpus:
    """The rows of all documents, one after the other, and where each document begins.

    Nothing is copied or padded: the arrays may be memory maps of a file.

    Attributes:
        tokens: shape (total rows, dim), C-contiguous, finite; float32, float16, or bfloat16 bits as uint16. For binary
            shape (total rows, dim // 8), packed bits as uint8, see `pack_bits`.
        offsets: int64, shape (documents + 1,): document `i` has the rows from `offsets[i]` to `offsets[i + 1]`.
        dtype: the storage format that `tokens` is in.

    Raises:
        InvalidInput: an unknown format, or offsets that do not cut the rows into documents.
        MalformedMultiVector: tokens not two-dimensional, not C-contiguous, or not of the type that goes with `dtype`.
        EmptyMultiVector: a document without rows.
        NonFiniteVector: NaN or infinity among the tokens.
    """

    tokens: Stored
    offsets: NDArray[np.int64]
    dtype: DType

    def __init__(self, tokens: Stored, offsets: NDArray[np.int64], *, dtype: str = DType.FLOAT32) -> None:
        kind = storage_type(dtype)
        _check_tokens(tokens, kind)
        _check_offsets(offsets, len(tokens))
        _check_finite(tokens, kind, offsets)
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "dtype", kind)

    @classmethod
    def from_multivectors(
        cls, multivectors: Iterable[Any], *, dtype: str = DType.FLOAT32, dim: int | None = None
    ) -> Corpus:
        """Collect multi-vectors, reading the iterable once.

        Memory: the result and an eighth, plus one multi-vector.

        Args:
            multivectors: anything that `as_multivector` takes, each of shape (tokens, dim).
            dtype: storage format; rounding is to nearest, ties to even, and binary keeps what is above 0 as 1.
            dim: the dimension that the rows must have; None takes that of the first one, or 0 if there is none.

        Raises:
            InvalidInput: an unknown format, or what `as_multivector` refuses; documents are named `#0`, `#1`, … in the
                order of the iterable.
            DimensionMismatch: a dimension that bits cannot be packed for.
            NonFiniteVector: NaN, infinity, or a value that `dtype` would turn into infinity.
        """
        kind = storage_type(dtype)
        rows = bytearray()  # grows in place, an eighth at a time
        ends = [0]
        for position, item in enumerate(multivectors):
            name = f"#{position}"
            vectors = as_multivector(item, dim, document=name)
            dim = vectors.shape[1]
            rows += stored(vectors, kind, document=name).data
            ends.append(ends[-1] + len(vectors))
        tokens = np.frombuffer(rows, ARRAY_TYPES[kind]).reshape(ends[-1], (dim or 0) // _values_in_one(kind))
        return cls(tokens, np.array(ends, np.int64), dtype=kind)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Corpus({len(self)} documents, {len(self.tokens)} rows, dim={self.dim}, {self.dtype})"

    @property
    def dim(self) -> int:
        """Values per row."""
        return int(self.tokens.shape[1]) * _values_in_one(self.dtype)

    def multivector(self, position: int) -> MultiVector:
        """The rows of one document.

        Args:
            position: of the document, from 0.

        Returns:
            float32, shape (tokens, dim), read-only.

        Raises:
            IndexError: no such document.
        """
        position = operator.index(position)
        if not 0 <= position < len(self):
            raise IndexError(f"document {position} of a corpus of {len(self)}")
        rows = widened(self.tokens[self.offsets[position] : self.offsets[position + 1]])
        rows.flags.writeable = False
        return rows


def _values_in_one(kind: DType) -> int:
    """How many values an element of the tokens holds."""
    return 8 if kind is DType.BINARY else 1


def _check_tokens(tokens: Stored, kind: DType) -> None:
    if not isinstance(tokens, np.ndarray) or tokens.dtype != ARRAY_TYPES[kind]:
        found = tokens.dtype if isinstance(tokens, np.ndarray) else type(tokens).__name__
        raise errors.MalformedMultiVector(
            f"corpus: tokens of type {found} are not {kind}.",
            hint=f"Pass an array of {ARRAY_TYPES[kind]}, or use Corpus.from_multivectors.",
        )
    if tokens.ndim != 2 or not tokens.flags.c_contiguous:
        raise errors.MalformedMultiVector(
            f"corpus: tokens of shape {tokens.shape} are not a C-contiguous matrix.",
            hint="Pass shape (total rows, dim), through np.ascontiguousarray where needed.",
        )


def _check_offsets(offsets: NDArray[np.int64], total: int) -> None:
    if not isinstance(offsets, np.ndarray) or offsets.dtype != np.int64 or offsets.ndim != 1 or not len(offsets):
        raise errors.InvalidInput(
            "corpus: offsets are not a vector of int64.",
            hint="Pass np.int64, shape (documents + 1,), beginning with 0.",
        )
    if offsets[0] != 0 or offsets[-1] != total:
        raise errors.InvalidInput(
            f"corpus: offsets go from {offsets[0]} to {offsets[-1]}, the rows from 0 to {total}.",
            hint="The first offset is 0 and the last is the number of rows.",
        )
    lengths = np.diff(offsets)
    if (lengths <= 0).any():
        position = int(np.argmax(lengths <= 0))
        raise errors.EmptyMultiVector(
            f"document '#{position}': {lengths[position]} rows, by its offsets.",
            hint="A document needs at least one row; leave it out, or encode it again.",
            document=f"#{position}",
        )


def _check_finite(tokens: Stored, kind: DType, offsets: NDArray[np.int64]) -> None:
    """Look at the bits, for NumPy knows no bfloat16: the exponent is all ones in infinity and NaN only."""
    if kind is DType.BINARY:
        return
    bits: NDArray[Any] = tokens.view(np.uint32 if kind is DType.FLOAT32 else np.uint16)
    mask = _EXPONENT_BITS[kind]
    step = max(1, _CHECKED_VALUES // max(1, bits.shape[1]))
    for start in range(0, len(bits), step):
        infinite = (bits[start : start + step] & mask) == mask
        if infinite.any():
            row = start + int(np.argmax(infinite.any(axis=1)))
            position = int(np.searchsorted(offsets, row, "right")) - 1
            raise errors.NonFiniteVector(
                f"document '#{position}', row {row - offsets[position]}: NaN or infinity.",
                hint="Look for an overflow in half precision or a division by zero in the encoder.",
                document=f"#{position}",
                row=int(row - offsets[position]),
            )
