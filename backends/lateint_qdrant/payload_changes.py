"""Turning the payload of a point into another, as operations of Qdrant. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from qdrant_client import models

from lateint_qdrant import schema, translate
from lateint_qdrant.keeping import PointId


def operations(
    point: PointId, old: Mapping[str, Any], new: Mapping[str, Any], *, touched: Collection[str]
) -> Iterator[Any]:
    """Operations that turn one payload of a point into another, and leave alone what is none of their business.

    Qdrant deletes a key that is set to null. To store one, or to delete a key that no path can name, the payload has to
    be written whole.
    """
    changed = {
        name: value for name, value in new.items() if name in touched or name not in old or name in schema.PROJECTED
    }
    gone = translate.paths(tuple(sorted(old.keys() - new.keys())))
    if gone is True or any(value is None for value in changed.values()):
        whole = models.SetPayload(payload=dict(new), points=[point])
        yield models.OverwritePayloadOperation(overwrite_payload=whole)
        return
    if changed:
        yield models.SetPayloadOperation(set_payload=models.SetPayload(payload=changed, points=[point]))
    if gone:
        yield models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=gone, points=[point]))
