"""JSON that people wrote."""

from __future__ import annotations

import json
from typing import Any

from lateint import errors


def parsed(text: bytes | str) -> Any:  # noqa: ANN401
    """The value that a JSON text stands for.

    Raises:
        InvalidInput: not JSON, too deep, or an object in which a key comes twice: `json` would drop the first.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except errors.InvalidInput:
        raise
    except ValueError as error:
        raise errors.InvalidInput(f"not JSON: {error}.") from error
    except RecursionError as error:
        raise errors.InvalidInput("JSON that is nested too deeply.") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise errors.InvalidInput(f"key {twice!r} comes twice.", hint="Give it once; only one value can be kept.")
    return value
