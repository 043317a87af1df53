"""Text encoders on tiny checkpoints, against the recipes of their papers written out in plain transformers."""
# ruff: noqa: E402 - nothing of this can be imported without the extra

from __future__ import annotations

import json
import logging
import string
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import pytest

import lateint
from lateint import errors

torch = pytest.importorskip("torch", reason="the extra text is not installed")
pytest.importorskip("sentence_transformers", reason="the extra text is not installed")

from huggingface_hub import errors as hub
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from transformers import AutoConfig, AutoTokenizer, BertModel, ModernBertModel, PreTrainedModel, XLMRobertaModel

from lateint.encoders import SentenceTransformersEncoder, check_encoder
from lateint.encoders.base import MADE_WITH
from lateint.encoders.checkpoint import Checkpoint, digest, resolve
from tests.checkpoints import text as tiny
from tests.checkpoints.text import DOCUMENTS, QUERIES

CLOSE = 1e-5
"""What the recipe and the encoder may be apart: both compute in float32, in batches of different shapes."""


class Family(NamedTuple):
    """How a family of models turns a text into rows.

    Attributes:
        build: writes a tiny one.
        backbone: its class, and what its weights are called in the file.
        markers: of queries and documents.
        query: tokens of a query, exactly if it is expanded and at most if not.
        document: tokens of a document at most.
        expansion: the token that fills queries up; None if they are not.
        attended: whether the model looks at what fills up.
    """

    build: Callable[[Path], Path]
    backbone: tuple[Any, str]
    markers: tuple[str, str]
    query: int
    document: int
    expansion: str | None = "[MASK]"
    attended: bool = False


UNUSED = ("[unused0]", "[unused1]")
PYLATE = ("[Q] ", "[D] ")

torch.set_num_threads(1)  # more are slower for models of this size, and take the cores of other tests

FAMILIES = {
    "colbertv2": Family(
        lambda to: tiny.build_bert_colbert(to, dim=128, document_length=30), (BertModel, "bert."), UNUSED, 32, 30
    ),
    "answerai-small": Family(
        lambda to: tiny.build_bert_colbert(to, dim=96, document_length=120), (BertModel, "bert."), UNUSED, 32, 120
    ),
    "jina-v2": Family(
        tiny.build_jina_colbert,
        (XLMRobertaModel, "roberta."),
        ("[QueryMarker]", "[DocumentMarker]"),
        32,
        100,
        "<mask>",
        attended=True,
    ),
    "pylate-bert": Family(tiny.build_bert_pylate, (BertModel, ""), PYLATE, 32, 24),
    "modernbert": Family(tiny.build_modernbert_pylate, (ModernBertModel, ""), PYLATE, 24, 40, None),
    "modernbert-residual": Family(
        lambda to: tiny.build_modernbert_pylate(to, residual=True), (ModernBertModel, ""), PYLATE, 24, 40, None
    ),
    "xlm-r": Family(tiny.build_xlmr_pylate, (XLMRobertaModel, ""), PYLATE, 32, 60, "<mask>"),
}


class Recipe:
    """The family's recipe, one text at a time: nothing is padded, so nothing can leak from a neighbour."""

    def __init__(self, folder: Path, family: Family) -> None:
        self.family = family
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
        backbone, prefix = family.backbone
        config = AutoConfig.from_pretrained(folder)
        pooler = {} if backbone is ModernBertModel else {"add_pooling_layer": False}
        self.model = backbone(config, **pooler).eval()
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        self.model.load_state_dict({name: value for name, value in own.items() if name != "linear.weight"})
        parts = sorted(folder.glob("*_Dense"))
        self.layers = [load_file(part / "model.safetensors") for part in parts] or [
            {"linear.weight": weights["linear.weight"]}
        ]
        vocabulary = self.tokenizer.get_vocab()
        self.skipped = {vocabulary[mark] for mark in string.punctuation if mark in vocabulary}

    def ids(self, text: str, marker: str, length: int) -> list[Any]:
        """[CLS], the marker, the text, [SEP]; at most `length`."""
        ids = self.tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
        return [ids[0], self.tokenizer.convert_tokens_to_ids(marker), *ids[1:]]

    def rows(self, ids: list[int], attended: list[int]) -> Any:
        with torch.inference_mode():
            hidden = self.model(torch.tensor([ids]), attention_mask=torch.tensor([attended])).last_hidden_state[0]
            for layer in self.layers:
                out = hidden @ layer["linear.weight"].T
                hidden = out + hidden @ layer["residual.weight"].T if "residual.weight" in layer else out
        return hidden

    def query(self, text: str, dim: int | None = None) -> np.ndarray:
        ids = self.ids(text, self.family.markers[0], self.family.query)
        attended = [1] * len(ids)
        if self.family.expansion is not None:
            missing = self.family.query - len(ids)
            ids += [self.tokenizer.convert_tokens_to_ids(self.family.expansion)] * missing
            attended += [int(self.family.attended)] * missing
        return unit(self.rows(ids, attended)[:, :dim])

    def document(self, text: str, dim: int | None = None) -> np.ndarray:
        ids = self.ids(text, self.family.markers[1], self.family.document)
        kept = [at for at, token in enumerate(ids) if token not in self.skipped]
        return unit(self.rows(ids, [1] * len(ids))[kept, :dim])


def unit(rows: Any) -> np.ndarray:
    return np.asarray(rows / rows.norm(dim=-1, keepdim=True))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches for the hub, whatever the machine allows."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name = request.param
    return name, FAMILIES[name].build(tmp_path_factory.mktemp("text") / name)


@pytest.fixture(scope="module")
def pair(family: tuple[str, Path]) -> tuple[SentenceTransformersEncoder, Recipe]:
    name, folder = family
    return SentenceTransformersEncoder(folder, device="cpu", tokens_per_batch=200), Recipe(folder, FAMILIES[name])


@pytest.fixture(scope="module")
def jina(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_jina_colbert(tmp_path_factory.mktemp("jina") / "tiny")


@pytest.fixture(scope="module")
def colbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_bert_colbert(tmp_path_factory.mktemp("colbert") / "tiny")


@pytest.fixture
def disabled_logs() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Cut texts are another test's concern."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".* were cut there")
        yield


def assert_equal(given: list[Any], wanted: list[np.ndarray]) -> None:
    assert [rows.shape for rows in given] == [rows.shape for rows in wanted]
    assert max(np.abs(first - second).max() for first, second in zip(given, wanted, strict=True)) <= CLOSE


@pytest.mark.usefixtures("quiet")
class TestRecipes:
    """A wrong marker, mask, length or skiplist gives vectors that look right and find the wrong things."""

    def test_documents(self, pair: tuple[SentenceTransformersEncoder, Recipe]) -> None:
        """In batches of mixed lengths, they are what the recipe gives for each alone; punctuation is skipped."""
        encoder, recipe = pair
        assert_equal(encoder.encode_documents(DOCUMENTS), [recipe.document(text) for text in DOCUMENTS])

    def test_queries(self, pair: tuple[SentenceTransformersEncoder, Recipe]) -> None:
        """Likewise, with expansion where the model has it; of 60 words as many are kept as fit."""
        encoder, recipe = pair
        queries = encoder.encode_queries(QUERIES)
        assert_equal(queries, [recipe.query(text) for text in QUERIES])
        assert encoder.max_query_tokens == recipe.family.query == max(len(rows) for rows in queries)

    def test_checked(self, pair: tuple[SentenceTransformersEncoder, Recipe]) -> None:
        """What is right is not called wrong."""
        assert check_encoder(pair[0]).failed == ()

    def test_origins(self, pair: tuple[SentenceTransformersEncoder, Recipe]) -> None:
        """A row is explained by the characters that it stands for: markers and masks have none, words have theirs."""
        encoder, _ = pair
        text = "pigeons carry letters; an index"
        traced = encoder.trace_documents([text])[0]
        assert_equal([traced.vectors], encoder.encode_documents([text]))
        origins: list[Any] = list(traced.origins)
        assert len(origins) == len(traced.vectors)
        spans = [(origin.start, origin.end) for origin in origins if origin.start is not None]
        letters = "".join(text[start:end] for start, end in spans).replace(" ", "")
        assert letters == text.replace(" ", "").replace(";", "")  # the one row that was skipped
        assert [origin.start for origin in (origins[0], origins[1], origins[-1])] == [None] * 3
        query = encoder.trace_queries(["index"])[0]
        assert len(query.origins) == len(query.vectors)


class TestPrompts:
    """Whoever filled an index with sentence-transformers, or searches it so, must get the same rows."""

    @pytest.mark.parametrize(
        ("prompts", "default"),
        [
            ({"query": "query: ", "passage": "passage: "}, None),
            ({"query": "query: ", "document": "a: ", "passage": "b: "}, None),
            ({"search": "index "}, "search"),
        ],
    )
    @pytest.mark.parametrize("cleared", [False, True])
    def test_are_chosen_as_there(
        self, tmp_path: Path, prompts: dict[str, str], default: str | None, cleared: bool
    ) -> None:
        folder = tiny.build_bert_pylate(tmp_path / "own", do_query_expansion=False)
        saved = folder / "config_sentence_transformers.json"
        config = json.loads(saved.read_text()) | {"prompts": prompts, "default_prompt_name": default}
        saved.write_text(json.dumps({name: value for name, value in config.items() if not name.endswith("_prefix")}))
        model = MultiVectorEncoder(str(folder), device="cpu")
        if cleared:  # of the empty ones that sentence-transformers adds
            model.prompts = dict(prompts)
        encoder = SentenceTransformersEncoder(model)
        text = "an index"
        wanted = [
            np.asarray(encode(text, convert_to_numpy=True)) for encode in (model.encode_query, model.encode_document)
        ]
        assert_equal([encoder.encode_queries([text])[0], encoder.encode_documents([text])[0]], wanted)


@pytest.mark.usefixtures("quiet")
class TestMatryoshka:
    """Jina-ColBERT v2 was trained to be cut to 96 and 64 values."""

    @pytest.mark.parametrize("dim", [128, 96, 64])
    def test_rows_are_cut_and_scaled(self, jina: Path, dim: int) -> None:
        """Cut rows are shorter than 1; unscaled they would favour whatever loses least."""
        encoder = SentenceTransformersEncoder(jina, dim=dim, device="cpu")
        recipe = Recipe(jina, FAMILIES["jina-v2"])
        assert encoder.dim == dim == encoder.fingerprint["dim"]
        assert_equal(encoder.encode_documents(DOCUMENTS), [recipe.document(text, dim) for text in DOCUMENTS])
        assert_equal(encoder.encode_queries(QUERIES), [recipe.query(text, dim) for text in QUERIES])

    def test_more_than_there_is(self, jina: Path) -> None:
        with pytest.raises(errors.ConfigurationError, match="dim 256 cannot be had of rows of 128"):
            SentenceTransformersEncoder(jina, dim=256, device="cpu")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("precision", "dtype"), [("float16", np.float16), ("bfloat16", np.float32)])
def test_half_precision(colbert: Path, precision: Any, dtype: type) -> None:
    """Half the memory, rows still of length 1: they are scaled in float32 before they are rounded."""
    encoder = SentenceTransformersEncoder(colbert, device="cpu", precision=precision)
    rows = np.concatenate(encoder.encode_documents(DOCUMENTS))
    assert rows.dtype == dtype
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    assert np.abs(norms - 1).max() <= np.finfo(dtype).eps
    assert encoder.fingerprint[MADE_WITH]["precision"] == precision
    assert check_encoder(encoder).failed == ()


class TestCut:
    """A long query that is cut to 32 tokens without a word is the oldest surprise of late interaction."""

    def test_is_said_once_with_the_count(self, colbert: Path) -> None:
        encoder = SentenceTransformersEncoder(colbert, device="cpu")
        with pytest.warns(UserWarning, match="1 of 5 queries are longer than the 32 tokens"):
            encoder.encode_queries(QUERIES)
        encoder.encode_queries(QUERIES)  # a second warning would be an error here
        with pytest.warns(UserWarning, match="1 of 3 documents are longer than the 24 tokens"):
            encoder.encode_documents(["token", "query " * 60, "index"])

    def test_is_not_said_of_what_just_fits(self, colbert: Path) -> None:
        """[CLS], the marker, 29 words and [SEP] make 32."""
        SentenceTransformersEncoder(colbert, device="cpu").encode_queries([" ".join(["token"] * 29)])


class TestLength:
    """Models that were saved with a cap of 300 tokens can often take thousands."""

    def test_a_longer_document(self, colbert: Path) -> None:
        """Nothing is cut that fits, and the rows are the recipe's."""
        encoder = SentenceTransformersEncoder(colbert, document_length=100, device="cpu")
        recipe = Recipe(colbert, FAMILIES["colbertv2"]._replace(document=100))
        text = "an index is a list " * 15
        assert_equal(encoder.encode_documents([text]), [recipe.document(text)])
        assert encoder.fingerprint["document"]["length"] == 100

    def test_more_than_the_model_can_take(self, colbert: Path) -> None:
        with pytest.raises(errors.ConfigurationError, match="document_length 4096 is not from 4 to 128"):
            SentenceTransformersEncoder(colbert, document_length=4096, device="cpu")


@pytest.mark.usefixtures("quiet")
class TestBudget:
    """Too small batches waste a device, too large ones do not fit into it."""

    @pytest.fixture
    def shapes(self, tmp_path: Path) -> Callable[[list[str]], list[tuple[int, int]]]:
        encoder = SentenceTransformersEncoder(
            tiny.build_modernbert_pylate(tmp_path / "bytes"), device="cpu", tokens_per_batch=400, document_length=120
        )
        model: Any = encoder._model
        forward = model.forward

        def run(features: Any, **named: Any) -> Any:
            ran.append(tuple(features["input_ids"].shape))
            return forward(features, **named)

        ran: list[tuple[int, int]] = []
        model.forward = run

        def of(texts: list[str]) -> list[tuple[int, int]]:
            ran.clear()
            encoder.encode_documents(texts)
            return list(ran)

        return of

    def test_does_not_depend_on_what_came_before(self, shapes: Callable[[list[str]], list[tuple[int, int]]]) -> None:
        """One short text made every later batch a quarter of its size, for good."""
        texts = ["an index is a list of tokens"] * 100
        before = shapes(texts)
        shapes(["hi"])
        assert shapes(texts) == before

    @pytest.mark.parametrize("text", ["東京の検索", "0x3f;{}[]" * 2, "!?"])
    def test_holds_for_texts_of_many_tokens(
        self, shapes: Callable[[list[str]], list[tuple[int, int]]], text: str
    ) -> None:
        """A character can be three tokens, where letters are a quarter of one."""
        ran = shapes([text] * 60)
        assert sum(rows for rows, _ in ran) == 60
        assert max(rows * width for rows, width in ran) <= 400
        assert len(ran) < 60


class TestInput:
    """What is no text."""

    def test_is_named(self, colbert: Path) -> None:
        encoder = SentenceTransformersEncoder(colbert, device="cpu")
        with pytest.raises(errors.InvalidInput, match="text 1 is a int, not text"):
            encoder.encode_documents(["a", 7])  # type: ignore[list-item]
        with pytest.raises(errors.InvalidInput, match="one text, not a sequence"):
            encoder.encode_queries("abc")
        assert encoder.encode_documents([]) == []


class TestLoading:
    """A model that would be run wrongly is not run."""

    def test_single_vector_model(self, tmp_path: Path) -> None:
        """sentence-transformers would add a projection of random numbers, and the index would be noise."""
        with pytest.raises(errors.ConfigurationError, match="is no late-interaction model"):
            lateint.encoder(tiny.build_single_vector(tmp_path / "bert"))

    def test_missing_weights(self, tmp_path: Path) -> None:
        """transformers fills them with random numbers and tells a log that nobody reads."""
        folder = tiny.build_bert_colbert(tmp_path / "half")
        weights = load_file(folder / "model.safetensors")
        del weights["bert.encoder.layer.1.output.dense.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(errors.ConfigurationError, match=r"lack weights.*layer\.1\.output\.dense\.weight"):
            lateint.encoder(folder, device="cpu")

    def test_missing_weights_where_logs_are_off(self, tmp_path: Path, disabled_logs: None) -> None:
        """Services turn logs off: noise must not get into an index for that."""
        self.test_missing_weights(tmp_path)

    def test_weights_of_another_shape(self, tmp_path: Path) -> None:
        """A file of another model, by mistake."""
        folder = tiny.build_bert_colbert(tmp_path / "other")
        weights = load_file(folder / "model.safetensors")
        weights["bert.encoder.layer.1.output.dense.weight"] = torch.zeros(32, 32)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(errors.ConfigurationError, match=r"lack weights.*layer\.1\.output\.dense\.weight"):
            lateint.encoder(folder, device="cpu")

    def test_nothing_told_of_the_weights(self, colbert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Should another version of transformers look for weights elsewhere, a model is refused, not trusted."""
        looks = PreTrainedModel._finalize_model_loading
        elsewhere = FunctionType(looks.__code__, dict(looks.__globals__))
        monkeypatch.setattr(PreTrainedModel, "_finalize_model_loading", staticmethod(elsewhere))
        with pytest.raises(errors.ConfigurationError, match="nothing tells whether its weights are whole"):
            lateint.encoder(colbert, device="cpu")

    def test_page_model(self, tmp_path: Path) -> None:
        """sentence-transformers takes it for a text model and leaves its prompt out: 7 rows for a query, not 17."""
        folder = tiny.build_bert_colbert(tmp_path / "pages")
        config = json.loads((folder / "config.json").read_text()) | {"architectures": ["ColModernVBertForRetrieval"]}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(errors.ConfigurationError, match=r"takes pages, not texts.*VisionEncoder"):
            SentenceTransformersEncoder(folder, device="cpu")

    def test_broken_weights(self, tmp_path: Path) -> None:
        """A download that broke off is an error of the configuration, with the model's name, not a traceback."""
        folder = tiny.build_bert_colbert(tmp_path / "broken")
        (folder / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(errors.ConfigurationError, match="model 'broken' cannot be loaded: SafetensorError"):
            lateint.encoder(folder, device="cpu")

    def test_code_for_another_transformers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Code that came along fails as code does; the message says where it came from."""
        monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
        monkeypatch.setattr(sys, "path", [*sys.path])
        folder = tiny.build_with_code(tmp_path / "old")
        own = folder / "own.py"
        own.write_text(own.read_text() + "        self.gone_since_version_five()\n")
        with pytest.raises(errors.ConfigurationError, match=r"AttributeError.*gone_since.*other versions"):
            lateint.encoder(folder, device="cpu", trust_remote_code=True)

    def test_code_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Code from a checkpoint can do anything: it runs when it was allowed to, and not before."""
        monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
        monkeypatch.setattr(sys, "path", [*sys.path])
        folder = tiny.build_with_code(tmp_path / "own")
        with pytest.raises(errors.ConfigurationError, match="code of its own, which was not run"):
            lateint.encoder(folder, device="cpu")
        encoder = lateint.encoder(folder, device="cpu", trust_remote_code=True)
        recipe = Recipe(tiny.build_jina_colbert(tmp_path / "plain"), FAMILIES["jina-v2"])
        assert_equal(list(encoder.encode_queries(["index"])), [recipe.query("index")])

    def test_of_ones_own_making(self, colbert: Path) -> None:
        """A model that is in memory already needs no folder."""
        model = MultiVectorEncoder(str(colbert), device="cpu")
        encoder = SentenceTransformersEncoder(model)
        assert_equal(
            encoder.encode_documents(["token"]), [np.asarray(model.encode_document("token", convert_to_numpy=True))]
        )

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("no-such/model", "is not on this machine, and the hub cannot be reached.*HF_HUB_OFFLINE.*HF_HOME.*folder"),
            ("./nowhere", "there is no folder './nowhere'"),
            ("a b", "there is no folder 'a b'"),
        ],
    )
    def test_not_found(self, name: str, message: str) -> None:
        """Offline or misspelt: the message says what to set or pass."""
        with pytest.raises(errors.ConfigurationError, match=message):
            lateint.encoder(name)

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("GatedRepoError", "is gated.*HF_TOKEN"),
            ("RepositoryNotFoundError", "the hub has no model 'org/model', or it is private.*HF_TOKEN"),
            ("RevisionNotFoundError", "has no revision 'v9'"),
            ("LocalEntryNotFoundError", "the hub cannot be reached"),
        ],
    )
    def test_what_the_hub_says(self, monkeypatch: pytest.MonkeyPatch, kind: str, message: str) -> None:
        """Each of its errors becomes a sentence with what to do."""

        def refused(*_: object, **__: object) -> None:
            error_type = getattr(hub, kind)
            error = error_type.__new__(error_type)  # its own constructor wants the reply of a server
            Exception.__init__(error, "no")
            raise error

        monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
        with pytest.raises(errors.ConfigurationError, match=message):
            lateint.encoder("org/model", revision="v9")

    def test_folder_that_reads_like_a_name(self, colbert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`org/model` beside oneself is a folder, and nobody else's business."""
        monkeypatch.chdir(colbert.parent.parent)
        assert resolve(f"{colbert.parent.name}/{colbert.name}").source == str(colbert.resolve())

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(errors.ConfigurationError, match="holds no model"):
            lateint.encoder(tmp_path)

    def test_extra_not_installed(self, monkeypatch: pytest.MonkeyPatch, colbert: Path) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(errors.MissingDependency, match=r'pip install "lateint\[text\]"'):
            SentenceTransformersEncoder(colbert)


class TestFingerprint:
    """It must tell apart what gives other vectors, and nothing else."""

    def test_does_not_know_the_folder(self, colbert: Path, tmp_path: Path) -> None:
        """A copy of a model elsewhere is the same model."""
        copied = tiny.build_bert_colbert(tmp_path / "copy")
        assert fingerprint(copied)[0] == fingerprint(colbert)[0]

    @pytest.mark.parametrize(
        "other",
        [
            {"dim": 16},
            {"query_length": 24},
            {"document_length": 30},
            {"attend": True},
        ],
    )
    def test_knows_the_recipe(self, colbert: Path, tmp_path: Path, other: dict[str, Any]) -> None:
        """Each of these changes vectors without changing anything that a shape would show."""
        assert fingerprint(tiny.build_bert_colbert(tmp_path / "other", **other))[0] != fingerprint(colbert)[0]

    def test_knows_the_weights(self, colbert: Path, tmp_path: Path) -> None:
        """One changed value is another model: fine-tuning leaves names and sizes alone."""
        folder = tiny.build_bert_colbert(tmp_path / "tuned")
        weights = load_file(folder / "model.safetensors")
        weights["linear.weight"][0, 0] += 0.01
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        assert fingerprint(folder)[0]["weights"] != fingerprint(colbert)[0]["weights"]

    @pytest.mark.parametrize("at", [(0, 0), (-1, -1)])
    def test_knows_every_tensor(self, tmp_path: Path, at: tuple[int, int]) -> None:
        """Of a large file a new projection, or a token added to the vocabulary, is a small part, and anywhere."""
        tensors = {f"layer.{number}": torch.zeros(700, 64) for number in range(40)}
        before = saved(tmp_path, tensors)
        for name in ("layer.0", "layer.17", "layer.39"):
            changed = tensors[name].clone()
            changed[at] += 0.01
            assert saved(tmp_path, tensors | {name: changed}) != before
        assert saved(tmp_path, tensors) == before

    def test_does_not_know_the_files(self, tmp_path: Path) -> None:
        """The same values in shards, in another order, or pickled, are the same model."""
        tensors = {f"layer.{number}": torch.randn(70, 64, dtype=torch.bfloat16) for number in range(4)}
        tensors |= {"count": torch.tensor(3), "none": torch.zeros(0, 2)}
        whole = saved(tmp_path / "whole", tensors)
        names = sorted(tensors, reverse=True)
        assert whole == saved(tmp_path / "shards", *({name: tensors[name]} for name in names))
        pickled = tmp_path / "pickled"
        pickled.mkdir()
        torch.save({name: tensors[name] for name in names}, pickled / "pytorch_model.bin")
        assert digest(Checkpoint("a", "a", pickled, None, {})) == whole

    def test_knows_modules_within_modules(self, tmp_path: Path) -> None:
        """A router keeps its parts in folders of its own."""
        (tmp_path / "modules.json").write_text(json.dumps([{"path": "0_Router"}, {"path": "1_Dense"}]))
        inner = tmp_path / "0_Router" / "document_0_Transformer"
        saved(tmp_path / "1_Dense", {"linear.weight": torch.ones(2, 2)})
        marks = set()
        for value in (1.0, 2.0):
            saved(inner, {"a": torch.full((2, 2), value)})
            marks.add(digest(Checkpoint("a", "a", tmp_path, None, {})))
        assert len(marks) == 2

    @pytest.mark.parametrize("kind", ["none", "adapter"])
    def test_files_that_do_not_tell(
        self, colbert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """An adapter does not hold the model under it: the weights are told by the values in memory."""
        if kind == "adapter":
            (tmp_path / "adapter_config.json").write_text("{}")
            saved(tmp_path, {"a": torch.ones(2)})
        assert digest(Checkpoint("a", "a", tmp_path, None, {})) is None
        monkeypatch.setattr("lateint.encoders.sentence_transformers.digest", lambda _: None)
        in_memory = SentenceTransformersEncoder(MultiVectorEncoder(str(colbert), device="cpu"))
        assert fingerprint(colbert)[0]["weights"] == in_memory.fingerprint["weights"]

    def test_knows_the_weights_of_a_model_in_memory(self, colbert: Path) -> None:
        """It has no files to be told by, and was perhaps trained a minute ago."""
        model = MultiVectorEncoder(str(colbert), device="cpu")
        before, again = (SentenceTransformersEncoder(model).fingerprint for _ in range(2))
        assert before == again
        dense: Any = model[1]
        with torch.no_grad():
            dense.linear.weight += 0.01
        assert SentenceTransformersEncoder(model).fingerprint["weights"] != before["weights"]

    def test_a_model_in_memory_is_the_same_tomorrow(self, colbert: Path) -> None:
        """Its owner loads it again at every start; what is drawn at random then, a pooler, makes no rows."""
        loaded = [MultiVectorEncoder(str(colbert), device="cpu") for _ in range(2)]
        first, second = (SentenceTransformersEncoder(model).fingerprint for model in loaded)
        assert first == second

    def test_half_of_a_model_in_memory(self, colbert: Path) -> None:
        """Filled in float16, searched in float32: precision is a circumstance here as well."""
        model = MultiVectorEncoder(str(colbert), device="cpu")
        whole = SentenceTransformersEncoder(model).fingerprint
        half = SentenceTransformersEncoder(model.half()).fingerprint
        assert {**half, MADE_WITH: whole[MADE_WITH]} == whole
        assert half[MADE_WITH]["precision"] == "float16"

    @pytest.mark.parametrize(
        ("part", "changed"),
        [
            ("skiplist_tasks", {"skiplist_tasks": ["query", "document"]}),
            ("kept_ids", {"keep_only_token_ids": [1, 2]}),
            ("dense", {"activation_function": torch.nn.Tanh()}),
            ("dense", {"use_residual": True}),
            ("unit", {"module_output_name": "elsewhere"}),
        ],
    )
    def test_knows_the_modules(self, colbert: Path, part: str, changed: dict[str, Any]) -> None:
        """Models put together by hand differ where no file and no shape shows it."""
        model = MultiVectorEncoder(str(colbert), device="cpu")
        before = SentenceTransformersEncoder(model).fingerprint
        for module in model:
            for name, value in changed.items():
                if hasattr(module, name) and (part != "unit" or type(module).__name__ == "Normalize"):
                    setattr(module, name, value)
        after = SentenceTransformersEncoder(model).fingerprint
        assert [name for name in before if before[name] != after[name]] == [part]

    def test_precision_is_a_circumstance(self, colbert: Path) -> None:
        """Documents encoded on an accelerator are searched from a CPU."""
        whole, half = fingerprint(colbert), fingerprint(colbert, precision="float16")
        assert whole[0] == half[0]
        assert whole[1] != half[1]


def saved(folder: Path, *files: dict[str, Any]) -> str | None:
    """The digest of a checkpoint with these files of weights."""
    folder.mkdir(exist_ok=True, parents=True)
    for number, tensors in enumerate(files):
        save_file(tensors, folder / f"model-{number}.safetensors", metadata={"format": "pt"})
    return digest(Checkpoint("a", "a", folder, None, {}))


def fingerprint(folder: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What decides, and the circumstances."""
    whole = SentenceTransformersEncoder(folder, device="cpu", **options).fingerprint
    return {part: value for part, value in whole.items() if part != MADE_WITH}, whole[MADE_WITH]


def test_core_needs_none_of_it() -> None:
    """`import lateint` takes a tenth of a second, and works where torch is not installed."""
    heavy = {"torch", "transformers", "sentence_transformers", "tokenizers", "huggingface_hub", "PIL", "safetensors"}
    code = "import sys, lateint, lateint.encoders; lateint.encoder('hashing'); print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())
