"""What an engine, in its version and for one index, can do: one frozen record of features and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lateint import errors
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or
from lateint.spec import DType, FieldType


class Feature(StrEnum):
    """A thing that an engine can do or not."""

    EXACT_SEARCH = "exact search"
    APPROXIMATE_SEARCH = "approximate search"
    FILTER_EQUAL = "filter =="
    FILTER_IN = "filter is_in"
    FILTER_ORDER = "filter <, <=, >, >=, between"
    FILTER_EXISTS = "filter exists"
    FILTER_NOT = "filter ~"
    FILTER_IDS = "filter ids"
    SCAN_FILTER = "scan with a filter"
    STABLE_SCAN = "scan in a stable order, resumable in another process"
    SCAN_SLICES = "scan in slices"
    DELETE_BY_FILTER = "delete by filter"
    UPDATE_PAYLOAD = "update of payload without resending vectors"
    ADD_FIELD = "declaring a field later"
    PERSISTENT = "data outlive the client"


class Accumulator(StrEnum):
    """In what precision an engine sums over query rows."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What can be asked of an index; everything else is refused before anything is sent.

    Attributes:
        features: what works.
        dtypes: storage formats that an index can be created with.
        field_types: types that a filterable field can have.
        max_dim: largest dimension.
        max_values: largest rows x dim of one multi-vector, documents and queries; None for no limit.
        max_k: most hits of one search.
        max_batch_bytes: most bytes of one write.
        max_in_flight: how many writes are worth having under way at once.
        max_exact_integer: largest magnitude up to which ordering of integers is exact; None for all of 64 bits.
        rounds_queries: a query is rounded to the storage format before it is scored.
        accumulator: precision of the sum over query rows.
        engine_options: option names that `IndexSpec.engine_options` may hold for this engine.
        since: of features that are missing for want of a newer version, the first version that has them.
    """

    features: frozenset[Feature]
    dtypes: frozenset[DType] = frozenset({DType.FLOAT32})
    field_types: frozenset[FieldType] = frozenset(FieldType)
    max_dim: int = 65_536
    max_values: int | None = None
    max_k: int = 10_000
    max_batch_bytes: int = 8 * 2**20
    max_in_flight: int = 4
    max_exact_integer: int | None = None
    rounds_queries: bool = False
    accumulator: Accumulator = Accumulator.FLOAT32
    engine_options: frozenset[str] = frozenset()
    since: Mapping[Feature, str] = field(default_factory=dict, hash=False)

    def require(self, feature: Feature, *, backend: str, alternative: str = "") -> None:
        """Refuse what cannot be done.

        Raises:
            UnsupportedFeature: the feature is not among `features`.
        """
        if feature not in self.features:
            since = self.since.get(feature, "")
            before = f" before {since}" if since else ""
            raise errors.UnsupportedFeature(
                f"{backend} cannot do this{before}: {feature.value}.",
                backend=backend,
                feature=feature.value,
                since=since,
                alternative=alternative,
            )

    def require_filter(self, condition: Filter, fields: dict[str, FieldType], *, backend: str) -> None:
        """Refuse a bound filter that the engine cannot evaluate exactly.

        Args:
            condition: a filter bound to `fields`.
            fields: declared fields and their types.
            backend: name to put into errors.

        Raises:
            UnsupportedFeature: names the operator, or the bound that the engine would round.
        """
        match condition:
            case Comparison(name, Operator.EQUAL):
                self.require(Feature.FILTER_EQUAL, backend=backend)
            case Comparison(name, operator, int(value)) if fields[name].element is FieldType.INTEGER:
                self.require(Feature.FILTER_ORDER, backend=backend)
                self._require_exact_bound(name, operator, value, backend)
            case Comparison():
                self.require(Feature.FILTER_ORDER, backend=backend)
            case IsIn():
                self.require(Feature.FILTER_IN, backend=backend)
            case Exists():
                self.require(Feature.FILTER_EXISTS, backend=backend)
            case Ids():
                self.require(Feature.FILTER_IDS, backend=backend)
            case Not(part):
                self.require(Feature.FILTER_NOT, backend=backend)
                self.require_filter(part, fields, backend=backend)
            case And(parts) | Or(parts):
                for part in parts:
                    self.require_filter(part, fields, backend=backend)

    def _require_exact_bound(self, name: str, operator: Operator, value: int, backend: str) -> None:
        """A bound is exact if neither it nor its neighbour on the other side of the cut changes when rounded."""
        limit = self.max_exact_integer
        if limit is None:
            return
        # `> b` and `<= b` cut between b and b + 1, the others between b - 1 and b: both must be told apart as doubles.
        cut = value + 1 if operator in {Operator.GREATER, Operator.LESS_EQUAL} else value
        if not -limit < cut <= limit:
            raise errors.UnsupportedFeature(
                f"filter on field {name!r}: {backend} compares integers as 64-bit floats, "
                f"which cannot tell {value} from its neighbours.",
                hint=f"Order by values up to ±{limit}; == and is_in are exact over 64 bits.",
                backend=backend,
                feature=Feature.FILTER_ORDER.value,
            )
