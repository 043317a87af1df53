"""Rows for a collection of distance Cosine that keeps float16. Pure.

Qdrant scales every row, of documents and of queries, to length 1 and rounds it then. A row that has been rounded before
is of another length: scaled and rounded once more it would no longer be the row that was given.
"""

from __future__ import annotations

import numpy as np

from lateint.vectors import MultiVector

_MARGIN = 1e-6
"""Kept from where rounding turns, relative: a server leaves rows alone that are this near to length 1."""
_STEPS = 24
_REACH = 2.0**-7
"""More than float16 can be off, relative, in a value that counts for the length."""


def unrounded(rows: MultiVector) -> MultiVector:
    """Rows of length 1 that round to the given ones.

    Args:
        rows: float32, shape (rows, dim): rows of length 1 as float16 rounds them.

    Each value may be anything that rounds to it. All of a row are stretched or shrunk alike, as far as that allows,
    until the row has length 1; the factor is found by bisection.
    """
    halves = rows.astype(np.float16)
    size = np.abs(halves).astype(np.float64)
    zero, infinity = np.float16(0), np.float16(np.inf)
    below = np.nextafter(np.abs(halves), zero).astype(np.float64)
    above = np.nextafter(np.abs(halves), infinity).astype(np.float64)
    low = (size + below) / 2 + _MARGIN * size
    high = (size + above) / 2 - _MARGIN * size
    least, most = np.full((len(rows), 1), 1 - _REACH), np.full((len(rows), 1), 1 + _REACH)
    for _ in range(_STEPS):
        factor = (least + most) / 2
        short = np.square(np.clip(size * factor, low, high)).sum(axis=1, keepdims=True) < 1
        least, most = np.where(short, factor, least), np.where(short, most, factor)
    found: MultiVector = np.copysign(np.clip(size * least, low, high), rows).astype(np.float32)
    return found
