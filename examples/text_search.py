"""Search texts by meaning: encode, index, search, prove.

    python examples/text_search.py qdrant+edge:///path/of/a/folder --encoder lightonai/LateOn

Any engine's URL will do, and any late-interaction model: a name on the hub or a folder. `--encoder hashing` needs no
model, and matches words by their spelling.
"""

from __future__ import annotations

import argparse

import lateint

TEXTS = {
    "late": "Late interaction keeps one vector per token, and compares them only when a query comes.",
    "single": "A single-vector model squeezes a whole passage into one point before anybody has asked anything.",
    "maxsim": "MaxSim finds, for each token of the query, its best match in the document, and sums these.",
    "bm25": "BM25 counts words: it finds what is spelt alike and nothing that is only meant alike.",
    "pigeon": "Pigeons find their way home over hundreds of miles, nobody is quite sure how.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--encoder", default="lightonai/LateOn")
    parser.add_argument("--question", default="how are token vectors compared?")
    options = parser.parse_args()

    encoder = lateint.encoder(options.encoder)
    with lateint.connect(options.url) as client:
        index = client.create_index(lateint.IndexSpec("texts", encoder.dim, encoder=encoder.fingerprint))
        retriever = lateint.Retriever(index, encoder)
        retriever.add((name, text, {"text": text}) for name, text in TEXTS.items())
        for hit in retriever.search(options.question, k=3):
            print(f"{hit.score:8.3f}  {hit.id:8}  {(hit.payload or {})['text']}")
        print(lateint.verify(index).to_markdown().splitlines()[0])


if __name__ == "__main__":
    main()
