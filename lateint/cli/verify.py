"""`lateint verify`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, json_option
from lateint.cli.documents import read_queries
from lateint.cli.encoders import Chosen, checked_encoder, encoder_options
from lateint.cli.output import plain, progress, say, stopwatch


@click.command()
@click.argument("url")
@click.argument("index")
@click.option(
    "--queries",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON lines, {"text": "…"} or {"vectors": [[…], …]}; made from stored documents if left out.',
)
@click.option("--sample", type=click.IntRange(min=1), help="How many documents to read; all if left out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample and the made queries.")
@encoder_options
@json_option
def verify(
    *,
    url: str,
    index: str,
    queries: Path | None,
    sample: int | None,
    seed: int,
    encoder: Chosen,
    as_json: bool,
) -> None:
    """Check that INDEX returns what it should.

    Compares every score and every ranking with the reference. Prints a report in Markdown, and exits with 3 if it is
    not a good one.
    """
    if encoder.name is not None and queries is None:
        raise click.UsageError("--encoder is for the texts of --queries.")
    with lateint.connect(url, read_only=True) as client:
        opened = client.open(index)
        make = cache(lambda: checked_encoder(opened, encoder))
        asked = None if queries is None else list(read_queries(queries, make))
        if asked == []:
            raise errors.ConfigurationError(
                f"{queries} holds no queries: nothing would be asked.",
                hint="Write one on each line, or omit --queries.",
            )
        with stopwatch() as seconds, progress() as step:
            report = lateint.verify(opened, queries=asked, sample=sample, seed=seed, progress=step)
    if as_json:
        answer(json.loads(report.to_json()))
    else:
        click.echo(plain(report.to_markdown(), keep="\n"))
    say(f"{'Verified' if report.ok else 'Not verified'} in {seconds():.1f} s.")
    report.raise_if_failed()
