"""`lateint doctor`."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, described, json_option
from lateint.cli.output import print_facts, print_table, say
from lateint.engine import registry
from lateint.engine import url as urls

TIMEOUT_S = 10.0

_REMEDY = "If its data are damaged, restore them from a copy, or drop the index and push its documents to a new one."


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

    def wrong(self, error: Exception, *, place: str = "", remedy: str = "") -> None:
        """Note a problem, where it is unless its message says so, and what to do unless the error knows better."""
        parts = described(error)
        problem = parts["message"] or parts["kind"]
        if place not in problem:
            problem = f"{place}: {problem}"
        self.problems.append({"problem": problem, "remedy": parts["hint"] or remedy})


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
        _require_folder(url)
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what was asked for
        findings.wrong(error)
    if as_json:
        answer(asdict(findings))
    else:
        _print(findings)
    if findings.problems:
        context.exit(1)


def absent_folder(url: str) -> Path | None:
    """The folder that a URL names, if it does not exist."""
    folder = urls.parse(url).folder
    return folder if folder is not None and not folder.exists() else None


def _require_folder(url: str) -> None:
    if (folder := absent_folder(url)) is not None:
        raise errors.ConfigurationError(
            f"folder {folder} does not exist.",
            hint="Look for a typing error; if there is none, `lateint create` makes the folder with its first index.",
        )


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
        found: dict[str, Any] = {"name": name, "managed": None, "count": None, "warnings": [], "error": None}
        findings.indexes.append(found)
        try:
            index = client.open(name)
            found |= {"managed": index.info.managed, "warnings": list(index.info.warnings)}
            found["count"] = index.count()
            next(index.scan(with_vectors=True), None)  # damage shows when rows are read
        except Exception as error:  # noqa: BLE001 - the other indexes are to be looked at all the same
            found["error"] = str(error)
            findings.wrong(error, place=f"index {name!r}", remedy=_REMEDY)


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
