"""What a collection is: one that lateint created, or one that it finds. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lateint import errors
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.capabilities import Capabilities, Feature
from lateint.spec import RESERVED_PREFIX, DType, FieldType, IndexSpec, check_fields, check_name
from lateint_qdrant import schema, strict
from lateint_qdrant.access import Access, access_to
from lateint_qdrant.keeping import check_native_id


def metadata(spec: IndexSpec) -> dict[str, Any]:
    """Metadata of the collection of an index."""
    return {schema.SPEC_KEY: json.dumps(spec.to_dict(), sort_keys=True)}


def described(name: str, collection: Any, capabilities: Capabilities, *, vector: str | None) -> IndexInfo:  # noqa: ANN401
    """An index that exists.

    Args:
        name: what it was opened by: the collection's name, or an alias.
        collection: what the server says of it, in the models of its client.
        capabilities: what can be asked of a new index there.
        vector: which multi-vector, where there are several.

    Raises:
        SchemaMismatch: it has no multi-vector, several and none was chosen, or is not what lateint created.
        UnsupportedFeature: its vectors cannot be used.
    """
    kept = (collection.config.metadata or {}).get(schema.SPEC_KEY)
    info = (
        _found(name, collection, capabilities, vector)
        if kept is None
        else _kept(name, collection, capabilities, vector, kept)
    )
    limits = collection.config.strict_mode_config
    if limits is None or not limits.enabled:
        return info
    graph = _links(collection, multivectors(collection)[access_to(info).vector], "m") > 0
    return strict.limited(info, limits, indexed=frozenset(collection.payload_schema), graph=graph)


def _kept(name: str, collection: Any, capabilities: Capabilities, vector: str | None, kept: object) -> IndexInfo:  # noqa: ANN401
    try:
        spec = IndexSpec.from_dict(json.loads(str(kept))).replace(name=check_name(name))
    except (ValueError, TypeError) as error:
        raise errors.SchemaMismatch(
            f"the metadata of collection {name!r} do not describe an index: {error}",
            hint=f"Restore its metadata {schema.SPEC_KEY!r}; or upgrade lateint.",
        ) from error
    if vector not in {None, schema.VECTOR}:
        raise errors.SchemaMismatch(
            f"index {name!r} has no multi-vector {vector!r}.", hint=f"Its only one is {schema.VECTOR!r}."
        )
    params = multivectors(collection).get(schema.VECTOR)
    there = "gone" if params is None else f"{_text(params.distance)}, {_stored(params)}, of dimension {params.size}"
    if there != f"Dot, {spec.dtype.value}, of dimension {spec.dim}":
        raise errors.SchemaMismatch(
            f"collection {name!r} is not what lateint created: its multi-vector {schema.VECTOR!r} is {there}.",
            hint="Something changed it; restore it from a snapshot, or write it anew.",
        )
    approximate, short_cut = _short_cut(collection, params)  # which its owner may have added since
    return IndexInfo(
        spec=spec,
        capabilities=replace(capabilities, features=_features(capabilities, approximate=approximate)),
        id_mode=IdMode.MAPPED,
        native={"access": Access(vector=schema.VECTOR, approximate=approximate, short_cut_warnings=short_cut)},
    )


def _found(name: str, collection: Any, capabilities: Capabilities, vector: str | None) -> IndexInfo:  # noqa: ANN401
    chosen = _chosen(name, collection, vector)
    params = multivectors(collection)[chosen]
    distance, stored = _text(params.distance), _stored(params)
    if stored == "uint8":
        raise errors.UnsupportedFeature(
            f"multi-vector {chosen!r} of collection {name!r} holds whole numbers from 0 to 255 (uint8).",
            backend=schema.ENGINE,
            feature="uint8 vectors",
            alternative="Write its documents from the original float vectors to an index that lateint creates.",
        )
    spec = _spec(name, collection, params, capabilities)
    approximate, short_cut = _short_cut(collection, params)
    notes, scores = _warnings(distance, stored)
    sharded = _text(collection.config.params.sharding_method or "auto") == "custom"
    return IndexInfo(
        spec=spec,
        capabilities=replace(
            capabilities,
            features=_features(capabilities, approximate=approximate) - {Feature.ADD_FIELD},
            rounds_queries=spec.dtype is DType.FLOAT16,
            dtypes=frozenset({spec.dtype}),
            engine_options=frozenset(),
        ),
        id_mode=IdMode.NATIVE,
        check_id=check_native_id,
        managed=False,
        writable=not sharded,
        not_carried=(*other_vectors(collection, chosen), *(("the shard key of each document",) if sharded else ())),
        warnings=(*notes, *scores),
        native={
            "access": Access(
                vector=chosen,
                approximate=approximate,
                smaller_is_better=distance in {"Euclid", "Manhattan"},
                scales_and_rounds=distance == "Cosine" and spec.dtype is DType.FLOAT16,
                score_warnings=scores,
                short_cut_warnings=short_cut,
            )
        },
    )


def _spec(name: str, collection: Any, params: Any, capabilities: Capabilities) -> IndexSpec:  # noqa: ANN401
    try:
        check_name(name)
    except errors.InvalidInput as error:
        raise errors.SchemaMismatch(
            f"collection {name!r} has a name that an index cannot have.",
            hint="Give it an alias in Qdrant (letters, digits, '_' and '-') and open that.",
        ) from error
    return IndexSpec(
        name,
        params.size,
        # The client's local mode says float16 and keeps float32.
        dtype=DType.FLOAT16 if _stored(params) == "float16" and DType.FLOAT16 in capabilities.dtypes else DType.FLOAT32,
        fields=_fields(collection.payload_schema),
        # Qdrant scales rows and queries of such a collection anyway: lateint doing so first changes no score, and makes
        # what is sent the same as what is scored. All other documents are written as they are given.
        normalize=_text(params.distance) == "Cosine",
    )


def _fields(payload_schema: Mapping[str, Any]) -> dict[str, FieldType]:
    """Fields with a payload index of a kind, and under a name, that a filter of lateint can use."""
    found: dict[str, FieldType] = {}
    for name, index in payload_schema.items():
        kind = _FIELD.get(_text(index.data_type))
        if kind is not None and not name.startswith(RESERVED_PREFIX) and name.isascii() and name.isidentifier():
            found[name] = kind
    return check_fields({name: kind for name, kind in found.items() if len(name) <= 63})


_FIELD = {
    "keyword": FieldType.KEYWORD,
    "uuid": FieldType.KEYWORD,
    "text": FieldType.TEXT,
    "integer": FieldType.INTEGER,
    "float": FieldType.FLOAT,
    "bool": FieldType.BOOLEAN,
    "datetime": FieldType.DATETIME,
}


def _vectors(collection: Any) -> dict[str, Any]:  # noqa: ANN401
    """All dense vectors by name; the unnamed one under the empty name."""
    vectors = collection.config.params.vectors
    if vectors is None:
        return {}
    return dict(vectors) if isinstance(vectors, Mapping) else {"": vectors}


def multivectors(collection: Any) -> dict[str, Any]:  # noqa: ANN401
    """Multi-vectors by name; the unnamed one under the empty name."""
    return {name: params for name, params in _vectors(collection).items() if params.multivector_config is not None}


def _chosen(name: str, collection: Any, vector: str | None) -> str:  # noqa: ANN401
    names = sorted(multivectors(collection))
    listed = ", ".join(map(repr, names))
    if not names:
        there = ", ".join(other_vectors(collection, None)) or "no vectors"
        raise errors.SchemaMismatch(
            f"collection {name!r} has no multi-vector; it has {there}.",
            hint="lateint works on multi-vectors: create an index of its own for them.",
        )
    if vector is None and len(names) > 1:
        raise errors.SchemaMismatch(
            f"collection {name!r} has {len(names)} multi-vectors: {listed}.",
            hint=f"Choose one: open({name!r}, vector={names[0]!r}).",
        )
    if vector is not None and vector not in names:
        raise errors.SchemaMismatch(f"collection {name!r} has no multi-vector {vector!r}.", hint=f"It has {listed}.")
    return names[0] if vector is None else vector


def other_vectors(collection: Any, chosen: str | None) -> tuple[str, ...]:  # noqa: ANN401
    """What lateint does not carry, in words."""
    dense = [
        f"vector {name!r} ({'multi, ' if params.multivector_config is not None else ''}dimension {params.size})"
        for name, params in sorted(_vectors(collection).items())
        if name != chosen
    ]
    return (*dense, *(f"vector {name!r} (sparse)" for name in sorted(collection.config.params.sparse_vectors or ())))


def _short_cut(collection: Any, params: Any) -> tuple[bool, tuple[str, ...]]:  # noqa: ANN401
    """Whether a search that is not exact takes a short cut, and what that does to scores.

    A graph over the vector, or one over payload values, counts as soon as it is configured.
    """
    graph = _links(collection, params, "m") > 0 or _links(collection, params, "payload_m") > 0
    quantized = (params.quantization_config or collection.config.quantization_config) is not None
    warning = "The scores are those of quantized vectors; pass exact=True for the true ones."
    return graph or quantized, ((warning,) if quantized else ())


def _features(capabilities: Capabilities, *, approximate: bool) -> frozenset[Feature]:
    return capabilities.features | ({Feature.APPROXIMATE_SEARCH} if approximate else frozenset())


def _links(collection: Any, params: Any, kind: str) -> int:  # noqa: ANN401
    """Links per point of a graph, `m` or `payload_m`: the vector's own number, or else that of the collection."""
    settings = (params.hnsw_config, collection.config.hnsw_config)
    return next((found for one in settings if (found := getattr(one, kind, None)) is not None), 0)


def _warnings(distance: str, stored: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to know of a collection, and of each of its scores."""
    notes: list[str] = []
    scores: list[str] = []
    if distance == "Cosine":
        notes.append("Distance Cosine: Qdrant scales every row to length 1 as it is written; its length is not kept.")
    elif distance == "Euclid":
        scores.append("Distance Euclid: the score is minus the root of the summed squared distances, not a MaxSim sum.")
    elif distance == "Manhattan":
        scores.append("Distance Manhattan: the score is minus the sum of the smallest distances, not a MaxSim sum.")
    if stored not in {"float32", "float16"}:
        scores.append(f"Vectors are stored as {stored}, a compressed form: scores and rows are near the original ones.")
    return tuple(notes), tuple(scores)


def _stored(params: Any) -> str:  # noqa: ANN401
    """In what form a multi-vector is kept."""
    return _text(params.datatype or "float32")


def _text(value: Any) -> str:  # noqa: ANN401
    """An enum of the client as its text."""
    return str(getattr(value, "value", value))
