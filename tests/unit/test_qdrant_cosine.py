"""Rows for collections of distance Cosine in float16: what the server makes of them is what was meant."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from lateint.scoring import mirrored
from lateint.vectors import normalized
from lateint_qdrant.cosine import unrounded

ALONE = 1e-6
"""A server leaves a row alone whose squared length is this near to 1."""


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 128, 1024])
def test_scaled_and_rounded_again(dim: int) -> None:
    """Rounded rows are not of length 1; scaled as they are, they would round to others."""
    rng = np.random.default_rng(dim)
    given = rng.standard_normal((2000, dim)) * rng.uniform(0, 1, (2000, dim)) ** 6  # large values, tiny ones, zeros
    rows = mirrored(normalized(given.astype(np.float32)), "float16")
    found = unrounded(rows)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    squares = np.square(found.astype(np.float64)).sum(axis=1, keepdims=True)
    scaled = np.where(np.abs(squares - 1) <= ALONE, found, found / np.sqrt(squares)).astype(np.float32)
    np.testing.assert_array_equal(mirrored(scaled, "float16"), rows)
