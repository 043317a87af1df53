"""How far the score of an engine may be from the reference, from the arithmetic alone.

For unit rows, with m query rows, d dimensions, a score S and u(x) the unit roundoff of x:

    4·u(float32)·(m·max(1, √(d/32)) + √m·|S|)  +  4·√m·√sides·u(storage)/√d

The first part covers float32 dot products in any order of summation and a float32 sum over query rows; the second the
rounding of documents (one side), or of documents and query (two), by storage. Both follow how rounding errors of random
sign add up, with a factor of 4 for their spread. The guaranteed bounds, where all errors conspire, are about ten times
wider and would let real faults pass. Errors measured for float32, float16 and bfloat16, for 32 and 1024 query rows and
96 to 320 dimensions, stayed below 0.8 of it. The second part counts on query rows that differ: rows that are alike, as
ColBERT's expansion can make them, meet the same document row and its rounding m times, and 1.3 of it was seen. Mirror
the rounding (`sides=0`) wherever the format is known; lateint itself always does.

Rows of other lengths: rounding is relative, so the errors of a dot product and of storage grow with the product N of
the two row lengths: m and √m·√sides become N·m and N·√m·√sides, while S has grown by itself. (Below 6·10⁻⁵ the rounding
of float16 is coarser than that; it matters for rows much shorter than 0.001.)

Bits (binary storage): zeros and ones are exact in float32, and so are their products with the values of the query. What
is left is the first part, for rows that are not of unit length: one with p bits set is √p long. With q the longest row
of the query, N = |q|·√p for the fullest row of the document, so at most √d for unit queries. There is no second part:
bits are no rounding, their scores are not near those of the values that they were made from, and only a reference on
the same bits (`sides=0`) says anything about an engine. Errors measured stayed below 0.2 of it.
"""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.scoring.rounding import storage_type, unit_roundoff
from lateint.spec import DType

_UNDERFLOW = 2.0**-126


@overload
def tolerance(
    *, rows: int, dim: int, score: float, storage: str = "float32", sides: int = 0, norm: float = 1.0
) -> float: ...
@overload
def tolerance(
    *,
    rows: int,
    dim: int,
    score: NDArray[np.float64],
    storage: str = "float32",
    sides: int = 0,
    norm: float | NDArray[np.float64] = 1.0,
) -> NDArray[np.float64]: ...
def tolerance(
    *,
    rows: int,
    dim: int,
    score: float | NDArray[np.float64],
    storage: str = "float32",
    sides: int = 0,
    norm: float | NDArray[np.float64] = 1.0,
) -> float | NDArray[np.float64]:
    """Largest distance between two float32 computations of a score that is no fault.

    Args:
        rows: of the query.
        dim: values per row.
        score: the true score, or many.
        storage: the format that rounded what is compared; without effect where `sides` is 0.
        sides: how many sides storage rounded where the reference did not: 0 where the reference scores the stored
            values (`mirrored`), 1 for documents, 2 for documents and query.
        norm: length of the longest query row times that of the longest row of the document; one for all scores or
            one for each.

    Returns:
        Of the same shape as `score`.

    Raises:
        InvalidInput: an unknown format, a number that cannot be, or bits with `sides` of 1 or 2.
    """
    if rows < 1 or dim < 1 or sides not in {0, 1, 2} or not np.all(np.asarray(norm) >= 0):
        raise errors.InvalidInput(
            f"rows={rows}, dim={dim}, sides={sides}, norm={norm} describe no comparison.",
            hint="At least one row and one dimension, 0, 1 or 2 sides, a norm of 0 or more.",
        )
    kind = storage_type(storage)
    dots = norm * rows * max(1.0, np.sqrt(dim / 32))
    sums = np.sqrt(rows) * np.abs(score)
    stored = 0.0 if sides == 0 or kind is DType.FLOAT32 else norm * np.sqrt(rows * sides / dim) * unit_roundoff(kind)
    allowed = 4 * unit_roundoff(DType.FLOAT32) * (dots + sums) + 4 * stored + rows * dim * _UNDERFLOW
    return allowed if isinstance(allowed, np.ndarray) else float(allowed)
