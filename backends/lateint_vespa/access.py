"""How the schema of an index is spoken to; `IndexInfo.native["access"]`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lateint.engine.backend import IndexInfo
from lateint_vespa.schema import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is known of a schema.

    Attributes:
        layout: as it was when the index was opened.
        query_profile: the application has lateint's.
    """

    layout: Layout
    query_profile: bool


def access(index: IndexInfo) -> Access:
    """How to speak to the schema of an index."""
    found: Access = index.native["access"]
    return found


def layout(index: IndexInfo) -> Layout:
    """The layout of an index with the fields that its handle knows, which may be more than it was opened with."""
    return replace(access(index).layout, fields=dict(index.spec.fields))
