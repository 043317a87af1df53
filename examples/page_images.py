"""Search in pages by what they look like: no OCR, no layout analysis, the images themselves.

    python examples/page_images.py qdrant+edge:///path/of/a/folder scans/ --encoder vidore/colpali-v1.3-hf

Without a folder of PNG or JPEG files, ten pages are drawn. The model tells which part of a page each row stands for, so
for the best page the patches are shown that answered the question.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw

import lateint
from lateint.encoders.base import Patch, Tracing
from lateint.encoders.images import list_images

PAGES = {
    "invoice": "Invoice 2024-17: total due 1,240.00",
    "menu": "Menu of the day: soup, trout, plum cake",
    "timetable": "Trains to Porto: 7:12, 9:12, 11:12",
    "contract": "Contract of lease, signed in March",
    "chart": "Revenue by quarter: 3.1, 3.4, 2.9, 4.0",
    "map": "Map of the harbour and its piers",
    "recipe": "Bread: flour, water, salt, two hours",
    "letter": "Dear neighbour, the lift is being repaired",
    "manual": "Press and hold the button for ten seconds",
    "minutes": "Minutes of the board: an office abroad",
}


def draw_pages(folder: Path) -> None:
    """Ten pages with a few words on each."""
    for name, words in PAGES.items():
        page = Image.new("RGB", (420, 594), "white")
        drawing = ImageDraw.Draw(page)
        for line, word in enumerate(words.split()):
            drawing.text((40, 60 + 40 * line), word, fill="black")
        drawing.rectangle((40, 500, 40 + 12 * len(words) % 340, 540), outline="black", width=3)
        page.save(folder / f"{name}.png")


def answering_patches(encoder: Tracing, question: str, page: Path, *, most: int = 3) -> list[Patch]:
    """The patches of a page that rows of the question match best, most matched first."""
    (query,), (document,) = encoder.trace_queries([question]), encoder.trace_documents([page])
    best = (query.vectors.astype(np.float32) @ document.vectors.astype(np.float32).T).argmax(axis=1)
    rows, counts = np.unique(best, return_counts=True)
    matched = [document.origins[row] for row in rows[np.argsort(-counts, kind="stable")]]
    return [origin for origin in matched if isinstance(origin, Patch)][:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--encoder", default="vidore/colpali-v1.3-hf")
    parser.add_argument("--question", default="when does the train leave?")
    options = parser.parse_args()

    encoder = lateint.encoder(options.encoder)
    with TemporaryDirectory() as drawn, lateint.connect(options.url) as client:
        folder = options.folder or Path(drawn)
        if options.folder is None:
            draw_pages(folder)
        spec = lateint.IndexSpec("pages", encoder.dim, encoder=encoder.fingerprint)
        retriever = lateint.Retriever(client.create_index(spec), encoder)
        retriever.add((page.relative_to(folder).as_posix(), page) for page in list_images(folder))
        hits = list(retriever.search(options.question, k=5))
        for hit in hits:
            print(f"{hit.score:8.3f}  {hit.id}")
        if isinstance(encoder, Tracing):
            for patch in answering_patches(encoder, options.question, folder / hits[0].id):
                rows, columns = patch.grid
                print(f"{hits[0].id}: row {patch.row + 1} of {rows}, column {patch.column + 1} of {columns}")


if __name__ == "__main__":
    main()
