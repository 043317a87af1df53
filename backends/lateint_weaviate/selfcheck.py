"""What a server says of one stored document, held against the truth. Pure.

A server may come to score in another way: a newer version (one that would score cosine collections by cosine is in the
making), or a class that was changed. Its scores would look as they always did. A document that lost a part of its index
entries looks wrong too, and is another matter: it only needs to be written again. The two differ in this: whatever rows
are left, a sum of largest dot products is never above the truth, and grows fourfold for a query of twice as long rows
that comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lateint import errors
from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Feature
from lateint.scoring import maxsim, tolerance
from lateint.vectors import MultiVector, normalized, row_norms
from lateint_weaviate.collection import warned

MOST = 3
"""Documents to look at, as long as they are wrong."""

_ROWS = 32


@dataclass(frozen=True, slots=True)
class Comparison:
    """One document, asked for with its own rows.

    Attributes:
        uuid: its object.
        rows: as stored.
        score: the server's; None where it gives none, or was not asked because the dimension is another.
        larger: the score of the larger query, where it was asked for.
    """

    uuid: str
    rows: MultiVector
    score: float | None = None
    larger: float | None = None


def query(rows: MultiVector, index: IndexInfo) -> MultiVector:
    """What to ask with: the first rows of the document, as a search would send them."""
    return normalized(rows[:_ROWS]) if index.spec.normalize else rows[:_ROWS]


def larger(asked: MultiVector) -> MultiVector:
    """A query of which every MaxSim is four times as large."""
    return np.concatenate((2 * asked, 2 * asked))


def judged(index: IndexInfo, seen: Sequence[Comparison]) -> IndexInfo:
    """The index, with what is to be thought of it.

    Args:
        index: as described.
        seen: documents in turn, up to the first that is right.

    Raises:
        SchemaMismatch: an index of lateint that is scored in another way than it was made for.
    """
    faults = [fault for fault in (wrong(index, each) for each in seen) if fault is not None]
    if not faults:
        return index
    listed = "; ".join(faults)
    if len(faults) < len(seen) or not any(_is_drift(index, each) for each in seen):
        warning = f"Documents are not indexed as they are stored, and scored too low: {listed}. Write them again."
        return warned(index, warning)
    if index.managed:
        raise errors.SchemaMismatch(
            f"index {index.name!r} is not scored as it should be: {listed}.",
            hint="Look at what changed on the server (its version, the class); copy the documents into a new index.",
        )
    return replace(
        index,
        capabilities=replace(
            index.capabilities,
            features=index.capabilities.features - {Feature.EXACT_SEARCH, Feature.APPROXIMATE_SEARCH},
        ),
        warnings=(
            *index.warnings,
            f"Its scores are not MaxSim: {listed}. It can be read and copied, and not searched.",
        ),
    )


def wrong(index: IndexInfo, seen: Comparison) -> str | None:
    """What is wrong; None if nothing is."""
    if seen.rows.shape[1] != index.spec.dim:
        return f"object {seen.uuid} has {seen.rows.shape[1]} dimensions instead of {index.spec.dim}"
    true, allowed = _truth(index, seen)
    if seen.score is not None and abs(seen.score - true) <= allowed:
        return None
    found = "no score" if seen.score is None else f"{seen.score:.7g}"
    return f"object {seen.uuid} has {found} for a query of its own rows, where MaxSim is {true:.7g}"


def _is_drift(index: IndexInfo, seen: Comparison) -> bool:
    """Whether no rows that were lost could explain the score."""
    if seen.rows.shape[1] != index.spec.dim:
        return True
    true, allowed = _truth(index, seen)
    if seen.score is None or seen.larger is None:
        return False
    return seen.score > true + allowed or abs(seen.larger - 4 * seen.score) > 8 * allowed


def _truth(index: IndexInfo, seen: Comparison) -> tuple[float, float]:
    """The true score, and how far a server may be off."""
    asked = query(seen.rows, index)
    true = maxsim(asked, seen.rows)
    norm = float(row_norms(asked).max() * row_norms(seen.rows).max())
    return true, float(tolerance(rows=len(asked), dim=asked.shape[1], score=true, norm=norm))
