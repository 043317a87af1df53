"""fastembed, PyLate, colpali-engine and PEFT themselves, on tiny checkpoints: what they make is what lateint makes.

None of them is a dependency, and no two of them agree on the versions of the others: what is not installed is skipped.
"""

# ruff: noqa: E402 - nothing of this can be imported without the extra

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.encoders import (
    AdaptedEncoder,
    check_encoder,
    from_colpali_engine,
    from_fastembed,
    from_pylate,
)

torch = pytest.importorskip("torch", reason="the extra text is not installed")
transformers = pytest.importorskip("transformers", reason="the extra text is not installed")
pytest.importorskip("PIL", reason="the extra vision is not installed")

from lateint.encoders.images import sample_images
from tests.checkpoints import text as tiny
from tests.checkpoints.text import DOCUMENTS, QUERIES

pytestmark = pytest.mark.filterwarnings("default")  # theirs are theirs

CLOSE = 1e-5
"""Between two ways through the same float32 weights."""

NONE = "is not installed, and is no dependency"


def assert_same(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    """Bit for bit: an adapter passes on what the library made."""
    assert [rows.dtype for rows in ours] == [np.float32] * len(theirs)
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def assert_close(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    assert [rows.shape for rows in ours] == [rows.shape for rows in theirs]
    assert max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True)) <= CLOSE


def assert_usable(encoder: AdaptedEncoder, documents: Sequence[Any]) -> None:
    """Sound by our own check, and the scores of its hits are those of its rows."""
    check_encoder(encoder).raise_if_failed()
    with lateint.connect("memory://") as client:
        index = client.create_index(lateint.IndexSpec("a", encoder.dim, encoder=encoder.fingerprint))
        retriever = lateint.Retriever(index, encoder)
        assert retriever.add({str(at): document for at, document in enumerate(documents)}).written == len(documents)
        (query,), rows = encoder.encode_queries(["index"]), encoder.encode_documents(documents)
        for hit in retriever.search("index"):
            assert hit.score == pytest.approx(float((query @ rows[int(hit.id)].T).max(1).sum()), rel=CLOSE)


class TestFastembed:
    """Its model is its name, its files may lie anywhere: a tiny one takes the place of colbertv2.0."""

    @pytest.fixture
    def model(self, tmp_path: Path) -> Any:
        fastembed = pytest.importorskip("fastembed", reason=f"fastembed {NONE}")
        pytest.importorskip("onnx", reason="onnx is not installed: no model can be made for fastembed")
        folder = tiny.build_fastembed(tmp_path / "colbert")
        return fastembed.LateInteractionTextEmbedding(
            "colbert-ir/colbertv2.0",
            specific_model_path=str(folder),
            local_files_only=True,
            providers=["CPUExecutionProvider"],
        )

    def test_adapter(self, model: Any) -> None:
        encoder = from_fastembed(model)
        assert_same(encoder.encode_queries(QUERIES), list(model.query_embed(QUERIES)))
        assert_same(encoder.encode_documents(DOCUMENTS), list(model.embed(DOCUMENTS)))
        assert encoder.encode_documents([]) == []
        assert encoder.fingerprint["rows"]["document"].split()[1] == "128"  # where the tokenizer cuts
        assert_usable(encoder, DOCUMENTS)

    def test_next_to_our_own_loading(self, model: Any, tmp_path: Path) -> None:
        """The same weights through onnxruntime: equal, but for a query of 60 words, which only fastembed keeps whole."""
        ours = lateint.encoder(tmp_path / "colbert", device="cpu")
        theirs = from_fastembed(model)
        assert_close(ours.encode_documents(DOCUMENTS), theirs.encode_documents(DOCUMENTS))
        short = [query for query in QUERIES if len(query.split()) < 30]
        assert_close(ours.encode_queries(short), theirs.encode_queries(short))
        (long,) = set(QUERIES) - set(short)
        assert [len(encoder.encode_queries([long])[0]) for encoder in (ours, theirs)] == [32, 63]

    def test_another_class(self) -> None:
        fastembed = pytest.importorskip("fastembed", reason=f"fastembed {NONE}")
        pages = fastembed.LateInteractionMultimodalEmbedding.__new__(fastembed.LateInteractionMultimodalEmbedding)
        with pytest.raises(errors.ConfigurationError, match="LateInteractionMultimodalEmbedding cannot be adapted"):
            from_fastembed(pages)


TEXT_MODELS = {
    "stanford": tiny.build_bert_colbert,
    "jina": tiny.build_jina_colbert,
    "pylate": tiny.build_bert_pylate,
    "modernbert": tiny.build_modernbert_pylate,
    "xlmr": tiny.build_xlmr_pylate,
}


class TestPylate:
    @pytest.fixture
    def models(self) -> Any:
        return pytest.importorskip("pylate.models", reason=f"PyLate {NONE}")

    @pytest.mark.parametrize("name", TEXT_MODELS)
    def test_adapter(self, models: Any, tmp_path: Path, name: str) -> None:
        model = models.ColBERT(str(TEXT_MODELS[name](tmp_path / name)), device="cpu")
        encoder = from_pylate(model, name=f"tiny/{name}")
        assert_same(encoder.encode_queries(QUERIES), model.encode(QUERIES, is_query=True))
        assert_same(encoder.encode_documents(DOCUMENTS), model.encode(DOCUMENTS, is_query=False))
        assert encoder.encode_queries([]) == []
        assert encoder.max_query_tokens == model.query_length
        assert_usable(encoder, DOCUMENTS)

    @pytest.mark.parametrize("precision", ["float16", "bfloat16"])
    def test_half_precision(self, models: Any, tmp_path: Path, precision: str) -> None:
        """Rows move by more there when they are batched, which is rounding and no defect."""
        folder = tiny.build_modernbert_pylate(tmp_path / "half")
        model = models.ColBERT(str(folder), device="cpu", model_kwargs={"dtype": getattr(torch, precision)})
        encoder = from_pylate(model, name="tiny/half")
        assert encoder.fingerprint["made_with"]["precision"] == precision
        check_encoder(encoder).raise_if_failed()

    def test_adapter_of_peft(self, models: Any, tmp_path: Path) -> None:
        """Encoded as it was trained, or refused: PyLate 1.6.0 pins a transformers that goes on with the base alone."""
        peft = pytest.importorskip("peft", reason=f"peft {NONE}")
        model = models.ColBERT(str(tiny.build_modernbert_pylate(tmp_path / "base")), device="cpu")
        model.add_adapter(peft.LoraConfig(r=4, target_modules=["Wqkv"]))
        trained(model)
        model.save_pretrained(str(tmp_path / "adapter"))
        again = models.ColBERT(str(tmp_path / "adapter"), device="cpu")
        read = any(weights.any() for part, weights in again.named_parameters() if "lora_B" in part)
        if read:
            rows = from_pylate(again, name="a/b").encode_documents(DOCUMENTS)
            assert_same(rows, model.encode(DOCUMENTS, is_query=False))
        else:
            with pytest.raises(errors.ConfigurationError, match="changes nothing"):
                from_pylate(again, name="a/b")


PAGES = {"colpali": "ColPali", "colqwen2": "ColQwen2", "colmodernvbert": "ColModernVBert"}


class TestColpaliEngine:
    @pytest.fixture(params=PAGES)
    def family(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def classes(self) -> ModuleType:
        module: ModuleType = pytest.importorskip("colpali_engine.models", reason=f"colpali-engine {NONE}")
        return module

    @pytest.fixture
    def native(self, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A checkpoint of transformers; colpali-engine's rows always have 128 values."""
        from tests.checkpoints import vision  # noqa: PLC0415 - not of the transformers that PyLate pins

        monkeypatch.setattr(vision, "DIM", 128)
        return vision.BUILDERS[family](tmp_path / "native")

    @pytest.fixture
    def pair(self, classes: ModuleType, native: Path, family: str) -> tuple[Any, Any]:
        """Model and processor of colpali-engine, with the weights of that checkpoint."""
        return engine_model(classes, native, family)

    def test_adapter(self, pair: tuple[Any, Any]) -> None:
        """Pages one at a time, as they are, and queries one at a time: the library alone gives the same bits."""
        model, processor = pair
        encoder = from_colpali_engine(model, processor, name="tiny/pages", batch_size=1)
        with torch.no_grad():
            queries = [model(**processor.process_queries([query]))[0].numpy() for query in QUERIES]
            pages = [model(**processor.process_images([page]))[0].numpy() for page in sample_images()]
        assert_same(encoder.encode_queries(QUERIES), queries)
        assert_same(encoder.encode_documents(sample_images()), pages)
        assert_close(from_colpali_engine(*pair, name="a/b", batch_size=3).encode_documents(sample_images()), pages)
        assert_usable(encoder, sample_images())

    def test_next_to_our_own_encoder(self, pair: tuple[Any, Any], native: Path, family: str) -> None:
        """The same weights in the format of transformers. ColPali's page has one more token in colpali-engine."""
        theirs = from_colpali_engine(*pair, name="tiny/pages").encode_documents(sample_images())
        ours = lateint.encoder(native, device="cpu").encode_documents(sample_images())
        if family == "colpali":
            assert [len(rows) - len(own) for rows, own in zip(theirs, ours, strict=True)] == [1] * len(ours)
        else:
            assert_close(ours, theirs)

    def test_rows_of_the_image_only(self, pair: tuple[Any, Any], native: Path) -> None:
        """colpali-engine makes the others zero, which no index would take."""
        model, processor = pair
        whole = from_colpali_engine(model, processor, name="tiny/pages")
        model.mask_non_image_embeddings = True
        encoder = from_colpali_engine(model, processor, name="tiny/pages")
        rows = encoder.encode_documents(sample_images())
        own = lateint.encoder(native, device="cpu", image_tokens_only=True).encode_documents(sample_images())
        assert [len(page) for page in rows] == [len(page) for page in own]
        assert_usable(encoder, sample_images())
        assert (whole.fingerprint["image_tokens_only"], encoder.fingerprint["image_tokens_only"]) == (False, True)

    def test_half_precision(self, pair: tuple[Any, Any]) -> None:
        model, processor = pair
        check_encoder(from_colpali_engine(model.to(torch.bfloat16), processor, name="a/b")).raise_if_failed()

    def test_files(self, pair: tuple[Any, Any], tmp_path: Path) -> None:
        """A path is a page, a broken file is named."""
        encoder = from_colpali_engine(*pair, name="a/b")
        page = sample_images()[0]
        page.save(tmp_path / "page.png")
        assert_same(encoder.encode_documents([tmp_path / "page.png"]), encoder.encode_documents([page]))
        (tmp_path / "half.png").write_bytes((tmp_path / "page.png").read_bytes()[:100])
        with pytest.raises(errors.InvalidInput, match=r"half\.png"):
            encoder.encode_documents([tmp_path / "half.png"])

    def test_saved(self, pair: tuple[Any, Any], tmp_path: Path) -> None:
        """What it saves is no checkpoint of transformers, and the message says whose it is."""
        pair[0].save_pretrained(tmp_path / "saved")
        with pytest.raises(errors.ConfigurationError, match="from_colpali_engine"):
            lateint.encoder(tmp_path / "saved")

    def test_adapter_of_peft(self, pair: tuple[Any, Any], native: Path, tmp_path: Path) -> None:
        """It is encoded as when it is merged, and is refused where it was not read."""
        peft = pytest.importorskip("peft", reason=f"peft {NONE}")
        model, processor = pair
        where = r".*(language_model|text_model).*(q_proj|Wqkv).*"
        base = from_colpali_engine(model, processor, name="a/b").encode_documents(sample_images())
        adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=where))
        with pytest.raises(errors.ConfigurationError, match="changes nothing"):
            from_colpali_engine(adapted, processor, name="a/b")
        trained(adapted)
        adapted.save_pretrained(tmp_path / "adapter")
        rows = from_colpali_engine(adapted, processor, name="a/b").encode_documents(sample_images())
        merged = from_colpali_engine(adapted.merge_and_unload(), processor, name="a/b")
        assert_close(rows, merged.encode_documents(sample_images()))
        assert max(np.abs(one - other).max() for one, other in zip(rows, base, strict=True)) > 1_000 * CLOSE
        with pytest.raises(errors.ConfigurationError, match=r"holds an adapter of .*from_colpali_engine"):
            lateint.encoder(tmp_path / "adapter")


@pytest.mark.parametrize("build", [tiny.build_bert_pylate, tiny.build_modernbert_pylate, tiny.build_bert_colbert])
class TestPeft:
    """A text model whose folder holds an adapter, and the name of its base."""

    @pytest.fixture
    def saved(self, tmp_path: Path, build: Any) -> tuple[Path, Any]:
        peft = pytest.importorskip("peft", reason=f"peft {NONE}")
        sentence_transformers = pytest.importorskip("sentence_transformers", minversion="6")
        model = sentence_transformers.MultiVectorEncoder(str(build(tmp_path / "base")), device="cpu")
        parts = ["query", "value"] if build is not tiny.build_modernbert_pylate else ["Wqkv"]
        model[0].model.add_adapter(peft.LoraConfig(r=4, target_modules=parts))
        trained(model)
        model.save_pretrained(str(tmp_path / "adapter"))
        return tmp_path / "adapter", model

    def test_is_read(self, saved: tuple[Path, Any], tmp_path: Path) -> None:
        """Equal to the model that was saved and, merged by PEFT, to a checkpoint without any adapter."""
        folder, model = saved
        encoder = lateint.encoder(folder, device="cpu")
        live = list(model.encode_document(list(DOCUMENTS), convert_to_numpy=True))
        assert_close(encoder.encode_documents(DOCUMENTS), live)
        base = lateint.encoder(tmp_path / "base", device="cpu")
        moved = zip(base.encode_documents(DOCUMENTS), live, strict=True)
        assert max(np.abs(one - other).max() for one, other in moved) > 1_000 * CLOSE
        assert encoder.fingerprint["weights"] != base.fingerprint["weights"]
        assert encoder.fingerprint == lateint.encoder(folder, device="cpu").fingerprint
        peft = pytest.importorskip("peft")
        bare = transformers.AutoModel.from_pretrained(tmp_path / "base")
        merged = peft.PeftModel.from_pretrained(bare, folder).merge_and_unload()
        whole = lateint.encoder(tmp_path / "base", device="cpu")
        whole._model[0].model.load_state_dict(merged.state_dict())  # type: ignore[attr-defined]
        assert_close(encoder.encode_documents(DOCUMENTS), whole.encode_documents(DOCUMENTS))

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            ("weights", r"lack weights.*lora_A.*Save the adapter again"),
            ("file", r"an adapter of '.*base', cannot be loaded"),
            ("base", r"an adapter of 'no-such/base', cannot be loaded.*the base is to be had where"),
            ("name", r"an adapter of a model that its settings do not name, cannot be loaded"),
        ],
    )
    def test_is_not_whole(
        self, saved: tuple[Path, Any], damage: str, message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither the base alone nor random weights pass for it."""
        from safetensors.torch import load_file, save_file  # noqa: PLC0415 - comes with torch's extra

        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        folder = saved[0]
        file, settings = folder / "adapter_model.safetensors", folder / "adapter_config.json"
        if damage == "weights":
            save_file(dict(list(load_file(file).items())[1:]), file, metadata={"format": "pt"})
        elif damage == "file":
            file.write_bytes(file.read_bytes()[:2_000])
        else:
            base = "no-such/base" if damage == "base" else None
            settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": base}))
        with pytest.raises(errors.ConfigurationError, match=f"(?s){message}"):
            lateint.encoder(folder, device="cpu")


def trained(model: Any) -> None:
    """Give an adapter something to change."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part, weights in model.named_parameters():
            if "lora_" in part:
                weights.copy_(torch.randn(weights.shape, generator=generator) * 0.3)


def engine_model(classes: ModuleType, native: Path, family: str) -> tuple[Any, Any]:
    """What colpali-engine would have loaded, had the weights been saved by it."""
    name = PAGES[family]
    own = getattr(transformers, f"{name}ForRetrieval").from_pretrained(native)
    model = getattr(classes, name)(own.config.vlm_config).eval()
    inside = {"colpali": "model.model.", "colqwen2": "", "colmodernvbert": "model."}[family]
    weights = {
        part.replace("embedding_proj_layer.", "custom_text_proj.").replace("vlm.", inside, 1): values
        for part, values in own.state_dict().items()
    }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all("lm_head" in part for part in missing)
    processor = getattr(transformers, f"{name}Processor").from_pretrained(native)
    parts = {"image_processor": processor.image_processor, "tokenizer": processor.tokenizer}
    if family == "colqwen2":
        parts["video_processor"] = transformers.Qwen2VLVideoProcessor()
    if family == "colmodernvbert":
        parts["image_seq_len"] = processor.image_seq_len
    return model, getattr(classes, f"{name}Processor")(**parts)
