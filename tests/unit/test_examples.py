"""The examples run: they are what people copy."""

from __future__ import annotations

import runpy
import sys
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytest.importorskip("sentence_transformers", reason="the extra text is not installed")


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a shell, in this process: importing torch again would take longer than all the rest."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* were cut there")  # tiny models take few tokens
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture
def url(tmp_path: Path) -> str:
    pytest.importorskip("qdrant_edge", reason="the extra edge is not installed")
    return f"qdrant+edge://{tmp_path}/data"


@pytest.mark.parametrize("model", ["tiny", "hashing"])
class TestExamples:
    """With a tiny checkpoint, whose hits mean nothing, and with the hashing encoder, whose hits must be right."""

    @pytest.fixture
    def encoder(self, model: str, text_model: Path) -> tuple[str, str]:
        return "--encoder", model if model == "hashing" else str(text_model)

    def test_text_search(
        self,
        url: str,
        model: str,
        encoder: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture,
    ) -> None:
        """Three hits with scores, and the proof."""
        run("text_search.py", url, *encoder, monkeypatch=monkeypatch)
        *hits, proof = capsys.readouterr().out.splitlines()
        assert len(hits) == 3
        assert proof.endswith("verified")
        if model == "hashing":
            assert hits[0].split()[1] == "late"

    def test_rag_retriever(
        self,
        url: str,
        model: str,
        encoder: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture,
        tmp_path: Path,
    ) -> None:
        """Passages with ids to cite and scores."""
        manual = tmp_path / "manual.txt"
        manual.write_text("Pigeons fly home.\n\nA promise is a promise:\nnothing is silent.\n\n\n\nThe end.\n")
        run("rag_retriever.py", url, str(manual), *encoder, monkeypatch=monkeypatch)
        passages = capsys.readouterr().out
        assert "[manual.txt#2]" in passages
        assert "A promise is a promise: nothing is silent." in passages
        if model == "hashing":
            assert passages.startswith("[manual.txt#2] ")

    def test_enterprise_search(
        self,
        url: str,
        model: str,
        encoder: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture,
    ) -> None:
        """A salesperson finds what is for sales and for everybody, and nothing of the board."""
        run("enterprise_search.py", url, *encoder, "--group", "sales", "--since", "2023", monkeypatch=monkeypatch)
        found = {line.split()[1] for line in capsys.readouterr().out.splitlines()}
        assert found == {"sales-1", "sales-2", "hr-1"}


def test_every_example_is_run() -> None:
    """One that nobody runs breaks unseen."""
    tested = "".join(path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []
