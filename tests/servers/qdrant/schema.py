"""What a collection is: its configuration as sent, as the engine takes it, and as it is reported."""

from __future__ import annotations

import copy
from typing import Any

import qdrant_edge as edge

from tests.servers.qdrant.limits import Json, Kind, Refused

_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": False}
_OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
}
_WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
_PARAMS = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}

_DISTANCES = {kind: getattr(edge.Distance, kind) for kind in ("Cosine", "Euclid", "Dot", "Manhattan")}
_DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
INDEXES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "geo": edge.PayloadSchemaType.Geo,
    "text": edge.PayloadSchemaType.Text,
    "bool": edge.PayloadSchemaType.Bool,
    "datetime": edge.PayloadSchemaType.Datetime,
    "uuid": edge.PayloadSchemaType.Uuid,
}


def created(request: Json, *, knows_memory: bool) -> Json:
    """Configuration of a new collection, with the server's defaults filled in.

    Args:
        request: body of the request, in its REST form.
        knows_memory: the server has the setting `memory`, new in 1.19; older ones do not read it.
    """
    given = copy.deepcopy(request)
    if not knows_memory:
        _forget_memory(given)
    params = {"vectors": given.get("vectors") or {}, **_PARAMS}
    params |= {
        name: given[name] for name in (*_PARAMS, "sparse_vectors", "sharding_method") if given.get(name) is not None
    }
    config = {
        "params": params,
        "hnsw_config": _HNSW | (given.get("hnsw_config") or {}),
        "optimizer_config": _OPTIMIZERS | (given.get("optimizers_config") or {}),
        "wal_config": _WAL | (given.get("wal_config") or {}),
        "quantization_config": given.get("quantization_config"),
        "strict_mode_config": {"enabled": False} | (given.get("strict_mode_config") or {}),
    }
    if given.get("metadata"):
        config["metadata"] = given["metadata"]
    return config


def updated(config: Json, request: Json) -> Json:
    """Configuration after an update: what is named changes, metadata is merged."""
    vectors = config["params"]["vectors"]
    for name, change in (request.get("vectors") or {}).items():
        target = vectors if "size" in vectors and not name else vectors.get(name)
        if target is None:
            raise Refused(Kind.INVALID, f"Wrong input: Not existing vector name error: {name}")
        _merge(target, change)
    for name, key in _UPDATED.items():
        if request.get(name) is not None:
            config[key] = config.get(key) or {}
            _merge(config[key], request[name])
    if config.get("quantization_config") == "Disabled":
        config["quantization_config"] = None
    return config


_UPDATED = {
    "params": "params",
    "hnsw_config": "hnsw_config",
    "optimizers_config": "optimizer_config",
    "strict_mode_config": "strict_mode_config",
    "metadata": "metadata",
    "quantization_config": "quantization_config",
}


def vectors(config: Json) -> dict[str, Json]:
    """Plain and multi-vectors by name; the unnamed one has the empty name."""
    given: Json = config["params"]["vectors"]
    return {"": given} if "size" in given else given


def has_graph(config: Json, vector: str) -> bool:
    """The vector has an HNSW graph, by its own settings or the collection's."""
    own = (vectors(config).get(vector) or {}).get("hnsw_config") or {}
    m = own.get("m")
    return bool(config["hnsw_config"]["m"] if m is None else m)


def engine_config(config: Json) -> edge.EdgeConfig:
    """Configuration of the shard. It builds no graph and quantizes nothing, whatever the collection reports.

    Raises:
        Refused: a distance or storage format that the double does not know.
    """
    no_graph = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
    return edge.EdgeConfig(
        vectors={name: _vector(params, no_graph) for name, params in vectors(config).items()},
        hnsw_config=no_graph,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=0),
        wal_enabled=True,
    )


def _vector(params: Json, no_graph: edge.HnswIndexConfig) -> edge.EdgeVectorParams:
    if not 1 <= params.get("size", 0) <= 65536:
        text = f"vectors.size: value {params.get('size')} invalid, must be from 1 to 65536"
        raise Refused(Kind.UNPROCESSABLE, f"Validation error in JSON body: [{text}]")
    datatype = params.get("datatype") or "float32"
    if params.get("distance") not in _DISTANCES or datatype not in _DATATYPES:
        raise Refused(Kind.INVALID, f"Format error in JSON body: unknown variant in {params}")
    multivector = (
        edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if params.get("multivector_config") else None
    )
    return edge.EdgeVectorParams(
        size=params["size"],
        distance=_DISTANCES[params["distance"]],
        multivector_config=multivector,
        datatype=_DATATYPES[datatype],
        hnsw_config=no_graph,
    )


def _merge(target: Json, change: Any) -> None:
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        elif value is not None:
            target[name] = value


def _forget_memory(given: Json) -> None:
    vectors = given.get("vectors") or {}
    for params in [given, vectors, *(part for part in vectors.values() if isinstance(part, dict))]:
        if isinstance(params.get("memory"), str):
            del params["memory"]
        for name in ("hnsw_config", "quantization_config"):
            (params.get(name) or {}).pop("memory", None)
        for kind in (params.get("quantization_config") or {}).values():
            kind.pop("memory", None)
