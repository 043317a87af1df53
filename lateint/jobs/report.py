"""What a verification found, as data, JSON and Markdown."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from lateint import errors

REPORT_VERSION = 1
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ScoreError:
    """One score of the engine beside the reference.

    Attributes:
        query: number of the query, from 0.
        id: the document.
        expected: MaxSim sum by the float64 reference.
        actual: what the engine returned.
        tolerance: how far apart the two may be.
    """

    query: int
    id: str
    expected: float
    actual: float
    tolerance: float

    @property
    def error(self) -> float:
        """Distance between the two."""
        return abs(self.actual - self.expected)

    @property
    def ratio(self) -> float:
        """Distance in tolerances: above 1 is wrong. Infinite for a score that is NaN."""
        if math.isnan(self.error):
            return math.inf
        return self.error / self.tolerance if self.tolerance else float(self.error > 0)

    @classmethod
    def none(cls) -> ScoreError:
        """The error when nothing was compared."""
        return cls(-1, "", 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class RankDisagreement:
    """A ranking that no tie explains.

    Attributes:
        query: number of the query, from 0.
        reason: the first document out of place, and by how much.
    """

    query: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """What `lateint.verify` found.

    Attributes:
        backend: name of the backend.
        index: name of the index.
        dtype: its storage format.
        documents: distinct ids that a scan gave.
        counted: documents by the engine's own count.
        documents_read: documents whose reference scores were computed.
        queries: queries asked.
        scores_compared: scores of the engine that were compared.
        worst: the one furthest from the reference, in tolerances.
        wrong_score_count: how many are further than their tolerance.
        wrong_scores: the first hundred of them.
        rank_disagreements: rankings that ties do not explain.
        compared_with_originals: there was something to find missing documents by.
        missing: ids that should be there and are not.
        extra: ids that are there and should not be.
        changed: ids whose stored rows or payload are not those of the original.
        unnormalized: ids in an index that normalises whose stored rows are not of length 1.
        vectorless: ids without a multi-vector, which no search finds; in an index that lateint did not create, where
            they may be meant so, a warning says how many.
        exact: every search was a full scan.
        warnings: of the engine.
        seed: of the sample and the noise.
    """

    backend: str
    index: str
    dtype: str
    documents: int
    counted: int
    documents_read: int
    queries: int
    scores_compared: int
    worst: ScoreError
    wrong_score_count: int
    wrong_scores: tuple[ScoreError, ...]
    rank_disagreements: tuple[RankDisagreement, ...]
    compared_with_originals: bool
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[str, ...]
    unnormalized: tuple[str, ...]
    vectorless: tuple[str, ...]
    exact: bool
    warnings: tuple[str, ...]
    seed: int

    @property
    def problems(self) -> list[str]:
        """What is wrong, one line each; empty if nothing is.

        A ranking of an approximate search may leave documents out; it is reported and is no problem of the index.
        """
        found = [
            (self.wrong_score_count, "scores further from the reference than the tolerance"),
            (len(self.rank_disagreements) if self.exact else 0, "rankings that no ties explain"),
            (len(self.missing), "documents missing"),
            (len(self.extra), "documents that should not be there"),
            (len(self.changed), "documents stored otherwise than given"),
            (len(self.unnormalized), "documents with rows not of length 1 in an index that normalises"),
            (len(self.vectorless), "documents without a multi-vector, which no search finds"),
            (abs(self.documents - self.counted), "documents between a scan and the engine's own count"),
        ]
        problems = [f"{what}: {number}" for number, what in found if number]
        if self.documents and not self.queries:
            problems.append("no query was asked")
        elif self.documents and not self.scores_compared:
            problems.append("searches found nothing at all")
        return problems

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    def raise_if_failed(self) -> None:
        """Raise if anything is wrong.

        Raises:
            VerificationFailed: carries this report.
        """
        if not self.ok:
            raise errors.VerificationFailed(
                f"index {self.index!r} on {self.backend}: {'; '.join(self.problems)}.",
                hint="`.report.to_markdown()` shows the first of each.",
                report=self,
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form with a version and the verdict."""
        return {"version": REPORT_VERSION, "ok": self.ok, "problems": self.problems, **asdict(self)}

    def to_json(self) -> str:
        """The same as text; NaN and infinity, which JSON lacks, become text."""
        return json.dumps(_finite(self.to_dict()), indent=2, allow_nan=False)

    def to_markdown(self) -> str:
        """A page for people: verdict, table, the first of each kind of problem."""
        originals = "not checked (nothing to compare with)"
        rows = [
            ("documents", f"{self.documents} ({self.documents_read} read)"),
            ("queries", f"{self.queries} ({'exact' if self.exact else 'approximate'} search)"),
            ("scores compared", f"{self.scores_compared}"),
            (
                "largest error",
                f"{self.worst.error:.2e}, {self.worst.ratio:.2f} of its tolerance {self.worst.tolerance:.2e}",
            ),
            ("wrong scores", f"{self.wrong_score_count}"),
            ("ranking disagreements", f"{len(self.rank_disagreements)}"),
            ("missing ids", f"{len(self.missing)}" if self.compared_with_originals else originals),
            ("extra ids", f"{len(self.extra)}" if self.compared_with_originals else originals),
            ("changed documents", f"{len(self.changed)}" if self.compared_with_originals else originals),
        ]
        verdict = "verified" if self.ok else "NOT verified: " + "; ".join(self.problems)
        lines = [
            f"## `{self.index}` on {self.backend} ({self.dtype}): {verdict}",
            "",
            "| checked | found |",
            "|---|---|",
        ]
        lines += [f"| {name} | {value} |" for name, value in rows]
        lines += [""] if self._details() or self.warnings else []
        lines += [f"- {line}" for line in (*self._details(), *(f"warning: {warning}" for warning in self.warnings))]
        return "\n".join(lines) + "\n"

    def _details(self) -> list[str]:
        lines = [
            f"query {wrong.query}, document `{wrong.id}`: {wrong.actual!r} instead of {wrong.expected!r}"
            for wrong in self.wrong_scores[:_SHOWN]
        ]
        lines += [f"query {wrong.query}: {wrong.reason}" for wrong in self.rank_disagreements[:_SHOWN]]
        named = {
            "missing": self.missing,
            "extra": self.extra,
            "changed": self.changed,
            "not normalised": self.unnormalized,
            "without a multi-vector": self.vectorless,
        }
        for what, names in named.items():
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                lines.append(f"{what}: {', '.join(f'`{name}`' for name in names[:_SHOWN])}{more}")
        return lines


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    return [_finite(element) for element in value] if isinstance(value, (list, tuple)) else value
