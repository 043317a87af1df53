"""What versions, applications and schemas mean for lateint, as findings of its doctor. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lateint import errors
from lateint.engine.doors import said
from lateint.engine.findings import Finding, Severity
from lateint_vespa import package
from lateint_vespa.application import Application
from lateint_vespa.schema import MAX_HITS, SINCE, USUAL_HITS, layout_of

_TENSOR = re.compile(r"field\s+(?P<name>\w+)\s+type\s+(?P<type>tensor(?:<\w+>)?\(\s*(?P<dimensions>[^)]*)\))")
_MAPPED = re.compile(r"\w+\s*\{\s*\}")

_FILES = "`lateint schema` writes the files that an application needs for an index."


def of_version(version: str) -> Finding:
    """What a server of this version can do."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if not numbers:
        return Finding(part="version", seen="not told by what is in front of the container")
    if numbers < SINCE:
        since = ".".join(map(str, SINCE))
        return Finding(
            part="version",
            seen=f"{version}; before {since} documents are not visited as JSON lines",
            severity=Severity.PROBLEM,
            remedy=f"Upgrade it to {since} or later.",
        )
    return Finding(part="version", seen=version)


def of_application(active: Application | None, late: Sequence[str]) -> Finding:
    """Whose application is active, and whether it is in use.

    Args:
        active: None if nothing was deployed.
        late: services that do not have it yet, in words.
    """
    part = "application"
    if active is None:
        return Finding(part=part, seen="nothing is deployed: the first index brings one")
    seen = f"generation {active.generation}, " + (
        "deployed by lateint, which adds and drops indexes"
        if active.is_ours
        else "not deployed by lateint, which opens its indexes, and adds none and drops none"
    )
    if late:
        return Finding(
            part=part,
            seen=f"{seen}; not yet in use: {', '.join(late)}",
            severity=Severity.WARNING,
            remedy="Wait a minute. If it stays so, see Vespa's own log (vespa-logfmt) on those hosts.",
        )
    return Finding(part=part, seen=seen if active.is_ours else f"{seen}; {_FILES[:-1]}")


def of_schemas(active: Application, *, has_profile: bool) -> Iterator[Finding]:
    """What the schemas of an application hold for lateint.

    Args:
        active: the application.
        has_profile: it has lateint's query profile.
    """
    if active.indexes and not has_profile:
        yield Finding(
            part="query profile",
            seen=f"{package.PROFILE_FILE} is missing: a search returns {USUAL_HITS} hits at most, not {MAX_HITS:,}",
            severity=Severity.WARNING,
            remedy=_FILES,
        )
    for schema, text in sorted(active.schemas.items()):
        yield _of_schema(schema, text)


def multivectors(text: str) -> list[str]:
    """Fields of a schema that may hold multi-vectors, in words: tensors with labels in one dimension of two."""
    return [
        f"{field['name']!r} ({field['type']})"
        for field in _TENSOR.finditer(text)
        if field["dimensions"].count(",") == 1 and len(_MAPPED.findall(field["dimensions"])) == 1
    ]


def _of_schema(schema: str, text: str) -> Finding:
    part = f"schema {schema!r}"
    try:
        spec = package.spec_in(schema, text)
        if spec is not None:
            package.check_essentials(text, layout_of(spec))
    except errors.SchemaMismatch as error:
        return Finding(part=part, seen=said(error), severity=Severity.WARNING, remedy=error.hint)
    if spec is None:
        found = multivectors(text)
        seen = f"multi-vector {', '.join(found)}" if found else "no multi-vector"
        beside = "; to use them, put an index of lateint beside it and write them there" if found else ""
        return Finding(part=part, seen=f"{seen}, not made by lateint, and not opened{beside}")
    seen = f"index {spec.name!r}, made by lateint, dimension {spec.dim}, {spec.dtype.value}"
    if not package.is_as_written(text):
        return Finding(
            part=part,
            seen=f"{seen}; edited since, or by another version of lateint",
            severity=Severity.WARNING,
            remedy="It is searched, as its vectors and rank profiles are lateint's; index.update() leaves it alone.",
            index=spec.name,
        )
    return Finding(part=part, seen=seen, index=spec.name)
