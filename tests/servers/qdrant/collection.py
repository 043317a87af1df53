"""One collection: a configuration and a shard of Qdrant's in-process engine.

Requests come in their JSON form, whatever transport brought them; vectors are lists of numbers or of rows. Everything
that writes reaches the engine's log before it is answered, so a killed process loses nothing that it acknowledged.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from tests.servers.qdrant import payloads, queries, schema, strict
from tests.servers.qdrant.filters import engine_filter
from tests.servers.qdrant.limits import Json, Kind, Refused, check_vector, point_id

Point = tuple[Any, Mapping[str, Any], Json]
"""Id, vectors by name, payload."""

_MODES = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}


class Collection:
    """One collection; calls are serialised by the store."""

    def __init__(self, path: Path, shard: edge.EdgeShard | None = None) -> None:
        self._path = path
        saved = json.loads((path / "config.json").read_text())
        self.config: Json = saved["config"]
        self._indexes: Json = saved["indexes"]
        self.shard = shard or edge.EdgeShard.load(str(path / "shard"))
        self._operations = 0

    @classmethod
    def create(cls, path: Path, config: Json) -> Collection:
        shutil.rmtree(path, ignore_errors=True)  # what a creation that failed left
        engine = schema.engine_config(config)
        path.mkdir()
        shard = edge.EdgeShard.create(str(path / "shard"), engine)
        _save(path, {"config": config, "indexes": {}})
        return cls(path, shard)

    def configure(self, config: Json) -> None:
        self.config = config
        _save(self._path, {"config": config, "indexes": self._indexes})

    @property
    def vectors(self) -> dict[str, Json]:
        return schema.vectors(self.config)

    def info(self) -> Json:
        """What the server tells of a collection, in its REST form."""
        info = self.shard.info()
        points = {name.replace('"', ""): index.points for name, index in info.payload_schema.items()}
        described = {
            name: index | {"points": points.get(name.replace('"', ""), 0)} for name, index in self._indexes.items()
        }
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": 0,
            "points_count": info.points_count,
            "segments_count": max(1, info.segments_count),
            "config": self.config,
            "payload_schema": described,
        }

    # --- writing ---

    def upsert(self, points: Sequence[Point], *, mode: str = "upsert", condition: Json | None = None) -> int:
        settings = strict.active(self.config)
        strict.check_batch(settings, len(points), "upsert limit")
        prepared = [
            edge.Point(point_id(identifier), self._checked(vectors, settings), payloads.stored(payload))
            for identifier, vectors, payload in points
        ]
        strict.check_points(settings, self.shard.info().points_count + len(points))
        if not prepared:
            raise Refused(Kind.INVALID, "Bad request: Empty update request")
        matching = engine_filter(condition) if condition else None
        return self._apply(edge.UpdateOperation.upsert_points(prepared, matching, _MODES[mode]))

    def update_vectors(self, points: Sequence[Point], condition: Json | None = None) -> int:
        settings = strict.active(self.config)
        strict.check_batch(settings, len(points), "update limit")
        self._require(identifier for identifier, _, _ in points)
        prepared = [
            edge.PointVectors(point_id(identifier), self._checked(vectors, settings))
            for identifier, vectors, _ in points
        ]
        matching = engine_filter(condition) if condition else None
        return self._apply(edge.UpdateOperation.update_vectors(prepared, matching))

    def delete_vectors(self, selector: Json, names: list[str]) -> int:
        return self._selected("delete_vectors", selector, names)

    def delete(self, selector: Json) -> int:
        return self._selected("delete_points", selector)

    def set_payload(self, selector: Json, payload: Json, key: str | None) -> int:
        return self._selected("set_payload", selector, payloads.stored(payload, replacing=False), key)

    def overwrite_payload(self, selector: Json, payload: Json, key: str | None) -> int:
        return self._selected("overwrite_payload", selector, payloads.stored(payload), key)

    def delete_payload(self, selector: Json, keys: list[str]) -> int:
        return self._selected("delete_payload", selector, [*keys, *map(payloads.companion, keys)])

    def clear_payload(self, selector: Json) -> int:
        return self._selected("clear_payload", selector)

    def create_index(self, field: str, kind: str, params: Json | None) -> int:
        if kind not in schema.INDEXES:
            raise Refused(Kind.INVALID, f"Format error in JSON body: unknown payload schema {kind!r}")
        done = self._apply(edge.UpdateOperation.create_field_index(field, schema.INDEXES[kind]))
        self._indexes[field] = {"data_type": kind} | ({"params": params} if params else {})
        self.configure(self.config)
        return done

    # --- reading ---

    def get(self, ids: Iterable[Any], with_payload: Any, with_vector: Any) -> list[Json]:
        records = self.shard.retrieve(
            [point_id(value) for value in ids], queries.payload_selector(with_payload), with_vector or False
        )
        return [queries.record(found, with_payload) for found in records]

    def scroll(self, request: Json) -> tuple[list[Json], Any]:
        strict.check_read(strict.active(self.config), request, self._indexes)
        records, following = self.shard.scroll(queries.scroll(request))
        with_payload = request.get("with_payload", True)
        return [queries.record(found, with_payload) for found in records], queries.plain_id(following)

    def count(self, condition: Json | None) -> int:
        strict.check_filter(strict.active(self.config), condition, self._indexes, "unindexed_filtering_retrieve")
        return self.shard.count(edge.CountRequest(exact=True, filter=engine_filter(condition) if condition else None))

    def query(self, requests: Sequence[Json]) -> list[list[Json]]:
        settings = strict.active(self.config)
        if len(requests) > 1:
            strict.check_search_batch(settings, len(requests))
        prepared = []
        for request in requests:
            vector = request.get("using") or ""
            graph = schema.has_graph(self.config, vector)
            strict.check_query(settings, request, self._indexes, has_graph=graph, vector=vector)
            prepared.append(queries.query(request, self.vectors, self._vector_of))
        answers = self.shard.query_batch(edge.QueryBatchRequest(prepared))
        return [
            [queries.scored(hit, request.get("with_payload", False)) for hit in hits]
            for request, hits in zip(requests, answers, strict=True)
        ]

    # --- within ---

    def _vector_of(self, identifier: Any, name: str) -> Any:
        found = self.shard.retrieve([point_id(identifier)], False, [name])
        if not found:
            raise Refused(Kind.NOT_FOUND, f"Not found: No point with id {identifier} found")
        vectors = found[0].vector
        return vectors[name] if isinstance(vectors, dict) else vectors

    def _checked(self, vectors: Mapping[str, Any], settings: Json) -> Any:
        checked = {name: check_vector(name, value, self.vectors) for name, value in vectors.items()}
        for name, value in checked.items():
            if self.vectors[name].get("multivector_config"):
                strict.check_rows(settings, name, len(value))
        return checked

    def _require(self, ids: Iterable[Any]) -> None:
        """Refuse ids that are not there (source), before anything is changed."""
        for value in ids:
            if not self.shard.retrieve([point_id(value)], False, False):
                raise Refused(Kind.NOT_FOUND, f"Not found: No point with id {value} found")

    def _selected(self, operation: str, selector: Json, *arguments: Any) -> int:
        """Apply an operation to points by id or by filter."""
        if selector.get("points") is not None:
            ids = [point_id(value) for value in selector["points"]]
            if operation in {"set_payload", "overwrite_payload", "delete_payload"}:
                self._require(selector["points"])
            return self._apply(getattr(edge.UpdateOperation, operation)(ids, *arguments))
        condition = selector.get("filter")
        if condition is None:
            raise Refused(Kind.INVALID, "Bad request: either points or filter must be specified")
        settings = strict.active(self.config)
        strict.check_filter(settings, condition, self._indexes, "unindexed_filtering_update")
        return self._apply(
            getattr(edge.UpdateOperation, f"{operation}_by_filter")(engine_filter(condition), *arguments)
        )

    def _apply(self, operation: edge.UpdateOperation) -> int:
        self.shard.update(operation)
        self._operations += 1
        return self._operations


def _save(path: Path, content: Json) -> None:
    draft = path / "config.json.new"
    draft.write_text(json.dumps(content))
    draft.replace(path / "config.json")
