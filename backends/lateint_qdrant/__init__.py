"""Qdrant: `qdrant+edge:///folder` runs its engine inside the process.

Importing this package imports no engine.
"""

from __future__ import annotations

from lateint.engine.registry import Plugin, Variant

__all__ = ["plugin"]

plugin = Plugin(
    scheme="qdrant",
    variants={
        "edge": Variant(
            summary="Qdrant's engine inside this process, data in a folder",
            example="qdrant+edge:///path/of/a/folder",
            connect="lateint_qdrant.edge:connect",
            requires=("qdrant_edge",),
            install="lateint[edge]",
        )
    },
)
