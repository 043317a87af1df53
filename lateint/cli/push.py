"""`lateint push`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, json_option
from lateint.cli.documents import ARRAY_SUFFIXES, LINE_SUFFIXES, STDIN, Reader
from lateint.cli.encoders import Chosen, checked_encoder, encoder_options
from lateint.cli.output import amount, print_table, progress, say, stopwatch
from lateint.encoders.images import SUFFIXES
from lateint.engine.prepare import prepared_document


def _files(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    known = (*LINE_SUFFIXES, *ARRAY_SUFFIXES)
    for path in paths:
        if path != STDIN and path.suffix not in known and not path.is_dir():
            page = (
                " Of a page name the folder, or write lines with its path." if path.suffix.lower() in SUFFIXES else ""
            )
            raise click.BadParameter(f"{path}: a file of this kind cannot be read; {', '.join(known)} can.{page}")
        if path == STDIN and sys.stdin is None:
            raise click.BadParameter("-: standard input is closed. Pipe something into it, or name a file.")
    return paths


@click.command()
@click.argument("url")
@click.argument("index")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
    callback=_files,
)
@encoder_options
@click.option("--on-error", type=click.Choice(["raise", "report"]), default="raise", show_default=True)
@click.option("--dry-run", is_flag=True, help="Read and check everything, and write nothing.")
@json_option
def push(
    *,
    url: str,
    index: str,
    files: tuple[Path, ...],
    encoder: Chosen,
    on_error: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the documents in files to INDEX.

    A document replaces the one of the same id. What a FILE holds:

    \b
    .jsonl, .ndjson, or - for standard input, a line a document:
      {"id": "a-1", "text": "what to encode", "payload": {"year": 2024}}
      {"id": "p-1", "image": "scans/p-1.png", "payload": {"year": 2024}}
    .npz, .safetensors, with these arrays:
      tokens   (rows, dim)       float32, float16; bfloat16 in safetensors
      offsets  (documents + 1,)  integers: where each document begins and ends
      ids      (documents,)      lines of UTF-8 as uint8; text in npz
      payload  (documents,)      optional: JSON objects, kept like ids
    a folder, with an encoder of page images:
      PNG and JPEG files; the id of a page is its path in the folder

    With --on-error report, what is wrong is left out and listed, and the exit code is 4.
    """  # noqa: D301 - the escape is click's mark for lines to leave alone
    with lateint.connect(url, read_only=dry_run) as client:
        opened = client.open(index, write=not dry_run)
        make = partial(checked_encoder, opened, encoder)
        documents = Reader(opened.spec, make).documents(files)
        with stopwatch() as seconds, progress() as step:
            try:
                if dry_run:
                    good, report = _checked(documents, opened, on_error=on_error)
                else:
                    report = opened._write(documents, on_error=on_error, progress=step, total=None)  # noqa: SLF001 - it takes bad lines among the good
                    good = report.written
            except BaseException as error:
                if as_json:
                    answer(_as_data(getattr(error, "report", None), opened, dry_run=dry_run))
                raise
        report = _said_once(report)
        if as_json:
            answer(_as_data(report, opened, dry_run=dry_run, could_write=good if dry_run else None))
        elif report.failed:
            print_table(("not written", "reason"), [(failure.id, failure.reason) for failure in report.failed])
        retries = f", {amount(report.retries, 'retry', plural='retries')}" if report.retries else ""
        verb = "Could write" if dry_run else "Wrote"
        say(f"{verb} {amount(good, 'document')} to index {index!r} in {seconds():.1f} s{retries}.")
    if dry_run and report.failed:
        raise errors.PartialWrite(f"{amount(len(report.failed), 'document')} could not be written.")
    report.raise_for_failures()


def _checked(
    documents: Iterable[lateint.Document | errors.InvalidInput], index: lateint.Index, *, on_error: str
) -> tuple[int, lateint.WriteReport]:
    """How many documents a write would take, and what else it would report, as far as can be known without writing."""
    good = 0
    failed: list[lateint.WriteFailure] = []
    for document in documents:
        try:
            prepared_document(document, index.info)
            good += 1
        except errors.InvalidInput as error:
            name = document.document if isinstance(document, errors.InvalidInput) else document.id
            failed.append(lateint.WriteFailure(str(name), str(error)))
            if on_error == "raise":
                error.report = lateint.WriteReport(failed=tuple(failed))
                raise
    return good, lateint.WriteReport(failed=tuple(failed))


def _said_once(report: lateint.WriteReport) -> lateint.WriteReport:
    """Without the place of a bad line in its reason: it stands for the id already."""
    failed = (replace(failure, reason=failure.reason.removeprefix(f"{failure.id}: ")) for failure in report.failed)
    return replace(report, failed=tuple(failed))


def _as_data(
    report: lateint.WriteReport | None, index: lateint.Index, *, dry_run: bool, could_write: int | None = None
) -> dict[str, Any]:
    """A report as JSON; null for what is not known."""
    return {
        "index": index.name,
        "dry_run": dry_run,
        "written": 0 if dry_run else report.written if report is not None else None,
        "could_write": could_write,
        "failed": [asdict(failure) for failure in _said_once(report).failed] if report is not None else [],
        "retries": report.retries if report is not None else None,
    }
