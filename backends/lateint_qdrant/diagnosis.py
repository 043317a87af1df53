"""What versions and collections mean for lateint, as findings of its doctor. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lateint import errors
from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Capabilities, Feature
from lateint.engine.findings import Finding, Severity
from lateint_qdrant import collection, schema
from lateint_qdrant.access import access_to

_LIMITS = {
    "max_query_limit": "k up to {:,}",
    "upsert_max_batchsize": "{:,} documents in a request",
    "search_max_batchsize": "{:,} searches in a request",
    "max_timeout": "{:,} seconds for a request",
    "max_points_count": "{:,} documents",
    "max_collection_vector_size_bytes": "{:,} bytes of vectors",
    "max_collection_payload_size_bytes": "{:,} bytes of payload",
    "read_rate_limit": "{:,} reads a minute",
    "write_rate_limit": "{:,} writes a minute",
    "filter_max_conditions": "{:,} conditions in a filter",
    "condition_max_size": "{:,} values in a condition",
}
_SWITCHES = {
    "search_allow_exact": "no exact search",
    "unindexed_filtering_retrieve": "filters on fields with a payload index only",
    "unindexed_filtering_update": "deleting by fields with a payload index only",
}


def of_versions(server: str, client: str) -> Finding:
    """The server's version, by itself and beside the client's.

    Qdrant promises that a client and a server of one major version work together if their minor versions are at most
    one apart.

    Args:
        server: its version, as it says.
        client: that of qdrant-client.
    """
    theirs, ours = _numbers(server), _numbers(client)
    seen, ways = f"server {server or 'unknown'}, qdrant-client {client}", []
    if len(theirs) < 2:
        remedy = "Find out which version the server is, and compare."
        return Finding(part="version", seen=seen, severity=Severity.WARNING, remedy=remedy)
    if theirs < schema.MULTIVECTORS_SINCE:
        since = schema.dotted(schema.MULTIVECTORS_SINCE)
        return Finding(
            part="version",
            seen=f"{seen}; a server before {since} has no multi-vectors",
            severity=Severity.PROBLEM,
            remedy=f"Upgrade it to {since} or later, best to the version of the client.",
        )
    bare, apart = theirs < schema.METADATA_SINCE, theirs[0] != ours[0] or abs(theirs[1] - ours[1]) > 1
    if bare:
        seen += "; the server keeps no metadata, so collections can be opened, but indexes cannot be created"
    if apart:
        seen += "; more than one minor version apart, where Qdrant does not promise that they work together"
    if not bare and not apart:
        return Finding(part="version", seen=seen)
    if not bare:
        ways.append(f"install qdrant-client {schema.dotted(theirs)}")
    if theirs < ours:
        ways.append("upgrade the server, one minor version after the other")
    return Finding(part="version", seen=seen, severity=Severity.WARNING, remedy=f"{' or '.join(ways).capitalize()}.")


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor version, as far as they are there."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def of_collection(name: str, found: Any, able: Capabilities) -> Iterator[Finding]:  # noqa: ANN401
    """What a collection holds for lateint, and under which limits.

    Args:
        name: the collection's.
        found: what the server says of it, in the models of its client.
        able: what can be asked of a new index there.
    """
    managed = schema.SPEC_KEY in (found.config.metadata or {})
    vectors = [schema.VECTOR] if managed else sorted(collection.multivectors(found))
    if not vectors:
        there = ", ".join(collection.other_vectors(found, None)) or "no vectors"
        yield Finding(part=_part(name), seen=f"nothing to open: no multi-vector, but {there}", index=name, vectors=())
    for vector in vectors:
        try:
            info = collection.described(name, found, able, vector=vector)
        except errors.LateintError as error:
            if managed:
                return  # opening it says so
            why = str(error).removesuffix(error.hint).rstrip()
            yield Finding(
                part=_part(name), seen=why, severity=Severity.WARNING, remedy=error.hint, index=name, vectors=()
            )
        else:
            yield _multivector(info, found, vector)
    if vectors and _text(found.status) == "red":
        yield Finding(
            part=_part(name),
            seen=f"its state is red: {getattr(found.optimizer_status, 'error', 'the server does not say why')}",
            severity=Severity.PROBLEM if managed else Severity.WARNING,
            remedy="Look into the server's log, and mend what it names.",
            index=name,
        )
    if vectors:
        yield from _strict(name, found.config.strict_mode_config, vectors)


def _multivector(info: IndexInfo, found: Any, vector: str) -> Finding:  # noqa: ANN401
    """One multi-vector that can be opened."""
    vectors, name = collection.multivectors(found), info.name
    params, several = vectors[vector], len(vectors) > 1 and not info.managed
    label = "made by lateint" if info.managed else f"multi-vector {vector!r}" if vector else "an unnamed multi-vector"
    notes = [f"{label}, dimension {info.spec.dim}, {info.spec.dtype.value}, {_text(params.distance)}"]
    remedies = []
    if several:
        notes.append(f"open({name!r}, vector={vector!r})")
    if info.not_carried:
        notes.append(f"not carried: {', '.join(info.not_carried)}")
    notes += [warning.removesuffix(".") for warning in info.warnings]
    if access_to(info).short_cut_warnings:
        notes.append("quantized")
        remedies.append("Search it with exact=True, the default, for scores of what is stored.")
    if _graph(found, params):
        notes.append("HNSW graph")
        remedies.append("Only exact=False takes the graph; m=0 spares the server building it, which takes long.")
    searches = info.capabilities.features & {Feature.EXACT_SEARCH, Feature.APPROXIMATE_SEARCH}
    if Feature.EXACT_SEARCH not in searches:
        remedies.append("Set search_allow_exact to true in its strict mode: lateint searches exactly.")
    severity = Severity.WARNING if info.warnings or remedies else Severity.OK
    return Finding(
        part=_part(name),
        seen="; ".join(notes),
        severity=Severity.PROBLEM if info.managed and not searches else severity,
        remedy=" ".join(remedies),
        index=name,
        vectors=(vector,) if several else None,
    )


def _strict(name: str, strict: Any, vectors: Sequence[str]) -> Iterator[Finding]:  # noqa: ANN401
    """The limits of a collection in strict mode, as far as multi-vectors meet them."""
    if strict is None or not strict.enabled:
        return
    rows = {vector: getattr((strict.multivector_config or {}).get(vector), "max_vectors", None) for vector in vectors}
    limits = [
        *(text.format(value) for key, text in _LIMITS.items() if (value := getattr(strict, key, None)) is not None),
        *(f"{limit:,} rows in {vector!r}" for vector, limit in rows.items() if limit is not None),
        *(text for key, text in _SWITCHES.items() if getattr(strict, key, None) is False),
    ]
    seen = "; ".join(limits) or "no limit that multi-vectors meet"
    yield Finding(part=f"strict mode of {name!r}", seen=seen, index=name)


def _part(name: str) -> str:
    return f"collection {name!r}"


def _graph(found: Any, params: Any) -> bool:  # noqa: ANN401
    """Whether a graph is configured, over all points or over those of a tenant: by the vector, or else by all."""
    own, general = params.hnsw_config, found.config.hnsw_config
    return any(
        getattr(general if getattr(own, edges, None) is None else own, edges, None) for edges in ("m", "payload_m")
    )


def _text(value: Any) -> str:  # noqa: ANN401
    """An enum of the client as its text."""
    return str(getattr(value, "value", value))
