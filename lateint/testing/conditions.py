"""Filters to try against the definition: every operator with every value, and nested ones at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lateint.engine.capabilities import Capabilities, Feature
from lateint.filters import Filter, field, ids
from lateint.spec import FieldType
from lateint.testing.payloads import elements

_ORDERS: tuple[Callable[[Any, Any], Filter], ...] = (
    lambda reference, value: reference < value,
    lambda reference, value: reference <= value,
    lambda reference, value: reference > value,
    lambda reference, value: reference >= value,
)


def equal(name: str, kind: FieldType) -> Iterator[Filter]:
    """`==` with each value; on a list field, `contains`."""
    for value in elements(kind):
        yield field(name).contains(value) if kind.is_list else field(name) == value


def membership(name: str, kind: FieldType) -> Iterator[Filter]:
    """`is_in` of none, one, two and all values."""
    values = elements(kind)
    yield field(name).is_in([])
    for first, second in zip(values, [*values[1:], values[0]], strict=True):
        yield field(name).is_in([first])
        yield field(name).is_in([second, first, second])
    yield field(name).is_in(values)


def order(name: str, kind: FieldType, *, largest: int | None) -> Iterator[Filter]:
    """`<`, `<=`, `>`, `>=` and `between` with each value that the engine compares exactly."""
    values = [value for value in elements(kind) if largest is None or not is_beyond(value, largest)]
    for value in values:
        for compare in _ORDERS:
            yield compare(field(name), value)
    for low in values[:4]:
        for high in values[-4:]:
            yield field(name).between(low, high)


def is_beyond(value: object, largest: int) -> bool:
    """Whether a bound, or its neighbour, is an integer that the engine may round."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= largest


def presence(name: str, kind: FieldType) -> Iterator[Filter]:  # noqa: ARG001 - one shape for all operators
    """`exists`."""
    yield field(name).exists()


def named(documents: list[str]) -> Iterator[Filter]:
    """`ids` of none, one, some, all, and of documents that are not there."""
    yield ids([])
    yield ids(documents[:1])
    yield ids([*documents[3:9], "nobody"])
    yield ids(["nobody"])
    yield ids(documents)


def simple(fields: Mapping[str, FieldType], capabilities: Capabilities, documents: list[str]) -> list[Filter]:
    """Every unnested filter that the engine declares it can evaluate."""
    features = capabilities.features
    found: list[Filter] = []
    for name, kind in fields.items():
        if Feature.FILTER_EQUAL in features:
            found += equal(name, kind)
        if Feature.FILTER_IN in features:
            found += membership(name, kind)
        if Feature.FILTER_ORDER in features and kind.is_ordered:
            found += order(name, kind, largest=capabilities.max_exact_integer)
        if Feature.FILTER_EXISTS in features:
            found += presence(name, kind)
    return found + (list(named(documents)) if Feature.FILTER_IDS in features else [])


def nested(parts: list[Filter], *, count: int, negation: bool, seed: int = 6) -> list[Filter]:
    """Filters made of `parts` at random, up to five levels deep."""
    random = np.random.default_rng(seed)

    def make(depth: int) -> Filter:
        kind = random.choice(["part", "and", "or", "not"], p=[0.25, 0.3, 0.3, 0.15])
        if depth == 0 or kind == "part" or (kind == "not" and not negation):
            return parts[random.integers(len(parts))]
        if kind == "not":
            return ~make(depth - 1)
        left, right = make(depth - 1), make(depth - 1)
        return left & right if kind == "and" else left | right

    return [make(4 + number % 2) for number in range(count)]
