"""The application that is active: whose it is, which indexes are in it, and what it is with one more or less. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lateint import errors
from lateint.spec import IndexSpec
from lateint_vespa import names, package
from lateint_vespa.schema import ENGINE, layout_of

_SCHEMA_FILE = re.compile(r"schemas/([A-Za-z_][A-Za-z0-9_]*)\.sd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the config server has made active.

    Attributes:
        generation: of its configuration; grows with every deployment.
        files: texts by path: all of them if lateint deployed it, or else its services and schemas.
    """

    generation: int
    files: Mapping[str, str]

    @property
    def is_ours(self) -> bool:
        """Whether lateint deployed it, and nobody has changed its services since."""
        return package.is_ours(self.files.get(package.SERVICES, ""))

    @property
    def schemas(self) -> dict[str, str]:
        """Texts of its schemas by name; without the one that lateint adds to every application."""
        found = {schema: text for path, text in self.files.items() if (schema := schema_in(path)) is not None}
        if self.is_ours:
            found.pop(package.EMPTY, None)
        return found

    @property
    def indexes(self) -> list[str]:
        """Names of the indexes in it, sorted."""
        return sorted(name for schema, text in self.schemas.items() if (name := _index(schema, text)) is not None)

    def schema_of(self, index: str) -> str | None:
        """The schema that an index is in; None if there is none, or one that is no index of lateint."""
        there = self.schemas
        for schema in names.schemas(index):
            if schema in there and _index(schema, there[schema]) is not None:
                return schema
        return None

    def spec(self, schema: str) -> IndexSpec:
        """What the index in a schema is.

        Raises:
            IndexNotFound: lateint did not write it.
            SchemaMismatch: see `package.spec_in`.
        """
        found = package.spec_in(schema, self.schemas[schema])
        if found is None:
            raise not_found(schema)
        return found

    def added(self, spec: IndexSpec) -> dict[str, str]:
        """Its files with one more index.

        Raises:
            IndexExists: it has a schema of that name already.
            UnsupportedFeature: lateint did not deploy it.
        """
        schema = layout_of(spec).schema
        if schema in self.schemas:
            raise errors.IndexExists(
                f"there is a schema {schema!r} already.", hint="Open it, drop it, or choose another name."
            )
        self._check_ours(spec)
        return self._with({**self.schemas, schema: package.schema_text(spec)})

    def changed(self, spec: IndexSpec) -> dict[str, str] | None:
        """Its files with an index as the spec has it now; None if they are so already.

        Raises:
            IndexNotFound: it has no such index.
            SchemaMismatch: its schema was edited, or declares fields that the spec does not.
            UnsupportedFeature: lateint did not deploy it.
        """
        schema = layout_of(spec).schema
        self._check_ours(spec)
        kept = self.schemas.get(schema, "")
        former = package.spec_in(schema, kept)
        if former is None:
            raise not_found(spec.name)
        text = package.schema_text(spec)
        if kept == text:
            return None
        if not package.is_as_written(kept):
            raise errors.SchemaMismatch(
                f"schema {schema!r} is not what lateint writes: it was edited, or is of another version of lateint.",
                hint=f"Deploy the change by hand: in schemas/{schema}.sd, or all of it anew from `lateint schema`.",
            )
        lost = former.fields.keys() - spec.fields.keys()
        if lost:
            raise errors.SchemaMismatch(
                f"index {spec.name!r} declares {', '.join(map(repr, sorted(lost)))} by now.",
                hint="Somebody else has changed it: open it again.",
            )
        return self._with({**self.schemas, schema: text})

    def without(self, index: str, schema: str, *, until: str) -> dict[str, str]:
        """Its files without an index, and with leave to drop its documents.

        Args:
            index: its name, for errors.
            schema: the schema that it is in.
            until: see `package.files`.

        Raises:
            IndexNotFound: somebody else has dropped it.
            UnsupportedFeature: lateint did not deploy it.
        """
        self.check_may_drop(schema)
        if schema not in self.schemas:
            raise not_found(index)
        rest = {name: text for name, text in self.schemas.items() if name != schema}
        made = self._with(rest, removed=schema, until=until)
        return {path: text for path, text in made.items() if not path.startswith(f"schemas/{schema}/")}

    def check_may_drop(self, schema: str) -> None:
        """Refuse to take schemas from what others have deployed.

        Raises:
            UnsupportedFeature: lateint did not deploy it.
        """
        if not self.is_ours:
            raise errors.UnsupportedFeature(
                f"{_FOREIGN} schema {schema!r} is theirs to remove.",
                backend=ENGINE,
                feature="drop",
                alternative=f"Remove schemas/{schema}.sd and its <document> from services.xml, and deploy that with a "
                "validation override for schema-removal.",
            )

    def _check_ours(self, spec: IndexSpec) -> None:
        if self.is_ours:
            return
        schema = layout_of(spec).schema
        files = package.additions(spec)
        error = errors.UnsupportedFeature(
            f"{_FOREIGN} index {spec.name!r} is theirs to deploy.",
            backend=ENGINE,
            feature="deployment",
            alternative=f"Merge {' and '.join(files)}, as `lateint schema` writes them, into that application, add "
            f'<document type="{schema}" mode="index"/> to the documents in its services.xml, deploy it, and open '
            "the index.",
        )
        for path, text in files.items():
            error.add_note(f"{path}:\n{text}")
        raise error

    def _with(self, schemas: Mapping[str, str], *, removed: str = "", until: str = "") -> dict[str, str]:
        """An application of other schemas; whatever else somebody has added to it, such as rank profiles, stays."""
        anew = {package.SERVICES, package.OVERRIDES}
        kept = {path: text for path, text in self.files.items() if path not in anew and schema_in(path) is None}
        return package.files(schemas, removed=removed, until=until) | kept


def schema_in(path: str) -> str | None:
    """The schema that a file is the text of."""
    found = _SCHEMA_FILE.fullmatch(path)
    return found[1] if found else None


def not_found(index: str) -> errors.IndexNotFound:
    """No such index is deployed."""
    return errors.IndexNotFound(f"there is no index {index!r}.", hint="See `list_indexes()`.")


_FOREIGN = (
    "the active application was not deployed by lateint, or its services.xml was edited since, and it is left alone:"
)


def _index(schema: str, text: str) -> str | None:
    """The index that a schema is, also if its description cannot be read; None if it is none."""
    try:
        spec = package.spec_in(schema, text)
    except errors.SchemaMismatch:
        return names.index_name(schema)
    return spec.name if spec else None
