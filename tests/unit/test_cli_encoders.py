"""Encoders on the command line: a folder for a name, text and pages in, and what is said when it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import lateint
from lateint import errors
from lateint.cli.app import app
from lateint.encoders.base import MADE_WITH

pytest.importorskip("sentence_transformers", reason="the extra text is not installed")
pytest.importorskip("qdrant_edge", reason="the extra edge is not installed")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"qdrant+edge://{tmp_path}/data"


LINES = "\n".join(
    json.dumps({"id": name, "text": text}) for name, text in (("a", "pigeons carry letters"), ("b", "an index"))
)


def test_from_text_to_hits(url: str, text_model: Path) -> None:
    """The whole way with a model in a folder; `create` keeps its fingerprint, and `push` and `search` compare it."""
    options = ("--encoder", str(text_model))
    created = json.loads(run("create", url, "notes", *options, "--json").stdout)
    assert created["spec"]["dim"] == 32
    assert created["spec"]["encoder"]["kind"] == "sentence-transformers"
    assert run("push", url, "notes", "-", *options, stdin=LINES).exit_code == 0
    found = json.loads(run("search", url, "notes", "pigeons carry letters", *options, "--json").stdout)
    assert [hit["id"] for hit in found["hits"]] == ["a", "b"]
    assert run("verify", url, "notes").exit_code == 0


def test_shorter_rows(url: str, text_model: Path) -> None:
    """An index of cut rows is searched with cut queries, without being told again."""
    options = ("--encoder", str(text_model))
    assert run("create", url, "notes", *options, "--dim", "16").exit_code == 0
    assert run("push", url, "notes", "-", *options, stdin=LINES).exit_code == 0
    assert run("search", url, "notes", "pigeons", *options).exit_code == 0


def test_another_model_is_refused(url: str, text_model: Path, tmp_path: Path) -> None:
    """Its rows have the same shape and mean something else."""
    from tests.checkpoints.text import build_bert_colbert  # noqa: PLC0415 - torch is not for every test

    other = build_bert_colbert(tmp_path / "other", query_length=24)
    assert run("create", url, "notes", "--encoder", str(text_model)).exit_code == 0
    refused = run("search", url, "notes", "pigeons", "--encoder", str(other))
    assert refused.exit_code == 2
    assert "query.length is 24 here and 32 in the index" in refused.stderr


def test_a_folder_has_to_be_named_again(url: str, text_model: Path) -> None:
    """Where a model lies is not for an index to say."""
    run("create", url, "notes", "--encoder", str(text_model))
    refused = run("search", url, "notes", "pigeons")
    assert refused.exit_code == 2
    assert "Pass the folder as --encoder" in refused.stderr


def test_a_model_of_the_hub_is_found_by_its_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the commit that the index was made with, and never with code that comes along."""
    asked: list[Any] = []

    def encoder(name: str, **options: Any) -> Any:
        asked.append((name, options))
        return lateint.encoders.HashingEncoder(dim=8)

    fingerprint = {"kind": "sentence-transformers", "dim": 8, MADE_WITH: {"model": "org/model", "revision": "c0ffee"}}
    with lateint.connect(url) as client:
        client.create_index(lateint.IndexSpec("notes", 8, encoder=fingerprint))
    monkeypatch.setattr(lateint, "encoder", encoder)
    run("search", url, "notes", "pigeons")
    how = {"device": None, "precision": None, "trust_remote_code": False}
    assert asked == [("org/model", {"revision": "c0ffee", "dim": 8, **how})]
    run("search", url, "notes", "pigeons", "--device", "cuda:1", "--precision", "float16")
    assert asked[1][1] | how == asked[0][1]
    assert (asked[1][1]["device"], asked[1][1]["precision"]) == ("cuda:1", "float16")


def test_longer_documents_of_an_index_made_in_python(url: str, text_model: Path) -> None:
    """There is no option for it, and none is needed: the index says how its encoder was told to cut."""
    encoder = lateint.encoder(text_model, document_length=60, device="cpu")
    with lateint.connect(url) as client:
        client.create_index(lateint.IndexSpec("notes", encoder.dim, encoder=encoder.fingerprint))
    options = ("--encoder", str(text_model))
    pushed = run("push", url, "notes", "-", *options, stdin=LINES)
    assert pushed.exit_code == 0, pushed.stderr
    assert run("search", url, "notes", "pigeons", *options).exit_code == 0


def test_verify_compares_the_encoder(url: str, text_model: Path, tmp_path: Path) -> None:
    """Queries of another model prove nothing of the searches that the index is for."""
    from tests.checkpoints.text import build_bert_colbert  # noqa: PLC0415 - torch is not for every test

    other = build_bert_colbert(tmp_path / "other", query_length=24)
    options = ("--encoder", str(text_model))
    run("create", url, "notes", *options)
    run("push", url, "notes", "-", *options, stdin=LINES)
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"text": "pigeons"}')
    assert run("verify", url, "notes", "--queries", str(queries), *options).exit_code == 0
    refused = run("verify", url, "notes", "--queries", str(queries), "--encoder", str(other))
    assert refused.exit_code == 2
    assert "was made with another encoder" in refused.stderr


def test_options_that_would_do_nothing(url: str, text_model: Path, page_models: dict[str, Path]) -> None:
    """Somebody who asks for a GPU, or for fewer rows, is told that it is not so."""
    run("create", url, "notes", "--encoder", "hashing")
    refused = run("search", url, "notes", "pigeons", "--device", "cuda")
    assert refused.exit_code == 2
    assert "hashing has no weights: device would do nothing" in refused.stderr
    with pytest.raises(errors.ConfigurationError, match="takes texts: image_tokens_only would do nothing"):
        lateint.encoder(text_model, image_tokens_only=True)
    with pytest.raises(errors.ConfigurationError, match="takes images of pages: document_length would do nothing"):
        lateint.encoder(page_models["colpali"], document_length=60)


def test_offline(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to set or to pass is said, and no traceback."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused = run("create", url, "notes", "--encoder", "no-such/model")
    assert refused.exit_code == 2
    for word in ("is not on this machine", "HF_HUB_OFFLINE", "HF_HOME", "folder"):
        assert word in refused.stderr


class TestPages:
    """Page images: a folder of them, or lines that name them."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        pil = pytest.importorskip("PIL.Image", reason="the extra vision is not installed")
        (tmp_path / "scans" / "more").mkdir(parents=True)
        for name, colour in (("a.png", "red"), ("more/b.jpg", "blue")):
            pil.new("RGB", (80, 60), colour).save(tmp_path / "scans" / name)
        return tmp_path / "scans"

    def test_a_folder(self, url: str, folder: Path, page_models: dict[str, Path]) -> None:
        """The id of a page is its path in the folder."""
        options = ("--encoder", str(page_models["colpali"]))
        assert run("create", url, "pages", *options).exit_code == 0
        pushed = run("push", url, "pages", str(folder), *options)
        assert pushed.exit_code == 0, pushed.stderr
        found = json.loads(run("search", url, "pages", "red", *options, "--json").stdout)
        assert {hit["id"] for hit in found["hits"]} == {"a.png", "more/b.jpg"}

    def test_lines(self, url: str, folder: Path, page_models: dict[str, Path]) -> None:
        """With a payload; a page that is not there, or a text, costs itself only."""
        options = ("--encoder", str(page_models["colpali"]))
        run("create", url, "pages", *options, "--field", "year:integer")
        lines = [
            {"id": "p", "image": str(folder / "a.png"), "payload": {"year": 2024}},
            {"id": "q", "image": str(folder / "none.png")},
            {"id": "r", "text": "a text"},
            {"id": "s", "image": "https://example.org/p.png"},
        ]
        pushed = run(
            "push", url, "pages", "-", *options, "--on-error", "report", stdin="\n".join(map(json.dumps, lines))
        )
        assert pushed.exit_code == 4
        assert "stdin:2\t" in pushed.stdout
        assert "none.png" in pushed.stdout
        assert "stdin:4\timage 'https://example.org/p.png' is a URL, and none is fetched" in pushed.stdout
        assert "stdin:3\tthis is a text, and the encoder takes images." in pushed.stdout
        assert "Wrote 1 document" in pushed.stderr

    def test_a_broken_page(self, url: str, folder: Path, page_models: dict[str, Path]) -> None:
        """Named, and once; those beside it are written where that was asked for."""
        options = ("--encoder", str(page_models["colpali"]))
        run("create", url, "pages", *options)
        broken = folder / "b.png"
        broken.write_bytes((folder / "a.png").read_bytes()[:60])
        refused = run("push", url, "pages", str(folder), *options)
        assert refused.exit_code == 1
        assert refused.stderr.count(str(broken)) == 1
        reported = run("push", url, "pages", str(folder), *options, "--on-error", "report")
        assert reported.exit_code == 4
        assert "Wrote 2 documents" in reported.stderr

    def test_a_page_by_its_own_path(self, url: str, folder: Path) -> None:
        """What can be named instead is said."""
        refused = run("push", url, "pages", str(folder / "a.png"))
        assert refused.exit_code == 2
        assert "Of a page name the folder" in " ".join(refused.stderr.split())

    def test_rows_of_the_image_only(self, url: str, folder: Path, page_models: dict[str, Path]) -> None:
        """An index made so in Python is filled and searched so, without being told again."""
        encoder = lateint.encoder(page_models["colpali"], image_tokens_only=True, device="cpu")
        with lateint.connect(url) as client:
            client.create_index(lateint.IndexSpec("pages", encoder.dim, encoder=encoder.fingerprint))
        options = ("--encoder", str(page_models["colpali"]))
        pushed = run("push", url, "pages", str(folder), *options)
        assert pushed.exit_code == 0, pushed.stderr
        with lateint.connect(url) as client:
            (page,) = client.open("pages").get(["a.png"], with_vectors=True)
        assert page.vectors is not None
        assert len(page.vectors) == 16
        assert run("search", url, "pages", "red", *options).exit_code == 0

    def test_a_folder_for_a_text_model(self, url: str, folder: Path, text_model: Path) -> None:
        options = ("--encoder", str(text_model))
        run("create", url, "pages", *options)
        refused = run("push", url, "pages", str(folder), *options)
        assert refused.exit_code == 1
        assert "this is an image, and the encoder takes texts" in refused.stderr


@pytest.mark.filterwarnings("ignore:.* were cut there")
class TestCheck:
    """`lateint encoder check`."""

    def test_a_good_one(self, text_model: Path) -> None:
        told = json.loads(run("encoder", "check", str(text_model), "--json").stdout)
        assert told["ok"]
        assert {finding["status"] for finding in told["findings"]} == {"ok", "skipped"}

    def test_the_one_without_weights(self) -> None:
        """The first thing to try out where no model is at hand."""
        assert run("encoder", "check", "hashing").exit_code == 0

    def test_one_that_is_not_to_be_trusted(self, text_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit code 3, as for an index that does not verify."""
        monkeypatch.setattr("lateint.encoders.sentence_transformers.SentenceTransformersEncoder._shaped", doubled)
        told = run("encoder", "check", str(text_model))
        assert told.exit_code == 3
        assert "queries: length 1\tfailed" in told.stdout
        assert "the encoder is not to be trusted" in told.stderr


def doubled(_: Any, rows: Any) -> Any:
    return 2 * rows
