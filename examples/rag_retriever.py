"""The retrieving half of retrieval-augmented generation: a question in, passages with ids and scores out.

    python examples/rag_retriever.py qdrant+edge:///path/of/a/folder manual.txt --encoder lightonai/LateOn

`passages_for` is all that a generating model needs: what to quote, and what to cite. Cutting texts into passages,
prompts and models are not lateint's business; here a passage is a paragraph.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lateint


@dataclass(frozen=True)
class Passage:
    """What to quote and what to cite.

    Attributes:
        id: of the passage: file and paragraph.
        score: how well it matches; higher is better, comparable within one question.
        text: what it says.
    """

    id: str
    score: float
    text: str


def passages_for(question: str, retriever: lateint.Retriever, *, k: int = 3) -> list[Passage]:
    """The `k` passages that answer a question best."""
    return [
        Passage(hit.id, hit.score, str((hit.payload or {})["text"]))
        for hit in retriever.search(question, k, payload=["text"])
    ]


def paragraphs(path: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each paragraph of a file with an id to cite."""
    blocks = (" ".join(block.split()) for block in path.read_text("utf-8").split("\n\n"))
    for number, text in enumerate(filter(None, blocks), start=1):
        yield f"{path.name}#{number}", text, {"text": text, "file": path.name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--encoder", default="lightonai/LateOn")
    parser.add_argument("--question", default="what does lateint promise?")
    options = parser.parse_args()

    encoder = lateint.encoder(options.encoder)
    with lateint.connect(options.url) as client:
        spec = lateint.IndexSpec("passages", encoder.dim, encoder=encoder.fingerprint, fields={"file": "keyword"})
        retriever = lateint.Retriever(client.create_index(spec), encoder)
        retriever.add(paragraph for path in options.files for paragraph in paragraphs(path))
        for passage in passages_for(options.question, retriever):
            print(f"[{passage.id}] {passage.score:.3f}\n{passage.text}\n")


if __name__ == "__main__":
    main()
