"""From what a user has to float32 rows of length 1: every refusal has its class and place, nothing is changed behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lateint import errors
from lateint.vectors import UNIT_SLACK, MultiVector, as_multivector, normalized, row_norms


class FakeTensor:
    """What lateint uses of a torch tensor, and nothing else."""

    def __init__(self, values: np.ndarray[Any, Any], *, floating: bool = True, calls: list[str] | None = None) -> None:
        self._values = values
        self._floating = floating
        self.calls = [] if calls is None else calls

    def _next(self, call: str) -> FakeTensor:
        self.calls.append(call)
        return FakeTensor(self._values, floating=self._floating, calls=self.calls)

    def detach(self) -> FakeTensor:
        return self._next("detach")

    def cpu(self) -> FakeTensor:
        return self._next("cpu")

    def float(self) -> FakeTensor:
        return self._next("float")

    def is_floating_point(self) -> bool:
        return self._floating

    def numpy(self) -> np.ndarray[Any, Any]:
        self.calls.append("numpy")
        return self._values.astype(np.float32) if "float" in self.calls else self._values


def rows(*values: float) -> MultiVector:
    return np.array([values], np.float32)


class TestAccepted:
    """What comes in as something else comes out as the same numbers in float32."""

    @pytest.mark.parametrize(
        "given_",
        [
            pytest.param([[1, 2], [3, 4]], id="lists of integers"),
            pytest.param(((1.0, 2.0), (3.0, 4.0)), id="tuples"),
            pytest.param([np.array([1.0, 2.0]), np.array([3.0, 4.0])], id="list of arrays"),
            pytest.param(np.array([[1, 2], [3, 4]], np.float16), id="float16"),
            pytest.param(np.array([[1, 2], [3, 4]], np.float64), id="float64"),
            pytest.param(np.array([[1, 2], [3, 4]], np.int8), id="int8"),
            pytest.param(np.array([[1, 2], [3, 4]], np.uint64), id="uint64"),
            pytest.param(np.array([[1, 2], [3, 4]], ">f4"), id="big-endian"),
            pytest.param(np.array([[1, 3], [2, 4]], np.float32).T, id="transposed"),
            pytest.param(np.array([[1, 9, 2, 9], [3, 9, 4, 9]], np.float32)[:, ::2], id="every second column"),
            pytest.param(np.array([[3, 4], [1, 2]], np.float32)[::-1], id="negative stride"),
            pytest.param(FakeTensor(np.array([[1.0, 2.0], [3.0, 4.0]])), id="tensor"),
            pytest.param(FakeTensor(np.array([[1, 2], [3, 4]]), floating=False), id="tensor of integers"),
        ],
    )
    def test_becomes_contiguous_native_float32(self, given_: Any) -> None:
        """Adapters send raw bytes: another byte order, stride or width would reach the engine as other numbers."""
        result = as_multivector(given_)
        assert result.dtype == np.float32
        assert result.dtype.isnative
        assert result.flags.c_contiguous
        assert result.tolist() == [[1, 2], [3, 4]]

    def test_tensor_is_detached_and_widened_before_numpy(self) -> None:
        """NumPy has no bfloat16, and a tensor with a gradient or on a device refuses `.numpy()`."""
        tensor = FakeTensor(np.ones((1, 2)))
        as_multivector(tensor)
        assert tensor.calls == ["detach", "cpu", "float", "numpy"]

    def test_no_copy_where_nothing_is_to_do(self) -> None:
        """A corpus of pages is gigabytes; copying what is right already doubles the memory."""
        vectors = np.ones((3, 4), np.float32)
        assert as_multivector(vectors, 4) is vectors

    def test_read_only_rows_are_fine(self) -> None:
        """Memory-mapped corpora are read-only."""
        vectors = np.ones((3, 4), np.float32)
        vectors.flags.writeable = False
        assert as_multivector(vectors) is vectors

    @pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4"])
    def test_input_is_never_changed(self, dtype: str) -> None:
        """The caller's array is the caller's: it may be shared with a model or another index."""
        vectors = np.array([[3, 4], [0, 2]], dtype)
        before = vectors.tobytes()
        normalized(as_multivector(vectors))
        assert vectors.tobytes() == before


MALFORMED: list[tuple[str, Any]] = [
    ("one-dimensional", [1.0, 2.0]),
    ("three-dimensional", np.zeros((1, 2, 3))),
    ("three-dimensional, no values", np.zeros((0, 2, 3))),
    ("a number", 5.0),
    ("None", None),
    ("a masked array", np.ma.masked_array(np.ones((1, 2)), mask=[[True, False]])),
    ("a generator", (row for row in [[1.0, 2.0]])),
    ("a zero-dimensional object array", np.array(None, dtype=object)),
    ("text", "abc"),
    ("rows of text", [["a", "b"]]),
    ("complex", np.ones((1, 2), np.complex64)),
    ("bool array", np.ones((1, 2), np.bool_)),
    ("lists of bool", [[True, False]]),
    ("object array of numbers", np.array([[1.0, 2.0]], dtype=object)),
    ("object array of None", np.array([[None, None]], dtype=object)),
    ("dates", np.zeros((1, 2), "datetime64[s]")),
    ("records", np.zeros((1, 2), [("x", "f4")])),
    ("integers beyond 64 bits", [[2**70, 1]]),
    ("integers beyond floats", [[10**400, 1.0]]),
    ("dictionary", {"a": [1.0], "bc": [2.0]}),
    ("generator", (row for row in [[1.0, 2.0]])),
]


class TestRefused:
    """Each way of being wrong has its own class, which names the document, and the row where there is one."""

    @pytest.mark.parametrize("vectors", [value for _, value in MALFORMED], ids=[name for name, _ in MALFORMED])
    def test_malformed(self, vectors: Any) -> None:
        """A shape or type that NumPy would take by guessing is a mistake at the caller's."""
        with pytest.raises(errors.MalformedMultiVector, match="document 'a-1'") as raised:
            as_multivector(vectors, document="a-1")
        assert raised.value.document == "a-1"
        assert raised.value.hint

    @pytest.mark.parametrize(
        ("vectors", "row"),
        [([[1.0, 2.0], [3.0, 4.0], [5.0]], 2), ([[1.0], 2.0], 1), ([np.ones(3), np.ones(2)], 1)],
        ids=["shorter last row", "a number among rows", "arrays"],
    )
    def test_ragged_names_the_row(self, vectors: Any, row: int) -> None:
        """In a document of a thousand tokens, "ragged" alone helps nobody."""
        with pytest.raises(errors.MalformedMultiVector, match=f"row {row}: ") as raised:
            as_multivector(vectors, document="a-1")
        assert (raised.value.document, raised.value.row) == ("a-1", row)

    @pytest.mark.parametrize(
        "vectors",
        [[], (), [[]], [[], []], np.zeros((0, 4)), np.zeros((4, 0)), np.zeros((0, 4), np.bool_)],
        ids=["list", "tuple", "one empty row", "two empty rows", "no rows", "no values", "no rows of bool"],
    )
    def test_empty(self, vectors: Any) -> None:
        """An engine stores it or loses it; either way the document can never be found."""
        with pytest.raises(errors.EmptyMultiVector, match="document 'a-1'") as raised:
            as_multivector(vectors, document="a-1")
        assert raised.value.document == "a-1"

    def test_wrong_dimension(self) -> None:
        """The commonest mistake of all, another model: the message gives both numbers and both ways out."""
        with pytest.raises(
            errors.DimensionMismatch, match="document 'a-1': rows have dimension 3, 4 is needed"
        ) as raised:
            as_multivector(np.ones((2, 3)), 4, document="a-1")
        assert raised.value.document == "a-1"
        assert "dim=3" in raised.value.hint

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e300])
    def test_not_finite(self, value: float) -> None:
        """NaN poisons every score it meets, and a float64 beyond float32 becomes infinity without a word."""
        vectors = np.ones((3, 4), np.float64)
        vectors[1, 2] = value
        with pytest.raises(errors.NonFiniteVector, match="document 'a-1', row 1, column 2: ") as raised:
            as_multivector(vectors, document="a-1")
        assert (raised.value.document, raised.value.row) == ("a-1", 1)

    def test_largest_float32_is_finite(self) -> None:
        """The bound is that of float32, not one below."""
        largest = float(np.finfo(np.float32).max)
        assert as_multivector([[largest, -largest]]).tolist() == [[largest, -largest]]

    @pytest.mark.parametrize(
        ("vectors", "kind"),
        [([1.0], errors.MalformedMultiVector), ([], errors.EmptyMultiVector), ([[np.nan]], errors.NonFiniteVector)],
    )
    def test_without_a_document(self, vectors: Any, kind: type[errors.InvalidInput]) -> None:
        """A query has no id, and the message must not say "document None"."""
        with pytest.raises(kind) as raised:
            as_multivector(vectors)
        assert raised.value.document is None
        assert "document None" not in str(raised.value)


finite_rows = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 8)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
).filter(lambda vectors: bool(row_norms(vectors).all()))


class TestNormalized:
    """Scaled once, in float64, and never again."""

    @given(finite_rows)
    def test_rows_have_length_one(self, vectors: MultiVector) -> None:
        """Every engine runs the dot product and counts on unit rows, from the smallest denormal to the largest float."""
        assert np.abs(row_norms(normalized(vectors)) - 1.0).max() <= UNIT_SLACK

    @given(finite_rows)
    def test_idempotent(self, vectors: MultiVector) -> None:
        """Writing what was read must not move a bit; otherwise copies drift and checksums differ."""
        once = normalized(vectors)
        assert normalized(once) is once

    @given(finite_rows)
    def test_direction_is_kept(self, vectors: MultiVector) -> None:
        """Equal to the division in float64, rounded once: any other order of operations costs accuracy."""
        wide = vectors.astype(np.float64)
        wide /= np.sqrt((wide * wide).sum(axis=1, keepdims=True))
        assert np.allclose(normalized(vectors), wide, rtol=2.0**-21, atol=2.0**-140)

    @pytest.mark.parametrize(
        ("scale", "kept"),
        [(1.0, True), (1 + 2.0**-22, True), (1 - 2.0**-22, True), (1 + 2.0**-21, False), (1 - 2.0**-21, False)],
    )
    def test_slack(self, scale: float, kept: bool) -> None:
        """A row whose norm is off by no more than 2**-22 is unit already and keeps its bits."""
        vectors = rows(scale, 0)
        assert (normalized(vectors) is vectors) is kept

    def test_only_the_rows_that_are_off_are_touched(self) -> None:
        """One long row must not move the bits of its neighbours."""
        unit = np.array([1 + 2.0**-23, 0], np.float32)
        result = normalized(np.array([unit, [3, 4]], np.float32))
        assert result[0].tobytes() == unit.tobytes()
        assert result[1].tobytes() == np.array([0.6, 0.8], np.float32).tobytes()

    @pytest.mark.parametrize("value", [np.finfo(np.float32).smallest_subnormal, 1e-30, np.finfo(np.float32).max])
    def test_squares_out_of_float32_range(self, value: float) -> None:
        """In float32 the square of a denormal is 0 and that of a huge value is infinity: norms are taken in float64."""
        assert normalized(np.full((1, 4), value, np.float32)).tolist() == [[0.5, 0.5, 0.5, 0.5]]

    def test_zero_row_is_named(self) -> None:
        """Padding that was passed on has no direction; turning it into NaN, or into any direction, is a lie."""
        vectors = np.array([[1, 0], [2, 0], [0, 0]], np.float32)
        with pytest.raises(errors.ZeroVector, match="document 'a-1', row 2: ") as raised:
            normalized(vectors, document="a-1")
        assert (raised.value.document, raised.value.row) == ("a-1", 2)

    def test_result_is_float32_and_contiguous(self) -> None:
        """It goes straight to the wire."""
        result = normalized(np.array([[3, 4]], np.float32))
        assert result.dtype == np.float32
        assert result.flags.c_contiguous


class TestRowNorms:
    """The one definition of length."""

    def test_float64(self) -> None:
        """Whether a row is unit to 2**-22 cannot be told in float32."""
        norms = row_norms(rows(1, 2.0**-12))
        assert norms.dtype == np.float64
        assert norms.tolist() == [np.sqrt(1 + 2.0**-24)]

    def test_extremes(self) -> None:
        """Neither underflow to 0 nor overflow to infinity."""
        tiny, huge = float(np.finfo(np.float32).smallest_subnormal), float(np.finfo(np.float32).max)
        assert row_norms(np.array([[tiny, 0], [0, huge], [0, 0]], np.float32)).tolist() == [tiny, huge, 0.0]
