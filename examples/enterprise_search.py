"""Search in which everybody finds only what they may see: filters on groups, dates and kinds, inside the engine.

    python examples/enterprise_search.py qdrant+edge:///path/of/a/folder --encoder lightonai/LateOn --group sales

The filter is part of the search, not a sieve behind it: there are `k` hits if `k` documents may be seen.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import lateint
from lateint.filters import Filter

DOCUMENTS = (
    ("hr-1", "Holidays are asked for two weeks ahead, in the calendar of the team.", ["everybody"], "policy", 2023),
    ("hr-2", "Salaries are reviewed each spring; the bands are confidential.", ["hr", "board"], "policy", 2025),
    ("sales-1", "The largest customer of the north asks for a discount of ten percent.", ["sales"], "mail", 2025),
    (
        "sales-2",
        "Discounts above five percent need a signature of the head of sales.",
        ["sales", "board"],
        "policy",
        2024,
    ),
    ("it-1", "Passwords are kept in the vault; nobody in IT will ever ask for one.", ["everybody"], "policy", 2022),
    ("board-1", "The board has agreed to open an office in Porto next year.", ["board"], "minutes", 2025),
)


def visible_to(groups: list[str], *, since: int | None = None, kind: str | None = None) -> Filter:
    """What members of some groups may find."""
    condition = lateint.field("groups").is_in([*groups, "everybody"])
    if since is not None:
        condition &= lateint.field("changed") >= datetime(since, 1, 1, tzinfo=UTC)
    if kind is not None:
        condition &= lateint.field("kind") == kind
    return condition


def payload(text: str, groups: list[str], kind: str, year: int) -> dict[str, object]:
    """What is kept beside the vectors, to filter by and to show."""
    return {"text": text, "groups": groups, "kind": kind, "changed": datetime(year, 6, 1, tzinfo=UTC)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--encoder", default="lightonai/LateOn")
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--since", type=int)
    parser.add_argument("--kind")
    parser.add_argument("--question", default="who signs a discount?")
    options = parser.parse_args()

    encoder = lateint.encoder(options.encoder)
    fields = {"groups": "keyword[]", "kind": "keyword", "changed": "datetime"}
    with lateint.connect(options.url) as client:
        spec = lateint.IndexSpec("company", encoder.dim, encoder=encoder.fingerprint, fields=fields)
        retriever = lateint.Retriever(client.create_index(spec), encoder)
        retriever.add((name, text, payload(text, groups, kind, year)) for name, text, groups, kind, year in DOCUMENTS)
        condition = visible_to(options.group, since=options.since, kind=options.kind)
        for hit in retriever.search(options.question, k=5, filter=condition):
            print(f"{hit.score:8.3f}  {hit.id:8}  {(hit.payload or {})['text']}")


if __name__ == "__main__":
    main()
