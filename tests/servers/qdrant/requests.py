"""Requests of the gRPC interface as the store's JSON form. What is not vectors goes through the client's converters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qdrant_client import grpc as q
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.http import models

from tests.servers.qdrant.limits import Json, Kind, Refused
from tests.servers.qdrant.messages import from_id, from_payload, matrix


def plain(model: Any) -> Any:
    """A model of the REST interface as JSON."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


# --- filters, selectors ---


def from_filter(message: q.Filter, *, knows_slices: bool) -> Json:
    """A filter; a server that does not know slices reads past them."""
    if not knows_slices:
        message = _without_slices(message)
    try:
        compact: Json = _compact(plain(GrpcToRest.convert_filter(message)))
    except ValueError as error:
        raise Refused(Kind.INVALID, f"Malformed Condition type: {error}") from error
    return compact


def _without_slices(message: q.Filter) -> q.Filter:
    result = q.Filter()
    for name in ("must", "should", "must_not"):
        getattr(result, name).extend(_kept(getattr(message, name)))
    if message.HasField("min_should"):
        result.min_should.CopyFrom(q.MinShould(min_count=message.min_should.min_count))
        result.min_should.conditions.extend(_kept(message.min_should.conditions))
    return result


def _kept(conditions: Iterable[q.Condition]) -> list[q.Condition]:
    kept = []
    for condition in conditions:
        match condition.WhichOneof("condition_one_of"):
            case "slice" | None:
                continue
            case "filter":
                kept.append(q.Condition(filter=_without_slices(condition.filter)))
            case _:
                kept.append(condition)
    return kept


def _compact(data: Any) -> Any:
    """Without the empty clauses that the converter writes."""
    if isinstance(data, list):
        return [_compact(part) for part in data]
    if not isinstance(data, dict):
        return data
    return {name: _compact(part) for name, part in data.items() if part != [] or name in {"has_id", "any", "except"}}


def from_selector(message: q.PointsSelector, *, knows_slices: bool) -> Json:
    match message.WhichOneof("points_selector_one_of"):
        case "points":
            return {"points": [from_id(identifier) for identifier in message.points.ids]}
        case "filter":
            return {"filter": from_filter(message.filter, knows_slices=knows_slices)}
    raise Refused(Kind.INVALID, "PointSelector is missing")


def from_payload_selector(message: Any, default: Any) -> Any:
    match message.WhichOneof("selector_options"):
        case "enable":
            return message.enable
        case "include":
            return list(message.include.fields)
        case "exclude":
            return {"exclude": list(message.exclude.fields)}
    return default


def from_vectors_selector(message: q.WithVectorsSelector) -> Any:
    match message.WhichOneof("selector_options"):
        case "include":
            return list(message.include.names)
        case "enable":
            return message.enable
    return False


# --- searches ---


def from_query(message: Any, *, knows_slices: bool) -> Json:
    """A `QueryPoints` or one of its prefetches."""
    request: Json = {"using": message.using, "limit": message.limit if message.HasField("limit") else None}
    if message.HasField("query"):
        request["query"] = _from_wanted(message.query)
    if message.HasField("filter"):
        request["filter"] = from_filter(message.filter, knows_slices=knows_slices)
    if message.HasField("params"):
        request["params"] = plain(GrpcToRest.convert_search_params(message.params))
    if message.HasField("score_threshold"):
        request["score_threshold"] = message.score_threshold
    if message.prefetch:
        request["prefetch"] = [from_query(part, knows_slices=knows_slices) for part in message.prefetch]
    if isinstance(message, q.QueryPoints):
        request["offset"] = message.offset
        request["with_payload"] = from_payload_selector(message.with_payload, default=False)
        request["with_vector"] = from_vectors_selector(message.with_vectors)
    return request


def _from_wanted(message: q.Query) -> Any:
    kind = message.WhichOneof("variant")
    if kind != "nearest":
        return plain(GrpcToRest.convert_query(message))
    match message.nearest.WhichOneof("variant"):
        case "id":
            return {"nearest": from_id(message.nearest.id)}
        case "dense":
            return {"nearest": list(message.nearest.dense.data)}
        case "multi_dense":
            return {"nearest": matrix(message.nearest.multi_dense, "query.variant.nearest.variant.multi_dense")}
        case other:
            raise Refused(Kind.UNKNOWN, f"The double does not know this query: {other}")


# --- collections ---


def from_create(message: Any) -> Json:
    """The body of the REST request that creates the collection of a `CreateCollection`."""
    if message.HasField("sparse_vectors_config") and message.sparse_vectors_config.map:
        raise Refused(Kind.UNKNOWN, "The double does not keep sparse vectors")
    request: Json = {"vectors": {}}
    if message.HasField("vectors_config"):
        vectors = GrpcToRest.convert_vectors_config(message.vectors_config)
        if isinstance(vectors, dict):
            request["vectors"] = {name: plain(one) for name, one in vectors.items()}
        else:
            request["vectors"] = plain(vectors)
    for name, convert in {
        "hnsw_config": GrpcToRest.convert_hnsw_config_diff,
        "wal_config": GrpcToRest.convert_wal_config_diff,
        "optimizers_config": GrpcToRest.convert_optimizers_config_diff,
        "quantization_config": GrpcToRest.convert_quantization_config,
        "strict_mode_config": GrpcToRest.convert_strict_mode_config,
    }.items():
        if message.HasField(name):
            request[name] = plain(convert(getattr(message, name)))
    for name in ("shard_number", "on_disk_payload", "replication_factor", "write_consistency_factor"):
        if message.HasField(name):
            request[name] = getattr(message, name)
    if message.metadata:
        request["metadata"] = from_payload(message.metadata)
    return request


def from_update(message: q.UpdateCollection) -> Json:
    """The body of the REST request that makes the same update."""
    request: Json = plain(GrpcToRest.convert_update_collection(message))
    if message.metadata:
        request["metadata"] = from_payload(message.metadata)
    return request


def to_info(info: Json) -> q.CollectionInfo:
    return RestToGrpc.convert_collection_info(models.CollectionInfo(**info))
