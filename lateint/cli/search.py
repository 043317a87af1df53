"""`lateint search`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

import lateint
from lateint import filters
from lateint.cli.answers import answer, json_option
from lateint.cli.encoders import Chosen, encoder_for, encoder_options
from lateint.cli.output import amount, print_table, say, stopwatch
from lateint.cli.parsing import parsed
from lateint.spec import suggestion


def _filter(_: click.Context, __: click.Parameter, text: str | None) -> filters.Filter | None:
    try:
        return None if text is None else filters.from_json(parsed(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("url")
@click.argument("index")
@click.argument("text")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many hits.")
@click.option("--filter", "condition", callback=_filter, metavar="JSON", help="Only documents that pass.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="A payload field to return; all if left out.")
@encoder_options
@json_option
def search(
    *,
    url: str,
    index: str,
    text: str,
    k: int,
    condition: filters.Filter | None,
    fields: tuple[str, ...],
    encoder: Chosen,
    as_json: bool,
) -> None:
    """Search INDEX for TEXT.

    A filter is JSON: {"field": "year", "op": ">=", "value": 2020}, with op one of ==, !=, <, <=, >, >=, in, exists; or
    {"and": […]}, {"or": […]}, {"not": …}, {"ids": […]}.
    """
    with lateint.connect(url, read_only=True) as client:
        opened = client.open(index)
        retriever = lateint.Retriever(opened, encoder_for(opened, encoder))
        with stopwatch() as seconds:
            result = retriever.search(text, k, filter=condition, payload=fields or True)
    _warn_of_unknown(fields, opened.spec, result)
    if as_json:
        answer(as_data(result, query=text, seconds=seconds()))
    else:
        rows = [(rank, hit.score, hit.id, hit.payload or {}) for rank, hit in enumerate(result, start=1)]
        print_table(("", "score", "id", "payload"), rows)
    say(summary(result, seconds=seconds()))


def _warn_of_unknown(fields: Iterable[str], spec: lateint.IndexSpec, result: lateint.SearchResult) -> None:
    """A field that no hit has may be a misspelt one; the engine takes any name."""
    known = {*spec.fields, *(name for hit in result for name in hit.payload or {})}
    for name in fields:
        if result and name not in known:
            say(f"Warning: no hit has a field {name!r}. {suggestion(name, known)}", style="yellow")


def as_data(result: lateint.SearchResult, *, query: str, seconds: float) -> dict[str, Any]:
    """A result as JSON."""
    return {
        "query": query,
        "seconds": round(seconds, 6),
        "exact": result.exact,
        "candidates": result.candidates,
        "warnings": list(result.warnings),
        "hits": [{"id": hit.id, "score": hit.score, "payload": hit.payload} for hit in result],
    }


def summary(result: lateint.SearchResult, *, seconds: float) -> str:
    """How much was found, how, and in what time."""
    manner = "exact" if result.exact else "approximate"
    of = f" of {result.candidates:,} scored" if result.candidates is not None else ""
    lines = [f"{amount(len(result), 'hit')}{of}, {manner}, {1000 * seconds:.1f} ms."]
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in result.warnings)])
