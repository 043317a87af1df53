"""How far scores may be off, and rankings because of it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lateint import errors
from lateint.scoring import (
    Corpus,
    Fault,
    first_disagreement,
    maxsim,
    mirrored,
    score_corpus,
    tie_groups,
    tolerance,
    top_k,
)
from lateint.vectors import normalized, row_norms


def near(random, count, dim, centres):
    """Unit rows around common centres: similarities as trained models give them, not those of noise."""
    chosen = centres[random.integers(0, len(centres), count)]
    return normalized((chosen + 0.7 / np.sqrt(dim) * random.standard_normal((count, dim))).astype(np.float32))


def sequential(query, document):
    """Float32 throughout, added up in order: the least exact arithmetic that an engine would use."""
    best = (query @ document.T).max(axis=1)
    return float(np.cumsum(best, dtype=np.float32)[-1])


class TestTolerance:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"rows": 32, "dim": 128, "score": 18.0}, 3.953e-5),
            ({"rows": 1024, "dim": 128, "score": 690.0}, 5.7526e-3),
            ({"rows": 32, "dim": 128, "score": 18.0, "storage": "float16", "sides": 1}, 1.0161e-3),
            ({"rows": 32, "dim": 128, "score": 18.0, "storage": "float16", "sides": 2}, 1.4206e-3),
            ({"rows": 32, "dim": 128, "score": 18.0, "storage": "bfloat16", "sides": 1}, 7.852e-3),
        ],
    )
    def test_known_values(self, arguments, expected):
        """Worked out by hand from the formula in the module's docstring."""
        assert tolerance(**arguments) == pytest.approx(expected, rel=1e-3)

    def test_mirrored_storage_costs_nothing(self):
        """Where the reference scores the stored values, the format no longer matters."""
        plain = tolerance(rows=32, dim=128, score=18.0)
        for storage in ("float16", "bfloat16"):
            assert tolerance(rows=32, dim=128, score=18.0, storage=storage) == plain
        assert tolerance(rows=32, dim=128, score=18.0, sides=2) == plain

    def test_follows_the_shape_of_scores(self):
        """One call for all documents of a query."""
        scores = np.array([[-3.0, 0.0, 3.0]])
        found = tolerance(rows=4, dim=8, score=scores)
        assert found.shape == scores.shape
        assert found[0, 0] == found[0, 2] > found[0, 1]
        assert isinstance(tolerance(rows=4, dim=8, score=np.float64(3)), float)

    @given(st.floats(-8, 8), st.integers(0, 2))
    def test_scales_with_the_vectors(self, exponent, sides):
        """Vectors that are twice as long have twice the score and twice its error."""
        scale = 2.0**exponent
        unit = tolerance(rows=20, dim=96, score=11.0, storage="float16", sides=sides)
        scaled = tolerance(rows=20, dim=96, score=11.0 * scale, storage="float16", sides=sides, norm=scale)
        assert scaled == pytest.approx(scale * unit, rel=2**-40)

    @pytest.mark.parametrize(
        "wrong", [{"rows": 0}, {"dim": 0}, {"sides": 3}, {"sides": -1}, {"norm": -1.0}, {"norm": math.nan}]
    )
    def test_refuses_what_cannot_be(self, wrong):
        """A tolerance of NaN would pass everything or nothing."""
        with pytest.raises(errors.InvalidInput):
            tolerance(**{"rows": 1, "dim": 1, "score": 1.0, **wrong})
        with pytest.raises(errors.InvalidInput):
            tolerance(rows=1, dim=1, score=1.0, storage="int8")

    @pytest.mark.parametrize("length", [1.0, 7.5, 1e-2])
    @pytest.mark.parametrize(("rows", "dim"), [(1, 1), (4, 32), (32, 96), (32, 128), (32, 768), (300, 320)])
    def test_covers_float32_arithmetic(self, rows, dim, length):
        """What engines and score_corpus do in float32 stays inside, for unit rows and others."""
        random = np.random.default_rng(rows * dim)
        centres = near(random, 20, dim, np.zeros((1, dim)))
        query = (near(random, rows, dim, centres) * length).astype(np.float32)
        documents = [(near(random, n, dim, centres) * length).astype(np.float32) for n in random.integers(1, 120, 60)]
        scores = score_corpus([query], Corpus.from_multivectors(documents))[0]
        norm = float(row_norms(query).max() * max(row_norms(document).max() for document in documents))
        for document, score in zip(documents, scores, strict=True):
            true = maxsim(query, document)
            limit = tolerance(rows=rows, dim=dim, score=true, norm=norm)
            assert abs(score - true) <= limit
            assert abs(sequential(query, document) - true) <= limit

    @pytest.mark.parametrize("length", [1.0, 7.5])
    @pytest.mark.parametrize("storage", ["float16", "bfloat16"])
    @pytest.mark.parametrize(("rows", "dim"), [(4, 32), (32, 128), (200, 320)])
    def test_covers_storage(self, rows, dim, storage, length):
        """Rounding of documents, and of both sides; and it is no wider than it must be: truncation falls out."""
        random = np.random.default_rng(rows * dim)
        centres = near(random, 20, dim, np.zeros((1, dim)))
        query = (near(random, rows, dim, centres) * length).astype(np.float32)
        for count in random.integers(20, 120, 40):
            document = (near(random, count, dim, centres) * length).astype(np.float32)
            true = maxsim(query, document)
            norm = float(row_norms(query).max() * row_norms(document).max())
            one, two = (
                tolerance(rows=rows, dim=dim, score=true, storage=storage, sides=sides, norm=norm) for sides in (1, 2)
            )
            kept = mirrored(document, storage)
            assert abs(maxsim(query, kept) - true) <= one
            assert abs(maxsim(mirrored(query, storage), kept) - true) <= two
            if storage == "bfloat16" and rows >= 32:
                truncated = (document.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
                assert abs(maxsim(query, truncated) - true) > one

    @pytest.mark.parametrize(("rows", "dim"), [(1, 8), (4, 32), (32, 128), (32, 768), (300, 320)])
    def test_covers_bits(self, rows, dim):
        """Rows of zeros and ones are as long as the root of their ones; what misreads them falls out."""
        random = np.random.default_rng(rows * dim)
        centres = near(random, 20, dim, np.zeros((1, dim)))
        query = near(random, rows, dim, centres)
        documents = [near(random, n, dim, centres) for n in random.integers(1, 120, 40)]
        corpus = Corpus.from_multivectors(documents, dtype="binary")
        for document, score in zip(documents, score_corpus([query], corpus)[0], strict=True):
            bits = mirrored(document, "binary")
            norm = float(row_norms(query).max()) * math.sqrt((document > 0).sum(axis=1).max())
            true = maxsim(query, bits)
            limit = tolerance(rows=rows, dim=dim, score=true, norm=norm, storage="binary")
            assert abs(score - true) <= limit
            assert abs(sequential(query, bits) - true) <= limit
            if rows < 32:  # few rows may find as good a match among the wrong bits
                continue
            for wrong in (2 * bits - 1, bits.reshape(-1, 8)[:, ::-1].reshape(bits.shape), 1 - bits):
                assert abs(maxsim(query, wrong) - true) > limit

    @pytest.mark.parametrize("sides", [1, 2])
    def test_bits_are_not_near_what_they_were(self, sides):
        """There is no distance between a score and that of the signs which would not hide every fault."""
        with pytest.raises(errors.InvalidInput, match="mirrored"):
            tolerance(rows=4, dim=8, score=1.0, storage="binary", sides=sides)


class TestTieGroups:
    def test_cuts_where_neighbours_are_apart(self):
        """The order within a group is the engine's own business."""
        groups = tie_groups("abcdef", [1.0, 5.0, 4.5, 4.0, -2.0, 0.9], tolerance=0.25)
        assert groups == [{"b", "c", "d"}, {"a", "f"}, {"e"}]

    def test_equal_scores_are_tied_without_tolerance(self):
        """Copies of a document score the same to the last bit."""
        assert tie_groups("abc", [2.0, 1.0, 2.0], tolerance=0.0) == [{"a", "c"}, {"b"}]

    def test_nothing_and_mismatch(self):
        """An empty index has no groups; a missing score is a mistake of the caller."""
        assert tie_groups([], [], tolerance=1.0) == []
        with pytest.raises(errors.InvalidInput):
            tie_groups(["a"], [], tolerance=1.0)

    @given(st.lists(st.integers(0, 30), max_size=20, unique=False), st.integers(0, 3))
    def test_is_a_partition_in_order(self, values, tenth):
        """Every document once; groups apart by more than twice the tolerance, neighbours within by no more."""
        scores = [value / 10 for value in values]
        names = [str(position) for position in range(len(scores))]
        groups = tie_groups(names, scores, tolerance=tenth / 10)
        assert sorted(name for group in groups for name in group) == sorted(names)
        ordered = [sorted(scores[int(name)] for name in group) for group in groups]
        for better, worse in itertools.pairwise(ordered):
            assert better[0] - worse[-1] > 2 * tenth / 10
        for group in ordered:
            assert all(high - low <= 2 * tenth / 10 for low, high in itertools.pairwise(group))


TRUE = {"a": 5.0, "b": 4.0, "c": 3.9375, "d": 3.0, "e": -1.0}


def disagreement(*names, k=None, tolerance=0.05, **scores):
    ranking = [(name, scores.get(name, TRUE.get(name, 0.0))) for name in names]
    return first_disagreement(TRUE, ranking, tolerance=tolerance, k=k)


class TestFirstDisagreement:
    @pytest.mark.parametrize("names", ["", "a", "abc", "acb", "ac", "ab", "abcde", "acbde"])
    def test_valid_rankings(self, names):
        """Tied documents in any order, also where the list ends between them."""
        assert disagreement(*names, k=len(names)) is None
        assert disagreement(*names) is None

    def test_all_of_a_small_index(self):
        """Asking for more than there is."""
        assert disagreement(*"abcde", k=10) is None

    def test_missing_document(self):
        """The fault that recall measures hide: one clearly better document is not there."""
        found = disagreement(*"bcd", k=3)
        assert (found.fault, found.id, found.expected, found.other, found.position) == (Fault.MISSING, "a", 5.0, "d", 3)
        assert "'a' is missing" in str(found)
        assert "'d' is there instead" in str(found)

    def test_too_short(self):
        """An engine that stops early has lost the best of what it left out."""
        found = disagreement("a", k=3)
        assert (found.fault, found.id, found.other) == (Fault.MISSING, "b", "")
        assert disagreement(k=1).id == "a"

    def test_wrong_order(self):
        """Also when the two are not neighbours."""
        found = disagreement(*"abdc", k=4)
        assert (found.fault, found.id, found.other, found.position) == (Fault.ORDER, "c", "d", 3)
        assert disagreement(*"bca", k=3).other == "c"

    def test_order_is_judged_by_true_scores(self):
        """An engine may report equal scores; the worst document so far is what counts."""
        assert disagreement("b", "a", b=4.04, a=4.96).fault is Fault.ORDER

    def test_wrong_score(self):
        """Right order, wrong numbers: a distance instead of a similarity, or half of the query."""
        found = disagreement("a", "b", b=3.8)
        assert (found.fault, found.id, found.expected, found.actual) == (Fault.SCORE, "b", 4.0, 3.8)
        assert disagreement("a", a=math.nan).fault is Fault.SCORE
        assert "3.8" in str(found)

    def test_scores_at_the_tolerance(self):
        """The border belongs to what is allowed: with a tolerance of nothing, only equality does."""
        assert disagreement("a", a=5.25, tolerance=0.25) is None
        assert disagreement("a", "b", tolerance=0.0) is None

    def test_stranger_and_repeated(self):
        """A deleted document that is still found; one that is found twice and pushes another out."""
        found = disagreement("a", "x")
        assert (found.fault, found.id, found.position) == (Fault.STRANGER, "x", 1)
        assert math.isnan(found.expected)
        assert disagreement("a", "b", "a").fault is Fault.REPEATED
        assert "position 1" in str(found)
        assert "before" in str(disagreement("a", "a"))

    def test_surplus(self):
        """More than was asked for is a page that a caller did not make room for."""
        found = disagreement(*"abc", k=2)
        assert (found.fault, found.id) == (Fault.SURPLUS, "c")
        assert "asked for" in str(found)

    def test_the_first_is_named(self):
        """From the top down: the best document at fault matters most."""
        assert disagreement("a", "b", "d", "c", "x", k=5).id == "c"
        assert "behind 'd'" in str(disagreement("a", "b", "d", "c"))

    @given(st.integers(0, 2**32), st.integers(0, 30))
    @settings(max_examples=200)
    def test_any_engine_within_the_tolerance_agrees(self, seed, k):
        """Whatever an engine's errors are: if each is within the tolerance, its own top k is valid."""
        random = np.random.default_rng(seed)
        true = random.integers(0, 12, 25) / 10
        seen = true + random.uniform(-0.1, 0.1, 25)
        order, scores = top_k(seen, k)
        ranking = [(str(position), float(score)) for position, score in zip(order, scores, strict=True)]
        expected = {str(position): float(score) for position, score in enumerate(true)}
        # Errors are drawn up to 0.1; the sum with a true score may round a little beyond.
        assert first_disagreement(expected, ranking, tolerance=0.1 + 2.0**-50, k=k) is None
