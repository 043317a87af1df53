"""What a server says of a collection, as the client reads it; for tests without a server."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

MULTI = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)


def vector(size: int = 4, distance: str = "Dot", *, multi: bool = True, **more: Any) -> models.VectorParams:
    """Parameters of a vector, by default a multi-vector."""
    return models.VectorParams(
        size=size, distance=models.Distance(distance), multivector_config=MULTI if multi else None, **more
    )


def found(vectors: Any, *, indexes: dict[str, str] | None = None, m: int = 0, **config: Any) -> models.CollectionInfo:
    """What a server says of a collection."""
    params = {name: config.pop(name) for name in ("sparse_vectors", "sharding_method") if name in config}
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        segments_count=1,
        payload_schema={
            name: models.PayloadIndexInfo(data_type=models.PayloadSchemaType(kind), points=0)
            for name, kind in (indexes or {}).items()
        },
        config=models.CollectionConfig(
            params=models.CollectionParams(vectors=vectors, **params),
            hnsw_config=models.HnswConfig(m=m, ef_construct=100, full_scan_threshold=10000),
            optimizer_config=models.OptimizersConfig(
                deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, flush_interval_sec=5
            ),
            **config,
        ),
    )
