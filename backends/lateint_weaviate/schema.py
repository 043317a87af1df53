"""What an index of lateint is in Weaviate: a class, its multi-vector, its options, and what can be asked of it.

An index is a class with one named multi-vector over raw rows. Its metric is dot: cosine would change scores when the
server restarts. Weaviate scores all documents of a multi-vector exactly where a filter lets through fewer of them
than `flatSearchCutoff`; so that number is far above any corpus, every document carries a boolean that is true, and
every exact search filters on it. A graph over the rows is kept by Weaviate whether it is walked or not, and building
it is what writing costs: it is made as small as the server allows (seen: 129 documents of 180 rows a second, against
4.8 with the server's own numbers). `exact=False` walks it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from lateint import errors
from lateint.engine.capabilities import Accumulator, Capabilities, Feature
from lateint.spec import DType, IndexSpec

ENGINE = "weaviate"

VECTOR = "lateint"
"""Name of the multi-vector."""

ALL_FIELD = "lateint_all"
"""A property that is true for every document: what an exact search filters on."""

DOUBLED_FIELD = "lateint_doubled"
"""A property that says that the last row stands there twice, see `verbs`."""

JOURNAL = "Lateint_journal"
"""A class of lateint that holds no index, see `journal`."""

SINCE = (1, 33)
"""Multi-vectors came with 1.29, were settled with 1.30, and the filter operator NOT came with 1.33."""

MESSAGE_BYTES = 104_858_000
"""Largest gRPC message of a server that does not say otherwise."""

MAX_ROWS = 65_534
"""Rows of a document, less the one that is doubled for a while: a server that indexes in the background counts them in
16 bits, and forgets what is beyond."""

HEADROOM = 2**20
"""Bytes of a message that are left for what is not vectors."""

CUTOFF = 1_000_000_000
"""More documents than one shard will hold."""

OPTIONS: Mapping[str, tuple[str, int, int, int]] = {
    "max_connections": ("maxConnections", 4, 4, 2047),
    "ef_construction": ("efConstruction", 4, 4, 4096),
    "ef": ("ef", -1, -1, 1_000_000),
}
"""Engine options: the name in Weaviate, what it is if left out, the smallest and the largest value."""

CAPABILITIES = Capabilities(
    features=frozenset(Feature),
    dtypes=frozenset({DType.FLOAT32}),
    max_dim=65_535,
    max_values=(MESSAGE_BYTES - HEADROOM) // 4,
    max_in_flight=2,
    accumulator=Accumulator.FLOAT32,
    engine_options=frozenset(OPTIONS),
)
"""A current server."""


def object_id(document: str) -> str:
    """Id of the object that holds a document: the UUIDv5 of its id, which other tools derive in the same way."""
    return str(uuid5(NAMESPACE_URL, document))


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def class_definition(name: str, spec: IndexSpec, properties: list[dict[str, Any]]) -> dict[str, Any]:
    """The class of an index, as the server's REST interface takes it.

    Args:
        name: of the class.
        spec: the index.
        properties: its properties.

    Raises:
        InvalidInput: an engine option, or a value of one, that is not known.
    """
    return {
        "class": name,
        "description": description(spec),
        "properties": [*properties, _DOUBLED],
        "vectorConfig": {
            VECTOR: {
                "vectorizer": {"none": {}},
                "vectorIndexType": "hnsw",
                "vectorIndexConfig": {
                    "distance": "dot",
                    "multivector": {"enabled": True, "aggregation": "maxSim"},
                    "flatSearchCutoff": CUTOFF,
                    "skipDefaultQuantization": True,
                    **_options(spec),
                },
            }
        },
    }


def description(spec: IndexSpec) -> str:
    """Text that keeps the spec with the class; its fingerprint tells a text that somebody has edited."""
    text = json.dumps(spec.to_dict(), sort_keys=True)
    return f"{_MARK}{_fingerprint(text)} {text}"


def is_described(text: str | None) -> bool:
    """Whether lateint wrote the description of a class."""
    return (text or "").startswith(_MARK)


def described_spec(name: str, text: str | None) -> IndexSpec | None:
    """The spec in the description of a class; None if lateint did not write it.

    Args:
        name: what the class was opened by.
        text: the description.

    Raises:
        SchemaMismatch: the text was edited, or is of a newer version.
    """
    if text is None or not is_described(text):
        return None
    fingerprint, _, kept = text.removeprefix(_MARK).partition(" ")
    try:
        if _fingerprint(kept) != fingerprint:
            raise ValueError("the text does not fit its fingerprint")  # noqa: TRY301 - one message for all
        return IndexSpec.from_dict(json.loads(kept)).replace(name=name)
    except (ValueError, TypeError) as error:
        raise errors.SchemaMismatch(
            f"the description of the class of index {name!r} does not describe an index: {error}.",
            hint="Restore that text from a backup; or upgrade lateint.",
        ) from error


_MARK = "An index of lateint; do not edit this text. "


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_DOUBLED = {"name": DOUBLED_FIELD, "dataType": ["boolean"], "indexFilterable": False}


def _options(spec: IndexSpec) -> dict[str, int]:
    given = spec.engine_options.get(ENGINE, {})
    chosen: dict[str, int] = {}
    for option, (name, usual, least, most) in OPTIONS.items():
        value = given.get(option, usual)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise errors.InvalidInput(
                f"index {spec.name!r}: engine option {option}={value!r} of {ENGINE} is not possible.",
                hint=f"Pass a whole number from {least} to {most}.",
            )
        chosen[name] = value
    return chosen
