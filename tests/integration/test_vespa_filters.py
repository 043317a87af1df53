"""Filters as YQL mean to Vespa's container what `lateint.filters.matches` says, and text in them is never syntax.

The container parses the YQL and sends its query tree; the test server's own node carries that out, by the rules of
Vespa's attributes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from lateint.engine.payload import checked
from lateint.errors import UnsupportedFeature
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or, matches
from lateint.spec import FieldType, IndexSpec
from lateint.testing.payloads import FIELDS, elements, filterable
from lateint.types import Document
from lateint_vespa import calls
from lateint_vespa.answers import acknowledged, counted, passing
from lateint_vespa.filters import lowered
from lateint_vespa.properties import stored
from lateint_vespa.schema import CAPABILITIES, Layout
from tests.servers.vespa.asking import Client
from tests.servers.vespa.sending import deployed, sent

DOCUMENTS = filterable(FIELDS, count=128)
DIM = DOCUMENTS[0].vectors.shape[1]
ORDERINGS = (Operator.LESS, Operator.LESS_EQUAL, Operator.GREATER, Operator.GREATER_EQUAL)

ATTACKS = (
    '" or true or word contains "',
    "' or true or word contains '",
    '"',
    "'",
    "\"'",
    "',\"",
    '","',
    "','",
    "\\",
    '\\"',
    "\\'",
    '\\" or true or \\"',
    ")",
    "(",
    ") or true or (word contains @li0",
    "@li0",
    "@yql",
    "${x}",
    "%22 or true",
    "%",
    "{",
    "}",
    "{!x}",
    '{"a": 1}',
    "[1]",
    "a,b",
    ",",
    ";",
    "--",
    "// x",
    "/* x",
    "#",
    "null",
    "true",
    "*",
    "a*",
    "?",
    "&hits=0",
    "\n",
    "\r\nx",
    "\t",
    "|all(group(word))",
    "\u2028",
    "\u200b",
    "\u202e",
    "日" * 85,
    "é",
    "e\u0301",
    "\x00",
    "a\x00b",
    "\x1f",
    "\x7f",
    "\ufffe",
    "\U0010ffff",
    "\ufdd0",
)
"""Values that would be syntax somewhere between here and Vespa's index."""


@pytest.fixture(scope="module")
def served(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Layout, Layout]]:
    """A schema with documents of all values, and one for attacks."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        client = Client(server.http_url, server.config_url)
        layouts = deployed(client, *(IndexSpec(name, DIM, fields=FIELDS) for name in ("filters", "attacked")))
        fill(client, layouts[0], DOCUMENTS)
        yield client, layouts[0], layouts[1]


@pytest.fixture
def vespa(served: tuple[Client, Layout, Layout]) -> Client:
    return served[0]


@pytest.fixture
def layout(served: tuple[Client, Layout, Layout]) -> Layout:
    return served[1]


@pytest.fixture
def attacked(served: tuple[Client, Layout, Layout]) -> Layout:
    return served[2]


def fill(vespa: Client, layout: Layout, documents: list[Document]) -> None:
    for each in documents:
        payload, _ = checked(each.payload, FIELDS, document=each.id)
        call = calls.put(layout, each.id, rows=each.vectors, properties=stored(each.id, payload, FIELDS), timeout_s=20)
        acknowledged(sent(vespa, call), layout, each.id)


def conditions(name: str, kind: FieldType) -> list[Filter]:
    """Every elementary filter on a field, with every value that its documents have and that Vespa compares exactly."""
    values = elements(kind)
    found: list[Filter] = [Exists(name), *(IsIn(name, tuple(values[start::2])) for start in (0, 1)), IsIn(name, ())]
    for value in values:
        operators = (Operator.EQUAL, *(ORDERINGS if kind.is_ordered else ()))
        found += [Comparison(name, operator, value) for operator in operators]
    return [each for each in found if is_exact(each)]


def is_exact(condition: Filter) -> bool:
    try:
        CAPABILITIES.require_filter(condition, dict(FIELDS), backend="vespa")
    except UnsupportedFeature:
        return False
    return True


LEAVES = {name: conditions(name, kind) for name, kind in FIELDS.items()}
ALL_LEAVES = [leaf for leaves in LEAVES.values() for leaf in leaves] + [Ids(()), Ids(("row-00", "row-07", "nobody"))]


def tree(dice: random.Random, depth: int) -> Filter:
    if depth == 0 or dice.random() < 0.2:
        return dice.choice(ALL_LEAVES)
    parts = tuple(tree(dice, depth - 1) for _ in range(dice.randint(2, 4)))
    return dice.choice([Not(parts[0]), And(parts), Or(parts)])


def expected(condition: Filter, documents: list[Document] = DOCUMENTS) -> set[str]:
    return {
        each.id
        for each in documents
        if matches(condition, document=each.id, payload=checked(each.payload, FIELDS, document=each.id)[0])
    }


def selected(vespa: Client, layout: Layout, condition: Filter) -> set[str]:
    call = calls.passing(layout, condition=lowered(condition, FIELDS), limit=1000, query_profile=True, timeout_s=20)
    found = passing(sent(vespa, call), layout, limit=1000)
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("name", FIELDS)
def test_leaves(vespa: Client, layout: Layout, name: str) -> None:
    """White space, case, 64-bit integers, years 1 and 9999, both zeros, missing and null, empty text: none is folded."""
    for condition in LEAVES[name]:
        for each in (condition, Not(condition)):
            assert selected(vespa, layout, each) == expected(each), each


def test_trees(vespa: Client, layout: Layout) -> None:
    """Nested `&`, `|` and `~`: Vespa rewrites a query before it carries it out."""
    dice = random.Random(7)
    for _ in range(150):
        condition = tree(dice, dice.randint(1, 5))
        assert selected(vespa, layout, condition) == expected(condition), condition


def test_depth(vespa: Client, layout: Layout) -> None:
    """Twenty-four levels and more; what is deeper is refused here, where a container would run out of stack."""
    chain = ALL_LEAVES[0]
    for turn in range(60):
        part = ALL_LEAVES[7 * turn % len(ALL_LEAVES)]
        chain = And((chain, Not(part))) if turn % 2 else Or((part, chain))
        try:
            lowered(chain, FIELDS)
        except UnsupportedFeature:
            assert turn > 24
            break
        if turn % 4 == 3 or turn > 22:
            assert selected(vespa, layout, chain) == expected(chain)
    else:
        pytest.fail("nothing was refused")


def test_many_values(vespa: Client, layout: Layout) -> None:
    for wanted in (
        IsIn("number", tuple(range(5000))),
        IsIn("ratio", tuple(number / 4 for number in range(2000))),
        IsIn("word", tuple(f"{number}" for number in range(5000))),
        Ids(tuple(f"row-{number:02d}" for number in range(0, 5000, 2))),
    ):
        assert selected(vespa, layout, wanted) == expected(wanted)


def test_count(vespa: Client, layout: Layout) -> None:
    for condition in (leaf for leaves in LEAVES.values() for leaf in leaves[:4]):
        call = calls.passing(layout, condition=lowered(condition, FIELDS), limit=0, query_profile=False, timeout_s=20)
        assert counted(sent(vespa, call), layout) == len(expected(condition)), condition


def test_values_are_data(vespa: Client, attacked: Layout) -> None:
    """What looks like YQL, JSON, a parameter or an escape is found as what it is, and finds nothing else."""
    rows = np.eye(1, DIM, dtype=np.float32)
    documents = [
        Document(f"at-{place}", rows, {"word": attack, "prose": attack, "words": [attack, "x"]})
        for place, attack in enumerate(ATTACKS)
    ]
    fill(vespa, attacked, documents)
    for place, attack in enumerate(ATTACKS):
        for name in ("word", "prose", "words"):
            for condition in (Comparison(name, Operator.EQUAL, attack), IsIn(name, (attack, "other"))):
                assert selected(vespa, attacked, condition) == {f"at-{place}"}, (name, attack)
    for name in ("word", "prose", "words"):
        for start in range(3):
            wanted = IsIn(name, ATTACKS[start::3])
            assert selected(vespa, attacked, wanted) == expected(wanted, documents)
            assert selected(vespa, attacked, Not(wanted)) == expected(Not(wanted), documents)
