"""Ten pages with words on them, from their files to hits: encoded, written, found by the engine's own MaxSim, verified."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip("PIL", reason="the extra vision is not installed")
pytest.importorskip("torch", reason="the extra vision is not installed")

from PIL import Image, ImageDraw

import lateint
from lateint.encoders.images import list_images
from lateint.encoders.vision import VisionEncoder
from tests.servers.discovery import FoundServer
from tests.servers.vespa.discovery import VespaServer

WORDS = ("invoice", "menu", "trains", "contract", "revenue", "harbour", "bread", "neighbour", "button", "minutes")
QUESTIONS = ("when does the train leave?", "tax", "who signed the contract of the harbour, and when?")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of several sizes, half of them JPEG."""
    folder = tmp_path_factory.mktemp("pages")
    for at, word in enumerate(WORDS):
        page = Image.new("RGB", (96 + 8 * at, 150 - 6 * at), "white")
        drawing = ImageDraw.Draw(page)
        drawing.text((8, 10 + 8 * at), word, fill="black")
        drawing.rectangle((8, 110 - 8 * at, 20 + 8 * at, 120 - 8 * at), fill=(20 * at, 0, 255 - 20 * at))
        page.save(folder / f"{word}.{'png' if at % 2 else 'jpg'}")
    return {path.name: path for path in list_images(folder)}


@pytest.fixture(scope="module", params=["colpali", "colqwen2", "colmodernvbert"])
def encoder(request: pytest.FixtureRequest, page_models: dict[str, Path]) -> VisionEncoder:
    return VisionEncoder(page_models[request.param])


@pytest.fixture(params=["memory", "embedded", "qdrant", "vespa", "weaviate"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[lateint.Client]:
    if request.param == "memory":
        opened = lateint.connect("memory://")
    elif request.param == "embedded":
        pytest.importorskip("qdrant_edge")
        opened = lateint.connect(f"qdrant+edge://{tmp_path}")
    else:
        pytest.importorskip({"qdrant": "qdrant_client", "vespa": "lateint_vespa"}.get(request.param, request.param))
        server: FoundServer | VespaServer = request.getfixturevalue(f"{request.param}_server")
        opened = lateint.connect(server.url, api_key=getattr(server, "api_key", None))
    with opened:
        yield opened


def test_from_files_to_hits(client: lateint.Client, encoder: VisionEncoder, pages: dict[str, Path]) -> None:
    """Nothing of a page is lost or changed between its file and the score that a user sees."""
    spec = lateint.IndexSpec(f"Pages{uuid4().hex[:8]}", encoder.dim, encoder=encoder.fingerprint)
    index = client.create_index(spec)
    try:
        retriever = lateint.Retriever(index, encoder)
        assert retriever.add(pages).written == len(WORDS)
        rows = encoder.encode_documents(list(pages.values()))
        documents = [lateint.Document(name, vectors) for name, vectors in zip(pages, rows, strict=True)]
        report = lateint.verify(index, against=documents, queries=encoder.encode_queries(QUESTIONS))
        report.raise_if_failed()
        assert report.scores_compared == len(WORDS) * len(QUESTIONS)
        assert report.exact
        for question in QUESTIONS:
            assert {hit.id for hit in retriever.search(question, k=len(WORDS))} == pages.keys()
        reopened = lateint.Retriever(client.open(spec.name), encoder)  # the index knows who made its vectors
        assert next(iter(reopened.search(QUESTIONS[0], k=1))).id in pages
    finally:
        client.drop_index(spec.name)


def test_the_example(
    page_models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """It is what people copy: five pages with their scores, and where on the best one the answer stands."""
    pytest.importorskip("qdrant_edge")
    example = Path(__file__).parents[2] / "examples" / "page_images.py"
    arguments = [f"qdrant+edge://{tmp_path}/data", "--encoder", str(page_models["colqwen2"])]
    monkeypatch.setattr(sys, "argv", [example.name, *arguments])
    runpy.run_path(str(example), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    hits, patches = lines[:5], lines[5:]
    assert all(line.endswith(".png") for line in hits)
    assert 1 <= len(patches) <= 3
    assert all(line.startswith(hits[0].split()[1]) and "of 9, column" in line for line in patches)
