"""All formats of vectors, verified against the reference on a server, and again after it was killed.

The server of these tests computes in double precision; the rounding of a content node's own kernels is not seen here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, errors
from lateint.spec import DType
from lateint.vectors import MultiVector, normalized

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

DIM, COUNT, QUERIES = 128, 500, 10
DTYPES = [DType.FLOAT32, DType.BFLOAT16, DType.BINARY]


def rows(rng: np.random.Generator, number: int) -> MultiVector:
    return normalized(rng.standard_normal((number, DIM)).astype(np.float32))


def documents(seed: int = 1) -> list[Document]:
    """From one row to forty."""
    rng = np.random.default_rng(seed)
    return [Document(f"page-{n}", rows(rng, 1 + n % 40), {"n": n}) for n in range(COUNT)]


def queries() -> list[MultiVector]:
    rng = np.random.default_rng(2)
    return [rows(rng, 1 + 4 * n) for n in range(QUERIES)]


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With an index of each format, of the same documents."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        with lateint.connect(server.url) as client:
            for dtype in DTYPES:
                report = client.create_index(IndexSpec(f"of_{dtype.value}", DIM, dtype=dtype)).write(documents())
                assert report.written == COUNT
        yield server


def check(report: lateint.VerificationReport) -> None:
    report.raise_if_failed()
    assert report.exact
    assert report.compared_with_originals
    assert (report.documents, report.counted, report.documents_read) == (COUNT, COUNT, COUNT)
    assert (report.queries, report.scores_compared) == (QUERIES, QUERIES * COUNT)
    assert (report.missing, report.extra, report.changed) == ((), (), ())


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_score_and_every_row(server: Server, dtype: DType) -> None:
    """Each of 500 documents for each of 10 queries, within the derived tolerance; binary against binary vectors."""
    with lateint.connect(server.url) as client:
        index = client.open(f"of_{dtype.value}")
        assert index.spec.dtype is dtype
        check(lateint.verify(index, against=documents(), queries=queries()))


def test_for_asyncio(server: Server) -> None:
    async def steps() -> lateint.VerificationReport:
        async with await lateint.aconnect(server.url) as client:
            index = await client.open("of_bfloat16")
            return await lateint.averify(index, against=documents(), queries=queries())

    check(asyncio.run(steps()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_stored_is_told_from_what_is_not(server: Server, dtype: DType) -> None:
    """The tolerance lets through no other document: one row of one of them with the wrong sign is found out."""
    given = documents()
    changed = given[39].vectors.copy()
    changed[3] *= -1
    given[39] = Document(given[39].id, changed, given[39].payload)
    with lateint.connect(server.url) as client:
        report = lateint.verify(client.open(f"of_{dtype.value}"), against=given, queries=queries())
    assert report.changed == (given[39].id,)
    assert report.wrong_score_count > 0
    with pytest.raises(errors.VerificationFailed):
        report.raise_if_failed()


def test_after_a_restart(server: Server) -> None:
    """Killed and started again, it has the same rows and the same scores."""
    with lateint.connect(server.url) as client:
        before = client.open("of_binary").search(queries()[3], COUNT)
        server.restart()
        after = client.open("of_binary").search(queries()[3], COUNT)
        assert [(hit.id, hit.score) for hit in before] == [(hit.id, hit.score) for hit in after]
        for dtype in DTYPES:
            check(lateint.verify(client.open(f"of_{dtype.value}"), against=documents(), queries=queries()))
