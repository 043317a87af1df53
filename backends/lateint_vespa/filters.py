"""Lowers a bound filter to YQL. Pure.

Text that a user wrote never stands in the YQL: it is in parameters, which the YQL names as `@li0`, `@li1` and so on.
(Plainer names, such as `lang`, mean something else to Vespa's interface.) What stands there is names of fields, which
are identifiers, and numbers that are written here.

What an attribute cannot hold, `properties` keeps as words, so a condition on a field may be one on the words, or on
both. `~` is brought down to the conditions on fields, where it is `true and !(…)`, which holds for missing values too;
and there are no more parentheses than precedence takes, because Vespa cannot go into many.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from itertools import accumulate
from typing import Any, NamedTuple

from lateint import errors
from lateint.engine.payload import ID_FIELD, WORDS_FIELD, boolean_word
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or
from lateint.spec import FieldType
from lateint_vespa.names import attribute_name
from lateint_vespa.properties import LOWEST, far_word, is_near, micros_field, seconds
from lateint_vespa.schema import ENGINE

PREFIX = "li"


@dataclass(frozen=True, slots=True)
class Condition:
    """What documents must pass.

    Attributes:
        yql: what follows `where`.
        parameters: of the query, by name; values are text.
    """

    yql: str
    parameters: dict[str, str] = field(default_factory=dict)


_NAMED = re.compile(rf"@({PREFIX}\d+)")

MAX_NESTED = 14
"""Parentheses within each other. Each may be three items of a query tree, which are six messages of those hundred that
protobuf takes within each other; and the parser of containers, with their stack of 512 KiB, takes 24 parentheses."""


def lowered(condition: Filter | None, fields: Mapping[str, FieldType]) -> Condition:
    """A filter as YQL.

    Args:
        condition: bound to `fields`; None for all documents.
        fields: declared fields and their types.

    Raises:
        UnsupportedFeature: `&` and `|` are nested deeper than Vespa takes, which is more than
            twenty-four levels of them in turn.
    """
    writer = _Writer(fields)
    yql = "true" if condition is None else writer.written(condition).yql
    if _nested(yql) > MAX_NESTED:
        raise errors.UnsupportedFeature(
            f"the filter takes {_nested(yql)} parentheses within each other; Vespa takes {MAX_NESTED}.",
            backend=ENGINE,
            feature="filter of that depth",
            alternative="Nest `&` in `|`, and `|` in `&`, less deep.",
        )
    named = _NAMED.findall(yql)  # a part of which nothing was left has named its own
    return Condition(yql, {name: writer.parameters[name] for name in named})


_LESS = frozenset({Operator.LESS, Operator.LESS_EQUAL})


class _Binding(IntEnum):
    """How tightly the parts of a text hold together."""

    OR = 0
    AND = 1
    ONE = 2


class _Text(NamedTuple):
    yql: str
    binding: _Binding = _Binding.ONE


class _Writer:
    """Writes YQL, and gathers the parameters that it names."""

    def __init__(self, fields: Mapping[str, FieldType]) -> None:
        self.fields = fields
        self.parameters: dict[str, str] = {}

    def written(self, condition: Filter, *, negated: bool = False) -> _Text:
        match condition:
            case Not(part):
                return self.written(part, negated=not negated)
            case And(parts) | Or(parts):
                texts = [self.written(part, negated=negated) for part in parts]
                return _all_of(texts) if isinstance(condition, And) != negated else _any_of(texts)
        text = self._leaf(condition)
        return _none_of(text) if negated else text

    def _leaf(self, condition: Filter) -> _Text:
        match condition:
            case Comparison(name, Operator.EQUAL, value):
                return self._equals(name, [value], self.fields[name])
            case Comparison(name, operator, value):
                return self._ordered(name, operator, value, self.fields[name])
            case IsIn(name, values):
                return self._equals(name, values, self.fields[name])
            case Exists(name):
                return self._texts(WORDS_FIELD, [name])
            case Ids(ids):
                return self._texts(ID_FIELD, ids)
        raise TypeError(condition)

    def _equals(self, name: str, values: Sequence[Any], kind: FieldType) -> _Text:
        attribute = attribute_name(name)
        far = [far_word(name, value) for value in values if not is_near(value, kind)]
        near = [value for value in values if is_near(value, kind)]
        parts = [self._texts(WORDS_FIELD, far)] if far else []
        if near:
            match kind.element:
                case FieldType.BOOLEAN:
                    parts.append(self._texts(WORDS_FIELD, [boolean_word(name, value=value) for value in near]))
                case FieldType.KEYWORD:
                    parts.append(self._texts(attribute, near))
                case FieldType.INTEGER:
                    parts.append(_numbers(attribute, near))
                case FieldType.FLOAT:
                    parts += [_Text(f"{attribute} = {value!r}") for value in near]
                case FieldType.DATETIME:
                    parts += [_at(name, value) for value in near]
        return _any_of(parts)

    def _ordered(self, name: str, operator: Operator, value: Any, kind: FieldType) -> _Text:  # noqa: ANN401 - of that type
        attribute = attribute_name(name)
        match kind.element:
            case FieldType.FLOAT:
                return _Text(f"{attribute} {operator} {value!r}")
            case FieldType.DATETIME:
                return _before_or_after(name, operator, value)
        compared = _Text(f"{attribute} {operator} {value}L")
        if operator in _LESS:  # bounds are well above it, see `schema.CAPABILITIES`
            return _any_of([compared, self._texts(WORDS_FIELD, [far_word(name, LOWEST)])])
        return compared

    def _texts(self, attribute: str, values: Sequence[str]) -> _Text:
        """The attribute is, or holds, one of the values."""
        if len(values) == 1:
            return _Text(f"{attribute} contains @{self._named(values[0])}")
        # A list of values is one parameter, each in quotes that nothing can escape: so those with both kinds go alone.
        alone = [value for value in values if '"' in value and "'" in value]
        quoted = [
            f"'{value}'" if '"' in value else f'"{value}"' for value in values if '"' not in value or "'" not in value
        ]
        parts = [_Text(f"{attribute} in (@{self._named(','.join(quoted))})")] if quoted else []
        return _any_of(parts + [_Text(f"{attribute} contains @{self._named(value)}") for value in alone])

    def _named(self, value: str) -> str:
        """A new parameter."""
        name = f"{PREFIX}{len(self.parameters)}"
        self.parameters[name] = value
        return name


def _numbers(attribute: str, values: Sequence[int]) -> _Text:
    """By `in`, which compares whole numbers: `=` compares them as doubles."""
    return _Text(f"{attribute} in ({', '.join(f'{value}L' for value in values)})")


def _at(name: str, value: datetime) -> _Text:
    whole, micros = seconds(value)
    return _all_of([_numbers(attribute_name(name), [whole]), _numbers(micros_field(name), [micros])])


def _before_or_after(name: str, operator: Operator, value: datetime) -> _Text:
    attribute = attribute_name(name)
    whole, micros = seconds(value)
    strictly = Operator.LESS if operator in _LESS else Operator.GREATER
    same_second = _all_of([_numbers(attribute, [whole]), _Text(f"{micros_field(name)} {operator} {micros}")])
    return _any_of([_Text(f"{attribute} {strictly} {whole}L"), same_second])


# Vespa itself makes nothing of `false or false`, and of `(false or false) and a` no more than `a`: so constants never
# stand beside anything but the `!` of `true and !(…)`.
_ALL, _NOTHING = _Text("true"), _Text("false")


def _none_of(part: _Text) -> _Text:
    if part in {_ALL, _NOTHING}:
        return _ALL if part == _NOTHING else _NOTHING
    return _Text(f"true and !({part.yql})", _Binding.AND)


def _all_of(parts: Sequence[_Text]) -> _Text:
    if _NOTHING in parts:
        return _NOTHING
    match [part for part in parts if part != _ALL]:
        case []:
            return _ALL
        case [part]:
            return part
        case several:
            texts = [f"({part.yql})" if part.binding is _Binding.OR else part.yql for part in several]
            return _Text(" and ".join(texts), _Binding.AND)


def _any_of(parts: Sequence[_Text]) -> _Text:
    if _ALL in parts:
        return _ALL
    match [part for part in parts if part != _NOTHING]:
        case []:
            return _NOTHING
        case [part]:
            return part
        case several:
            return _Text(" or ".join(part.yql for part in several), _Binding.OR)


def _nested(yql: str) -> int:
    """How many parentheses stand within each other; no text of a user's has any there."""
    return max(accumulate({"(": 1, ")": -1}.get(letter, 0) for letter in f" {yql}"))
