"""How a collection is spoken to."""

from __future__ import annotations

from dataclasses import dataclass

from lateint.engine.backend import IndexInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a collection is spoken to; `IndexInfo.native["access"]`.

    Attributes:
        vector: name of the multi-vector; empty for the unnamed one.
        approximate: a search that is not exact takes a short cut.
        smaller_is_better: scores are distances.
        scales_and_rounds: rows are scaled to length 1, and rounded to float16 after that.
        score_warnings: what to know of every score.
        short_cut_warnings: what to know of the scores of a search that takes the short cut.
        filterable: payload keys that a filter may use; None for all.
        deletable: the same for deleting by a filter.
        max_points: most points of one upsert.
        max_queries: most searches of one batch.
        max_timeout_s: most seconds that a request may ask for.
    """

    vector: str
    approximate: bool = False
    smaller_is_better: bool = False
    scales_and_rounds: bool = False
    score_warnings: tuple[str, ...] = ()
    short_cut_warnings: tuple[str, ...] = ()
    filterable: frozenset[str] | None = None
    deletable: frozenset[str] | None = None
    max_points: int | None = None
    max_queries: int | None = None
    max_timeout_s: int | None = None


def access_to(index: IndexInfo) -> Access:
    """How to speak to the collection of an index."""
    found: Access = index.native["access"]
    return found
