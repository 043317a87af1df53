"""`lateint doctor`."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, described, json_option
from lateint.cli.output import amount, print_facts, print_table, say
from lateint.engine import registry
from lateint.engine import url as urls
from lateint.engine.findings import Finding, Severity

TIMEOUT_S = 10.0
"""Seconds for one call."""
TOTAL_S = 60.0
"""Seconds after which nothing more is begun."""

_REMEDY = "If its data are damaged, restore them from a copy, or drop the index and push its documents to a new one."


@dataclass
class Findings:
    """What was found out, as far as it could be."""

    versions: dict[str, str]
    location: str | None = None
    reachable: bool = False
    engine: str | None = None
    version: str | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    indexes: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)

    def note(self, finding: Finding) -> None:
        """Note what the doctor of an engine has found."""
        self.checks.append(asdict(finding))
        if finding.severity is Severity.PROBLEM:
            self.problems.append({"problem": _sentence(self.checks[-1]), "remedy": finding.remedy})

    def wrong(self, error: Exception, *, place: str = "", remedy: str = "") -> None:
        """Note a problem, where it is unless its message says so, and what to do unless the error knows better."""
        parts = described(error)
        problem = parts["message"] or parts["kind"]
        if place not in problem:
            problem = f"{place}: {problem}"
        self.problems.append({"problem": problem, "remedy": parts["hint"] or remedy})

    def choices(self, index: str) -> list[str | None]:
        """What to pass to `open` as the multi-vector, once for each; nothing where there is nothing to open."""
        known = [check["vectors"] for check in self.checks if check["index"] == index and check["vectors"] is not None]
        return [vector for vectors in known for vector in vectors] if known else [None]

    @property
    def explained(self) -> bool:
        """Whether the engine's doctor knows why it cannot be worked with."""
        return any(check["index"] is None and check["severity"] is Severity.PROBLEM for check in self.checks)


@click.command()
@click.argument("url")
@json_option
@click.pass_context
def doctor(context: click.Context, *, url: str, as_json: bool) -> None:
    """Find out what does not work at URL, and what to do about it.

    Writes nothing.
    """
    findings = Findings({"python": platform.python_version(), "lateint": lateint.__version__, **_versions(["numpy"])})
    deadline = time.monotonic() + TOTAL_S
    try:
        findings.versions |= _versions(_modules_for(url))
        _examine_engine(url, findings, deadline)
        policy = lateint.RetryPolicy(attempts=1)
        with lateint.connect(url, read_only=True, timeout_s=TIMEOUT_S, retry=policy) as client:
            _examine_indexes(client, findings, deadline)
        _require_folder(url)
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what was asked for
        if not findings.explained:
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


def _examine_engine(url: str, findings: Findings, deadline: float) -> None:
    """Note what the engine's own doctor says, if it has one."""
    with closing(registry.examine(url, registry.Settings(timeout_s=TIMEOUT_S))) as found:
        for finding in found:
            findings.note(finding)
            if time.monotonic() > deadline:
                return


def _examine_indexes(client: lateint.Client, findings: Findings, deadline: float) -> None:
    """Open every index, count its documents and read one."""
    server = client.server_info()
    findings.reachable = True
    findings.engine, findings.version, findings.location = server.engine, server.version, server.location
    if findings.explained:
        return
    try:
        names = client.list_indexes()
    except errors.UnsupportedFeature as error:
        findings.note(
            Finding(part="indexes", seen=f"not looked at: {error}", severity=Severity.WARNING, remedy=error.hint)
        )
        return
    for position, name in enumerate(names):
        if time.monotonic() > deadline:
            findings.note(
                Finding(
                    part="time",
                    seen=f"{len(names) - position:,} of {amount(len(names), 'index', plural='indexes')} not opened",
                    severity=Severity.WARNING,
                    remedy=f"The doctor stops after {TOTAL_S:.0f} seconds; `lateint show URL INDEX` looks at one.",
                )
            )
            return
        choices = findings.choices(name)
        if not choices:
            findings.indexes.append(_entry(name, None, opened=False))
        for vector in choices:
            findings.indexes.append(_entry(name, vector, opened=True))
            _examine_index(client, findings, findings.indexes[-1])


def _entry(name: str, vector: str | None, *, opened: bool) -> dict[str, Any]:
    unknown: dict[str, Any] = {"managed": None, "count": None, "warnings": [], "error": None}
    return {"name": name, "vector": vector, "opened": opened, **unknown}


def _examine_index(client: lateint.Client, findings: Findings, found: dict[str, Any]) -> None:
    try:
        index = client.open(found["name"], vector=found["vector"])
        found |= {"managed": index.info.managed, "warnings": list(index.info.warnings)}
        found["count"] = index.count()
        next(index.scan(with_vectors=True), None)  # damage shows when rows are read
    except Exception as error:  # noqa: BLE001 - the other indexes are to be looked at all the same
        found["error"] = str(error)
        findings.wrong(error, place=f"index {found['name']!r}", remedy=_REMEDY)


def _print(findings: Findings) -> None:
    connected = f"yes, {findings.engine} {findings.version}".rstrip() if findings.reachable else "no"
    print_facts({**findings.versions, "location": findings.location or "unknown", "connected": connected})
    if findings.checks:
        print_table(
            ("looked at", "is", "seen"),
            [(check["part"], check["severity"].value, check["seen"]) for check in findings.checks],
        )
    if findings.indexes:
        print_table(
            ("index", "documents", "health"),
            [(_label(index), _documents(index), _health(index)) for index in findings.indexes],
        )
    warnings = [check for check in findings.checks if check["severity"] is Severity.WARNING]
    for check in warnings:
        say(f"Warning: {_sentence(check)}", style="yellow")
        if check["remedy"]:
            say(check["remedy"])
    for found in findings.problems:
        say(f"Problem: {found['problem']}", style="bold red")
        if found["remedy"]:
            say(found["remedy"])
    if not findings.problems:
        known = f"; {amount(len(warnings), 'warning')}" if warnings else ""
        say(f"Nothing is wrong{known}.", style="bold green")


def _label(index: dict[str, Any]) -> str:
    return index["name"] if index["vector"] is None else f"{index['name']}, vector {index['vector']!r}"


def _sentence(check: dict[str, Any]) -> str:
    """What was seen, and where unless that says so."""
    sentence = f"{check['seen'].removesuffix('.')}."
    return sentence if check["index"] is not None and check["part"] in sentence else f"{check['part']}: {sentence}"


def _documents(index: dict[str, Any]) -> int | str:
    if not index["opened"]:
        return "-"
    return "?" if index["count"] is None else int(index["count"])


def _health(index: dict[str, Any]) -> str:
    if not index["opened"]:
        return "not opened"
    if index["error"] is not None:
        return "cannot be used"
    adopted = [] if index["managed"] else ["not made by lateint"]
    return "; ".join([*adopted, *index["warnings"]]) or "good"
