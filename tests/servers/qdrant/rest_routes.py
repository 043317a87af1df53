"""What each method and path of the REST interface does, as far as adapters use it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

from tests.servers.qdrant import limits
from tests.servers.qdrant.collection import Collection, Point
from tests.servers.qdrant.filters import has_slice, no_condition
from tests.servers.qdrant.limits import InvalidMatrix, Json, Kind, Refused
from tests.servers.qdrant.store import Store

_HEALTH = {"/readyz": "all shards are ready", "/healthz": "healthz check passed", "/livez": "livez check passed"}

Work = Callable[[Json, bool], Any]


class Routes:
    """Which method and path does what."""

    def __init__(self, store: Store) -> None:
        self._store = store
        points = "/collections/([^/]+)/points"
        self._table: list[tuple[str, str, str, bool, Callable[..., Any]]] = [
            ("GET", "/", "Qdrant/HealthCheck", False, self._about),
            ("GET", "/profiler/slow_requests", "Profiler/SlowRequests", True, self._slow),  # only for who may manage
            ("GET", "/collections", "Collections/List", False, self._list),
            ("GET", "/collections/([^/]+)/exists", "Collections/CollectionExists", False, self._exists),
            ("GET", "/collections/([^/]+)", "Collections/Get", False, self._info),
            ("PUT", "/collections/([^/]+)", "Collections/Create", True, self._create),
            ("PATCH", "/collections/([^/]+)", "Collections/Update", True, self._update),
            ("DELETE", "/collections/([^/]+)", "Collections/Delete", True, self._drop),
            ("PUT", "/collections/([^/]+)/index", "Points/CreateFieldIndex", True, self._updated(_create_index)),
            ("PUT", points, "Points/Upsert", True, self._updated(_upsert)),
            ("POST", points, "Points/Get", False, self._read(_get)),
            ("POST", f"{points}/delete", "Points/Delete", True, self._updated(lambda c, b: c.delete(b))),
            ("POST", f"{points}/payload", "Points/SetPayload", True, self._updated(_set_payload)),
            ("PUT", f"{points}/payload", "Points/OverwritePayload", True, self._updated(_overwrite_payload)),
            ("POST", f"{points}/payload/delete", "Points/DeletePayload", True, self._updated(_delete_payload)),
            (
                "POST",
                f"{points}/payload/clear",
                "Points/ClearPayload",
                True,
                self._updated(lambda c, b: c.clear_payload(b)),
            ),
            ("POST", f"{points}/batch", "Points/UpdateBatch", True, self._batch),
            ("PUT", f"{points}/vectors", "Points/UpdateVectors", True, self._updated(_update_vectors)),
            ("POST", f"{points}/vectors/delete", "Points/DeleteVectors", True, self._updated(_delete_vectors)),
            ("POST", f"{points}/scroll", "Points/Scroll", False, self._read(_scroll)),
            ("POST", f"{points}/count", "Points/Count", False, self._read(_count)),
            ("POST", f"{points}/query", "Points/Query", False, self._read(_query)),
            ("POST", f"{points}/query/batch", "Points/QueryBatch", False, self._read(_query_batch)),
        ]

    def found(self, verb: str, path: str) -> tuple[str, bool, Work]:
        """Name of the call, as over gRPC, whether it writes, and what does it."""
        if path in _HEALTH:
            return "Health/" + path[1:], False, lambda body, waits: _HEALTH[path]
        for expected, pattern, name, writes, work in self._table:
            match = re.fullmatch(pattern, path)
            if match and verb == expected:
                return name, writes, partial(_with_arguments, work, [unquote(group) for group in match.groups()])
        return "Unknown", False, _unknown

    def _about(self, body: Json, waits: bool) -> Any:
        return {"title": "qdrant - vector search engine", "version": self._store.version, "commit": "double"}

    def _slow(self, body: Json, waits: bool) -> Any:
        if self._store.release < (1, 16):
            return _unknown(body, waits)
        return {"requests": []}

    def _list(self, body: Json, waits: bool) -> Any:
        return {"collections": [{"name": name} for name in self._store.names()]}

    def _exists(self, body: Json, waits: bool, name: str) -> Any:
        return {"exists": self._store.exists(name)}

    def _info(self, body: Json, waits: bool, name: str) -> Any:
        with self._store.collection(name) as collection:
            return collection.info()

    def _create(self, body: Json, waits: bool, name: str) -> Any:
        if body.get("sparse_vectors"):
            raise Refused(Kind.UNKNOWN, "The double does not keep sparse vectors")
        self._store.create(name, body)
        return True

    def _update(self, body: Json, waits: bool, name: str) -> Any:
        self._store.update(name, body)
        return True

    def _drop(self, body: Json, waits: bool, name: str) -> Any:
        return self._store.drop(name)

    def _updated(self, apply: Callable[[Collection, Json], int]) -> Callable[..., Any]:
        def work(body: Json, waits: bool, name: str) -> Any:
            self._check_slices(body)
            with self._store.collection(name) as collection:
                operation = apply(collection, body)
            return {"operation_id": operation, "status": "completed" if waits else "acknowledged"}

        return work

    def _batch(self, body: Json, waits: bool, name: str) -> Any:
        results = []
        for operation in body["operations"]:
            ((kind, part),) = operation.items()
            results.append(self._updated(_BATCHED[kind])(part, waits, name))
        return results

    def _read(self, answer: Callable[[Collection, Json], Any]) -> Callable[..., Any]:
        def work(body: Json, waits: bool, name: str) -> Any:
            self._check_slices(body)
            with self._store.collection(name) as collection:
                return answer(collection, body)

        return work

    def _check_slices(self, body: Json) -> None:
        """Over REST, unlike gRPC, a server that does not know slices says so (seen)."""
        if not self._store.knows_slices and has_slice({name: body[name] for name in _FILTERED if name in body}):
            raise no_condition()


_FILTERED = ("filter", "prefetch", "searches", "update_filter")


def _with_arguments(work: Callable[..., Any], arguments: list[str], body: Json, waits: bool) -> Any:
    return work(body, waits, *arguments)


def _unknown(body: Json, waits: bool) -> Any:
    raise Refused(Kind.NOT_FOUND, "")


def _upsert(collection: Collection, body: Json) -> int:
    batch = body.get("batch")
    if batch:
        payloads = batch.get("payloads") or [None] * len(batch["ids"])
        vectors = batch["vectors"]
        if isinstance(vectors, dict):
            vectors = [{name: column[at] for name, column in vectors.items()} for at in range(len(batch["ids"]))]
        rows = list(zip(batch["ids"], vectors, payloads, strict=True))
    else:
        rows = [(point.get("id"), point.get("vector"), point.get("payload")) for point in body.get("points", [])]
    points: list[Point] = [
        (identifier, _vectors(vector, f"points[{at}].vector"), payload or {})
        for at, (identifier, vector, payload) in enumerate(rows)
    ]
    return collection.upsert(points, mode=body.get("update_mode") or "upsert", condition=body.get("update_filter"))


def _update_vectors(collection: Collection, body: Json) -> int:
    points: list[Point] = [
        (point["id"], _vectors(point["vector"], f"points[{at}].vector"), {}) for at, point in enumerate(body["points"])
    ]
    return collection.update_vectors(points, body.get("update_filter"))


def _delete_vectors(collection: Collection, body: Json) -> int:
    return collection.delete_vectors(body, body["vector"])


def _set_payload(collection: Collection, body: Json) -> int:
    return collection.set_payload(body, body["payload"], body.get("key"))


def _overwrite_payload(collection: Collection, body: Json) -> int:
    return collection.overwrite_payload(body, body["payload"], body.get("key"))


def _delete_payload(collection: Collection, body: Json) -> int:
    return collection.delete_payload(body, body["keys"])


def _create_index(collection: Collection, body: Json) -> int:
    wanted = body.get("field_schema")
    if isinstance(wanted, dict):
        return collection.create_index(body["field_name"], wanted["type"], wanted)
    return collection.create_index(body["field_name"], str(wanted), None)


_BATCHED: dict[str, Callable[[Collection, Json], int]] = {
    "upsert": _upsert,
    "update_vectors": _update_vectors,
    "delete": lambda collection, body: collection.delete(body),
    "set_payload": _set_payload,
    "overwrite_payload": _overwrite_payload,
    "delete_payload": _delete_payload,
}


def _get(collection: Collection, body: Json) -> Any:
    return collection.get(body["ids"], body.get("with_payload", True), body.get("with_vector"))


def _scroll(collection: Collection, body: Json) -> Any:
    points, following = collection.scroll(body)
    return {"points": points, "next_page_offset": following}


def _count(collection: Collection, body: Json) -> Any:
    return {"count": collection.count(body.get("filter"))}


def _query(collection: Collection, body: Json) -> Any:
    return {"points": collection.query([_searched(body)])[0]}


def _query_batch(collection: Collection, body: Json) -> Any:
    return [{"points": hits} for hits in collection.query([_searched(one) for one in body["searches"]])]


def _searched(body: Json) -> Json:
    query = body.get("query")
    vector = query.get("nearest") if isinstance(query, dict) else query
    if isinstance(vector, list):
        _checked(vector, "query")
    return body


def _vectors(given: Any, path: str) -> dict[str, Any]:
    """Vectors by name, checked as the server's validation does."""
    named = given if isinstance(given, dict) else {} if given is None else {"": given}
    return {name: _checked(value, path) for name, value in named.items()}


def _checked(value: Any, path: str) -> Any:
    rows = value if isinstance(value, list) and value and isinstance(value[0], list) else None
    flat = [number for row in rows for number in row] if rows and all(isinstance(row, list) for row in rows) else value
    if not isinstance(flat, list) or not all(type(number) in {int, float} for number in flat):
        text = "data did not match any variant of untagged enum VectorStruct"
        raise Refused(Kind.INVALID, f"Format error in JSON body: {text}")
    try:
        limits.check_matrix([flat] if rows is None and flat else rows or [])
    except InvalidMatrix as error:
        raise limits.over_rest(error, path) from error
    return value
