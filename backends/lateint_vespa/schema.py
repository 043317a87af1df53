"""What an index of lateint is in Vespa: a schema, its rank profiles, and what can be asked of it.

An index is a schema of its own: a multi-vector in one tensor attribute, declared fields as attributes, the whole
payload as JSON. Vespa has no operator for MaxSim: it is an expression of tensors, and its engine has a fast loop for
exactly one way of writing it. Every answer carries a marker, a number made from this layout, so that an answer by
another profile, or of another layout, is not taken for one of this.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lateint import errors
from lateint.engine.capabilities import Accumulator, Capabilities, Feature
from lateint.spec import DType, FieldType, IndexSpec
from lateint_vespa.names import schema_name

ENGINE = "vespa"

SINCE = (8, 593)
"""Oldest version: from here on documents are visited as JSON lines, with tensors in hexadecimal."""

VECTORS = "lateint_vectors"
"""The attribute that holds the multi-vector, a tensor with dimensions `token{}` and `v[…]`."""

QUERY = "lateint_query"
"""The query tensor, with dimensions `qt{}` and `v[…]`."""

SCORE = "lateint_score"
MARKER = "lateint_marker"
"""Match features of every answer."""

FILTERING = "lateint_filter"
"""The rank profile that ranks nothing: for counting, and for finding what passes a filter."""

IDS_ONLY = "lateint_ids"
WITH_PAYLOAD = "lateint_payloads"
WHOLE = "lateint_documents"
"""Document summaries: ids, which are in memory; payloads too; vectors too."""

QUERY_PROFILE = "lateint"
"""The query profile that lets searches return more hits than Vespa would."""

USUAL_HITS = 400
"""Most hits of a search without that profile."""

MAX_HITS = 10_000

MAX_BODY_BYTES = 100 * 2**20
"""Largest document that servers take, as JSON."""

HEADROOM = 4 * 2**20
"""Bytes of a document that are left for what is not vectors."""

_LAYOUT = 1


class Cells(StrEnum):
    """How a schema keeps the values of vectors."""

    FLOAT = "float"
    BFLOAT16 = "bfloat16"
    BITS = "int8"
    """One bit for each value, set if it is above zero; eight of them in an int8, the first one highest."""

    @property
    def hex_digits(self) -> int:
        """Of one cell of the tensor."""
        return {Cells.FLOAT: 8, Cells.BFLOAT16: 4, Cells.BITS: 2}[self]


_CELLS = {DType.FLOAT32: Cells.FLOAT, DType.BFLOAT16: Cells.BFLOAT16, DType.BINARY: Cells.BITS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What decides how a schema looks.

    Attributes:
        schema: its name, also that of its documents' type.
        dim: values per row of a multi-vector.
        cells: how they are kept.
        fields: declared fields and their types.
        normalize: rows are scaled to length 1 before they come here.
    """

    schema: str
    dim: int
    cells: Cells
    fields: Mapping[str, FieldType]
    normalize: bool = True

    @property
    def width(self) -> int:
        """Cells per row of the stored tensor."""
        return self.dim // 8 if self.cells is Cells.BITS else self.dim

    @property
    def stored_type(self) -> str:
        """Type of the attribute, in Vespa's canonical form."""
        return f"tensor<{self.cells}>(token{{}},v[{self.width}])"

    @property
    def query_type(self) -> str:
        """Type of the query tensor: float, or the engine leaves its fast loop."""
        return f"tensor<float>(qt{{}},v[{self.dim}])"

    @property
    def profile(self) -> str:
        """The rank profile that scores every document.

        Its name says what the query must be like, and how documents are kept: who knows less is answered by none.
        """
        kept = {Cells.FLOAT: "float", Cells.BFLOAT16: "bfloat16", Cells.BITS: "bits"}[self.cells]
        return f"lateint_{kept}" if self.normalize else f"lateint_{kept}_raw"

    @property
    def score(self) -> str:
        """MaxSim as the engine's optimizer knows it: both sides float, two dimensions each, the product with `*`."""
        stored = {
            Cells.FLOAT: f"attribute({VECTORS})",
            Cells.BFLOAT16: f"cell_cast(attribute({VECTORS}), float)",
            Cells.BITS: f"unpack_bits(attribute({VECTORS}))",
        }[self.cells]
        return f"sum(reduce(sum(query({QUERY}) * {stored}, v), max, token), qt)"

    @property
    def marker(self) -> int:
        """A number that another layout does not have; small enough to be exact in any float."""
        return zlib.crc32(f"{_LAYOUT} {self.stored_type} {self.query_type} {self.score}".encode()) & 0xFFFFFF


def layout_of(spec: IndexSpec) -> Layout:
    """The layout of an index.

    Raises:
        UnsupportedFeature: a dtype that Vespa does not have.
    """
    cells = _CELLS.get(spec.dtype)
    if cells is None:
        raise errors.UnsupportedFeature(
            f"index {spec.name!r}: Vespa cannot store {spec.dtype.value}.",
            backend=ENGINE,
            feature=f"dtype {spec.dtype.value}",
            alternative=f"Use {' or '.join(_CELLS)}.",
        )
    return Layout(
        schema=schema_name(spec.name), dim=spec.dim, cells=cells, fields=dict(spec.fields), normalize=spec.normalize
    )


CAPABILITIES = Capabilities(
    features=frozenset(Feature) - {Feature.APPROXIMATE_SEARCH},
    dtypes=frozenset(_CELLS),
    max_values=(MAX_BODY_BYTES - HEADROOM) // Cells.FLOAT.hex_digits,
    max_k=MAX_HITS,
    # Vespa sends the ends of open ranges of integers to its engine as doubles.
    max_exact_integer=2**53,
    accumulator=Accumulator.FLOAT64,
)
"""An application that lateint deployed, on a current server."""

WITHOUT_PROFILE = replace(CAPABILITIES, max_k=USUAL_HITS)
"""An application that lateint did not deploy and that lacks its query profile."""
