"""Filters mean on every engine what `lateint.filters` says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from lateint import errors
from lateint.aclient import AsyncIndex
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, field, ids
from lateint.spec import FieldType
from lateint.testing import conditions
from lateint.testing.lab import Lab
from lateint.testing.payloads import FIELDS, NAMES, fields_for, filterable
from lateint.testing.suite.base import Suite, cases, needs
from lateint.testing.truth import check_filters
from lateint.types import Document

EACH_TYPE = cases("kind", {kind.value: kind for kind in FieldType})
EACH_ORDERED_TYPE = cases("kind", {kind.value: kind for kind in FieldType if kind.is_ordered})


class TestFilters(Suite):
    """Each operator on each type, over documents whose fields are missing, null, empty, single and many-valued."""

    @EACH_TYPE
    @needs(Feature.FILTER_EQUAL)
    async def test_equal(self, lab: Lab, kind: FieldType) -> None:
        """`==` and `contains`: whole values, exactly, in any element of a list.

        Breaks when: text is tokenised, folded or trimmed, floats are compared as text, or an empty value is "missing".
        """
        await self._check(lab, kind, conditions.equal(NAMES[kind], kind))

    @EACH_TYPE
    @needs(Feature.FILTER_EQUAL, Feature.FILTER_NOT)
    async def test_not_equal(self, lab: Lab, kind: FieldType) -> None:
        """`!=` is `~(==)`: it holds for documents without the field, and on lists means "no element is".

        Breaks when: the engine's own "not equal" skips missing fields, or asks for an element that differs.
        """
        await self._check(lab, kind, (~condition for condition in conditions.equal(NAMES[kind], kind)))

    @EACH_TYPE
    @needs(Feature.FILTER_IN)
    async def test_is_in(self, lab: Lab, kind: FieldType) -> None:
        """`is_in` of none, one and many values.

        Breaks when: an empty list means "anything", or the engine has a limit on how many values it takes.
        """
        await self._check(lab, kind, conditions.membership(NAMES[kind], kind))

    @EACH_ORDERED_TYPE
    @needs(Feature.FILTER_ORDER)
    async def test_order(self, lab: Lab, kind: FieldType) -> None:
        """`<`, `<=`, `>`, `>=`, `between`, at and beside every value; on a list each bound by any element.

        Breaks when: integers or microseconds are compared as doubles, zones are ignored, or `between` on a list asks
        for one element within both bounds.
        """
        largest = lab.capabilities.max_exact_integer
        await self._check(lab, kind, conditions.order(NAMES[kind], kind, largest=largest))

    @EACH_ORDERED_TYPE
    @needs(Feature.FILTER_ORDER, Feature.FILTER_NOT)
    async def test_not_ordered(self, lab: Lab, kind: FieldType) -> None:
        """`~(a < b)` is not `a >= b`: documents without the field pass.

        Breaks when: negation is pushed into the operator.
        """
        largest = lab.capabilities.max_exact_integer
        found = conditions.order(NAMES[kind], kind, largest=largest)
        await self._check(lab, kind, (~condition for condition in found))

    @EACH_TYPE
    @needs(Feature.FILTER_EXISTS)
    async def test_exists(self, lab: Lab, kind: FieldType) -> None:
        """A field that is there and not null exists, an empty text or list included.

        Breaks when: the engine's "is empty" takes empty values and missing ones for the same.
        """
        await self._check(lab, kind, conditions.presence(NAMES[kind], kind))

    @EACH_TYPE
    @needs(Feature.FILTER_EXISTS, Feature.FILTER_NOT)
    async def test_not_exists(self, lab: Lab, kind: FieldType) -> None:
        """`~exists` holds for missing and for null.

        Breaks when: null is stored as a value.
        """
        await self._check(lab, kind, (~condition for condition in conditions.presence(NAMES[kind], kind)))

    @needs(Feature.FILTER_IDS)
    async def test_ids(self, lab: Lab) -> None:
        """`ids` of none, some, all, and of documents that are not there.

        Breaks when: ids are looked up in another form than they were written in.
        """
        documents, index = await self._made(lab)
        await check_filters(index, documents, conditions.named([document.id for document in documents]))

    @needs(Feature.FILTER_IDS, Feature.FILTER_NOT)
    async def test_not_ids(self, lab: Lab) -> None:
        """`~ids([])` is everything.

        Breaks when: the negation of an empty condition is empty again.
        """
        documents, index = await self._made(lab)
        found = conditions.named([document.id for document in documents])
        await check_filters(index, documents, (~condition for condition in found))

    @needs(Feature.FILTER_ORDER)
    async def test_integers_beyond_what_is_exact(self, lab: Lab) -> None:
        """A bound that the engine would round is refused, the largest one that it does not is exact.

        Breaks when: 2**53 + 1 is compared as 2**53 and nobody says so.
        """
        lab.skip_unless(FieldType.INTEGER in lab.capabilities.field_types, "filter integers")
        largest = lab.capabilities.max_exact_integer
        documents, index = await self._made(lab, "number")
        number = field("number")
        if largest is None:
            edges = [bound for value in (2**53, 2**63 - 1, -(2**63)) for bound in (number <= value, number > value)]
            await check_filters(index, documents, edges)
            return
        for condition in (number > largest, number < -largest, number.between(0, largest + 1), number >= 2**63 - 1):
            with pytest.raises(errors.UnsupportedFeature, match="number"):
                await index.count(condition)
        await check_filters(index, documents, [number >= largest, number < largest, number > -largest])

    async def test_nested_at_random(self, lab: Lab) -> None:
        """200 filters, nested at random from all that the engine can, agree with the definition, 100 by each client.

        Breaks when: an empty branch, a double negation, or a flattened "should" next to a "must" changes the meaning.
        """
        documents, index = await self._made(lab)
        parts = conditions.simple(index.spec.fields, lab.capabilities, [document.id for document in documents])
        lab.skip_unless(bool(parts), "filter at all")
        negation = Feature.FILTER_NOT in lab.capabilities.features
        seed = 6 if lab.colour.is_async else 7
        await check_filters(index, documents, conditions.nested(parts, count=100, negation=negation, seed=seed))

    @needs(Feature.FILTER_EQUAL)
    async def test_values_are_taken_in_the_type_of_their_field(self, lab: Lab) -> None:
        """An integer compares with a float field, a NumPy scalar with any; one instant is equal in every zone.

        Breaks when: the value goes to the engine in the type that Python happened to have.
        """
        fields = {"ratio": FieldType.FLOAT, "number": FieldType.INTEGER, "word": FieldType.KEYWORD}
        fields = {name: kind for name, kind in fields.items() if kind in lab.capabilities.field_types}
        payloads = [{"ratio": 3.0, "number": 3, "word": "3"}, {"ratio": 2.5, "number": 2, "word": "x"}]
        documents = [Document(f"d{n}", [[1.0] * 4], payload) for n, payload in enumerate(payloads)]
        index = await lab.shared(documents, dim=4, fields=fields)
        values: dict[str, list[Any]] = {
            "ratio": [3, np.float32(2.5), np.int64(3)],
            "number": [np.int32(3), np.uint8(2)],
            "word": [np.str_("x")],
        }
        await check_filters(index, documents, [field(name) == value for name in fields for value in values[name]])

    @needs(Feature.FILTER_IDS)
    async def test_many_ids(self, lab: Lab) -> None:
        """A filter of two thousand ids is one filter.

        Breaks when: the engine limits the number of terms in a condition.
        """
        documents, index = await self._made(lab)
        names = [f"nobody-{number}" for number in range(2000)]
        await check_filters(index, documents, [ids([*names, documents[0].id, documents[9].id])])

    async def test_an_undeclared_field_is_an_error_with_a_suggestion(self, lab: Lab) -> None:
        """A misspelt field is not "missing everywhere".

        Breaks when: the name goes to the engine, which finds no such field and selects nothing, or all.
        """
        _, index = await self._made(lab, "number")
        for condition in (
            field("numbr") == 1,
            field("numbr").exists(),
            ~(field("numbr") == 1),
            field("numbr").is_in([]),
        ):
            with pytest.raises(errors.InvalidInput, match="number"):
                await index.count(condition)

    @needs(Feature.FILTER_ORDER)
    async def test_instants_beside_each_other(self, lab: Lab) -> None:
        """Datetimes one microsecond apart are two, also far from the present.

        Breaks when: they are stored in milliseconds or as floating-point seconds.
        """
        lab.skip_unless(FieldType.DATETIME in lab.capabilities.field_types, "filter datetimes")
        moments = [
            datetime(year, 7, 1, 12, 0, 0, microsecond, tzinfo=UTC)
            for year in (1, 1900, 1969, 2024, 9999)
            for microsecond in (0, 1, 999999)
        ]
        documents = [Document(moment.isoformat(), [[1.0] * 4], {"moment": moment}) for moment in moments]
        index = await lab.shared(documents, dim=4, fields={"moment": FieldType.DATETIME})
        await check_filters(index, documents, [field("moment") > moment for moment in moments])

    @classmethod
    async def _check(cls, lab: Lab, kind: FieldType, found: Iterable[Filter]) -> None:
        lab.skip_unless(kind in lab.capabilities.field_types, f"filter fields of type {kind.value}")
        documents, index = await cls._made(lab, NAMES[kind])
        await check_filters(index, documents, found)

    @staticmethod
    async def _made(lab: Lab, *names: str) -> tuple[list[Document], AsyncIndex]:
        """Documents that vary in the fields named, or in all, and an index that holds them."""
        possible = fields_for(lab.capabilities)
        fields = {name: FIELDS[name] for name in names} if names else possible
        documents = filterable(fields)
        return documents, await lab.shared(documents, fields=fields)
