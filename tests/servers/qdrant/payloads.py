"""Payloads as the double stores them: as sent, plus a hidden companion beside each boolean.

The engine's Python binding cannot match booleans: `MatchValue(True)` finds nothing. The double therefore writes, beside
every field that holds booleans, a field with their words, looks there when a filter asks for a boolean, and takes them
out again before anything leaves. Companions sit in the same object as the boolean, so that paths, arrays and nested
filters work as on a server.
"""

from __future__ import annotations

from typing import Any

from tests.servers.qdrant.limits import Json

_SUFFIX = "::bool-of-the-double"


def stored(payload: Json, *, replacing: bool = True) -> Json:
    """A payload with companions.

    Args:
        payload: as sent.
        replacing: the point gets this payload and no other; otherwise fields are set among existing ones, and
            companions that these may have must go.
    """
    result: Json = {}
    for name, value in payload.items():
        result[name] = _inner(value)
        words = _words(value)
        if words or not replacing:
            result[name + _SUFFIX] = words
    return result


def visible(payload: Json | None) -> Json | None:
    """A payload without companions."""
    return None if payload is None else _visible(payload)


def companion(path: str) -> str:
    """Path of the companion of the field at a path: `a.b[]` has its words in `a."b::…"[]`."""
    body, brackets = path, ""
    while body.endswith("]") and "[" in body:
        start = body.rindex("[")
        body, brackets = body[:start], body[start:] + brackets
    if body.endswith('"'):
        start = body.rindex('"', 0, -1)
        head, name = body[:start], body[start + 1 : -1]
    else:
        head, dot, name = body.rpartition(".")
        head += dot
    return f'{head}"{name}{_SUFFIX}"{brackets}'


def word(value: bool) -> str:
    """What stands for a boolean."""
    return "true" if value else "false"


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return stored(value)
    if isinstance(value, list):
        return [_inner(element) for element in value]
    return value


def _words(value: Any) -> list[str] | None:
    values = value if isinstance(value, list) else [value]
    return [word(element) for element in values if isinstance(element, bool)] or None


def _visible(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _visible(element) for name, element in value.items() if not name.endswith(_SUFFIX)}
    if isinstance(value, list):
        return [_visible(element) for element in value]
    return value
