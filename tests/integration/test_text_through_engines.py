"""From a text to a proven score: encode, push, the engine's own search, verify, on every engine that is at hand."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import lateint
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.vectors import as_multivector
from tests.servers.discovery import FoundServer
from tests.servers.vespa.discovery import VespaServer

pytest.importorskip("sentence_transformers", reason="the extra text is not installed")

from tests.checkpoints.text import DOCUMENTS, QUERIES


@pytest.fixture(params=["memory", "qdrant+edge", "qdrant", "vespa", "weaviate"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[lateint.Client]:
    url, key = f"{request.param}://", None
    if request.param == "qdrant+edge":
        pytest.importorskip("qdrant_edge", reason="the extra edge is not installed")
        url += f"{tmp_path}/edge"
    elif request.param != "memory":
        pytest.importorskip({"qdrant": "qdrant_client", "vespa": "lateint_vespa"}.get(request.param, request.param))
        server: FoundServer | VespaServer = request.getfixturevalue(f"{request.param}_server")
        url, key = server.url, getattr(server, "api_key", None)
    with lateint.connect(url, api_key=key) as opened:
        yield opened


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_text_through_an_engine(client: lateint.Client, text_model: Path, dtype: str) -> None:
    """Every hit has the score that the reference gives for what the encoder made: nothing is lost on the way."""
    if lateint.DType(dtype) not in client.capabilities().dtypes:
        pytest.skip(f"the engine does not keep {dtype}")
    encoder = lateint.encoder(text_model, device="cpu")
    spec = lateint.IndexSpec(f"texts_{dtype}", encoder.dim, dtype=dtype, encoder=encoder.fingerprint)
    index = client.create_index(spec)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* were cut there")
            retriever = lateint.Retriever(index, encoder)
            assert retriever.add((f"d-{at}", text, {"at": at}) for at, text in enumerate(DOCUMENTS)).written == 12
            queries = encoder.encode_queries(QUERIES)
            asked = (
                [mirrored(as_multivector(query), dtype) for query in queries]
                if index.capabilities.rounds_queries
                else queries
            )
            results = [retriever.search(text, k=12) for text in QUERIES]
            documents = [mirrored(as_multivector(rows), dtype) for rows in encoder.encode_documents(DOCUMENTS)]
        for query, result in zip(asked, results, strict=True):
            assert result.exact
            for hit in result:
                at = (hit.payload or {})["at"]
                assert isinstance(at, int)
                wanted = maxsim(query, documents[at])
                slack = tolerance(rows=len(query), dim=encoder.dim, score=wanted)
                assert abs(hit.score - wanted) <= slack
        lateint.verify(index, queries=queries).raise_if_failed()
    finally:
        client.drop_index(spec.name)
