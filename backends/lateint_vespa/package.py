"""The application package of indexes: files for the config server, and the same for users of pyvespa. Pure.

A schema's file carries its spec in a comment, so it is a whole description wherever it goes: into an application that
lateint deploys, or, merged by hand, into somebody else's. An application of lateint is known by a mark in its
`services.xml`, which holds only as long as nobody edits that file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lateint import errors
from lateint.engine.packages import Package, Reading
from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD
from lateint.engine.prepare import check_spec
from lateint.spec import IndexSpec
from lateint_vespa.properties import DIGEST_FIELD, SchemaField, definitions
from lateint_vespa.schema import (
    CAPABILITIES,
    ENGINE,
    FILTERING,
    IDS_ONLY,
    MARKER,
    MAX_HITS,
    QUERY,
    QUERY_PROFILE,
    SCORE,
    VECTORS,
    WHOLE,
    WITH_PAYLOAD,
    Layout,
    layout_of,
)

if TYPE_CHECKING:
    from vespa.package import ApplicationPackage

APPLICATION = "lateint"
CLUSTER = f"{APPLICATION}_content"
"""The content cluster of an application that lateint deploys; named as pyvespa would."""

EMPTY = "lateint"
"""A schema of nothing: Vespa refuses an application without any, and the last index can be dropped too."""

SERVICES = "services.xml"
HOSTS = "hosts.xml"
OVERRIDES = "validation-overrides.xml"
PROFILE_FILE = f"search/query-profiles/{QUERY_PROFILE}.xml"

_SUMMARIES = {
    IDS_ONLY: (ID_FIELD,),
    WITH_PAYLOAD: (ID_FIELD, PAYLOAD_FIELD),
    WHOLE: (ID_FIELD, PAYLOAD_FIELD, VECTORS),
}


def files(schemas: Mapping[str, str], *, removed: str = "", until: str = "") -> dict[str, str]:
    """An application that lateint deploys, whole, on one node.

    Args:
        schemas: texts of the schemas of all indexes, by name.
        removed: a schema that the active application has and this one has not; its documents are lost with it.
        until: the day up to which that is allowed, as `2026-01-31`, at most 30 days ahead.
    """
    made = {SERVICES: services(schemas), HOSTS: _HOSTS, PROFILE_FILE: _QUERY_PROFILE, schema_file(EMPTY): _EMPTY}
    made |= {schema_file(name): text for name, text in sorted(schemas.items())}
    if removed:
        made[OVERRIDES] = _OVERRIDES.format(until=until, schema=removed)
    return made


def packaged(spec: IndexSpec, read: Reading) -> Package:
    """The files of an index for those who deploy themselves: a whole application, or what one needs that is there.

    It has no mark: lateint opens the index, and adds none and drops none.

    Args:
        spec: what the index is to be.
        read: the folder of the application.

    Raises:
        InvalidInput, UnsupportedFeature: see `schema.layout_of`.
    """
    check_spec(spec, CAPABILITIES, engine=ENGINE)
    schema = layout_of(spec).schema
    there = read(SERVICES)
    if there is None:
        return Package(files={SERVICES: f"{_XML}{_services([schema])}", HOSTS: _HOSTS, **additions(spec)})
    listed = re.search(rf"""type\s*=\s*["']{schema}["']""", there)
    todo = f'Add <document type="{schema}" mode="index"/> to the <documents> of a content cluster in {SERVICES}.'
    return Package(files=additions(spec), todo=() if listed else (todo,))


def additions(spec: IndexSpec) -> dict[str, str]:
    """What somebody else's application needs for an index, beside `<document type="…" mode="index"/>` in its services.

    Raises:
        InvalidInput, UnsupportedFeature: see `schema.layout_of`.
    """
    return {schema_file(layout_of(spec).schema): schema_text(spec), PROFILE_FILE: _QUERY_PROFILE}


def zipped(made: Mapping[str, str]) -> bytes:
    """Files as the config server takes them; the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in made.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return out.getvalue()


def schema_file(schema: str) -> str:
    """Where the text of a schema is in an application."""
    return f"schemas/{schema}.sd"


def schema_text(spec: IndexSpec) -> str:
    """The schema of an index, with the spec in a comment.

    Raises:
        InvalidInput, UnsupportedFeature: see `schema.layout_of`.
    """
    return described(spec) + rendered(layout_of(spec))


def described(spec: IndexSpec) -> str:
    """The comment at the head of a schema; its fingerprint tells when somebody has edited it."""
    text = json.dumps(spec.to_dict())
    return f"{_SCHEMA_MARK}{_fingerprint(text)} {text}\n"


def described_spec(text: str) -> IndexSpec | None:
    """The spec of the index that a schema is; None if lateint did not write it.

    Args:
        text: the file of the schema.

    Raises:
        SchemaMismatch: the comment was edited, or is of a newer version.
    """
    line = next((line for line in text.splitlines() if line.startswith(_SCHEMA_MARK)), None)
    if line is None:
        return None
    fingerprint, _, kept = line.removeprefix(_SCHEMA_MARK).partition(" ")
    try:
        if _fingerprint(kept) != fingerprint:
            raise ValueError("the text does not fit its fingerprint")  # noqa: TRY301 - one message for all
        return IndexSpec.from_dict(json.loads(kept))
    except (ValueError, TypeError) as error:
        raise errors.SchemaMismatch(
            f"the comment at the head of a schema does not describe an index: {error}.",
            hint="Restore that file from a backup; or upgrade lateint.",
        ) from error


def spec_in(schema: str, text: str) -> IndexSpec | None:
    """The spec of the index in a schema; None if lateint did not write it.

    Raises:
        SchemaMismatch: see `described_spec`; or the comment describes another schema, of which this one is a copy.
    """
    spec = described_spec(text)
    described = schema if spec is None else layout_of(spec).schema
    if described != schema:
        raise errors.SchemaMismatch(
            f"the comment at the head of schema {schema!r} describes schema {described!r}, from which it was copied.",
            hint=f"Write schemas/{schema}.sd anew, as `lateint schema` does, or take that comment out of it.",
        )
    return spec


def check_essentials(text: str, layout: Layout) -> None:
    """Make sure that a schema still has vectors, digests and rank profiles as lateint writes them, but for white space.

    Its other fields, summaries and profiles are its owner's.

    Raises:
        SchemaMismatch: they were edited, or are of another version: scores would not be MaxSim, and no answer would
            show it; or no document could be written.
    """
    there = _bare(text)
    for part in _ESSENTIAL.findall(rendered(layout)):
        if _bare(part) not in there:
            raise errors.SchemaMismatch(
                f"{' '.join(part.split()[:2])!r} of schema {layout.schema!r} is not what lateint writes: it was "
                "edited, or is of another version of lateint.",
                hint=f"Restore schemas/{layout.schema}.sd, or write it anew, as `lateint schema` does.",
            )


def is_as_written(text: str) -> bool:
    """Whether a schema is still what lateint writes for the spec in its comment, of this version of lateint."""
    spec = described_spec(text)
    return spec is not None and schema_text(spec) == text


def services(schemas: Iterable[str]) -> str:
    """The services of an application that lateint deploys.

    Args:
        schemas: names of the schemas of all indexes.
    """
    body = _services((EMPTY, *sorted(schemas)))
    return f"{_XML}<!-- {_MARK}{_fingerprint(body)} -->\n{body}"


def is_ours(text: str) -> bool:
    """Whether `services.xml` is as lateint wrote it, so that lateint may write it anew."""
    _, found, rest = text.partition(f"<!-- {_MARK}")
    fingerprint, _, body = rest.partition(" -->\n")
    return bool(found) and text.startswith(_XML) and _fingerprint(body) == fingerprint


def application_package(spec: IndexSpec, *more: IndexSpec, name: str = APPLICATION) -> ApplicationPackage:
    """The application of one or more indexes for users of pyvespa, to extend and to deploy.

    Such an application is theirs: lateint opens its indexes, and adds none and drops none.

    Args:
        spec: an index.
        *more: further indexes.
        name: of the application.

    Raises:
        MissingDependency: pyvespa is not installed.
        InvalidInput, UnsupportedFeature: see `schema.layout_of`.
    """
    try:
        from vespa import package as pyvespa  # noqa: PLC0415 - not needed to talk to Vespa
        from vespa.configuration.query_profiles import field, query_profile  # noqa: PLC0415
    except ImportError as error:
        raise errors.MissingDependency(
            "application_package() needs pyvespa.", hint="Install it: pip install pyvespa."
        ) from error

    class Described(pyvespa.Schema):
        """A schema of pyvespa with a comment, for which pyvespa has no place."""

        comment: str

        @property
        def schema_to_text(self) -> str:
            return self.comment + str(super().schema_to_text)

    schemas: list[pyvespa.Schema] = []
    for each in (spec, *more):
        schema = Described(**_parts(layout_of(each), pyvespa))
        schema.comment = described(each)
        schemas.append(schema)
    return pyvespa.ApplicationPackage(
        name=name,
        schema=schemas,
        create_query_profile_by_default=False,
        query_profile_config=query_profile(field(str(MAX_HITS), name="maxHits"), id=QUERY_PROFILE),
    )


def rendered(layout: Layout) -> str:
    """A schema in the schema language, without a comment."""
    fields = "".join(_field(each) for each in definitions(layout.fields))
    summaries = "".join(_summary(name, kept) for name, kept in _SUMMARIES.items())
    return _SCHEMA.format(
        schema=layout.schema,
        fields=fields,
        vectors=VECTORS,
        stored_type=layout.stored_type,
        profile=layout.profile,
        query=QUERY,
        query_type=layout.query_type,
        score=SCORE,
        expression=layout.score,
        marker=MARKER,
        number=layout.marker,
        filtering=FILTERING,
        summaries=summaries,
    )


_XML = '<?xml version="1.0" encoding="utf-8"?>\n'
_MARK = "Deployed by lateint, which adds and removes schemas; edited, it is left alone. "
_SCHEMA_MARK = "# An index of lateint; do not edit this line. "

_ESSENTIAL = re.compile(
    rf"^        field (?:{VECTORS}|{DIGEST_FIELD}) .*?\{{|^    rank-profile .*?^    \}}", re.DOTALL | re.MULTILINE
)
"""In a schema as `rendered`: what its scores and the updates of its documents hang on."""

_BRACED = re.compile(r"\b(expression|match-features)\s*\{([^{}]*)\}")
_COMMENT = re.compile(r"^\s*#.*", re.MULTILINE)

_HOSTS = f"""{_XML}<hosts>
  <host name="localhost"><alias>node1</alias></host>
</hosts>
"""

_SERVICES = """<services version="1.0">
  <container id="{application}_container" version="1.0">
    <search/>
    <document-api/>
    <document-processing/>
    <nodes><node hostalias="node1"/></nodes>
  </container>
  <content id="{application}_content" version="1.0">
    <redundancy>1</redundancy>
    <documents>{types}
    </documents>
    <nodes><node hostalias="node1" distribution-key="0"/></nodes>
  </content>
</services>
"""

_QUERY_PROFILE = f"""<query-profile id="{QUERY_PROFILE}">
  <field name="maxHits">{MAX_HITS}</field>
</query-profile>
"""

_EMPTY = f"""schema {EMPTY} {{
    document {EMPTY} {{
    }}
}}
"""

_OVERRIDES = """<validation-overrides>
  <allow until="{until}" comment="lateint drops the index of schema {schema}">schema-removal</allow>
</validation-overrides>
"""

_SCHEMA = """schema {schema} {{
    document {schema} {{{fields}
        field {vectors} type {stored_type} {{
            indexing: attribute
        }}
    }}{summaries}
    rank-profile {profile} {{
        inputs {{
            query({query}) {query_type}
        }}
        function {score}() {{
            expression: {expression}
        }}
        function {marker}() {{
            expression: {number}
        }}
        first-phase {{
            expression: {score}
        }}
        match-features: {marker} {score}
    }}
    rank-profile {filtering} {{
        function {marker}() {{
            expression: {number}
        }}
        first-phase {{
            expression: 0
        }}
        match-features: {marker}
    }}
}}
"""


def _services(schemas: Iterable[str]) -> str:
    types = "".join(f'\n      <document type="{name}" mode="index"/>' for name in schemas)
    return _SERVICES.format(application=APPLICATION, types=types)


def _field(made: SchemaField) -> str:
    lines = [f"indexing: {' | '.join(made.indexing)}"]
    lines += ["match {", "    word", "    cased", "}"] if made.cased else []
    lines += ["attribute: fast-search"] if made.fast_search else []
    lines += ["rank: filter"] if made.filters else []
    lines += ["index: enable-bm25"] if made.bm25 else []
    body = "".join(f"\n            {line}" for line in lines)
    return f"\n        field {made.name} type {made.type} {{{body}\n        }}"


def _summary(name: str, kept: Iterable[str]) -> str:
    lines = [f"summary {field} {{}}" for field in kept] + (["from-disk"] if PAYLOAD_FIELD in kept else [])
    body = "".join(f"\n        {line}" for line in lines)
    return f"\n    document-summary {name} {{{body}\n    }}"


def _parts(layout: Layout, pyvespa: Any) -> dict[str, Any]:  # noqa: ANN401 - the module, which has no types
    """What `rendered` renders, as the arguments of pyvespa's `Schema`."""
    fields = [
        pyvespa.Field(
            name=each.name,
            type=each.type,
            indexing=list(each.indexing),
            index="enable-bm25" if each.bm25 else None,
            attribute=["fast-search"] if each.fast_search else None,
            match=["word", "cased"] if each.cased else None,
            **({"rank": "filter"} if each.filters else {}),
        )
        for each in definitions(layout.fields)
    ]
    vectors = pyvespa.Field(name=VECTORS, type=layout.stored_type, indexing=["attribute"])
    marker = pyvespa.Function(name=MARKER, expression=str(layout.marker))
    score = pyvespa.Function(name=SCORE, expression=layout.score)
    return {
        "name": layout.schema,
        "document": pyvespa.Document(fields=[*fields, vectors]),
        "document_summaries": [
            pyvespa.DocumentSummary(
                name=name,
                summary_fields=[pyvespa.Summary(name=field) for field in kept],
                from_disk=PAYLOAD_FIELD in kept or None,
            )
            for name, kept in _SUMMARIES.items()
        ],
        "rank_profiles": [
            pyvespa.RankProfile(
                name=layout.profile,
                inputs=[(f"query({QUERY})", layout.query_type)],
                functions=[score, marker],
                first_phase=SCORE,
                match_features=[MARKER, SCORE],
            ),
            pyvespa.RankProfile(name=FILTERING, functions=[marker], first_phase="0", match_features=[MARKER]),
        ],
    }


def _bare(text: str) -> str:
    """A schema without white space and comments, in lateint's form where pyvespa has another one for the same."""
    return "".join(_BRACED.sub(r"\1: \2", _COMMENT.sub("", text)).split())


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
