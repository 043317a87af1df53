"""Text models that are not whole, or not what they are taken for: refused, with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import lateint
from lateint import errors

pytest.importorskip("torch", reason="the extra text is not installed")
pytest.importorskip("sentence_transformers", reason="the extra text is not installed")

from lateint.encoders.checkpoint import resolve
from tests.checkpoints import text as tiny


@pytest.mark.parametrize("build", [tiny.build_bert_colbert, tiny.build_jina_colbert, tiny.build_xlmr_pylate])
def test_missing_tokenizer(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    """transformers makes an empty one up: every text of as many words would be the same to the model."""
    folder = build(tmp_path / "mute")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(errors.ConfigurationError, match=r"tokenizer of model 'mute' knows none.*tokenizer\.json"):
        lateint.encoder(folder, device="cpu")


@pytest.mark.parametrize("name", ["config.json", "config_sentence_transformers.json", "adapter_config.json"])
def test_broken_settings(tmp_path: Path, name: str) -> None:
    """The file is named, by its path."""
    folder = tiny.build_bert_pylate(tmp_path / "broken")
    (folder / name).write_text("{")
    if name == "adapter_config.json":
        (folder / "model.safetensors").unlink()
    with pytest.raises(errors.ConfigurationError, match=f"{name} is not JSON"):
        lateint.encoder(folder, device="cpu")


@pytest.mark.skipif(find_spec("peft") is not None, reason="peft is installed: test_encoders_real.py has the rest")
def test_adapter_without_peft(tmp_path: Path) -> None:
    """What to install is said; the base alone would be another model."""
    folder = tiny.build_bert_pylate(tmp_path / "adapter")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base", "peft_type": "LORA"}')
    with pytest.raises(errors.MissingDependency, match=r"adapter of 'org/base', and peft is not.*pip install peft"):
        lateint.encoder(folder, device="cpu")


def test_merged_by_colpali_engine(tmp_path: Path) -> None:
    """It has a configuration as any model has, and a class that only colpali-engine knows."""
    folder = tiny.build_single_vector(tmp_path / "merged")
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["ColQwen2"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        errors.ConfigurationError, match=r"\(ColQwen2\) was saved by colpali-engine.*from_colpali_engine"
    ):
        lateint.encoder(folder)


def test_colpali_engine_has_its_own_way(tmp_path: Path) -> None:
    """Its checkpoints are adapters of another model, which only it can put together."""
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "vidore/colpaligemma-3b"}')
    with pytest.raises(errors.ConfigurationError, match=r"adapter of 'vidore/colpaligemma-3b'.*from_colpali_engine"):
        lateint.encoder(tmp_path)


def test_what_brings_the_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name on the hub it is not known yet whether it takes texts or pages."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(errors.MissingDependency, match=r'"lateint\[text\]", or "lateint\[vision\]" for page images'):
        resolve("org/model")
