"""What storage does to a value: every float16, and bfloat16 by its definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lateint import errors
from lateint.scoring import (
    from_bfloat16_bits,
    maxsim,
    mirrored,
    pack_bits,
    to_bfloat16_bits,
    unit_roundoff,
    unpack_bits,
    widen_float16,
)
from lateint.scoring.rounding import storage_type, stored, widened

FINITE_FLOAT16 = np.array([bits for bits in range(1 << 16) if bits & 0x7C00 != 0x7C00], np.uint16).view(np.float16)
FINITE_BFLOAT16 = np.array([bits for bits in range(1 << 16) if bits & 0x7F80 != 0x7F80], np.uint16)
BFLOAT16_LIMIT = np.uint32(0x7F7F8000).view(np.float32)  # halfway between the largest bfloat16 and 2**128
FLOAT16_LIMIT = np.float32(65520)  # halfway between the largest float16 and 2**16

float32s = st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits).view(np.float32))


def below(value):
    return np.nextafter(value, np.float32(0))


def exact(bits):
    """Value of a bfloat16 in exact arithmetic; what would be infinity counts as the power of two in its place."""
    if bits & 0x7FFF == 0x7F80:
        return Fraction(2**128) * (-1 if bits & 0x8000 else 1)
    return Fraction(float(np.uint32(bits << 16).view(np.float32)))


def nearest_bfloat16(value):
    """Round to nearest, ties to even: of the two neighbours, by distance."""
    low = int(np.float32(value).view(np.uint32)) >> 16
    down, up = (abs(Fraction(float(value)) - exact(bits)) for bits in (low, low + 1))
    if down == up:
        return low + low % 2
    return low if down < up else low + 1


class TestFloat16:
    def test_every_finite_value_is_exact(self):
        """The bit trick, against NumPy's own conversion: subnormals and both zeros included, bit by bit."""
        assert FINITE_FLOAT16.size == 63_488
        expected = FINITE_FLOAT16.astype(np.float32)
        assert np.array_equal(widen_float16(FINITE_FLOAT16).view(np.uint32), expected.view(np.uint32))

    def test_fills_what_it_is_given(self):
        """The scorer converts block after block into the same memory."""
        values = FINITE_FLOAT16.reshape(-1, 256)
        out = np.full(values.shape, np.nan, np.float32)
        assert widen_float16(values, out=out) is out
        assert np.array_equal(out, values.astype(np.float32))

    def test_takes_parts_of_arrays(self):
        """Rows of a memory map, perhaps every other one."""
        values = FINITE_FLOAT16.reshape(-1, 256)
        values.flags.writeable = False
        for part in (values[3:7], values[::2], values[:, 1::3]):
            assert np.array_equal(widen_float16(part), part.astype(np.float32))

    @given(float32s.filter(lambda value: abs(value) < FLOAT16_LIMIT))
    @example(np.float32(2.0**-25))
    @example(np.float32(3 * 2.0**-25))
    @example(below(FLOAT16_LIMIT))
    def test_mirrored_is_the_nearest(self, value):
        """No finite float16 is closer; of two equally close the even one is taken."""
        found = mirrored(np.array([[value]]), "float16")[0, 0]
        distances = np.abs(FINITE_FLOAT16.astype(np.float64) - float(value))
        assert abs(float(found) - float(value)) == distances.min()
        nearest = FINITE_FLOAT16[distances == distances.min()]
        if len({float(x) for x in nearest}) == 2:
            assert np.float16(found).view(np.uint16) % 2 == 0


class TestBfloat16:
    def test_every_finite_value_survives(self):
        """Widening and rounding are inverse on what storage can hold."""
        wide = from_bfloat16_bits(FINITE_BFLOAT16)
        assert np.array_equal(wide.view(np.uint32) >> 16, FINITE_BFLOAT16)
        assert np.array_equal(to_bfloat16_bits(wide), FINITE_BFLOAT16)

    @given(float32s.filter(lambda value: abs(value) < BFLOAT16_LIMIT))
    @example(np.uint32(0x3F808000).view(np.float32))  # ties: to the even neighbour below,
    @example(np.uint32(0x3F818000).view(np.float32))  # and above
    @example(np.uint32(0x00008000).view(np.float32))  # a subnormal tie
    @example(np.uint32(0x3FFFFFFF).view(np.float32))  # a carry into the exponent
    @example(np.float32(-0.0))
    @example(below(BFLOAT16_LIMIT))
    @settings(max_examples=500)
    def test_is_the_nearest(self, value):
        """By the definition, in fractions: Vespa truncates, which costs 0.28 % of every score, so we round before."""
        assert to_bfloat16_bits(np.array([[value]]))[0, 0] == nearest_bfloat16(value)

    def test_no_bias(self):
        """Truncation would pass a test of closeness alone."""
        values = np.random.default_rng(0).standard_normal((200, 128)).astype(np.float32)
        relative = (mirrored(values, "bfloat16") - values) / values
        assert abs(relative.mean()) < unit_roundoff("bfloat16") / np.sqrt(values.size)

    def test_shapes_and_layouts(self):
        """Also what is not contiguous, and what has no second axis."""
        values = np.random.default_rng(1).standard_normal((6, 8)).astype(np.float32)
        for part in (values, values.T, values[::2, 1:], values[0], values[0, :0]):
            found = to_bfloat16_bits(part)
            assert found.shape == part.shape
            assert [nearest_bfloat16(x) for x in part.ravel()] == found.ravel().tolist()
            assert from_bfloat16_bits(found).shape == part.shape

    def test_fills_what_it_is_given(self):
        """The scorer converts block after block into the same memory."""
        bits = FINITE_BFLOAT16.reshape(-1, 256)
        out = np.full(bits.shape, np.nan, np.float32)
        assert from_bfloat16_bits(bits, out=out) is out
        assert np.array_equal(out, from_bfloat16_bits(bits))


finite_rows = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.sampled_from([8, 16, 40])),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


class TestBits:
    def test_every_byte(self):
        """The first value is the highest bit, as engines and `numpy.packbits` have it: the other end is as plausible."""
        every = np.arange(256, dtype=np.uint8)[:, None]
        wide = unpack_bits(every)
        assert wide.dtype == np.float32
        assert [int("".join(str(int(bit)) for bit in row), 2) for row in wide] == list(range(256))
        assert np.array_equal(pack_bits(wide), every)

    @given(finite_rows)
    def test_a_bit_says_that_a_value_is_above_zero(self, rows):
        """Zeros of both signs are not, the least subnormal is; packing what was unpacked gives the same bits."""
        packed = pack_bits(rows)
        assert packed.shape == (len(rows), rows.shape[1] // 8)
        once = mirrored(rows, "binary")
        assert once.tolist() == [[1.0 if value > 0 else 0.0 for value in row] for row in rows.tolist()]
        assert not np.signbit(once).any()
        assert np.array_equal(unpack_bits(packed), once)
        assert np.array_equal(pack_bits(once), packed)

    @given(finite_rows, st.integers(-20, 20))
    def test_lengths_do_not_matter(self, rows, exponent):
        """Rows may be normalised before or not: an index of bits takes both for the same."""
        rows = np.where(np.abs(rows) < 1e-10, 0, np.clip(rows, -1e10, 1e10)).astype(np.float32)
        assert np.array_equal(pack_bits(rows * np.float32(2.0**exponent)), pack_bits(rows))

    @given(st.integers(0, 2**32), st.integers(1, 6))
    def test_ranks_as_signs_do(self, seed, count):
        """Scores with 0 and 1 are those with -1 and 1 up to a factor of 2 and a constant of the query."""
        random = np.random.default_rng(seed)
        query, document = random.integers(-8, 9, (count, 16)), random.standard_normal((7, 16)).astype(np.float32)
        bits = mirrored(document, "binary")
        assert maxsim(query, 2 * bits - 1) == 2 * maxsim(query, bits) - query.sum()

    def test_fills_what_it_is_given(self):
        """The scorer converts block after block into the same memory."""
        packed = np.random.default_rng(0).integers(0, 256, (9, 5), dtype=np.uint8)
        out = np.full((9, 40), np.nan, np.float32)
        assert unpack_bits(packed, out=out) is out
        assert np.array_equal(out, np.unpackbits(packed, axis=1))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_refuses_what_is_not_finite(self, bad):
        """NaN compares as not above 0, and would become a bit like any other."""
        rows = np.ones((2, 8), np.float32)
        rows[1, 3] = bad
        for call in (pack_bits, lambda rows, document: mirrored(rows, "binary", document=document)):
            with pytest.raises(errors.NonFiniteVector, match="'a-17', row 1, column 3") as caught:
                call(rows, document="a-17")
            assert (caught.value.document, caught.value.row) == ("a-17", 1)

    @pytest.mark.parametrize("dim", [1, 7, 9, 100])
    def test_refuses_what_does_not_fill_bytes(self, dim):
        """NumPy would add bits, which come back as values that nobody wrote."""
        with pytest.raises(errors.DimensionMismatch, match="whole bytes") as caught:
            pack_bits(np.ones((2, dim), np.float32), document="a-17")
        assert f"dimension {dim + -dim % 8}" in str(caught.value)

    def test_are_no_rounding(self):
        """A tolerance for the distance between float scores and those of bits would be made up."""
        with pytest.raises(errors.InvalidInput, match="mirrored"):
            unit_roundoff("binary")


class TestMirrored:
    def test_float32_is_the_same_object(self):
        """Nothing to do, so nothing is copied."""
        values = np.ones((2, 2), np.float32)
        assert mirrored(values, "float32") is values

    @given(
        hnp.arrays(np.float32, (3, 8), elements=st.floats(-100, 100, width=32)),
        st.sampled_from(["float16", "bfloat16", "binary"]),
    )
    def test_storing_twice_changes_nothing(self, values, dtype):
        """Copy and verify read what was stored and compare it with what they would store."""
        before = values.copy()
        once = mirrored(values, dtype)
        assert once.dtype == np.float32
        assert once.shape == values.shape
        assert np.array_equal(mirrored(once, dtype), once)
        assert np.array_equal(widened(stored(values, dtype)), once)
        assert np.array_equal(values, before)

    @given(
        st.floats(2.0**-14, 65504, width=32),
        st.sampled_from(["float32", "float16", "bfloat16"]),
    )
    def test_error_is_within_the_unit_roundoff(self, value, dtype):
        """The tolerance is computed from it."""
        found = float(mirrored(np.array([[value]], np.float32), dtype)[0, 0])
        assert abs(found - value) <= unit_roundoff(dtype) * value

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize(
        ("dtype", "limit"), [("float16", FLOAT16_LIMIT), ("bfloat16", BFLOAT16_LIMIT)], ids=["float16", "bfloat16"]
    )
    def test_refuses_what_rounds_to_infinity(self, dtype, limit, sign):
        """The last value that fits, the first that does not, and what was never finite; the place is named."""
        values = np.zeros((3, 4), np.float32)
        values[1, 2] = sign * below(limit)
        assert np.isfinite(mirrored(values, dtype)).all()
        for bad in (limit, np.float32(3.4e38), np.float32(np.inf), np.float32(np.nan), np.uint32(2**32 - 1).view("f4")):
            values[1, 2] = sign * bad
            for document in ("a-17", None):
                with pytest.raises(errors.NonFiniteVector, match="row 1, column 2") as caught:
                    mirrored(values, dtype, document=document)
                assert (caught.value.document, caught.value.row) == (document, 1)

    def test_bits_refuse_it_too(self):
        """An adapter that writes bfloat16 calls the rounding itself; NaN would carry into minus zero there."""
        for bad in (BFLOAT16_LIMIT, np.float32(np.nan), np.float32(-np.inf)):
            with pytest.raises(errors.NonFiniteVector, match="a-17"):
                to_bfloat16_bits(np.array([[1, bad]], np.float32), document="a-17")
            with pytest.raises(errors.NonFiniteVector):
                to_bfloat16_bits(np.array([1, bad], np.float32))

    def test_refuses_unknown_formats(self):
        """A typing error must not mean float32."""
        for call in (lambda: mirrored(np.ones((1, 1), np.float32), "half"), lambda: unit_roundoff("int8")):
            with pytest.raises(errors.InvalidInput, match="bfloat16"):
                call()

    def test_knows_formats_by_name_and_member(self):
        """Specs hold members, users write names."""
        assert storage_type("float16") is storage_type(storage_type("float16"))


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 24), ("float16", 11), ("bfloat16", 8)])
def test_unit_roundoff(dtype, digits):
    """Half the distance between 1 and its upper neighbour: 1 + u is a tie and goes down, anything above goes up."""
    u = unit_roundoff(dtype)
    assert u == 2.0**-digits
    if dtype != "float32":
        tie = np.array([[1 + u, np.nextafter(np.float32(1 + u), np.float32(2))]], np.float32)
        assert mirrored(tie, dtype).tolist() == [[1.0, 1 + 2 * u]]
