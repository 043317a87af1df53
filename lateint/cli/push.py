"""`lateint push`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli.documents import ARRAY_SUFFIXES, LINE_SUFFIXES, STDIN, Reader
from lateint.cli.encoders import encoder_for, encoder_option
from lateint.cli.output import amount, json_option, print_json, print_table, progress, say, stopwatch
from lateint.encoders import Encoder
from lateint.engine.prepare import prepared_document
from lateint.retriever import check_encoder_of


def _files(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    known = (*LINE_SUFFIXES, *ARRAY_SUFFIXES)
    for path in paths:
        if path != STDIN and path.suffix not in known:
            raise click.BadParameter(f"{path}: a file of this kind cannot be read; {', '.join(known)} can.")
    return paths


@click.command()
@click.argument("url")
@click.argument("index")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    callback=_files,
)
@encoder_option
@click.option("--on-error", type=click.Choice(["raise", "report"]), default="raise", show_default=True)
@click.option("--dry-run", is_flag=True, help="Read and check everything, and write nothing.")
@json_option
def push(
    *,
    url: str,
    index: str,
    files: tuple[Path, ...],
    encoder: str | None,
    on_error: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the documents in files to INDEX.

    A document replaces the one of the same id. What a FILE holds:

    \b
    .jsonl, .ndjson, or - for standard input, a line a document:
      {"id": "a-1", "text": "what to encode", "payload": {"year": 2024}}
    .npz, .safetensors, with these arrays:
      tokens   (rows, dim)       float32, float16; bfloat16 in safetensors
      offsets  (documents + 1,)  integers: where each document begins and ends
      ids      (documents,)      lines of UTF-8 as uint8; text in npz
      payload  (documents,)      optional: JSON objects, kept like ids

    With --on-error report, what is wrong is left out and listed, and the exit code is 4.
    """  # noqa: D301 - the escape is click's mark for lines to leave alone
    with lateint.connect(url, read_only=dry_run) as client:
        opened = client.open(index, write=not dry_run)
        reader = Reader(opened.spec, lambda: _checked_encoder(opened, encoder), goes_on=on_error == "report")
        documents = reader.documents(files)
        with stopwatch() as seconds, progress() as step:
            try:
                if dry_run:
                    report = _checked(documents, opened, goes_on=reader.goes_on)
                else:
                    report = opened.write(documents, on_error=on_error, progress=step)
            except (errors.InvalidInput, errors.BackendError) as error:
                if error.report is not None and as_json:
                    print_json(_as_data(error.report, opened, dry_run=dry_run))
                raise
        report = lateint.WriteReport(
            written=report.written, failed=(*reader.failed, *report.failed), retries=report.retries
        )
        if as_json:
            print_json(_as_data(report, opened, dry_run=dry_run))
        elif report.failed:
            print_table(("not written", "reason"), [(failure.id, failure.reason) for failure in report.failed])
        retries = f", {amount(report.retries, 'retry', plural='retries')}" if report.retries else ""
        verb = "Could write" if dry_run else "Wrote"
        say(f"{verb} {amount(report.written, 'document')} to index {index!r} in {seconds():.1f} s{retries}.")
    report.raise_for_failures()


def _checked_encoder(index: lateint.Index, chosen: str | None) -> Encoder:
    encoder = encoder_for(index, chosen)
    check_encoder_of(index, encoder)
    return encoder


def _checked(documents: Iterable[lateint.Document], index: lateint.Index, *, goes_on: bool) -> lateint.WriteReport:
    """What a write would report, as far as can be known without writing."""
    good = 0
    failed: list[lateint.WriteFailure] = []
    for document in documents:
        try:
            prepared_document(document, index.info)
            good += 1
        except errors.InvalidInput as error:
            if not goes_on:
                raise
            failed.append(lateint.WriteFailure(str(document.id), str(error)))
    return lateint.WriteReport(written=good, failed=tuple(failed))


def _as_data(report: lateint.WriteReport, index: lateint.Index, *, dry_run: bool) -> dict[str, Any]:
    return {
        "index": index.name,
        "dry_run": dry_run,
        "written": 0 if dry_run else report.written,
        "could_write": report.written if dry_run else None,
        "failed": [
            {"id": failure.id, "reason": failure.reason, "retryable": failure.retryable} for failure in report.failed
        ],
        "retries": report.retries,
    }
