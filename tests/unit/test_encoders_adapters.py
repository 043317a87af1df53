"""Adapters, against doubles of fastembed 0.9.1, PyLate 1.6.0 and colpali-engine 0.3.18, for where those are not.

What the libraries themselves make of it stands in test_encoders_real.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
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
    dtype = "torch.float32"

    def __init__(self, skiplist_words: Iterable[str] = ("!", ",")) -> None:
        self.skiplist_words = list(skiplist_words)

    def get_sentence_embedding_dimension(self) -> int:
        return 8

    def named_parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "0.auto_model.embeddings.weight", np.zeros(2)

    def encode(self, sentences: list[str], *, is_query: bool, show_progress_bar: bool) -> list[np.ndarray]:
        assert sentences, "PyLate 1.6.0 fails on none"
        return [rows_of(f"query {text}" if is_query else text) for text in sentences]


def test_fastembed_in_an_index() -> None:
    """Text in, hits out, with the model that is loaded already."""
    encoder = from_fastembed(FastEmbed())
    assert encoder.fingerprint == {
        "kind": "fastembed",
        "model": "colbert-ir/colbertv2.0",
        "dim": 8,
        "rows": {"query": "2 2001", "document": "13 512"},
        "made_with": {"fastembed": "1.2.3", "onnxruntime": "1.2.3"},
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
    assert encoder.encode_queries([]) == encoder.encode_documents([]) == []


def test_what_is_no_text() -> None:
    """A string is a sequence of letters to a library, and would become as many documents; 3 an error that names none."""
    encoder = from_pylate(PyLate(), name="a/b")
    mixed: Any = ["a", 3]
    for encode in (encoder.encode_queries, encoder.encode_documents):
        with pytest.raises(errors.InvalidInput, match=r"is one (text|document), not a sequence"):
            encode("abc")
        with pytest.raises(errors.InvalidInput, match="text 1 is a int, not text"):
            encode(mixed)


@pytest.mark.parametrize("weights", [0.0, 0.5])
def test_an_adapter_that_was_not_read(weights: float) -> None:
    """transformers 5.3, which PyLate 1.6.0 pins, logs it and goes on with the base: LoRA begins as nothing."""
    model = PyLate()
    part = "0.auto_model.layers.0.attn.Wqkv.lora_B.default.weight"
    model.named_parameters = lambda: iter([(part, np.full(2, weights))])  # type: ignore[method-assign]
    if weights:
        assert from_pylate(model, name="a/b").dim == 8
        return
    with pytest.raises(errors.ConfigurationError, match="the adapter of this model changes nothing"):
        from_pylate(model, name="a/b")


def test_fastembed_of_another_kind() -> None:
    """Its classes for pages, and for one vector a text, look much alike."""

    class OneVector(FastEmbed):
        def query_embed(self, query: Iterable[str]) -> Iterator[np.ndarray]:
            yield from (np.zeros(8, np.float32) for _ in query)

    with pytest.raises(errors.ConfigurationError, match=r"one vector of a text.*LateInteractionTextEmbedding"):
        from_fastembed(OneVector())
    with pytest.raises(errors.ConfigurationError, match="a fastembed object cannot be adapted"):
        from_fastembed(object())


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
    device, dim, dtype = "cpu", 8, "torch.bfloat16"

    def eval(self) -> ColModel:
        return self

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        yield from ()


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
    assert mine.fingerprint["made_with"]["precision"] == "bfloat16"
    assert_mismatch(mine, theirs, part)


def test_colpali_engine_selects_rows_and_encodes_queries_alone(tmp_path: Path) -> None:
    """Padded rows may be NaN there, and neighbours in a batch change ColPali's queries."""
    torch = pytest.importorskip("torch", reason="the extra vision is not installed")

    image = pytest.importorskip("PIL.Image", reason="the extra vision is not installed")

    class Processor:
        tokenizer = Tokenizer()

        def process_queries(self, texts: list[str]) -> Batch:
            assert len(texts) == 1
            return Batch(input_ids=torch.ones(1, 3), attention_mask=torch.tensor([[1, 1, 1]]))

        def process_images(self, images: list[Any]) -> Batch:
            assert {page.mode for page in images} == {"RGB"}
            mask = torch.tensor([[0] * (4 - at) + [1] * at for at in range(1, len(images) + 1)])
            return Batch(input_ids=torch.ones(len(images), 4), attention_mask=mask)

    class Model(ColModel):
        def __call__(self, *, input_ids: Any, attention_mask: Any) -> Any:
            vectors = torch.nn.functional.normalize(torch.ones(*input_ids.shape, self.dim), dim=-1)
            return vectors.masked_fill(attention_mask[..., None] == 0, float("nan")).to(torch.bfloat16)

    encoder = from_colpali_engine(Model(), Processor(), name="vidore/colqwen2-v1.0", batch_size=3)
    assert encoder.document_kind == "image"
    assert [rows.shape for rows in encoder.encode_queries(["a", "b"])] == [(3, 8), (3, 8)]
    image.new("LA", (8, 8)).save(tmp_path / "page.png")
    pages = encoder.encode_documents([image.new("L", (8, 8)), tmp_path / "page.png"] * 2)
    assert [len(rows) for rows in pages] == [1, 2, 3, 1]
    assert all(rows.dtype == np.float32 and np.isfinite(rows).all() for rows in pages)
    (tmp_path / "broken.png").write_bytes((tmp_path / "page.png").read_bytes()[:40])
    with pytest.raises(errors.InvalidInput, match=r"broken\.png"):
        encoder.encode_documents([tmp_path / "broken.png"])


def test_arrays_are_looked_up() -> None:
    """What was encoded elsewhere needs no model; what was not is named."""
    encoder = from_arrays({"q": rows_of("a b")}, {"x": rows_of("a b c")}, dim=8, fingerprint={"kind": "mine"})
    assert encoder.encode_documents(["x"])[0].shape == (3, 8)
    with pytest.raises(errors.InvalidInput, match="no array was given for query 'other'"):
        encoder.encode_queries(["other"])
    with pytest.raises(errors.DimensionMismatch):
        from_arrays({}, {"x": rows_of("a", 4)}, dim=8, fingerprint={}).encode_documents(["x"])
