"""What the doctor makes of versions and of collections, whatever server they are on."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import models as m

from lateint import IndexSpec
from lateint.engine.findings import Finding, Severity
from lateint_qdrant import collection, diagnosis, schema
from tests.servers.qdrant.asking import multivector

multi = partial(multivector, size=8)

NO_GRAPH = m.HnswConfigDiff(m=0)


DENSE = m.VectorParams(size=4, distance=m.Distance.COSINE)
SPARSE = {"words": m.SparseVectorParams()}


def found(vectors: Any, *, sparse: Any = None, info: dict[str, Any] | None = None, **config: Any) -> m.CollectionInfo:
    """What a server says of a collection."""
    more = {"status": m.CollectionStatus.GREEN, "optimizer_status": m.OptimizersStatusOneOf.OK, **(info or {})}
    return m.CollectionInfo(
        segments_count=1,
        payload_schema={},
        config=m.CollectionConfig(
            params=m.CollectionParams(vectors=vectors, sparse_vectors=sparse),
            hnsw_config=m.HnswConfig(m=16, ef_construct=100, full_scan_threshold=10_000),
            optimizer_config=m.OptimizersConfig(
                deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, flush_interval_sec=5
            ),
            **config,
        ),
        **more,
    )


def looked_at(info: m.CollectionInfo, *, name: str = "c") -> list[Finding]:
    return list(diagnosis.of_collection(name, info, schema.GRPC_CAPABILITIES))


def managed(**more: Any) -> m.CollectionInfo:
    return found({schema.VECTOR: multi()}, metadata=collection.metadata(IndexSpec("c", 8)), **more)


class TestVersions:
    @pytest.mark.parametrize(
        ("server", "client", "severity"),
        [
            ("1.20.0", "1.20.0", "ok"),
            ("1.19.4", "1.20.0", "ok"),
            ("1.21.0", "1.20.0", "ok"),
            ("1.20.1-dev", "1.20.0", "ok"),
            ("1.18.3", "1.20.0", "warning"),
            ("1.22.0", "1.20.0", "warning"),
            ("2.0.0", "1.20.0", "warning"),
            ("1.15.4", "1.16.2", "warning"),
            ("1.10.0", "1.20.0", "warning"),
            ("", "1.20.0", "warning"),
            ("nightly", "1.20.0", "warning"),
            ("1.9.7", "1.20.0", "problem"),
            ("0.11.0", "1.20.0", "problem"),
        ],
    )
    def test_rule(self, server: str, client: str, severity: str) -> None:
        """Qdrant's rule: the same major version, minor versions at most one apart; multi-vectors from 1.10 on."""
        finding = diagnosis.of_versions(server, client)
        assert finding.severity == severity
        assert server in finding.seen
        assert client in finding.seen
        assert bool(finding.remedy) is (severity != "ok")

    @pytest.mark.parametrize(
        ("server", "remedy"),
        [
            ("1.18.3", "Install qdrant-client 1.18 or upgrade the server, one minor version after the other."),
            ("1.22.0", "Install qdrant-client 1.22."),
            ("1.13.2", "Upgrade the server, one minor version after the other."),
        ],
    )
    def test_remedy(self, server: str, remedy: str) -> None:
        """No client is advised that lateint does not work with: those before 1.16."""
        assert diagnosis.of_versions(server, "1.20.0").remedy == remedy


class TestCollections:
    @pytest.mark.parametrize(
        ("vectors", "sparse", "there"),
        [
            ({"title": DENSE}, None, "vector 'title' (dimension 4)"),
            (DENSE, None, "vector '' (dimension 4)"),
            (None, SPARSE, "vector 'words' (sparse)"),
            ({"title": DENSE}, SPARSE, "vector 'title' (dimension 4), vector 'words' (sparse)"),
            ({}, None, "no vectors"),
        ],
        ids=["dense", "unnamed", "sparse", "both", "none"],
    )
    def test_without_multivectors(self, vectors: Any, sparse: Any, there: str) -> None:
        """Somebody else's data: said, not opened, and no problem."""
        (finding,) = looked_at(found(vectors, sparse=sparse))
        assert finding.severity is Severity.OK
        assert (finding.index, finding.vectors) == ("c", ())
        assert finding.seen == f"nothing to open: no multi-vector, but {there}"

    def test_made_by_lateint(self) -> None:
        (finding,) = looked_at(managed())
        assert finding == Finding(
            part="collection 'c'", seen="made by lateint, dimension 8, float32, Dot", index="c", vectors=None
        )

    def test_damaged(self) -> None:
        """A collection that is no longer what lateint made is left to opening it, which says what is wrong."""
        assert looked_at(found({"title": DENSE}, metadata=collection.metadata(IndexSpec("c", 8)))) == []

    def test_made_by_lateint_and_changed_since(self) -> None:
        """Its owner may have given it a graph."""
        changed = {schema.VECTOR: multi(hnsw_config=m.HnswConfigDiff(m=16))}
        (finding,) = looked_at(found(changed, metadata=collection.metadata(IndexSpec("c", 8))))
        assert finding.severity is Severity.WARNING
        assert finding.seen == "made by lateint, dimension 8, float32, Dot; HNSW graph"
        assert finding.vectors is None

    def test_one(self) -> None:
        (finding,) = looked_at(found({"colbert": multi(), "title": DENSE}, sparse=SPARSE))
        assert finding.severity is Severity.OK
        assert finding.vectors is None
        assert finding.seen == (
            "multi-vector 'colbert', dimension 8, float32, Dot; "
            "not carried: vector 'title' (dimension 4), vector 'words' (sparse)"
        )

    def test_several(self) -> None:
        """Each with what `open` takes; the one that cannot be opened is not offered."""
        vectors = {"b": multi(), "a": multi(size=4), "bytes": multi(datatype=m.Datatype.UINT8)}
        a, b, bytes_ = looked_at(found(vectors))
        assert "open('c', vector='a')" in a.seen
        assert "open('c', vector='b')" in b.seen
        assert [finding.vectors for finding in (a, b, bytes_)] == [("a",), ("b",), ()]
        assert [finding.severity for finding in (a, b, bytes_)] == ["ok", "ok", "warning"]
        assert "uint8" in bytes_.seen
        assert bytes_.remedy

    @pytest.mark.parametrize(
        ("params", "flag"),
        [
            (multi(m.Distance.COSINE), "Distance Cosine"),
            (multi(m.Distance.EUCLID), "not a MaxSim sum"),
            (multi(hnsw_config=None), "HNSW graph"),
            (multi(hnsw_config=m.HnswConfigDiff(m=0, payload_m=16)), "HNSW graph"),
            (
                multi(
                    quantization_config=m.ScalarQuantization(scalar=m.ScalarQuantizationConfig(type=m.ScalarType.INT8))
                ),
                "quantized",
            ),
        ],
        ids=["cosine", "euclid", "graph", "graph over payload", "quantized"],
    )
    def test_flagged(self, params: m.VectorParams, flag: str) -> None:
        """What changes scores or takes a short cut is a warning, not a problem: it can be worked with."""
        (finding,) = looked_at(found({"colbert": params}))
        assert finding.severity is Severity.WARNING
        assert flag in finding.seen
        assert finding.vectors is None

    def test_unnamed(self) -> None:
        (finding,) = looked_at(found(multi()))
        assert finding.seen.startswith("an unnamed multi-vector, ")
        assert finding.vectors is None

    def test_name_that_no_index_can_have(self) -> None:
        (finding,) = looked_at(found({"colbert": multi()}), name="odd name")
        assert (finding.severity, finding.vectors) == ("warning", ())
        assert "alias" in finding.remedy

    @pytest.mark.parametrize("ours", [True, False])
    def test_red(self, ours: bool) -> None:
        """A collection that failed inside; that of somebody else does not make the command fail."""
        state = {"status": m.CollectionStatus.RED, "optimizer_status": m.OptimizersStatusOneOf1(error="disk is full")}
        info = managed(info=state) if ours else found({"colbert": multi()}, info=state)
        _, finding = looked_at(info)
        assert "disk is full" in finding.seen
        assert finding.severity == ("problem" if ours else "warning")


class TestStrictMode:
    def test_limits(self) -> None:
        """Those that documents of many rows meet, and those alone."""
        strict = m.StrictModeConfigOutput(
            enabled=True,
            max_query_limit=100,
            upsert_max_batchsize=1000,
            search_max_hnsw_ef=64,
            unindexed_filtering_update=False,
            multivector_config={"colbert": m.StrictModeMultivectorOutput(max_vectors=300)},
        )
        finding = looked_at(found({"colbert": multi()}, strict_mode_config=strict))[-1]
        assert finding.part == "strict mode of 'c'"
        assert finding.severity is Severity.OK
        assert finding.seen == (
            "k up to 100; 1,000 documents in a request; 300 rows in 'colbert'; "
            "deleting by fields with a payload index only"
        )

    def test_none(self) -> None:
        (switched_off,) = looked_at(
            managed(strict_mode_config=m.StrictModeConfigOutput(enabled=False, max_query_limit=1))
        )
        assert switched_off.part == "collection 'c'"
        harmless = looked_at(managed(strict_mode_config=m.StrictModeConfigOutput(enabled=True, search_max_hnsw_ef=9)))[
            -1
        ]
        assert harmless.seen == "no limit that multi-vectors meet"

    @pytest.mark.parametrize(
        ("ours", "graph", "severity"), [(True, False, "problem"), (False, False, "warning"), (False, True, "warning")]
    )
    def test_no_exact_search(self, ours: bool, graph: bool, severity: str) -> None:
        """It forbids every search of vectors without a graph, which is how lateint makes them."""
        strict = m.StrictModeConfigOutput(enabled=True, search_allow_exact=False)
        vectors = {"colbert": multi(hnsw_config=None if graph else NO_GRAPH)}
        info = managed(strict_mode_config=strict) if ours else found(vectors, strict_mode_config=strict)
        searching, limits = looked_at(info)
        assert searching.severity == severity
        assert ("Nothing can be searched" in searching.seen) is not graph
        assert "search_allow_exact" in searching.remedy
        assert (limits.seen, limits.severity) == ("no exact search", "ok")
