"""Adapters, against doubles that speak as fastembed 0.9.1, PyLate 1.6.0 and colpali-engine 0.3.18 do in their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.encoders import from_arrays, from_colpali_engine, from_fastembed, from_pylate


def rows_of(text: str, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(len(text)).standard_normal((len(text.split()), dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(autouse=True)
def _versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries themselves are not installed."""
    monkeypatch.setattr("lateint.encoders.adapters.installed", lambda package: "1.2.3")


class FastEmbed:
    """`fastembed.LateInteractionTextEmbedding`: generators of arrays."""

    model_name = "colbert-ir/colbertv2.0"

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        return {"colbert-ir/colbertv2.0": 8}[model_name]

    limit = 512

    def embed(self, documents: Iterable[str]) -> Iterator[np.ndarray]:
        yield from (rows_of(text)[: self.limit] for text in documents)

    def query_embed(self, query: Iterable[str]) -> Iterator[np.ndarray]:
        yield from (rows_of(f"query {text}") for text in query)


class PyLate:
    """`pylate.models.ColBERT`: a list of arrays, and whether it is a query is said."""

    query_length, document_length, do_query_expansion, attend_to_expansion_tokens = 32, 180, True, False
    query_prefix, document_prefix = "[Q] ", "[D] "

    def __init__(self, skiplist_words: Iterable[str] = ("!", ",")) -> None:
        self.skiplist_words = list(skiplist_words)

    def get_sentence_embedding_dimension(self) -> int:
        return 8

    def encode(self, sentences: list[str], *, is_query: bool, show_progress_bar: bool) -> list[np.ndarray]:
        return [rows_of(f"query {text}" if is_query else text) for text in sentences]


def test_fastembed_in_an_index() -> None:
    """Text in, hits out, with the model that is loaded already."""
    encoder = from_fastembed(FastEmbed())
    assert encoder.fingerprint == {
        "kind": "fastembed",
        "model": "colbert-ir/colbertv2.0",
        "dim": 8,
        "rows": {"query": "2 2001", "document": "13 512"},
        "made_with": {"fastembed": "1.2.3"},
    }
    with lateint.connect("memory://") as client:
        index = client.create_index(lateint.IndexSpec("a", encoder.dim, encoder=encoder.fingerprint))
        retriever = lateint.Retriever(index, encoder)
        assert retriever.add({"x": "one two three", "y": "four"}).written == 2
        assert {hit.id for hit in retriever.search("three")} == {"x", "y"}


def test_pylate_knows_queries_from_documents() -> None:
    encoder = from_pylate(PyLate(), name="lightonai/GTE-ModernColBERT-v1")
    assert np.array_equal(encoder.encode_queries(["a b"])[0], rows_of("query a b"))
    assert np.array_equal(encoder.encode_documents(["a b"])[0], rows_of("a b"))
    assert encoder.max_query_tokens == encoder.fingerprint["query_length"] == 32


def test_fastembed_of_another_recipe() -> None:
    """A version that cuts elsewhere makes other rows: no matter of rounding."""
    other = FastEmbed()
    other.limit = 180
    assert_mismatch(from_fastembed(FastEmbed()), from_fastembed(other), "rows.document is '13 180' here")


def test_pylate_with_another_skiplist() -> None:
    """What is skipped has no row."""
    mine, other = (from_pylate(PyLate(words), name="a/b") for words in ("!,", "!"))
    assert_mismatch(mine, other, "skiplist is '!' here and '! ,' in the index")


def assert_mismatch(filled: Any, searched: Any, part: str) -> None:
    with lateint.connect("memory://") as client:
        index = client.create_index(lateint.IndexSpec("a", filled.dim, encoder=filled.fingerprint))
        with pytest.raises(errors.EncoderMismatch) as raised:
            lateint.Retriever(index, searched)
        assert part in str(raised.value)


class Batch(dict[str, Any]):
    """What colpali-engine's processors give."""

    def to(self, device: str) -> Batch:
        return self


class Tokenizer:
    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


class ColModel:
    device, dim = "cpu", 8


class Renders:
    """`ColQwen2Processor`, as far as its versions differ: a prefix before queries, and how large a page may be."""

    tokenizer = Tokenizer()

    def __init__(self, prefix: tuple[int, ...] = (), patches: int = 5) -> None:
        self.prefix, self.patches = prefix, patches

    def process_queries(self, texts: list[str]) -> Batch:
        return self.of([*self.prefix, 7, 8])

    def process_images(self, images: list[Any]) -> Batch:
        assert [image.size for image in images] == [(1240, 1754)]
        return self.of([1, *[2] * self.patches, 3])

    def of(self, ids: list[int]) -> Batch:
        return Batch(input_ids=np.array([ids]))


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (Renders(prefix=(9,)), "query is '9 7 8' here and '7 8' in the index"),
        (Renders(patches=4), "page.tokens is 6 here and 7 in the index"),
    ],
)
def test_colpali_engine_of_another_version(other: Renders, part: str) -> None:
    """It has changed how queries are rendered twice: a mix has wrong scores, and not by rounding."""
    pytest.importorskip("PIL", reason="the extra vision is not installed")
    mine, theirs = (from_colpali_engine(ColModel(), processor, name="a/b") for processor in (Renders(), other))
    assert mine.fingerprint["page"] == {"prompt": "1 2 3", "tokens": 7}
    assert_mismatch(mine, theirs, part)


def test_colpali_engine_selects_rows_and_encodes_queries_alone() -> None:
    """Padded rows may be NaN there, and neighbours in a batch change ColPali's queries."""
    torch = pytest.importorskip("torch", reason="the extra vision is not installed")

    pytest.importorskip("PIL", reason="the extra vision is not installed")

    class Processor:
        tokenizer = Tokenizer()

        def process_queries(self, texts: list[str]) -> Batch:
            assert len(texts) == 1
            return Batch(input_ids=torch.ones(1, 3), attention_mask=torch.tensor([[1, 1, 1]]))

        def process_images(self, images: list[Any]) -> Batch:
            mask = torch.tensor([[0] * (4 - at) + [1] * at for at in range(1, len(images) + 1)])
            return Batch(input_ids=torch.ones(len(images), 4), attention_mask=mask)

    class Model:
        device, dim = "cpu", 8

        def __call__(self, *, input_ids: Any, attention_mask: Any) -> Any:
            vectors = torch.nn.functional.normalize(torch.ones(*input_ids.shape, self.dim), dim=-1)
            return vectors.masked_fill(attention_mask[..., None] == 0, float("nan")).to(torch.bfloat16)

    encoder = from_colpali_engine(Model(), Processor(), name="vidore/colqwen2-v1.0", batch_size=3)
    assert encoder.document_kind == "image"
    assert [rows.shape for rows in encoder.encode_queries(["a", "b"])] == [(3, 8), (3, 8)]
    pages = encoder.encode_documents(["page"] * 4)
    assert [len(rows) for rows in pages] == [1, 2, 3, 1]
    assert all(rows.dtype == np.float32 and np.isfinite(rows).all() for rows in pages)


def test_arrays_are_looked_up() -> None:
    """What was encoded elsewhere needs no model; what was not is named."""
    encoder = from_arrays({"q": rows_of("a b")}, {"x": rows_of("a b c")}, dim=8, fingerprint={"kind": "mine"})
    assert encoder.encode_documents(["x"])[0].shape == (3, 8)
    with pytest.raises(errors.InvalidInput, match="no array was given for query 'other'"):
        encoder.encode_queries(["other"])
    with pytest.raises(errors.DimensionMismatch):
        from_arrays({}, {"x": rows_of("a", 4)}, dim=8, fingerprint={}).encode_documents(["x"])
