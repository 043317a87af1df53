"""`lateint encoder check`."""

from __future__ import annotations

from dataclasses import asdict

import click

import lateint
from lateint.cli.answers import answer, json_option
from lateint.cli.output import print_table, say, stopwatch


@click.group()
def encoder() -> None:
    """Look at an encoder."""


@encoder.command()
@click.argument("name")
@click.option("--dim", type=int, help="Keep this many values of each row.")
@click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model.")
@json_option
def check(*, name: str, dim: int | None, trust_remote_code: bool, as_json: bool) -> None:
    """Try out whether NAME gives what MaxSim needs.

    Rows must be finite, of length 1 and no padding, and the same alone, beside others and again. NAME is a model on the
    hub, a folder that holds one, or 'hashing'. Exits with 3 if it is not to be trusted.
    """
    with stopwatch() as seconds:
        tried = lateint.encoder(name, dim=dim, trust_remote_code=trust_remote_code)
        report = lateint.check_encoder(tried)
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        answer({"encoder": name, "fingerprint": dict(tried.fingerprint), "findings": findings})
    else:
        print_table(("check", "", "seen"), [(part.name, part.status, part.detail) for part in report.findings])
    say(f"{'No defect found' if report.ok else 'Not to be trusted'}, in {seconds():.1f} s.")
    report.raise_if_failed()
