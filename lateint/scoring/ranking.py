"""Rankings: the best of many scores, and whether two rankings agree, given how far scores may be off.

If every score is within the tolerance of its true value, a document can be ranked above another that is better by up to
twice the tolerance, and by no more. Documents that close are a tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateint import errors


class Fault(StrEnum):
    """What is wrong with a ranking."""

    STRANGER = "stranger"
    REPEATED = "repeated"
    SCORE = "score"
    ORDER = "order"
    SURPLUS = "surplus"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """The first place where a ranking cannot be explained by ties.

    Attributes:
        fault: what is wrong.
        position: in the ranking, from 0; for a missing document the end of the ranking.
        id: the document at fault.
        expected: its true score, NaN for a stranger.
        actual: its score in the ranking, NaN if missing.
        other: the worse document that stands before it, or in its place; empty where none is concerned.
    """

    fault: Fault
    position: int
    id: str
    expected: float
    actual: float
    other: str = ""

    def __str__(self) -> str:
        place = f"position {self.position}: {self.id!r}"
        match self.fault:
            case Fault.STRANGER:
                return f"{place} is not among the documents"
            case Fault.REPEATED:
                return f"{place} was there before"
            case Fault.SCORE:
                return f"{place} has the score {self.actual!r}, the true one is {self.expected!r}"
            case Fault.ORDER:
                return f"{place} stands behind {self.other!r}, which is clearly worse (true score {self.expected!r})"
            case Fault.SURPLUS:
                return f"{place} is more than was asked for"
            case Fault.MISSING:
                instead = f", {self.other!r} is there instead" if self.other else ""
                return f"{self.id!r} is missing (true score {self.expected!r}){instead}"


def top_k(scores: ArrayLike, k: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """The `k` best, highest score first; of equal scores the one with the lower index first.

    Args:
        scores: shape (documents,) or (queries, documents), without NaN.
        k: how many; all where there are fewer.

    Returns:
        Indices and scores, each of shape (k,) or (queries, k).

    Raises:
        InvalidInput: a negative `k`, scores of another shape, or NaN.
    """
    if k < 0:
        raise errors.InvalidInput(f"k={k} is negative.", hint="Ask for 0 or more.")
    values = np.asarray(scores)
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if values.ndim not in {1, 2}:
        raise errors.InvalidInput(f"scores of shape {values.shape}.", hint="Pass (documents,) or (queries, documents).")
    if np.isnan(values).any():
        raise errors.InvalidInput("NaN among the scores cannot be ranked.", hint="Look for NaN in the vectors.")
    if values.ndim == 1:
        best = _best(values, k)
        return best, values[best]
    indices = np.empty((len(values), min(k, values.shape[1])), np.intp)
    for row, found in zip(values, indices, strict=True):
        found[:] = _best(row, k)
    return indices, np.take_along_axis(values, indices, axis=1)


def _best(scores: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Sort what reaches the k-th score only: all that tie with it are among them, in the order of their indices."""
    count = len(scores)
    if k >= count:
        return np.argsort(-scores, kind="stable")
    if k == 0:
        return np.empty(0, np.intp)
    reaching = np.flatnonzero(scores >= np.partition(scores, count - k)[count - k])
    return reaching[np.argsort(-scores[reaching], kind="stable")[:k]]


def tie_groups(ids: Sequence[str], scores: Sequence[float], *, tolerance: float) -> list[set[str]]:
    """Cut a ranking wherever two neighbours are clearly apart.

    Args:
        ids: documents, in any order.
        scores: theirs.
        tolerance: how far a score may be off; neighbours up to twice that apart are tied.

    Returns:
        Groups of tied documents, best first.

    Raises:
        InvalidInput: not as many scores as ids.
    """
    if len(ids) != len(scores):
        raise errors.InvalidInput(f"{len(ids)} ids and {len(scores)} scores.", hint="Pass one score per id.")
    groups: list[set[str]] = []
    last = float("inf")
    for score, name in sorted(zip(scores, ids, strict=True), key=lambda pair: -pair[0]):
        if groups and last - score <= 2 * tolerance:
            groups[-1].add(name)
        else:
            groups.append({name})
        last = score
    return groups


def first_disagreement(
    expected: Mapping[str, float],
    actual: Sequence[tuple[str, float]],
    *,
    tolerance: float | Mapping[str, float],
    k: int | None = None,
) -> Disagreement | None:
    """Whether a ranking is a valid top `k` of the true scores, up to ties, also at the cut.

    Args:
        expected: true score of every document that could be found.
        actual: the ranking, best first.
        tolerance: how far a score may be off, for all documents or for each.
        k: how many were asked for; None takes the length of the ranking, and then one that stops early is not noticed.

    Returns:
        None where it is; else the first fault, from the best document down, then a missing document.
    """
    allowed = tolerance if isinstance(tolerance, Mapping) else dict.fromkeys(expected, tolerance)
    seen: set[str] = set()
    most, worst_id = float("inf"), ""  # what the worst document so far could have scored
    wanted = len(actual) if k is None else k
    for position, (name, score) in enumerate(actual):
        fault = _fault(expected, name, score, allowed, seen=seen, most=most)
        if fault is None and position >= wanted:
            fault = Fault.SURPLUS
        if fault is not None:
            other = worst_id if fault is Fault.ORDER else ""
            true = expected.get(name, float("nan"))
            return Disagreement(fault=fault, position=position, id=name, expected=true, actual=score, other=other)
        seen.add(name)
        if expected[name] + allowed[name] < most:
            most, worst_id = expected[name] + allowed[name], name
    return _missing(expected, seen, allowed, wanted=wanted, most=most, worst_id=worst_id)


def _fault(
    expected: Mapping[str, float], name: str, score: float, allowed: Mapping[str, float], *, seen: set[str], most: float
) -> Fault | None:
    """What is wrong with the next document of a ranking, where one before it could have scored `most` at the most."""
    if name not in expected:
        return Fault.STRANGER
    if name in seen:
        return Fault.REPEATED
    if not abs(score - expected[name]) <= allowed[name]:  # so that NaN is a fault
        return Fault.SCORE
    if expected[name] - allowed[name] > most:
        return Fault.ORDER
    return None


def _missing(
    expected: Mapping[str, float],
    seen: set[str],
    allowed: Mapping[str, float],
    *,
    wanted: int,
    most: float,
    worst_id: str,
) -> Disagreement | None:
    absent = [name for name in expected if name not in seen]
    if not absent or not wanted:
        return None
    best = max(absent, key=lambda name: expected[name] - allowed[name])
    complete = len(seen) >= wanted
    if complete and not expected[best] - allowed[best] > most:
        return None
    return Disagreement(
        fault=Fault.MISSING,
        position=len(seen),
        id=best,
        expected=expected[best],
        actual=float("nan"),
        other=worst_id if complete else "",
    )
