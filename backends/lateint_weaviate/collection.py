"""What a class is: one that lateint created, or one that it finds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lateint import errors
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.capabilities import Capabilities, Feature
from lateint.spec import RESERVED_PREFIX, FieldType, IndexSpec, check_name
from lateint_weaviate import names, schema
from lateint_weaviate.keeping import check_native_id
from lateint_weaviate.properties import definitions
from lateint_weaviate.schema import DOUBLED_FIELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a class is spoken to; `IndexInfo.native["access"]`.

    Attributes:
        cls: its name.
        vector: name of the multi-vector.
        cutoff: below so many documents that pass a filter the server scores all of them.
        approximate: the server takes short cuts even so.
        score_warnings: what to know of every score.
        graph_warnings: what to know of a search over the graph.
        properties: what an adopted class says of its properties, by name.
        null_state: an adopted class indexes which properties are missing.
    """

    cls: str
    vector: str
    cutoff: int = schema.CUTOFF
    approximate: bool = False
    score_warnings: tuple[str, ...] = ()
    graph_warnings: tuple[str, ...] = ()
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    null_state: bool = False


def access(index: IndexInfo) -> Access:
    """How to speak to the class of an index."""
    found: Access = index.native["access"]
    return found


def created(spec: IndexSpec, capabilities: Capabilities, cls: str) -> IndexInfo:
    """An index that has just been made."""
    return IndexInfo(
        spec=spec,
        capabilities=capabilities,
        id_mode=IdMode.MAPPED,
        native={"access": Access(cls=cls, vector=schema.VECTOR)},
    )


def listed(definition: Mapping[str, Any]) -> str:
    """What the index in a class is called: what lateint called it, or the class's own name."""
    cls = str(definition["class"])
    return names.index_name(cls) if schema.is_described(definition.get("description")) else cls


def kept(
    name: str, definition: Mapping[str, Any], capabilities: Capabilities, *, vector: str | None
) -> IndexInfo | None:
    """An index that lateint created; None if it did not.

    Args:
        name: what it was opened by.
        definition: its class, as the server describes it.
        capabilities: what can be asked of a new index there.
        vector: which multi-vector, if one was named.

    Raises:
        SchemaMismatch: it is no more what lateint created.
    """
    spec = schema.described_spec(name, definition.get("description"))
    if spec is None:
        return None
    if vector not in {None, schema.VECTOR}:
        raise errors.SchemaMismatch(
            f"index {name!r} has no multi-vector {vector!r}.", hint=f"Its only one is {schema.VECTOR!r}."
        )
    config = _vectors(definition).get(schema.VECTOR)
    changed = "is gone" if config is None else _changed(config)
    if changed:
        raise errors.SchemaMismatch(
            f"class {definition['class']!r} is not what lateint created: its multi-vector {schema.VECTOR!r} {changed}.",
            hint="Undo the change, or write the index anew.",
        )
    made = created(spec, capabilities, str(definition["class"]))
    added = _added(definition, spec)
    if not added:
        return made
    warning = f"Somebody else added {', '.join(added)} to the class: writing a document whole drops those of it."
    return replace(made, not_carried=added, warnings=(warning,))


def found(name: str, definition: Mapping[str, Any], capabilities: Capabilities, *, vector: str, dim: int) -> IndexInfo:
    """An index that somebody else created.

    Args:
        name: what it was opened by.
        definition: its class, as the server describes it.
        capabilities: what can be asked of a new index there.
        vector: from `chosen`.
        dim: of its rows.
    """
    config = _vectors(definition)[vector]["vectorIndexConfig"]
    approximate, scores, graph = _warnings(config)
    features = capabilities.features - {Feature.ADD_FIELD} - ({Feature.EXACT_SEARCH} if approximate else set())
    properties = {entry["name"]: entry for entry in definition.get("properties") or ()}
    return IndexInfo(
        # Where the server scales rows, lateint doing so first makes its scores the same on all of its paths.
        spec=IndexSpec(_checked(name), dim, fields=_fields(properties), normalize=config["distance"] == "cosine"),
        capabilities=replace(capabilities, features=features, engine_options=frozenset()),
        id_mode=IdMode.NATIVE,
        check_id=check_native_id,
        managed=False,
        not_carried=_not_carried(definition, properties, vector),
        warnings=scores,
        native={
            "access": Access(
                cls=str(definition["class"]),
                vector=vector,
                cutoff=int(config["flatSearchCutoff"]),
                approximate=approximate,
                score_warnings=scores,
                graph_warnings=graph,
                properties=properties,
                null_state=bool((definition.get("invertedIndexConfig") or {}).get("indexNullState")),
            )
        },
    )


def chosen(name: str, definition: Mapping[str, Any], vector: str | None) -> str:
    """The multi-vector to use.

    Args:
        name: what the class was opened by.
        definition: the class, as the server describes it.
        vector: which, if one was named.

    Raises:
        SchemaMismatch: there is none, or several and none was named.
        UnsupportedFeature: the class has tenants.
    """
    if (definition.get("multiTenancyConfig") or {}).get("enabled"):
        raise errors.UnsupportedFeature(
            f"collection {name!r} has tenants, each with documents of its own.",
            backend=schema.ENGINE,
            feature="tenants",
            alternative="Use a collection without tenants.",
        )
    names = multivectors(definition)
    listed = ", ".join(map(repr, names))
    if not names:
        there = other_vectors(definition) or "no named vectors"
        raise errors.SchemaMismatch(
            f"collection {name!r} has no multi-vector that can be searched; it has {there}.",
            hint=_why_not(definition),
        )
    if vector is None and len(names) > 1:
        raise errors.SchemaMismatch(
            f"collection {name!r} has {len(names)} multi-vectors: {listed}.",
            hint=f"Choose one: open({name!r}, vector={names[0]!r}).",
        )
    if vector is not None and vector not in names:
        raise errors.SchemaMismatch(f"collection {name!r} has no multi-vector {vector!r}.", hint=f"It has {listed}.")
    return names[0] if vector is None else vector


def multivectors(definition: Mapping[str, Any]) -> list[str]:
    """Names of the multi-vectors of a class that can be searched."""
    return sorted(name for name, config in _vectors(definition).items() if _is_multi(config))


def other_vectors(definition: Mapping[str, Any]) -> str:
    """Named vectors of a class without multi-vectors, in words."""
    return ", ".join(_in_words(name, config) for name, config in sorted(_vectors(definition).items()))


def incapable(definition: Mapping[str, Any]) -> str:
    """Of vectors that may have been meant for rows, why they hold none; empty where nothing speaks for that."""
    kinds = {str(config.get("vectorIndexType")) for config in _vectors(definition).values()} - {"hnsw"}
    if not kinds:
        return ""
    return f"an index of type {' or '.join(sorted(kinds))} keeps no multi-vectors, even if it was asked to; hnsw does"


def warned(index: IndexInfo, warning: str) -> IndexInfo:
    """The index, with something more to know of it and of each of its scores."""
    speak = access(index)
    noted = replace(speak, score_warnings=(*speak.score_warnings, warning))
    return replace(index, warnings=(*index.warnings, warning), native={**index.native, "access": noted})


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except errors.InvalidInput as error:
        raise errors.SchemaMismatch(
            f"collection {name!r} has a name that an index cannot have.",
            hint="Give it an alias in Weaviate (letters, digits and '_', at most 64) and open that.",
        ) from error


def _why_not(definition: Mapping[str, Any]) -> str:
    why = incapable(definition)
    return f"{why[0].upper()}{why[1:]}." if why else "Create an index of lateint, which works on multi-vectors."


def _vectors(definition: Mapping[str, Any]) -> dict[str, Any]:
    """All named vectors."""
    return dict(definition.get("vectorConfig") or {})


def _is_multi(config: Mapping[str, Any]) -> bool:
    multi = config.get("vectorIndexConfig", {}).get("multivector") or {}
    return config.get("vectorIndexType") == "hnsw" and bool(multi.get("enabled"))


def _changed(config: Mapping[str, Any]) -> str:
    """What is no more as it was made; empty if nothing is."""
    index = config["vectorIndexConfig"]
    if not _is_multi(config) or index["distance"] != "dot":
        return "has another index"
    approximate, _, _ = _warnings(index)
    if approximate:
        return "was made approximate (MUVERA, or a quantizer)"
    if index["flatSearchCutoff"] < schema.CUTOFF:
        return f"is scored exactly only below {index['flatSearchCutoff']} documents (flatSearchCutoff)"
    return ""


def _warnings(config: Mapping[str, Any]) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Whether the server takes short cuts, what to know of every score, and of a search over the graph."""
    scores: list[str] = []
    graph: list[str] = []
    quantizer = next((name for name in ("pq", "bq", "sq", "rq") if (config.get(name) or {}).get("enabled")), None)
    muvera = bool((config["multivector"].get("muvera") or {}).get("enabled"))
    metric = config["distance"]
    if muvera:
        scores.append("MUVERA: candidates come from one vector per document, and many true hits are missed.")
    if quantizer is not None:
        scores.append(f"Rows are quantized ({quantizer}): candidates come from those, and true hits may be missed.")
    if metric == "cosine":
        scores.append(
            "Metric cosine: the server scores rows as they were written until it restarts, and scaled to length 1 "
            "afterwards; scores of documents with rows of other lengths are not to be relied on."
        )
    elif metric != "dot":
        graph.append(f"Metric {metric}: the graph is walked by it, scores are dot products; the best may be missed.")
    return muvera or quantizer is not None or metric == "cosine", tuple(scores), tuple(graph)


def _fields(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, FieldType]:
    """Properties that a filter of lateint can use, by the type that the server gives them."""
    found: dict[str, FieldType] = {}
    for name, entry in properties.items():
        kind = _FIELD.get((entry.get("dataType") or [""])[0])
        exact = kind is None or kind.element is not FieldType.KEYWORD or entry.get("tokenization") == "field"
        usable = entry.get("indexFilterable") is not False and not name.startswith(RESERVED_PREFIX) and len(name) <= 63
        if kind is not None and exact and usable:
            found[name] = kind
    return found


_FIELD = {
    "text": FieldType.KEYWORD,
    "int": FieldType.INTEGER,
    "number": FieldType.FLOAT,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATETIME,
    "text[]": FieldType.KEYWORDS,
    "int[]": FieldType.INTEGERS,
    "number[]": FieldType.FLOATS,
}


def _added(definition: Mapping[str, Any], spec: IndexSpec) -> tuple[str, ...]:
    """What a class of lateint has beside what lateint made, in words."""
    made = {DOUBLED_FIELD, *(entry["name"] for entry in definitions(spec.fields))}
    properties = [entry["name"] for entry in definition.get("properties") or () if entry["name"] not in made]
    return (*_others(definition, schema.VECTOR), *(f"property {name!r}" for name in properties))


def _not_carried(
    definition: Mapping[str, Any], properties: Mapping[str, Mapping[str, Any]], vector: str
) -> tuple[str, ...]:
    """What lateint does not carry, in words."""
    kinds = {name: (entry.get("dataType") or [""])[0] for name, entry in properties.items()}
    references = [f"reference {name!r}" for name, kind in kinds.items() if kind[:1].isupper()]
    blobs = [f"blob {name!r}" for name, kind in kinds.items() if kind == "blob"]  # given only to who asks by name
    return (*_others(definition, vector), *references, *blobs)


def _others(definition: Mapping[str, Any], vector: str) -> list[str]:
    return [_in_words(name, config) for name, config in sorted(_vectors(definition).items()) if name != vector]


def _in_words(name: str, config: Mapping[str, Any]) -> str:
    multi = "multi, " if _is_multi(config) else ""
    return f"vector {name!r} ({multi}{config.get('vectorIndexType')})"
