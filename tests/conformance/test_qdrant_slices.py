"""A Qdrant server that knows slices conforms in them: the double otherwise says that it is one that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lateint.testing import ConformanceSuite, Target
from lateint.testing.suite import CLASSES

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")
pytest.importorskip("qdrant_edge", reason="the double runs on the engine of lateint[edge]")

from tests.servers.qdrant.double import Double

_LEFT_OUT = dict.fromkeys(CLASSES.keys() - {"TestScanSlices"})
"""Run elsewhere: they do not depend on this version."""


@pytest.fixture(scope="module", autouse=True)
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with Double(tmp_path_factory.mktemp("newer"), version="1.19.0") as double:
        url = f"qdrant://127.0.0.1:{double.rest_port}?grpc_port={double.grpc_port}"
        TestQdrantNewerGrpc.target = Target(f"{url}&transport=grpc")
        TestQdrantNewerRest.target = Target(f"{url}&transport=rest")
        yield


class TestQdrantNewerGrpc(ConformanceSuite):
    target = Target("qdrant://localhost:6333?transport=grpc")
    locals().update(_LEFT_OUT)


class TestQdrantNewerRest(ConformanceSuite):
    target = Target("qdrant://localhost:6333?transport=rest")
    locals().update(_LEFT_OUT)
