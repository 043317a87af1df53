"""What the verbs send to a server, and in what order. Nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import grpc, models

from lateint import IndexSpec, errors, field, filters
from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Feature
from lateint.types import Document, SearchRequest, Slice
from lateint_qdrant import collection, connection, schema
from lateint_qdrant.calls import Ask, Record
from lateint_qdrant.collection import described
from lateint_qdrant.place import Place, Speech
from tests.servers.qdrant.answers import found, vector

SPEC = IndexSpec("pages", 4, fields={"year": "integer", "lang": "keyword"}, encoder={"name": "x", "scale": 0.1})
CAN = schema.GRPC_CAPABILITIES
ROWS = np.ones((1, 4), np.float32)


def opened(info: models.CollectionInfo) -> IndexInfo:
    return described("pages", info, CAN, vector=None)


def carried_out(steps: Any, answer: Callable[[Any], Any]) -> Any:
    """What a verb returns when each of its calls is answered."""
    try:
        call = next(steps)
        while True:
            call = steps.send(answer(call))
    except StopIteration as stop:
        return stop.value


class TestVerbs:
    """What is yielded: the calls of a verb, in their order, without anybody to answer."""

    def verbs(self, *, grpc: bool = False, version: str = "1.18.3") -> Any:
        speech = Speech.GRPC if grpc else Speech.REST
        return connection.verbs(Place(backend="qdrant", location="", speech=speech, timeout_s=60.0), version)

    def strict(self, **limits: Any) -> IndexInfo:
        """An index under strict mode, with a payload index for one of its two fields."""
        config = models.StrictModeConfigOutput(enabled=True, **limits)
        return opened(
            found(
                {schema.VECTOR: vector()},
                indexes={"year": "integer"},
                metadata=collection.metadata(SPEC),
                strict_mode_config=config,
            )
        )

    def test_create(self) -> None:
        """A named multi-vector, Dot, no graph; payload indexes before any data, and waited for: it is what they are for."""
        steps = self.verbs().create_index(SPEC.replace(dtype="float16"))
        created = next(steps)
        assert created.method == "create_collection"
        params = created.arguments["vectors_config"][schema.VECTOR]
        assert (params.size, params.distance, params.datatype) == (4, "Dot", "float16")
        assert params.hnsw_config.m == 0
        assert params.multivector_config.comparator == "max_sim"
        indexed = [next(steps) for _ in range(3)]
        assert next(steps).method == "get_collection"
        assert [(one.method, one.arguments["field_name"], one.arguments["field_schema"]) for one in indexed] == [
            ("create_payload_index", "lateint_fields", "keyword"),
            ("create_payload_index", "year", "integer"),
            ("create_payload_index", "lang", "keyword"),
        ]
        assert all(one.arguments["wait"] for one in indexed)

    @pytest.mark.parametrize("memory", [None, "cached", "cold"])
    def test_create_on_disk(self, memory: str | None) -> None:
        """`memory=cold` is what lets an index be larger than the server's memory."""
        options = {} if memory is None else {"qdrant": {"memory": memory}}
        created = next(self.verbs().create_index(SPEC.replace(engine_options=options)))
        assert created.arguments["vectors_config"][schema.VECTOR].on_disk is (memory == "cold")

    def test_creation_is_taken_back(self) -> None:
        """Half an index would stand in the way of the next try."""
        steps = self.verbs().create_index(SPEC)
        next(steps)
        steps.send(None)
        assert steps.throw(errors.Timeout("too slow")) == Ask("delete_collection", {"collection_name": "pages"})
        with pytest.raises(errors.Timeout, match="too slow"):
            steps.send(None)

    def test_creation_that_cannot_be_taken_back(self) -> None:
        """The first error is the one to know of; that something was left behind is said beside it."""
        steps = self.verbs().create_index(SPEC)
        next(steps)
        steps.send(None)
        steps.throw(errors.Timeout("too slow"))
        with pytest.raises(errors.Timeout, match="too slow") as caught:
            steps.throw(errors.ConnectionFailed("gone"))
        assert "still there" in caught.value.__notes__[0]

    @pytest.mark.parametrize("transport", [True, False], ids=["grpc", "rest"])
    def test_not_applied(self, transport: bool) -> None:
        """A server may stop waiting for its own queue; what it has not applied is not acknowledged."""
        index = opened(found({schema.VECTOR: vector()}, metadata=collection.metadata(SPEC)))
        steps = self.verbs(grpc=transport).write(index, [Document("a", np.ones((1, 4), np.float32))])
        call = next(steps)
        reply: Any = models.UpdateResult(operation_id=1, status=models.UpdateStatus.ACKNOWLEDGED)
        if transport:
            result = grpc.UpdateResult(operation_id=1, status=grpc.UpdateStatus.Acknowledged)
            reply = grpc.PointsOperationResponse(result=result)
        with pytest.raises(errors.Timeout, match="acknowledged") as caught:
            steps.send(call.read(reply))
        assert caught.value.retryable

    def test_ids_that_no_point_can_have(self) -> None:
        """Nothing is sent for them: an empty list of ids may mean all, or be refused."""
        index = opened(found({"colbert": vector()}))
        for steps in (
            self.verbs().delete(index, ["007"]),
            self.verbs().get(index, ["x"], with_vectors=True),
            self.verbs().update_payload(index, ["-1"], {"a": 1}),
        ):
            with pytest.raises(StopIteration):
                next(steps)

    def test_dropping_an_alias(self) -> None:
        """The server deletes nothing then, and calls that a success."""
        steps = self.verbs().drop_index("pages")
        next(steps)
        assert steps.send(found({"v": vector()})).method == "delete_collection"
        with pytest.raises(errors.IndexNotFound, match="alias"):
            steps.send(False)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a?b", "a*", "a\x00b", "a" * 256])
    def test_names_that_no_collection_has(self, name: str) -> None:
        """They would become paths of a URL."""
        for steps in (self.verbs().describe_index(name, None), self.verbs().drop_index(name)):
            with pytest.raises(errors.InvalidInput, match="no name of a collection"):
                next(steps)

    def test_server_without_metadata(self) -> None:
        with pytest.raises(errors.UnsupportedFeature, match=r"1\.15\.2") as caught:
            next(self.verbs(version="1.15.2").create_index(SPEC))
        assert caught.value.since == "1.16"

    def test_server_without_multivectors(self) -> None:
        with pytest.raises(errors.UnsupportedFeature, match=r"1\.9\.7"):
            self.verbs(version="1.9.7")

    def test_strict_batches(self) -> None:
        index = self.strict(upsert_max_batchsize=2, search_max_batchsize=2)
        writing = self.verbs(grpc=True).write(index, [Document(str(n), ROWS) for n in range(5)])
        calls = [next(writing), writing.send("completed"), writing.send("completed")]
        assert [len(grpc.UpsertPoints.FromString(call.message).points) for call in calls] == [2, 2, 1]
        with pytest.raises(StopIteration):
            writing.send("completed")
        steps = self.verbs(grpc=True).search(index, [SearchRequest(query=ROWS)] * 3)
        first = next(steps)
        assert len(grpc.QueryBatchPoints.FromString(first.message).query_points) == 2
        second = steps.send([[], []])
        assert len(grpc.QueryBatchPoints.FromString(second.message).query_points) == 1
        with pytest.raises(StopIteration) as stop:
            steps.send([[]])
        assert len(stop.value.value) == 3

    def test_unindexed_filter_under_strict_mode(self) -> None:
        index = self.strict(unindexed_filtering_retrieve=False)
        verbs = self.verbs(grpc=True)
        assert next(verbs.count(index, filters.bound(field("year") == 1, index.spec.fields))).method == "count"
        with pytest.raises(errors.UnsupportedFeature, match=r"'lang'.*payload index"):
            next(verbs.count(index, filters.bound(field("lang") == "en", index.spec.fields)))
        assert next(verbs.delete(index, filters.bound(field("lang") == "en", index.spec.fields))).method == "delete"

    def test_unindexed_deletion_under_strict_mode(self) -> None:
        """Reading and changing are allowed apart from each other."""
        index = self.strict(unindexed_filtering_update=False)
        verbs = self.verbs(grpc=True)
        with pytest.raises(errors.UnsupportedFeature, match=r"'lang'.*payload index"):
            next(verbs.delete(index, filters.bound(field("lang") == "en", index.spec.fields)))
        assert next(verbs.delete(index, filters.bound(field("year") == 1, index.spec.fields))).method == "delete"
        assert next(verbs.count(index, filters.bound(field("lang") == "en", index.spec.fields))).method == "count"

    @pytest.mark.parametrize("over_grpc", [True, False], ids=["grpc", "rest"])
    def test_pages_under_strict_mode(self, over_grpc: bool) -> None:
        """A scan asks for no more than the collection gives; a server refuses the page otherwise."""
        index = self.strict(max_query_limit=7)
        steps = self.verbs(grpc=over_grpc).scan(index, cursor=None, limit=1000, condition=None, with_vectors=True)
        call = next(steps)
        limit = grpc.ScrollPoints.FromString(call.message).limit if over_grpc else call.arguments["limit"]
        assert limit == 7

    @pytest.mark.parametrize("over_grpc", [True, False], ids=["grpc", "rest"])
    @pytest.mark.parametrize(("timeout_s", "told"), [(None, 5), (30.0, 5), (2.5, 3)])
    def test_timeouts_under_strict_mode(self, over_grpc: bool, timeout_s: float | None, told: int) -> None:
        """The server is asked for no more time than it allows; it refuses the search otherwise."""
        request = SearchRequest(query=ROWS, timeout_s=timeout_s)
        call = next(self.verbs(grpc=over_grpc).search(self.strict(max_timeout=5), [request]))
        found = grpc.QueryBatchPoints.FromString(call.message).timeout if over_grpc else call.arguments["timeout"]
        assert found == told

    @pytest.mark.parametrize("exact", [True, False])
    def test_whether_to_be_exact_is_sent(self, exact: bool) -> None:
        """With a graph or quantized vectors the server takes the short cut unless it is told not to.

        Breaks when: the parameter is left out; the answer would still be flagged as exact.
        """
        index = opened(found({"colbert": vector(hnsw_config=models.HnswConfigDiff(m=16))}))
        requests = [SearchRequest(query=ROWS, exact=exact)] * 2
        call = next(self.verbs(grpc=True).search(index, requests))
        sent = grpc.QueryBatchPoints.FromString(call.message).query_points
        assert [(one.params.HasField("exact"), one.params.exact) for one in sent] == [(True, exact)] * 2
        call = next(self.verbs(grpc=False).search(index, requests))
        assert [one.params.exact for one in call.arguments["requests"]] == [exact] * 2
        call = next(self.verbs(grpc=False).search(index, requests[:1]))
        assert call.arguments["search_params"].exact is exact

    @pytest.mark.parametrize("over_grpc", [True, False], ids=["grpc", "rest"])
    def test_slice_and_filter(self, over_grpc: bool) -> None:
        """Both must hold; beside the alternatives of an `|` the slice would be one more of them.

        Breaks when: the slice is merged into the clauses of the filter.
        """
        index = opened(found({"colbert": vector()}, indexes={"year": "integer"}))
        either = filters.bound((field("year") == 1) | (field("year") == 2), index.spec.fields)
        steps = self.verbs(grpc=over_grpc, version="1.19.0").scan(
            index, cursor=None, limit=9, condition=either, with_vectors=False, part=Slice(index=2, count=7)
        )
        call = next(steps)
        if over_grpc:
            sent = grpc.ScrollPoints.FromString(call.message).filter
            parts = [part.filter.should if part.HasField("filter") else part.slice for part in sent.must]
        else:
            sent = call.arguments["scroll_filter"]
            parts = [getattr(part, "should", None) or part.slice for part in sent.must]
        assert not sent.should
        (part, alternatives) = parts
        assert (part.total, part.index) == (7, 2)
        assert len(alternatives) == 2

    @pytest.mark.parametrize(
        ("version", "known"), [("1.18.3", False), ("1.19.0", True), ("1.20", True), ("2.0.0-dev", True)]
    )
    @pytest.mark.parametrize("over_grpc", [True, False], ids=["grpc", "rest"])
    def test_slices_by_version(self, version: str, known: bool, over_grpc: bool) -> None:
        """An older server over gRPC would answer each worker with everything."""
        capabilities = self.verbs(grpc=over_grpc, version=version).capabilities
        assert (Feature.SCAN_SLICES in capabilities.features) is known
        assert capabilities.since.get(Feature.SCAN_SLICES) == (None if known else "1.19")

    @pytest.mark.parametrize("over_grpc", [True, False], ids=["grpc", "rest"])
    def test_large_batches_of_queries(self, over_grpc: bool) -> None:
        """No request is larger than a server takes, and every query is answered, in its order."""
        most = self.verbs(grpc=over_grpc)
        rows = np.ones((most.capabilities.max_batch_bytes // 4 // 4 // 3, 4), np.float32)
        steps = most.search(opened(found({"colbert": vector()})), [SearchRequest(query=rows, k=k) for k in range(1, 8)])
        limits = []

        def answer(call: Any) -> list[list[Record]]:
            if over_grpc:
                asked = [one.limit for one in grpc.QueryBatchPoints.FromString(call.message).query_points]
            else:
                asked = [one.limit for one in call.arguments.get("requests", ())] or [call.arguments["limit"]]
            limits.append(asked)
            return [[] for _ in asked]

        assert len(carried_out(steps, answer)) == 7
        assert limits == [[1, 2, 3], [4, 5, 6], [7]]

    @pytest.mark.parametrize("over_grpc", [True, False], ids=["grpc", "rest"])
    def test_large_batches_of_changes(self, over_grpc: bool) -> None:
        """A change of payload can be as large as a document; each is made, in requests that a server takes."""
        verbs = self.verbs(grpc=over_grpc)
        index = opened(found({"colbert": vector()}))
        text = "x" * (verbs.capabilities.max_batch_bytes * 2 // 5)
        steps = verbs.update_payload(index, [str(n) for n in range(5)], {"text": text})
        done = models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)
        changed = []

        def answer(call: Any) -> list[Any]:
            operations = getattr(call, "arguments", {}).get("update_operations")
            if operations is None:
                return [Record(n, {}) for n in range(5)]
            changed.append([one.set_payload.points[0] for one in operations])
            return [done] * len(operations)

        assert carried_out(steps, answer) == ()
        assert changed == [[0, 1], [2, 3], [4]]

    @pytest.mark.parametrize("rows", [np.full((1, 4), 1e30), np.full((1, 4), np.nan), np.ones((0, 4)), np.ones((1, 3))])
    def test_guard(self, rows: Any) -> None:
        """What Qdrant would store and never find again is refused also where no pipeline has looked at it."""
        index = opened(found({"colbert": vector(datatype=models.Datatype.FLOAT16)}))
        rows = rows.astype(np.float32)
        for steps in (
            self.verbs().write(index, [Document("7", rows)]),
            self.verbs().search(index, [SearchRequest(query=rows)]),
        ):
            with pytest.raises(errors.InvalidInput):
                next(steps)
