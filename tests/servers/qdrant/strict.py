"""Strict mode: limits that a collection carries itself. All are kept and returned; these are enforced (texts: source)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.servers.qdrant.limits import Json, Kind, Refused

Settings = dict[str, Any]


def active(config: Json) -> Settings:
    """The limits of a collection; none unless strict mode is enabled."""
    settings: Settings = config.get("strict_mode_config") or {}
    return settings if settings.get("enabled") else {}


def check_batch(settings: Settings, count: int, name: str) -> None:
    """`upsert_max_batchsize`: `name` is "upsert limit" or "update limit"."""
    _check_limit(settings.get("upsert_max_batchsize"), count, name)


def check_search_batch(settings: Settings, count: int) -> None:
    """`search_max_batchsize`."""
    _check_limit(settings.get("search_max_batchsize"), count, "search batch size")


def check_rows(settings: Settings, name: str, rows: int) -> None:
    """`multivector_config`: how many rows a multi-vector may have."""
    limit = (settings.get("multivector_config") or {}).get(name, {}).get("max_vectors")
    if limit is not None and rows > limit:
        text = f"Multivector '{name}' has a limit of {limit} vectors, but {rows} were provided!"
        raise _refused(text, "Reduce the number of vectors.")


def check_points(settings: Settings, count: int) -> None:
    """`max_points_count`."""
    limit = settings.get("max_points_count")
    if limit is not None and count > limit:
        raise Refused(Kind.INVALID, f"Bad request: Max points count limit of {limit} reached!")


def check_read(settings: Settings, request: Json, schema: Json) -> None:
    """`max_query_limit` and `unindexed_filtering_retrieve` of a search or scroll."""
    _check_limit(settings.get("max_query_limit"), request.get("limit", 10), "limit")
    check_filter(settings, request.get("filter"), schema, "unindexed_filtering_retrieve")


def check_query(settings: Settings, request: Json, schema: Json, *, has_graph: bool, vector: str) -> None:
    """What a search adds: `search_allow_exact`, which a vector without a graph offends by any search."""
    params = request.get("params") or {}
    _check_limit(settings.get("search_max_hnsw_ef"), params.get("hnsw_ef"), "hnsw_ef")
    if settings.get("search_allow_exact") is False:
        if not has_graph and not request.get("prefetch"):
            where = f" on '{vector}'" if vector else ""
            raise _refused(
                f"Request is forbidden{where} because global vector indexing is disabled (hnsw_config.m = 0)",
                "Use tenant-specific filter, enable global vector indexing or enable strict mode "
                "`search_allow_exact` option",
            )
        if params.get("exact"):
            raise _refused("Exact search disabled!", "Set exact=false.")
    check_read(settings, request, schema)


def check_filter(settings: Settings, condition: Json | None, schema: Json, switch: str) -> None:
    """`unindexed_filtering_retrieve` or `..._update`, and `filter_max_conditions`."""
    if condition is None:
        return
    keys = list(_keys(condition))
    limit = settings.get("filter_max_conditions")
    if limit is not None and len(keys) > limit:
        raise _refused(
            f"Filter condition limit reached ({len(keys)} > {limit})", "Reduce the amount of conditions of your filter."
        )
    if settings.get(switch) is not False:
        return
    for key, kinds in keys:
        if key and key.replace('"', "") not in {name.replace('"', "") for name in schema}:
            text = f'Index required but not found for "{key}" of one of the following types: [{", ".join(kinds)}]'
            raise _refused(text, "Create an index for this key or use a different filter.")


def _keys(condition: Json) -> Iterator[tuple[str, list[str]]]:
    """Field and fitting kinds of index of every condition; an empty field where none is needed."""
    for clause in ("must", "should", "must_not"):
        parts = condition.get(clause) or []
        for part in parts if isinstance(parts, list) else [parts]:
            yield from _keys(part)
    for part in (condition.get("min_should") or {}).get("conditions", []):
        yield from _keys(part)
    if "key" in condition:
        yield condition["key"], _kinds(condition)
    elif set(condition) & {"has_id", "has_vector", "slice", "is_empty", "is_null"}:
        field = condition.get("is_empty") or condition.get("is_null")
        yield (field["key"], _ALL) if field else ("", [])
    elif "nested" in condition:
        for key, kinds in _keys(condition["nested"]["filter"]):
            yield f"{condition['nested']['key']}[].{key}", kinds


_ALL = ["bool", "datetime", "float", "geo", "integer", "keyword", "text", "uuid"]


def _kinds(condition: Json) -> list[str]:
    match condition:
        case {"match": {"value": bool()}}:
            return ["bool"]
        case {"match": {"value": int()}} | {"match": {"any": [int(), *_]}}:
            return ["integer"]
        case {"match": {"value": _}} | {"match": {"any": _}} | {"match": {"except": _}}:
            return ["keyword", "uuid"]
        case {"range": bounds} if any(isinstance(bound, str) for bound in bounds.values()):
            return ["datetime"]
        case {"range": _}:
            return ["float", "integer"]
    return _ALL


def _check_limit(limit: int | None, value: int | None, name: str) -> None:
    if limit is not None and value is not None and value > limit:
        text = f'Limit exceeded {value} > {limit} for "{name}"'
        raise _refused(text, f'Reduce the "{name}" parameter to or below {limit}.')


def _refused(text: str, remedy: str) -> Refused:
    return Refused(Kind.INVALID, f"Bad request: {text}. Help: {remedy}")
