"""Verification finds what is planted, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.memory import MemoryBackend
from lateint.types import Document, Hit, SearchRequest, SearchResult

DIM = 16


def documents(number: int = 60, *, seed: int = 1) -> list[Document]:
    random = np.random.default_rng(seed)
    return [
        Document(f"d{position:03}", random.standard_normal((1 + position % 9, DIM)), {"position": position})
        for position in range(number)
    ]


def indexed(backend: MemoryBackend, originals: Sequence[Document], **options: Any) -> lateint.Index:
    index = lateint.Client(backend).create_index(lateint.IndexSpec("pages", DIM, **options))
    index.write(originals)
    return index


class Faulty(MemoryBackend):
    """Answers through a function that spoils each result."""

    def __init__(self, spoil: Any) -> None:
        super().__init__()
        self.spoil = spoil

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return [self.spoil(result) for result in super().search(index, requests)]


def hits(result: SearchResult, change: Any) -> SearchResult:
    return SearchResult(tuple(change(list(result.hits))), exact=result.exact)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "binary"])
@pytest.mark.parametrize("normalize", [True, False])
def test_sound_index_passes(dtype: str, normalize: bool) -> None:
    """A verifier that cries wolf is switched off. Rows of all lengths: the tolerance grows with them."""
    originals = documents()
    index = indexed(MemoryBackend(), originals, dtype=dtype, normalize=normalize)
    report = lateint.verify(index, against=originals)
    report.raise_if_failed()
    assert report.documents == report.documents_read == len(originals)
    assert report.scores_compared == len(originals) * report.queries
    assert report.exact
    assert report.compared_with_originals


def test_without_originals_says_what_is_not_checked() -> None:
    """ "Verified" must not sound as if missing documents had been looked for."""
    report = lateint.verify(indexed(MemoryBackend(), documents()))
    assert report.ok
    assert not report.compared_with_originals
    assert report.to_markdown().count("not checked") == 3


def test_missing_extra_and_changed_documents() -> None:
    """The three ways in which a copy goes wrong without anybody noticing."""
    originals = documents()
    index = indexed(MemoryBackend(), originals)
    index.delete(["d003"])
    index.write([Document("stranger", np.ones((2, DIM)))])
    index.write([Document("d005", np.ones((2, DIM)), {"position": 5})])
    index.update_payload(["d007"], {"position": -7})
    report = lateint.verify(index, against=originals)
    assert report.missing == ("d003",)
    assert report.extra == ("stranger",)
    assert set(report.changed) == {"d005", "d007"}
    with pytest.raises(errors.VerificationFailed, match="documents missing: 1") as raised:
        report.raise_if_failed()
    assert raised.value.report is report


@pytest.mark.parametrize(
    ("name", "spoil", "problem"),
    [
        (
            "a score off by 1e-4",
            lambda found: [replace(found[0], score=found[0].score + 1e-4), *found[1:]],
            "scores further",
        ),
        ("negated scores", lambda found: [replace(hit, score=-hit.score) for hit in found], "scores further"),
        ("NaN", lambda found: [replace(found[0], score=float("nan")), *found[1:]], "scores further"),
        (
            "negatives lifted to 0",
            lambda found: [replace(hit, score=max(hit.score, 0.0)) for hit in found],
            "scores further",
        ),
        ("the best left out", lambda found: found[1:], "rankings that"),
        ("one twice", lambda found: [found[0], *found[:-1]], "rankings that"),
        ("a stranger", lambda found: [Hit("ghost", found[0].score), *found[1:]], "rankings that"),
        ("nothing at all", lambda found: [], "searches found nothing"),
    ],
)
def test_planted_faults_are_found(name: str, spoil: Any, problem: str) -> None:
    """Each is a fault that a real engine or adapter has had."""
    index = indexed(Faulty(lambda result: hits(result, spoil)), documents())
    report = lateint.verify(index)
    assert not report.ok, name
    assert any(problem in line for line in report.problems), report.problems


def test_lost_writes_show_without_originals_if_counts_differ() -> None:
    """An engine whose own count disagrees with what it gives out is not trusted."""

    class Miscounting(MemoryBackend):
        def count(self, index: IndexInfo, condition: Any) -> int:
            return super().count(index, condition) + 1

    report = lateint.verify(indexed(Miscounting(), documents()))
    assert report.problems == ["documents between a scan and the engine's own count: 1"]


def test_changed_storage_is_found() -> None:
    """Rows that the engine keeps otherwise than given make every later score wrong."""

    class Rounding(MemoryBackend):
        def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
            return super().write(
                index, [replace(item, vectors=item.vectors.astype(np.float16).astype(np.float32)) for item in documents]
            )

    originals = documents()
    assert len(lateint.verify(indexed(Rounding(), originals), against=originals).changed) == len(originals)


def test_ties_are_no_disagreement() -> None:
    """Engines order equal scores as they like."""
    same = [Document(f"d{position}", np.eye(DIM)[:3]) for position in range(30)]
    backend = Faulty(lambda result: hits(result, lambda found: found[::-1]))
    assert lateint.verify(indexed(backend, same), queries=[np.eye(DIM)[:2]]).ok


def test_sample_reads_few_and_checks_every_returned_score() -> None:
    """An index of millions is verified by sample, and a wrong score that it returns is still found."""
    originals = documents(400)
    index = indexed(MemoryBackend(), originals)
    report = lateint.verify(index, sample=5, queries=[np.ones((3, DIM))])
    assert report.ok
    assert 100 <= report.documents_read <= 105
    wrong = indexed(
        Faulty(lambda result: hits(result, lambda found: [replace(found[0], score=9.0), *found[1:]])), originals
    )
    assert lateint.verify(wrong, sample=5).wrong_score_count > 0


def test_against_another_index() -> None:
    """After a copy: float32 into float16 rounds, and that is what the target should hold."""
    originals = documents()
    source = indexed(MemoryBackend(), originals)
    target = indexed(MemoryBackend(), list(source.scan(with_vectors=True)), dtype="float16")
    assert lateint.verify(target, against=source).ok


def test_the_same_for_asyncio() -> None:
    """One text, two colours."""

    async def main() -> tuple[bool, tuple[str, ...]]:
        async with await lateint.aconnect("memory://") as client:
            index = await client.create_index(lateint.IndexSpec("pages", DIM))
            await index.write(documents())
            sound = await lateint.averify(index, against=index)
            broken = await lateint.averify(index, against=[*documents(), Document("gone", np.ones((1, DIM)))])
            return sound.ok, broken.missing

    assert asyncio.run(main()) == (True, ("gone",))


def test_report_is_json_even_with_nan() -> None:
    """A report that a CI job cannot parse is read by nobody."""
    index = indexed(
        Faulty(lambda result: hits(result, lambda found: [replace(found[0], score=float("nan"))])), documents()
    )
    data = json.loads(lateint.verify(index).to_json())
    assert data["ok"] is False
    assert data["worst"]["actual"] == "nan"


def test_no_query_proves_nothing() -> None:
    """A query file that came out empty must not turn CI green."""
    report = lateint.verify(indexed(MemoryBackend(), documents()), queries=[])
    assert report.problems == ["no query was asked"]


def test_one_long_document_does_not_excuse_the_others() -> None:
    """Each score is held to the tolerance of its own document, not to that of the longest rows of the index."""
    random = np.random.default_rng(3)
    originals = [Document(str(number), random.standard_normal((4, DIM))) for number in range(99)]
    originals.append(Document("long", random.standard_normal((4, DIM)) * 3e5))

    def off(found: list[Hit]) -> list[Hit]:
        return [hit if hit.id == "long" else replace(hit, score=hit.score * 1.02) for hit in found]

    index = indexed(Faulty(lambda result: hits(result, off)), originals, normalize=False)
    assert lateint.verify(index, queries=[random.standard_normal((8, DIM))]).wrong_score_count > 90


def test_rows_near_underflow_are_no_fault() -> None:
    """Where products vanish, the smallest numbers are all that can be compared."""
    originals = [replace(document, vectors=document.vectors * 1e-42) for document in documents()]
    assert lateint.verify(indexed(MemoryBackend(), originals, normalize=False)).ok


def test_original_that_comes_twice_counts_as_the_last() -> None:
    """As in `write`: documents may be hundreds apart in the list."""
    originals = [*documents(200), Document("d003", np.ones((2, DIM))), Document("d005", np.ones((3, DIM)))]
    index = indexed(MemoryBackend(), originals)
    lateint.verify(index, against=originals).raise_if_failed()


def test_long_rows_in_a_normalising_index_are_found() -> None:
    """Something wrote past lateint, and its documents outscore all others."""

    class Bypassed(MemoryBackend):
        def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
            return super().write(index, [replace(item, vectors=item.vectors * 100) for item in documents])

    report = lateint.verify(indexed(Bypassed(), documents(3)))
    assert report.unnormalized == ("d000", "d001", "d002")
    assert not report.ok


def test_same_seed_same_report() -> None:
    """A failure has to be seen again by the next person."""
    index = indexed(MemoryBackend(), documents())
    assert lateint.verify(index, seed=3).to_dict() == lateint.verify(index, seed=3).to_dict()
    assert lateint.verify(index, seed=3).worst != lateint.verify(index, seed=4).worst


def test_empty_index_and_bad_sample() -> None:
    """Nothing to verify is not a failure; a sample of nothing is a mistake."""
    index = indexed(MemoryBackend(), [])
    assert lateint.verify(index).ok
    assert lateint.verify(index, against=documents(2)).missing == ("d000", "d001")
    with pytest.raises(errors.InvalidInput, match="sample=0"):
        lateint.verify(index, sample=0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_five_hundred_documents_on_a_real_engine(dtype: str, tmp_path: Path) -> None:
    """The claim of the project: a real engine's every score is within the derived tolerance of the reference."""
    pytest.importorskip("qdrant_edge")
    random = np.random.default_rng(7)
    lengths = random.integers(1, 90, 500)
    originals = [Document(f"d{number}", random.standard_normal((rows, 128))) for number, rows in enumerate(lengths)]
    with lateint.connect(f"qdrant+edge://{tmp_path}/data") as client:
        index = client.create_index(lateint.IndexSpec("pages", 128, dtype=dtype))
        index.write(originals)
        report = lateint.verify(
            index, against=originals, queries=[random.standard_normal((32, 128)) for _ in range(20)]
        )
    report.raise_if_failed()
    assert report.scores_compared == 10_000
