"""What an index is, found out from the container alone, where the config server cannot be asked or does not know.

The container tells no schema. Asked for a rank profile with a query that is no tensor, though, it says as what type it
could not read that. So the name of the profile gives the format of vectors and whether they are normalised, and the
refusal their dimension. The marker in every answer says that it came by that profile; that nobody has edited the
expression there, only the config server could.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from lateint import errors
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.capabilities import Capabilities, Feature
from lateint.spec import DType, IndexSpec
from lateint_vespa import answers, calls, names
from lateint_vespa.access import Access
from lateint_vespa.answers import Answer
from lateint_vespa.calls import SEARCH, Call, Steps, Together
from lateint_vespa.errors import Refused, said
from lateint_vespa.filters import Condition
from lateint_vespa.schema import CAPABILITIES, QUERY, QUERY_PROFILE, WITHOUT_PROFILE, Cells, Layout

EVERYTHING = Condition("true")
NOTHING = Condition("false")

_NO_TENSOR = "0"
"""In hexadecimal, one digit is no cell of any type."""

_TYPE = re.compile(r"as a tensor of type tensor(?:<float>)?\(qt\{\},v\[(?P<dim>[0-9]+)\]\)")

_DTYPES = {Cells.FLOAT: DType.FLOAT32, Cells.BFLOAT16: DType.BFLOAT16, Cells.BITS: DType.BINARY}

_WARNING = (
    "The config server could not be asked for the schema, or lateint's description is gone from it. So it is not known "
    "for which encoder the index is, whether its rank profiles were edited, nor which fields it declares: pass those "
    "that filters name to open(…, fields=…)."
)

UNPROFILED = (
    f"The application has no query profile {QUERY_PROFILE!r}. So a profile `default` would be used, if it has one, and "
    "that may leave hits out: add the one that `lateint schema` writes."
)


def probed(name: str, *, timeout_s: float) -> Steps[IndexInfo]:
    """An index as the container shows it.

    Args:
        name: of the index, or of its schema.
        timeout_s: seconds for one call.

    Raises:
        IndexNotFound: there is no schema of that name.
        SchemaMismatch: there is one, and it is not as lateint writes it.
    """
    for schema in names.schemas(name):
        layout = yield from _layout(schema, timeout_s)
        if layout is not None:
            has_profile = yield from has_query_profile(schema, timeout_s=timeout_s)
            everything = calls.passing(
                layout, condition=EVERYTHING, limit=1, query_profile=has_profile, timeout_s=timeout_s
            )
            answers.passing((yield everything), layout, limit=1)
            return _info(name, layout, query_profile=has_profile)
    raise errors.IndexNotFound(f"there is no index {name!r}.", hint="Look for its schema in the application.")


def has_query_profile(schema: str, *, timeout_s: float) -> Steps[bool]:
    """Whether the application has lateint's query profile, without which searches return fewer hits."""
    body = {**_asking(schema, timeout_s), "queryProfile": QUERY_PROFILE}
    answer: Answer = yield Call("POST", SEARCH, json.dumps(body).encode(), timeout_s=timeout_s)
    if answer.status == 400 and "query profile" in said(answer.body):
        return False
    answers.counted(answer, _unknown(schema))
    return True


def capabilities(*, query_profile: bool) -> Capabilities:
    """What can be asked of an index, with lateint's query profile in the application or without."""
    return CAPABILITIES if query_profile else WITHOUT_PROFILE


def _layout(schema: str, timeout_s: float) -> Steps[Layout | None]:
    """The layout of a schema; None if there is no such schema."""
    possible = [_unknown(schema, cells, normalize=normalize) for normalize in (True, False) for cells in Cells]
    asked = [
        Call(
            "POST",
            SEARCH,
            json.dumps(
                {
                    **_asking(schema, timeout_s),
                    "ranking.profile": layout.profile,
                    f"input.query({QUERY})": {"blocks": {"0": _NO_TENSOR}},
                }
            ).encode(),
            timeout_s=timeout_s,
        )
        for layout in possible
    ]
    replies: list[Answer | Exception] = yield Together(asked)
    for layout, reply in zip(possible, replies, strict=True):
        if isinstance(reply, Exception):
            raise reply
        if found := _TYPE.search(reply.body.decode(errors="replace")):
            return replace(layout, dim=int(found["dim"]))
    try:
        for reply in replies:
            assert isinstance(reply, Answer)
            answers.counted(reply, _unknown(schema))
    except errors.IndexNotFound:
        return None
    except Refused as error:
        if error.status != 400:
            raise
    raise errors.SchemaMismatch(
        f"schema {schema!r} has none of lateint's rank profiles.",
        hint="Deploy it as `lateint schema` writes it.",
    )


def _unknown(schema: str, cells: Cells = Cells.FLOAT, *, normalize: bool = True) -> Layout:
    """A layout of which the dimension is not known, nor, mostly, anything else."""
    return Layout(schema=schema, dim=8, cells=cells, fields={}, normalize=normalize)


def _asking(schema: str, timeout_s: float) -> dict[str, object]:
    """Of a query that finds nothing."""
    return {
        "model.restrict": schema,
        "yql": "select * from sources * where false",
        "hits": 0,
        "timeout": f"{max(1, round(1000 * timeout_s))}ms",
        "ranking.softtimeout.enable": False,
    }


def _info(name: str, layout: Layout, *, query_profile: bool) -> IndexInfo:
    found = capabilities(query_profile=query_profile)
    return IndexInfo(
        spec=IndexSpec(name, layout.dim, dtype=_DTYPES[layout.cells], normalize=layout.normalize),
        capabilities=replace(found, features=found.features - {Feature.ADD_FIELD}),
        id_mode=IdMode.TEXT,
        managed=False,
        writable=False,
        not_carried=(
            "what filters need of its declared fields, which only its description in the config server knows",
        ),
        warnings=(_WARNING,) if query_profile else (_WARNING, UNPROFILED),
        native={"access": Access(layout=layout, query_profile=query_profile)},
    )
