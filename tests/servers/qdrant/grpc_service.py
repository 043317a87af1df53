# ruff: noqa: N802 - methods are named by the interface
"""The gRPC interface: the servicers that ship with the client, over the store."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from qdrant_client import grpc as q
from qdrant_client.conversions.conversion import GrpcToRest

from tests.servers.qdrant import messages as m
from tests.servers.qdrant import requests as r
from tests.servers.qdrant.collection import Collection, Point
from tests.servers.qdrant.faults import Call, Cut, Gate
from tests.servers.qdrant.limits import Json, Refused
from tests.servers.qdrant.store import Store

Change = Callable[[Collection], int]

_READS = {"Get", "List", "CollectionExists", "Scroll", "Count", "Query", "QueryBatch"}
_FIELDS = ["keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"]
_MODES = ["upsert", "insert_only", "update_only"]


def server(store: Store, gate: Gate, port: int, *, flattened: bool) -> grpc.Server:
    """A server on a port of the loopback, not yet started.

    Args:
        store: what it serves.
        gate: what calls pass.
        port: where it listens.
        flattened: vectors are returned in their deprecated form.
    """
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    made = grpc.server(ThreadPoolExecutor(16), interceptors=[_Guard(gate, port)], options=options)
    q.add_PointsServicer_to_server(_Points(store, flattened=flattened), made)
    q.add_CollectionsServicer_to_server(_Collections(store), made)
    q.add_QdrantServicer_to_server(_Health(store), made)
    made.add_insecure_port(f"127.0.0.1:{port}")
    return made


class _Guard(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Leads every call through the gate, and turns what is refused into a status."""

    def __init__(self, gate: Gate, port: int) -> None:
        self._gate = gate
        self._port = port

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        service, method = details.method.removeprefix("/qdrant.").split("/")
        sent = dict(details.invocation_metadata)
        call = Call(
            "grpc",
            f"{service}/{method}",
            key=sent.get("api-key") or sent.get("authorization", "").removeprefix("Bearer ") or None,
            writes=method not in _READS,
            open=service == "Qdrant",
        )

        def behaviour(request: Any, context: grpc.ServicerContext) -> Any:
            start = time.monotonic()
            try:
                answer = self._gate.pass_through(
                    call, lambda: handler.unary_unary(request, context), lambda: _cut(context, self._port)
                )
            except Cut:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            except Refused as refused:
                if refused.retry_after is not None:
                    context.set_trailing_metadata([("retry-after", str(refused.retry_after))])
                context.abort(refused.kind.value[1], refused.text.replace(" in JSON body:", " in body:"))
            if hasattr(answer, "time"):
                answer.time = time.monotonic() - start
            return answer

        return grpc.unary_unary_rpc_method_handler(behaviour, handler.request_deserializer, handler.response_serializer)


def _cut(context: grpc.ServicerContext, port: int) -> None:
    """Close the connection of a call under the server's feet: the library has no way to."""
    wanted = int(context.peer().rpartition(":")[2]), port
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):  # closed in between, or no connection
            copy = os.dup(int(path.name))
            try:
                connection = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)
                raise
            with connection:
                if (connection.getpeername()[1], connection.getsockname()[1]) == wanted:
                    connection.shutdown(socket.SHUT_RDWR)


class _Health(q.QdrantServicer):
    def __init__(self, store: Store) -> None:
        self._store = store

    def HealthCheck(self, request: Any, context: Any) -> Any:
        return q.HealthCheckReply(title="qdrant - vector search engine", version=self._store.version)


class _Collections(q.CollectionsServicer):
    def __init__(self, store: Store) -> None:
        self._store = store

    def Get(self, request: Any, context: Any) -> Any:
        with self._store.collection(request.collection_name) as collection:
            return q.GetCollectionInfoResponse(result=r.to_info(collection.info()))

    def List(self, request: Any, context: Any) -> Any:
        return q.ListCollectionsResponse(
            collections=[q.CollectionDescription(name=name) for name in self._store.names()]
        )

    def CollectionExists(self, request: Any, context: Any) -> Any:
        exists = self._store.exists(request.collection_name)
        return q.CollectionExistsResponse(result=q.CollectionExists(exists=exists))

    def Create(self, request: Any, context: Any) -> Any:
        self._store.create(request.collection_name, r.from_create(request))
        return q.CollectionOperationResponse(result=True)

    def Update(self, request: Any, context: Any) -> Any:
        self._store.update(request.collection_name, r.from_update(request))
        return q.CollectionOperationResponse(result=True)

    def Delete(self, request: Any, context: Any) -> Any:
        return q.CollectionOperationResponse(result=self._store.drop(request.collection_name))


class _Points(q.PointsServicer):
    def __init__(self, store: Store, *, flattened: bool) -> None:
        self._store = store
        self._flattened = flattened

    # --- writing ---

    def Upsert(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._upsert(request))

    def UpdateVectors(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._update_vectors(request))

    def DeleteVectors(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._delete_vectors(request))

    def Delete(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._delete_points(request))

    def SetPayload(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._set_payload(request))

    def OverwritePayload(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._overwrite_payload(request))

    def DeletePayload(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._delete_payload(request))

    def ClearPayload(self, request: Any, context: Any) -> Any:
        return self._updated(request, self._clear_payload(request))

    def UpdateBatch(self, request: Any, context: Any) -> Any:
        results = []
        for operation in request.operations:
            kind = operation.WhichOneof("operation")
            change = getattr(self, f"_{kind}", None)  # a part has the fields of the request that does the same
            if change is None:
                return context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the double does not do {kind} in a batch")
            results.append(self._updated(request, change(getattr(operation, kind))).result)
        return q.UpdateBatchResponse(result=results, time=0.0)

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        params: Json | None = None
        kind = _FIELDS[request.field_type]
        if request.HasField("field_index_params"):
            params = r.plain(GrpcToRest.convert_payload_schema_params(request.field_index_params))
            kind = params["type"]
        return self._updated(request, lambda found: found.create_index(request.field_name, kind, params))

    # --- reading ---

    def Get(self, request: Any, context: Any) -> Any:
        ids = [m.from_id(identifier) for identifier in request.ids]
        with_payload = r.from_payload_selector(request.with_payload, default=True)
        with self._store.collection(request.collection_name) as collection:
            points = collection.get(ids, with_payload, r.from_vectors_selector(request.with_vectors))
        return q.GetResponse(result=self._records(points))

    def Scroll(self, request: Any, context: Any) -> Any:
        wanted: Json = {
            "offset": m.from_id(request.offset) if request.HasField("offset") else None,
            "limit": request.limit if request.HasField("limit") else None,
            "filter": self._filter(request, "filter"),
            "with_payload": r.from_payload_selector(request.with_payload, default=True),
            "with_vector": r.from_vectors_selector(request.with_vectors),
        }
        if request.HasField("order_by"):
            wanted["order_by"] = r.plain(GrpcToRest.convert_order_by(request.order_by))
        with self._store.collection(request.collection_name) as collection:
            points, following = collection.scroll(wanted)
        after = None if following is None else m.to_id(following)
        return q.ScrollResponse(result=self._records(points), next_page_offset=after)

    def Count(self, request: Any, context: Any) -> Any:
        condition = self._filter(request, "filter")
        with self._store.collection(request.collection_name) as collection:
            return q.CountResponse(result=q.CountResult(count=collection.count(condition)))

    def Query(self, request: Any, context: Any) -> Any:
        return q.QueryResponse(result=self._answers(request.collection_name, [request])[0])

    def QueryBatch(self, request: Any, context: Any) -> Any:
        answers = self._answers(request.collection_name, request.query_points)
        return q.QueryBatchResponse(result=[q.BatchResult(result=hits) for hits in answers])

    # --- changes, named as the parts of a batch ---

    def _upsert(self, part: Any) -> Change:
        points, condition = _points(part), self._filter(part, "update_filter")
        return lambda found: found.upsert(points, mode=_MODES[part.update_mode], condition=condition)

    def _update_vectors(self, part: Any) -> Change:
        points, condition = _points(part), self._filter(part, "update_filter")
        return lambda found: found.update_vectors(points, condition)

    def _delete_vectors(self, part: Any) -> Change:
        selector = self._selector(part.points_selector)
        return lambda found: found.delete_vectors(selector, list(part.vectors.names))

    def _delete_points(self, part: Any) -> Change:
        selector = self._selector(part.points)
        return lambda found: found.delete(selector)

    def _set_payload(self, part: Any) -> Change:
        selector, payload = self._selector(part.points_selector), m.from_payload(part.payload)
        return lambda found: found.set_payload(selector, payload, part.key if part.HasField("key") else None)

    def _overwrite_payload(self, part: Any) -> Change:
        selector, payload = self._selector(part.points_selector), m.from_payload(part.payload)
        return lambda found: found.overwrite_payload(selector, payload, part.key if part.HasField("key") else None)

    def _delete_payload(self, part: Any) -> Change:
        selector = self._selector(part.points_selector)
        return lambda found: found.delete_payload(selector, list(part.keys))

    def _clear_payload(self, part: Any) -> Change:
        selector = self._selector(part.points)
        return lambda found: found.clear_payload(selector)

    # --- within ---

    def _answers(self, name: str, queries: Any) -> list[list[Any]]:
        requests = [r.from_query(one, knows_slices=self._store.knows_slices) for one in queries]
        with self._store.collection(name) as collection:
            answers = collection.query(requests)
        return [[m.to_scored(hit, flattened=self._flattened) for hit in hits] for hits in answers]

    def _records(self, points: list[Json]) -> list[Any]:
        return [m.to_record(point, flattened=self._flattened) for point in points]

    def _filter(self, request: Any, field: str) -> Json | None:
        if not request.HasField(field):
            return None
        return r.from_filter(getattr(request, field), knows_slices=self._store.knows_slices)

    def _selector(self, message: Any) -> Json:
        return r.from_selector(message, knows_slices=self._store.knows_slices)

    def _updated(self, request: Any, change: Change) -> Any:
        with self._store.collection(request.collection_name) as collection:
            operation = change(collection)
        status = q.UpdateStatus.Completed if request.wait else q.UpdateStatus.Acknowledged
        return q.PointsOperationResponse(result=q.UpdateResult(operation_id=operation, status=status))


def _points(part: Any) -> list[Point]:
    """Points to be written; those of `UpdateVectors` have no payload."""
    return [
        (
            m.from_id(one.id),
            m.from_vectors(one.vectors, f"points[{at}].vectors"),
            m.from_payload(one.payload) if isinstance(one, q.PointStruct) else {},
        )
        for at, one in enumerate(part.points)
    ]
