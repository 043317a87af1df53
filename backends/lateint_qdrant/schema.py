"""What an index of lateint is in Qdrant: names, ids, indexes over payload, and what can be asked of it.

An index is a collection with one named multi-vector. Its distance is Dot, which stores rows as they come; Cosine would
rewrite them. It has no HNSW graph: building one compares whole multi-vectors with each other, takes hours and saves
little, so every search scores every document that passes the filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from lateint import errors
from lateint.engine.capabilities import Accumulator, Capabilities, Feature
from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD, WORDS_FIELD
from lateint.spec import DType, FieldType, IndexSpec, suggestion

ENGINE = "qdrant"
EDGE = "qdrant+edge"
MEMORY = "qdrant+memory"

VECTOR = "lateint"
"""Name of the multi-vector. Always a named one: Qdrant takes an unnamed matrix of one row for a plain vector."""

SPEC_KEY = "lateint"
"""Key in a collection's metadata under which its spec is kept, as JSON text: the server would change floats."""

_NOT_IN_NAMES = frozenset('<>:"/\\|?*#%')
"""What servers refuse; and what clients before 1.20, over REST, take for the end of a name or for another letter."""

PROJECTED = frozenset({ID_FIELD, PAYLOAD_FIELD, WORDS_FIELD})
"""Keys of a point's payload that lateint makes from the whole of it."""

MAX_VALUES = 2**20 - 1
"""Qdrant's servers refuse larger multi-vectors; the in-process engine does not, but its data should fit a server."""

REST_BATCH_BYTES = 4 * 2**20
"""A float takes 4 bytes here and about 21 in JSON, and a server takes bodies of 32 MB."""

MULTIVECTORS_SINCE = (1, 10)
METADATA_SINCE = (1, 16)
"""Servers from here on keep metadata with a collection, without which there is no place for the spec."""

SLICES_SINCE = (1, 19)
"""Servers and clients from here on know slices. Older servers refuse one over REST, and over gRPC read past it."""


class Memory(StrEnum):
    """Where stored vectors live, the value of the engine option `memory`."""

    CACHED = "cached"
    """Read into memory when the index is opened."""
    COLD = "cold"
    """On disk until a search needs them."""


EDGE_CAPABILITIES = Capabilities(
    features=frozenset(Feature) - {Feature.APPROXIMATE_SEARCH},
    dtypes=frozenset({DType.FLOAT32, DType.FLOAT16}),
    max_values=MAX_VALUES,
    max_in_flight=2,
    max_exact_integer=2**53,
    rounds_queries=True,
    accumulator=Accumulator.FLOAT32,
    engine_options=frozenset({"memory"}),
)
"""The engine as lateint runs it in-process."""

GRPC_CAPABILITIES = replace(EDGE_CAPABILITIES, max_in_flight=4)
"""A server reached over gRPC."""

REST_CAPABILITIES = replace(GRPC_CAPABILITIES, max_batch_bytes=REST_BATCH_BYTES)
"""A server reached over REST."""

MEMORY_CAPABILITIES = replace(
    EDGE_CAPABILITIES,
    features=EDGE_CAPABILITIES.features - {Feature.PERSISTENT},
    dtypes=frozenset({DType.FLOAT32}),
    max_values=None,
    max_in_flight=1,
    rounds_queries=False,
)
"""The client's local mode, which keeps float32 whatever it is told, and knows no limits."""


def check_collection(name: str) -> str:
    """Return `name` if a collection can have it.

    Raises:
        InvalidInput: it is empty, too long, or has a character that servers refuse.
    """
    if name in {"", ".", ".."} or len(name) > 255 or any(letter in _NOT_IN_NAMES or letter < " " for letter in name):
        raise errors.InvalidInput(
            f"{name[:300]!r} is no name of a collection.", hint="`list_indexes()` says which there are."
        )
    return name


def point_id(document: str) -> UUID:
    """Id of the point that holds a document: the UUIDv5 of its id, which other Qdrant tools derive in the same way."""
    return uuid5(NAMESPACE_URL, document)


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def memory(spec: IndexSpec) -> Memory:
    """Where the vectors of a new index are to live.

    Raises:
        InvalidInput: a value that is not known.
    """
    value = spec.engine_options.get(ENGINE, {}).get("memory", Memory.CACHED)
    try:
        return Memory(value)
    except ValueError:
        raise errors.InvalidInput(
            f"index {spec.name!r}: engine option memory={value!r} of {ENGINE} is not known.",
            hint=suggestion(str(value), [member.value for member in Memory]),
        ) from None


def payload_indexes(fields: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """Payload indexes by field: for the words, and for each declared field that profits from one.

    Booleans are looked up by their words. Text has no index: it compares whole, and an index would keep a second copy
    of every text in memory (measured: 20,000 texts of 2,000 characters take 44 MB more and load three times slower;
    without, an equality costs 1 to 3 microseconds per document, a small part of scoring it).
    """
    if not fields:
        return {}
    kinds = {name: kind.element for name, kind in fields.items()}
    return {WORDS_FIELD: FieldType.KEYWORD} | {name: kind for name, kind in kinds.items() if kind in _INDEXED}


_INDEXED = {FieldType.KEYWORD, FieldType.INTEGER, FieldType.FLOAT, FieldType.DATETIME}
