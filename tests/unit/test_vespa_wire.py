"""Multi-vectors as hexadecimal: exact, in order, of the form that Vespa reads, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from lateint import errors
from lateint.scoring import mirrored
from lateint_vespa import wire
from lateint_vespa.schema import Cells

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100)
matrices = st_numpy.arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(1, 5).map(lambda eighth: 8 * eighth)), elements=NUMBERS
)


def parsed(rows: NDArray[np.float32], cells: Cells) -> Any:
    return json.loads(b"".join(wire.blocks(rows, cells)))


def kept(rows: NDArray[np.float32], cells: Cells) -> NDArray[np.float32]:
    match cells:
        case Cells.FLOAT:
            return rows
        case Cells.BFLOAT16:
            return mirrored(rows, "bfloat16")
    return (rows > 0).astype(np.float32)


def width(rows: NDArray[np.float32], cells: Cells) -> int:
    dim: int = rows.shape[1]
    return dim // 8 if cells is Cells.BITS else dim


@pytest.mark.parametrize("cells", Cells)
class TestRoundTrip:
    @given(rows=matrices)
    def test_bit_for_bit(self, rows: NDArray[np.float32], cells: Cells) -> None:
        found = wire.rows(parsed(rows, cells), cells=cells, width=width(rows, cells))
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert found.flags.writeable
        assert found.tobytes() == kept(rows, cells).tobytes()

    @given(rows=matrices, random=st.randoms())
    def test_rows_in_any_order(self, rows: NDArray[np.float32], random: Any, cells: Cells) -> None:
        """Vespa answers in an order of its own, and in capital letters."""
        blocks = list(parsed(rows, cells)["blocks"].items())
        random.shuffle(blocks)
        tensor = {"type": "?", "blocks": {label: row.upper() for label, row in blocks}}
        found = wire.rows(tensor, cells=cells, width=width(rows, cells))
        assert np.array_equal(found, kept(rows, cells))

    @given(rows=matrices)
    def test_from_decimals(self, rows: NDArray[np.float32], cells: Cells) -> None:
        """Servers that do not know of hexadecimal answer so, whatever they are asked."""
        stored = kept(rows, cells)
        if cells is Cells.BITS:
            stored = np.packbits(rows > 0, axis=1).view(np.int8)
        blocks = {str(at): [float(value) for value in row] for at, row in enumerate(stored)}
        found = wire.rows({"blocks": blocks}, cells=cells, width=width(rows, cells))
        assert np.array_equal(found, kept(rows, cells))

    @pytest.mark.parametrize("count", [1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 10_001])
    def test_labels(self, count: int, cells: Cells) -> None:
        """Of every number of digits, from 0, without leading zeros, for which Vespa has a fast path."""
        rows = np.arange(count * 8, dtype=np.float32).reshape(count, 8)
        assert list(parsed(rows, cells)["blocks"]) == [str(at) for at in range(count)]


class TestForms:
    def test_float(self) -> None:
        """As IEEE has it, the highest byte first."""
        rows = np.array([[1, -2], [0, 0.1]], np.float32)
        assert parsed(rows, Cells.FLOAT) == {"blocks": {"0": "3f800000c0000000", "1": "000000003dcccccd"}}

    def test_bfloat16_is_rounded_and_not_cut(self) -> None:
        """Vespa cuts, which makes every number smaller; ties go to the even neighbour."""
        rows = np.array([[1.0058, 1.00390625, 1.01171875, -1.0058]], np.float32)
        assert parsed(rows, Cells.BFLOAT16) == {"blocks": {"0": "3f813f803f82bf81"}}

    def test_bits(self) -> None:
        """The first value is the highest bit; zeros of both signs are none."""
        rows = np.array([[1, -1, 1e-30, 0, -0.0, -1, -1, 2]], np.float32)
        assert parsed(rows, Cells.BITS) == {"blocks": {"0": "a1"}}

    def test_any_memory_layout(self) -> None:
        rows = np.arange(64, dtype=np.float32).reshape(8, 8)
        for cells in Cells:
            for other in (np.asfortranarray(rows), rows[::-1][::-1], np.repeat(rows, 2, axis=1)[:, ::2]):
                assert parsed(other, cells) == parsed(rows, cells)

    def test_no_rows(self) -> None:
        assert wire.rows({"blocks": {}}, cells=Cells.FLOAT, width=4).shape == (0, 4)

    def test_beyond_bfloat16(self) -> None:
        with pytest.raises(errors.NonFiniteVector):
            wire.blocks(np.array([[3.4e38]], np.float32), Cells.BFLOAT16)


@pytest.mark.parametrize(
    "tensor",
    [
        None,
        [],
        "3f800000",
        {},
        {"cells": []},
        {"blocks": []},
        {"blocks": {"1": "3f800000"}},
        {"blocks": {"0": "3f800000", "2": "3f800000"}},
        {"blocks": {"a": "3f800000"}},
        {"blocks": {"00": "3f800000"}},
        {"blocks": {"0": "3f80"}},
        {"blocks": {"0": "3f8000003f800000"}},
        {"blocks": {"0": "3f80000"}},
        {"blocks": {"0": "3f800000bf80", "1": "0000"}},
        {"blocks": {"0": "3f8000zz"}},
        {"blocks": {"0": 1.5}},
        {"blocks": {"0": None}},
        {"blocks": {"0": "3f800000", "1": [1.0]}},
        {"blocks": {"0": [1.0], "1": "3f800000"}},
        {"blocks": {"0": [1.0, 2.0]}},
        {"blocks": {"0": [1.0], "1": [1.0, 2.0]}},
        {"blocks": {"0": [[1.0]]}},
        {"blocks": {"0": ["x"]}},
    ],
)
def test_something_else(tensor: Any) -> None:
    """A matrix made of half of it would be searched, copied and verified as if it were the document."""
    with pytest.raises(errors.UnexpectedResponse, match="could not be read"):
        wire.rows(tensor, cells=Cells.FLOAT, width=1)
