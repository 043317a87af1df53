"""`lateint demo`."""

from __future__ import annotations

import json
import platform
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli import corpus
from lateint.cli.answers import answer, json_option
from lateint.cli.output import amount, print_table, progress, say, stopwatch
from lateint.cli.search import as_data, summary
from lateint.encoders import HashingEncoder
from lateint.engine import registry
from lateint.engine import url as urls

INDEX = "stdlib"
FIELDS = {"module": "keyword", "kind": "keyword", "line": "integer"}
QUESTIONS = (
    "How do I parse a JSON document?",
    "run a command and capture its output",
    "recursivly copy a directry tree",
)
HITS = 5


@click.command()
@click.argument("question", nargs=-1)
@click.option("--url", help="Use this server or folder, and leave the index there; a temporary folder if left out.")
@json_option
def demo(*, question: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Index Python's own documentation, ask it, prove the answers.

    Indexed are the docstrings of the standard library of the Python that runs this. A QUESTION replaces the sample
    questions. The encoder needs no model: it matches words by their spelling, so that typos and plurals are found and
    synonyms are not.
    """
    questions = [" ".join(question)] if question else list(QUESTIONS)
    entries = _entries()
    encoder = HashingEncoder()
    spec = lateint.IndexSpec(INDEX, encoder.dim, fields=FIELDS, encoder=encoder.fingerprint)
    with _place(url) as place, lateint.connect(place) as client:
        location = client.server_info().location
        say(f"Using {location}.")
        if INDEX in client.list_indexes():
            raise errors.IndexExists(
                f"index {INDEX!r} exists at {location}.", hint=f"The demo makes its own: lateint drop {place} {INDEX}"
            )
        retriever = lateint.Retriever(client.create_index(spec), encoder)
        writing = _write(retriever, entries)
        answers = [_ask(retriever, text, as_json=as_json) for text in questions]
        report = _verify(retriever, entries, questions)
    if as_json:
        data = {"location": location, "index": INDEX, "documents": len(entries), "write_seconds": round(writing, 3)}
        answer({**data, "answers": answers, "verification": json.loads(report.to_json())})
    report.raise_if_failed()
    say(_next_steps(url))


def _entries() -> tuple[corpus.Entry, ...]:
    root = _root()
    with stopwatch() as seconds:
        found = corpus.read(root)
    if not found.entries:
        raise errors.ConfigurationError(
            f"no docstrings in {root}.",
            hint="Run the demo with a Python whose standard library lies in a folder, as source.",
        )
    say(f"Read {amount(len(found.entries), 'docstring')} of Python {platform.python_version()} in {seconds():.1f} s.")
    for path, reason in found.broken.items():
        say(f"Skipped {path}: {reason}")
    return found.entries


def _root() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


@contextmanager
def _place(url: str | None) -> Iterator[str]:
    """Where the index goes: an engine that runs in this process and keeps a folder, or memory if there is none."""
    if url is not None:
        yield url
        return
    embedded = [(scheme, variant) for scheme, variant in _variants() if urls.parse(variant.example).folder is not None]
    for scheme, variant in embedded:
        if not registry.missing(variant):
            with TemporaryDirectory(prefix="lateint-") as folder:
                parsed = urls.parse(f"{scheme}://")
                yield str(urls.EngineURL(parsed.engine, parsed.variant, folder=Path(folder)))
            return
    say("No engine that runs in this process is installed, so this uses the reference scorer in memory.")
    yield "memory://"


def _variants() -> Iterator[tuple[str, registry.Variant]]:
    """Scheme and variant of every engine whose plugin loads."""
    for scheme in registry.entry_points():
        try:
            plugin = registry.plugin(scheme)
        except Exception as error:  # noqa: BLE001 - somebody else's broken plugin is no reason to fail
            say(f"Skipped {scheme}: {error}")
            continue
        for name, variant in plugin.variants.items():
            yield (f"{scheme}+{name}" if name else scheme), variant


def _write(retriever: lateint.Retriever, entries: Sequence[corpus.Entry]) -> float:
    items = [(entry.id, entry.text, entry.payload) for entry in entries]
    with stopwatch() as seconds, progress() as step:
        report = retriever.add(items, progress=step)
    say(f"Encoded and wrote {amount(report.written, 'document')} in {seconds():.1f} s.")
    return seconds()


def _ask(retriever: lateint.Retriever, text: str, *, as_json: bool) -> dict[str, Any]:
    with stopwatch() as seconds:
        result = retriever.search(text, HITS, payload=["summary"])
    say(f"\n{text}", style="bold")
    if not as_json:
        rows = [(rank, hit.score, hit.id, (hit.payload or {})["summary"]) for rank, hit in enumerate(result, start=1)]
        print_table(("", "score", "id", "summary"), rows)
    say(summary(result, seconds=seconds()))
    return as_data(result, query=text, seconds=seconds())


def _verify(
    retriever: lateint.Retriever, entries: Iterable[corpus.Entry], questions: list[str]
) -> lateint.VerificationReport:
    encoder = retriever.encoder
    documents = (
        lateint.Document(entry.id, encoder.encode_documents([entry.text])[0], entry.payload) for entry in entries
    )
    queries = encoder.encode_queries(questions)
    with stopwatch() as seconds, progress() as step:
        report = lateint.verify(retriever.index, against=documents, queries=queries, progress=step)
    say(_verdict(report, seconds=seconds()), style="bold")
    return report


def _verdict(report: lateint.VerificationReport, *, seconds: float) -> str:
    if not report.ok:
        return f"\nNot verified:\n{report.to_markdown()}"
    return (
        f"\nVerified in {seconds:.1f} s: {amount(report.scores_compared, 'score')} as the reference says, "
        f"{amount(report.documents, 'document')} as given."
    )


def _next_steps(url: str | None) -> str:
    if url is not None:
        return f'Next:\n  lateint search {url} {INDEX} "your own question"\n  lateint drop {url} {INDEX}'
    examples = [variant.example for _, variant in _variants()]
    servers = [example for example in examples if urls.parse(example).host]
    folders = [example for example in examples if urls.parse(example).folder is not None]
    example = [*servers, *folders, "engine://host:port"][0]
    return (
        f"Next, keep the index and ask it more:\n  lateint demo --url {example}\n"
        f'  lateint search {example} {INDEX} "your own question"'
    )
