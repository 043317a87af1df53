"""The reference scorer: against its definition, at every boundary of its blocks, and within its memory."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lateint import errors
from lateint.scoring import Corpus, maxsim, mirrored, reference, score_corpus, tolerance, top_k
from lateint.scoring.rounding import stored
from lateint.vectors import normalized, row_norms

STORAGE = ("float32", "float16", "bfloat16", "binary")
MEMORY_PER_THREAD = 7 << 20  # as score_corpus documents


def rows(random, count, dim=8):
    return normalized(random.standard_normal((count, dim)).astype(np.float32))


def by_definition(query, document):
    """MaxSim in Python integers' company: no BLAS, no NumPy reduction that the scorer uses."""
    total = 0.0
    for q in query.astype(np.float64).tolist():
        total += max(sum(x * y for x, y in zip(q, d, strict=True)) for d in document.astype(np.float64).tolist())
    return total


def allowed(query, document, score):
    norm = float(row_norms(query).max() * row_norms(document).max())
    return tolerance(rows=len(query), dim=query.shape[1], score=score, norm=norm)


def check(queries, documents, scores):
    """Every score against the float64 definition, within the derived tolerance."""
    assert scores.shape == (len(queries), len(documents))
    assert scores.dtype == np.float64
    for (number, query), (position, document) in itertools.product(enumerate(queries), enumerate(documents)):
        true = maxsim(query, document)
        assert abs(scores[number, position] - true) <= allowed(query, document, true), (number, position)


@st.composite
def problems(draw):
    """Ragged queries and documents, of lengths that matter when blocks hold a few rows only."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim = draw(st.sampled_from([1, 3, 8, 128]))
    length = st.integers(1, 9)
    documents = [rows(random, n, dim) for n in draw(st.lists(length, min_size=1, max_size=12))]
    queries = [rows(random, n, dim) for n in draw(st.lists(length, min_size=1, max_size=5))]
    return queries, documents


class TestMaxsim:
    @given(problems())
    def test_is_the_definition(self, problem):
        """Everything else is compared with maxsim, so it is compared with plain Python."""
        queries, documents = problem
        expected = by_definition(queries[0], documents[0])
        assert maxsim(queries[0], documents[0]) == pytest.approx(expected, rel=2**-40, abs=2**-40)

    def test_takes_lists(self):
        """It is the first thing that a user tries, at a prompt."""
        assert maxsim([[1.0, 0.0], [0.0, 2.0]], [[3.0, 4.0]]) == 11.0

    def test_is_finite_where_float32_is_not(self):
        """Float64 is the point of it: squares of large float32 values fit."""
        assert maxsim([[1e30]], [[1e30]]) == pytest.approx(1e60, rel=1e-6)

    def test_dimensions_must_agree(self):
        """A product of other shapes would otherwise fail with NumPy's words, or broadcast."""
        with pytest.raises(errors.DimensionMismatch):
            maxsim(np.ones((2, 3)), np.ones((2, 4)))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_refuses_what_is_not_finite(self, bad):
        """The maximum of NaN depends on the order of rows."""
        with pytest.raises(errors.NonFiniteVector):
            maxsim([[bad]], [[1.0]])
        with pytest.raises(errors.NonFiniteVector):
            maxsim([[1.0]], [[bad]])


class TestScoreCorpus:
    @given(problems(), st.sampled_from(STORAGE), st.sampled_from(["float32", "float64"]))
    def test_agrees_with_maxsim(self, problem, dtype, precision):
        """Scores are those of the stored values: what an engine with the same storage returns."""
        queries, documents = problem
        assume(dtype != "binary" or queries[0].shape[1] % 8 == 0)
        corpus = Corpus.from_multivectors(documents, dtype=dtype)
        scores = score_corpus(queries, corpus, precision=precision)
        check(queries, [mirrored(document, dtype) for document in documents], scores)

    @given(problems(), st.sampled_from(STORAGE), st.integers(1, 12), st.integers(1, 12))
    @settings(max_examples=200)
    def test_blocks_and_groups_do_not_show(self, problem, dtype, block, group):
        """Blocks end within, at and beyond documents; groups end within, at and beyond queries."""
        queries, documents = problem
        dim = documents[0].shape[1]
        assume(dtype != "binary" or dim % 8 == 0)
        corpus = Corpus.from_multivectors(documents, dtype=dtype)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reference, "BLOCK_BYTES", block * dim * 4)
            patch.setattr(reference, "WIDENED_BYTES", block * dim * 4)
            patch.setattr(reference, "GROUP_ROWS", group)
            scores = score_corpus(queries, corpus)
        check(queries, [mirrored(document, dtype) for document in documents], scores)

    @pytest.mark.parametrize("width", [1, 31, 32, 33, 48, 49, 64, 200])
    def test_narrow_and_wide_tiles(self, width):
        """The maximum is taken in one of two ways, by the number of query rows."""
        random = np.random.default_rng(1)
        documents = [rows(random, n) for n in (1, 2, 30, 7, 1, 1, 64)]
        queries = [rows(random, width), rows(random, 1)]
        check(queries, documents, score_corpus(queries, Corpus.from_multivectors(documents)))

    def test_document_longer_than_a_block(self):
        """It is scored in parts; the best match of a query row may be in any of them."""
        random = np.random.default_rng(2)
        block = reference.BLOCK_BYTES // (4 * 128)
        long = rows(random, 2 * block + 17, 128)
        documents = [rows(random, 3, 128), long, rows(random, 5, 128), long[::-1]]
        query = np.concatenate([long[:1], long[block : block + 1], long[-1:]])
        scores = score_corpus([query], Corpus.from_multivectors(documents))
        check([query], documents, scores)
        assert scores[0, 1] == pytest.approx(3, abs=allowed(query, long, 3.0))

    def test_blocks_of_real_size(self):
        """Several blocks of the real size, whose borders fall between documents, for few and many query rows."""
        random = np.random.default_rng(3)
        lengths = random.integers(1, 300, 80)
        documents = [rows(random, n, 128) for n in lengths]
        queries = [rows(random, n, 128) for n in (32, 500, 20, 700, 1)]
        for dtype in STORAGE:
            stored = [mirrored(document, dtype) for document in documents]
            check(queries, stored, score_corpus(queries, Corpus.from_multivectors(documents, dtype=dtype)))

    def test_all_similarities_negative(self):
        """Padding or masking with zeros lifts such a score to 0 and shuffles the ranking."""
        random = np.random.default_rng(4)
        query = np.abs(rows(random, 4))
        documents = [-np.abs(rows(random, n)) for n in (1, 5, 2)]
        scores = score_corpus([query], Corpus.from_multivectors(documents))
        assert (scores < 0).all()
        check([query], documents, scores)

    def test_documents_of_one_row(self):
        """The shortest runs that a segmented maximum meets, first, last and in between."""
        random = np.random.default_rng(5)
        documents = [rows(random, 1) for _ in range(50)]
        queries = [rows(random, 1), rows(random, 60)]
        check(queries, documents, score_corpus(queries, Corpus.from_multivectors(documents)))

    @pytest.mark.parametrize("dtype", STORAGE)
    @pytest.mark.parametrize("threads", [2, 3, 16])
    def test_threads_do_not_show(self, dtype, threads):
        """A reference whose answer depends on the machine is none."""
        random = np.random.default_rng(6)
        corpus = Corpus.from_multivectors((rows(random, n, 64) for n in random.integers(1, 200, 300)), dtype=dtype)
        queries = [rows(random, n, 64) for n in (32, 8, 600)]
        assert np.array_equal(score_corpus(queries, corpus, threads=threads), score_corpus(queries, corpus))

    def test_more_threads_than_blocks(self):
        """Idle threads end quietly."""
        corpus = Corpus.from_multivectors([np.eye(3)])
        assert score_corpus([np.eye(3)], corpus, threads=8).tolist() == [[3.0]]

    def test_equal_documents_score_equally(self):
        """Ties are broken by position, which needs equal scores for equal rows."""
        random = np.random.default_rng(7)
        document = rows(random, 40, 128)
        scores = score_corpus([rows(random, 32, 128)], Corpus.from_multivectors([document] * 20))
        assert np.unique(scores).size == 1

    def test_inputs_are_unchanged(self):
        """Arrays belong to the caller."""
        random = np.random.default_rng(8)
        for dtype in STORAGE:
            documents = [rows(random, n) for n in (3, 1, 4)]
            queries = [rows(random, 5)]
            corpus = Corpus.from_multivectors(documents, dtype=dtype)
            before = [array.tobytes() for array in (*documents, *queries, corpus.tokens, corpus.offsets)]
            score_corpus(queries, corpus)
            assert [array.tobytes() for array in (*documents, *queries, corpus.tokens, corpus.offsets)] == before

    def test_read_only_and_foreign_queries(self):
        """Float64, integers, Fortran order, lists: whatever as_multivector takes."""
        corpus = Corpus.from_multivectors([np.eye(2), [[2, 2]]])
        frozen = np.eye(2, dtype=np.float32)
        frozen.flags.writeable = False
        for query in (frozen, np.asfortranarray(np.eye(2)), [[1, 0], [0, 1]], np.eye(2, dtype=np.int8)):
            assert score_corpus([query], corpus).tolist() == [[2.0, 4.0]]

    def test_three_dimensional_array_is_many_queries(self):
        """An encoder returns a batch of queries of equal length as one array."""
        batch = np.stack([np.eye(2), 2 * np.eye(2)])
        assert score_corpus(batch, Corpus.from_multivectors([np.eye(2)])).tolist() == [[2.0], [4.0]]

    def test_matrix_is_refused(self):
        """It could be one query, or many queries of one row: the answers differ."""
        with pytest.raises(errors.MalformedMultiVector) as caught:
            score_corpus(np.eye(2), Corpus.from_multivectors([np.eye(2)]))
        assert "[query]" in caught.value.hint

    def test_empty_sides(self):
        """An empty index answers searches with nothing, and no query gets no row."""
        assert score_corpus([np.eye(2), np.eye(2)], Corpus.from_multivectors([])).shape == (2, 0)
        assert score_corpus([np.eye(2)], Corpus.from_multivectors([], dim=2)).shape == (1, 0)
        assert score_corpus([], Corpus.from_multivectors([np.eye(2)])).shape == (0, 1)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_refuses_queries_that_are_not_finite(self, bad):
        """One NaN would turn a whole row of scores into NaN; the error says which query it was."""
        corpus = Corpus.from_multivectors([np.eye(2)])
        with pytest.raises(errors.NonFiniteVector) as caught:
            score_corpus([np.eye(2), [[1.0, bad]]], corpus)
        assert "query 1" in caught.value.__notes__[0]

    def test_refuses_other_dimensions(self):
        """Also among queries, where nothing else would say so."""
        corpus = Corpus.from_multivectors([np.eye(2)])
        with pytest.raises(errors.DimensionMismatch):
            score_corpus([np.eye(3)], corpus)
        with pytest.raises(errors.DimensionMismatch):
            score_corpus([np.eye(3), np.eye(2)], Corpus.from_multivectors([]))

    @pytest.mark.parametrize("threads", [1, 2])
    def test_overflow_is_an_error(self, threads):
        """Float32 products of large values are infinite, and infinity less infinity is NaN."""
        corpus = Corpus.from_multivectors([[[1e30, 1e30]], [[1e30, -1e30]]])
        with pytest.raises(errors.InvalidInput, match="no finite value"):
            score_corpus([[[1e30, -1e30]]], corpus, threads=threads)
        assert np.isfinite(score_corpus([[[1e30, -1e30]]], corpus, precision="float64")).all()

    @pytest.mark.parametrize("wrong", [{"threads": 0}, {"threads": -1}, {"precision": "float16"}])
    def test_refuses_unknown_settings(self, wrong):
        """A typing error should not quietly mean the default."""
        with pytest.raises(errors.InvalidInput):
            score_corpus([np.eye(2)], Corpus.from_multivectors([np.eye(2)]), **wrong)

    @pytest.mark.parametrize("dtype", STORAGE)
    @pytest.mark.parametrize(("precision", "threads"), [("float32", 1), ("float32", 2), ("float64", 1)])
    @pytest.mark.parametrize(
        ("documents", "length", "queries", "width"),
        [
            pytest.param(64, 40, 64, 300, id="many long queries"),
            pytest.param(1_600, 1, 600, 1, id="one row each"),
            pytest.param(1, 4_000, 64, 32, id="one long document"),
            pytest.param(1, 2_000, 2, 3_000, id="one long document, long queries"),
        ],
    )
    def test_memory(self, dtype, precision, threads, documents, length, queries, width):
        """Temporaries do not grow with the corpus or the number of queries: only the result does."""
        random = np.random.default_rng(9)
        dim = 16
        tokens = random.standard_normal((documents * length, dim)).astype(np.float32)
        corpus = Corpus(stored(tokens, dtype), np.arange(documents + 1) * length, dtype=dtype)
        asked = list(random.standard_normal((queries, width, dim)).astype(np.float32))
        score_corpus(asked[:1], corpus, threads=threads, precision=precision)
        tracemalloc.start()
        try:
            scores = score_corpus(asked, corpus, threads=threads, precision=precision)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        columns = max(reference.GROUP_ROWS, width) * dim * np.dtype(precision).itemsize
        bookkeeping = 1 << 18  # Python objects: lists of queries, of blocks, of the documents in a block
        assert peak - scores.nbytes <= threads * MEMORY_PER_THREAD + columns + bookkeeping


class TestCorpus:
    @pytest.mark.parametrize("dtype", STORAGE)
    def test_gives_back_what_it_holds(self, dtype):
        """A round trip per document, in the values of the storage."""
        random = np.random.default_rng(10)
        documents = [rows(random, n) for n in (3, 1, 7)]
        corpus = Corpus.from_multivectors(documents, dtype=dtype)
        assert (len(corpus), corpus.dim, corpus.dtype) == (3, 8, dtype)
        assert "3 documents" in repr(corpus)
        for position, document in enumerate(documents):
            found = corpus.multivector(position)
            assert found.dtype == np.float32
            assert np.array_equal(found, mirrored(document, dtype))
            assert not found.flags.writeable

    @pytest.mark.parametrize("position", [-1, 2])
    def test_no_such_document(self, position):
        """A negative position would give rows from the end, and none for -1."""
        with pytest.raises(IndexError):
            Corpus.from_multivectors([np.eye(2)] * 2).multivector(position)

    def test_reads_an_iterable_once(self):
        """Corpora come from generators over files and indexes."""
        corpus = Corpus.from_multivectors(np.full((n, 2), n) for n in (1, 2, 3))
        assert corpus.offsets.tolist() == [0, 1, 3, 6]
        assert corpus.tokens[:, 0].tolist() == [1, 2, 2, 3, 3, 3]

    @pytest.mark.parametrize("dtype", STORAGE)
    def test_streaming_memory(self, dtype):
        """A corpus is collected within its own size and a growth step, not beside a copy of all inputs."""
        count, shape = 400, (64, 128)
        block = np.ones(shape, np.float32)
        tracemalloc.start()
        try:
            corpus = Corpus.from_multivectors((block + number for number in range(count)), dtype=dtype)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # An eighth that the buffer may be too large, and a few copies of one multi-vector while it is rounded and checked.
        assert peak <= corpus.tokens.nbytes * 9 / 8 + 10 * block.nbytes + (1 << 20)

    def test_arrays_are_not_copied(self, tmp_path):
        """A corpus on disk is used where it lies."""
        tokens = np.lib.format.open_memmap(tmp_path / "tokens.npy", "w+", np.float16, (5, 3))
        tokens[:] = 1
        offsets = np.array([0, 2, 5])
        corpus = Corpus(tokens, offsets, dtype="float16")
        assert corpus.tokens is tokens
        assert corpus.offsets is offsets
        assert score_corpus([np.ones((1, 3))], corpus).tolist() == [[3.0, 3.0]]

    @pytest.mark.parametrize(
        ("dtype", "bits"),
        [
            ("float32", np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF], np.uint32)),
            ("float16", np.array([0x7C00, 0xFC00, 0x7E00, 0x7C01, 0xFFFF], np.uint16)),
            ("bfloat16", np.array([0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0xFFFF], np.uint16)),
        ],
    )
    def test_refuses_bits_that_are_not_finite(self, dtype, bits):
        """The widening of float16 gives numbers for them, and no engine should see any; the place is named."""
        for bad in bits:
            flat = np.zeros((7, 2), bits.dtype)
            flat[4, 1] = bad
            tokens = flat if dtype == "bfloat16" else flat.view(dtype)
            with pytest.raises(errors.NonFiniteVector) as caught:
                Corpus(tokens, np.array([0, 3, 7]), dtype=dtype)
            assert (caught.value.document, caught.value.row) == ("#1", 1)

    def test_bits_are_packed(self):
        """Eight values in a byte, as they lie on disk and on the wire; every byte is finite."""
        tokens = np.array([[0b10000001, 255], [0, 1]], np.uint8)
        corpus = Corpus(tokens, np.array([0, 1, 2]), dtype="binary")
        assert corpus.tokens is tokens
        assert corpus.dim == 16
        assert corpus.multivector(0).tolist() == [[1, 0, 0, 0, 0, 0, 0, 1, *[1] * 8]]
        query = np.arange(16, dtype=np.float32)[None]
        assert score_corpus([query], corpus).tolist() == [[7 + sum(range(8, 16)), 15]]
        assert Corpus.from_multivectors([], dtype="binary").dim == 0
        with pytest.raises(errors.DimensionMismatch) as caught:
            Corpus.from_multivectors([np.eye(8), np.eye(12)[:, :12]], dtype="binary", dim=12)
        assert caught.value.document == "#0"
        with pytest.raises(errors.DimensionMismatch, match="whole bytes"):
            Corpus.from_multivectors([np.eye(12)], dtype="binary")

    @pytest.mark.parametrize(
        ("dtype", "bits"), [("float16", [0x7BFF, 0xFBFF, 1, 0x8000]), ("bfloat16", [0x7F7F, 0xFF7F, 1, 0x8000])]
    )
    def test_takes_the_extremes(self, dtype, bits):
        """The largest finite values, subnormals and minus zero are values like any other."""
        tokens = np.array([bits], np.uint16)
        Corpus(tokens if dtype == "bfloat16" else tokens.view(np.float16), np.array([0, 1]), dtype=dtype)

    def test_finds_what_is_not_finite_anywhere(self):
        """The check goes through the matrix in chunks: last rows of chunks, and the last of all."""
        tokens = np.zeros((6000, 128), np.float32)
        offsets = np.array([0, 6000])
        for row in (0, 2047, 2048, 5999):
            tokens[row, 127] = np.nan
            with pytest.raises(errors.NonFiniteVector) as caught:
                Corpus(tokens, offsets)
            assert caught.value.row == row
            tokens[row, 127] = 0

    @pytest.mark.parametrize(
        ("offsets", "error"),
        [
            ([0, 2, 2, 4], errors.EmptyMultiVector),
            ([0, 3, 2, 4], errors.EmptyMultiVector),
            ([0, 4, 4], errors.EmptyMultiVector),
            ([1, 4], errors.InvalidInput),
            ([0, 3], errors.InvalidInput),
            ([0, 5], errors.InvalidInput),
            ([], errors.InvalidInput),
            ([[0, 4]], errors.InvalidInput),
        ],
    )
    def test_refuses_offsets_that_do_not_cut(self, offsets, error):
        """A segmented maximum of an empty run is its neighbour's value: wrong, without a sound."""
        with pytest.raises(error):
            Corpus(np.ones((4, 2), np.float32), np.array(offsets, np.int64))

    @pytest.mark.parametrize("offsets", [[0, 4], np.array([0.0, 4.0]), np.array([0, 4], np.int32)])
    def test_refuses_offsets_of_other_types(self, offsets):
        """32 bits overflow where a corpus is large; what is read from files should be what was meant."""
        with pytest.raises(errors.InvalidInput, match="int64"):
            Corpus(np.ones((4, 2), np.float32), offsets)

    @pytest.mark.parametrize(
        "tokens",
        [
            np.ones((4, 2)),
            np.ones((4, 2), ">f4"),
            np.ones((4, 2), np.uint16),
            np.ones(8, np.float32),
            np.ones((4, 2, 1), np.float32),
            np.ones((2, 4), np.float32).T,
            np.ones((4, 4), np.float32)[:, ::2],
            [[1.0, 2.0]] * 4,
        ],
    )
    def test_refuses_other_arrays(self, tokens):
        """Nothing is copied, so nothing can be converted."""
        with pytest.raises(errors.MalformedMultiVector):
            Corpus(tokens, np.array([0, 4]))

    def test_refuses_an_unknown_format(self):
        """Also when there is nothing to store."""
        with pytest.raises(errors.InvalidInput, match="int8"):
            Corpus.from_multivectors([], dtype="int8")

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
    def test_refuses_multivectors_that_are_not_finite(self, bad):
        """By position, since they have no id."""
        with pytest.raises(errors.NonFiniteVector) as caught:
            Corpus.from_multivectors([np.eye(2), np.array([[1, 1], [0, bad]])])
        assert (caught.value.document, caught.value.row) == ("#1", 1)

    def test_refuses_overflow_of_the_format(self):
        """Float16 ends at 65504: what rounds to infinity there is named, and nothing is clipped."""
        with pytest.raises(errors.NonFiniteVector) as caught:
            Corpus.from_multivectors([np.eye(2), np.eye(2), np.full((3, 2), 65520.0)], dtype="float16")
        assert (caught.value.document, caught.value.row) == ("#2", 0)

    def test_refuses_mixed_dimensions(self):
        """The first one tells, or the caller does."""
        with pytest.raises(errors.DimensionMismatch) as caught:
            Corpus.from_multivectors([np.eye(2), np.eye(3)])
        assert caught.value.document == "#1"
        with pytest.raises(errors.DimensionMismatch):
            Corpus.from_multivectors([np.eye(2)], dim=3)

    def test_refuses_an_empty_document(self):
        """A document without rows has no score."""
        with pytest.raises(errors.EmptyMultiVector):
            Corpus.from_multivectors([np.eye(2), np.ones((0, 2))])


class TestTopK:
    @given(
        st.lists(st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, 1.5, np.inf, -np.inf]), max_size=40), st.integers(0, 45)
    )
    @settings(max_examples=300)
    def test_is_sorting(self, scores, k):
        """Of the definition, by Python's stable sort; few values make many ties, also at the cut."""
        expected = sorted(range(len(scores)), key=lambda position: -scores[position])[:k]
        indices, best = top_k(np.array(scores), k)
        assert indices.tolist() == expected
        assert best.tolist() == [scores[position] for position in expected]

    @given(st.integers(0, 2**32), st.integers(0, 30))
    def test_rows_are_ranked_alone(self, seed, k):
        """Many queries at once give what they give one by one."""
        scores = np.random.default_rng(seed).integers(0, 9, (5, 25)).astype(np.float64)
        indices, best = top_k(scores, k)
        assert indices.shape == best.shape == (5, min(k, 25))
        for row, found, values in zip(scores, indices, best, strict=True):
            alone, expected = top_k(row, k)
            assert found.tolist() == alone.tolist()
            assert values.tolist() == expected.tolist()

    def test_keeps_the_type_of_scores(self):
        """Float32 scores of an engine come back as they were; whole numbers are ranked as floats."""
        assert top_k(np.array([1, 3, 2], np.float32), 2)[1].dtype == np.float32
        assert top_k(np.array([1, 3, 2], np.uint8), 2)[0].tolist() == [1, 2]

    def test_refuses_what_has_no_order(self):
        """NaN would sort first and be returned as the best."""
        with pytest.raises(errors.InvalidInput, match="NaN"):
            top_k(np.array([1.0, np.nan]), 1)
        with pytest.raises(errors.InvalidInput):
            top_k(np.zeros((2, 2, 2)), 1)
        with pytest.raises(errors.InvalidInput):
            top_k(np.zeros(2), -1)
