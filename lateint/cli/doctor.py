"""`lateint doctor`."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli.output import json_option, print_facts, print_json, print_table, say
from lateint.engine import registry
from lateint.engine import url as urls

TIMEOUT_S = 10.0


@dataclass
class Findings:
    """What was found out, as far as it could be."""

    versions: dict[str, str]
    location: str | None = None
    reachable: bool = False
    engine: str | None = None
    version: str | None = None
    indexes: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)

    def wrong(self, error: Exception) -> None:
        """Note a problem and its remedy."""
        hint = error.hint if isinstance(error, errors.LateintError) else ""
        problem = str(error).removesuffix(hint).rstrip() or type(error).__name__
        self.problems.append({"problem": problem, "remedy": hint})


@click.command()
@click.argument("url")
@json_option
@click.pass_context
def doctor(context: click.Context, *, url: str, as_json: bool) -> None:
    """Find out what does not work at URL, and what to do about it.

    Writes nothing.
    """
    findings = Findings({"python": platform.python_version(), "lateint": lateint.__version__, **_versions(["numpy"])})
    try:
        findings.versions |= _versions(_modules_for(url))
        policy = lateint.RetryPolicy(attempts=1)
        with lateint.connect(url, read_only=True, timeout_s=TIMEOUT_S, retry=policy) as client:
            _examine(client, findings)
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what was asked for
        findings.wrong(error)
    if as_json:
        print_json({"ok": not findings.problems, **asdict(findings)})
    else:
        _print(findings)
    if findings.problems:
        context.exit(1)


def _modules_for(url: str) -> tuple[str, ...]:
    parsed = urls.parse(url)
    variant = registry.plugin(parsed.engine).variants.get(parsed.variant)
    return variant.requires if variant is not None else ()


def _versions(modules: Iterable[str]) -> dict[str, str]:
    """Version of the distribution that each module comes from."""
    owners = metadata.packages_distributions()
    return {owner: metadata.version(owner) for name in modules for owner in owners.get(name, ())[:1]}


def _examine(client: lateint.Client, findings: Findings) -> None:
    server = client.server_info()
    findings.reachable = True
    findings.engine, findings.version, findings.location = server.engine, server.version, server.location
    for name in client.list_indexes():
        try:
            index = client.open(name)
            warnings = list(index.info.warnings)
            known = {"managed": index.info.managed, "count": index.count(), "warnings": warnings, "error": None}
        except errors.LateintError as error:
            known = {"managed": None, "count": None, "warnings": [], "error": str(error)}
            findings.wrong(error)
        findings.indexes.append({"name": name, **known})


def _print(findings: Findings) -> None:
    answers = f"yes, {findings.engine} {findings.version}".rstrip() if findings.reachable else "no"
    print_facts({**findings.versions, "location": findings.location or "unknown", "answers": answers})
    if findings.indexes:
        rows = [
            (index["name"], "?" if index["count"] is None else index["count"], _health(index))
            for index in findings.indexes
        ]
        print_table(("index", "documents", "health"), rows)
    for found in findings.problems:
        say(f"Problem: {found['problem']}", style="bold red")
        if found["remedy"]:
            say(found["remedy"])
    if not findings.problems:
        say("Nothing is wrong.", style="bold green")


def _health(index: dict[str, Any]) -> str:
    if index["error"] is not None:
        return "cannot be used"
    adopted = [] if index["managed"] else ["not made by lateint"]
    return "; ".join([*adopted, *index["warnings"]]) or "good"
