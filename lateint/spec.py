"""What an index is: its name, dimension, storage format, fields, and the encoder that made its vectors."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from lateint import errors

SPEC_VERSION = 1
RESERVED_PREFIX = "lateint_"


class DType(StrEnum):
    """How an engine keeps the numbers of a multi-vector."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    BINARY = "binary"
    """One bit for each value, set if it is above 0: kept, scored and read back as 0.0 and 1.0; queries stay float32.

    MaxSim is that of the query's values and the document's bits: for each query row the largest sum of its values at
    the places where a row has its bits set. It ranks as the signs -1 and 1 would, whose score is twice that less the
    sum of all values of the query. The lengths of a document's rows do not matter, so `IndexSpec.normalize` scales
    queries only. Reading gives the bits, not what was written; writing what was read gives the same bits again.
    """


class FieldType(StrEnum):
    """Type of a declared, filterable payload field."""

    KEYWORD = "keyword"
    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    KEYWORDS = "keyword[]"
    INTEGERS = "integer[]"
    FLOATS = "float[]"

    @property
    def is_list(self) -> bool:
        """Holds several values."""
        return self.value.endswith("[]")

    @property
    def element(self) -> FieldType:
        """Type of one value."""
        return FieldType(self.value.removesuffix("[]"))

    @property
    def is_ordered(self) -> bool:
        """Takes `<`, `<=`, `>`, `>=` and `between`."""
        return self.element in {FieldType.INTEGER, FieldType.FLOAT, FieldType.DATETIME}


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """A neutral description of an index, the same for every engine.

    Attributes:
        name: letter first, then letters, digits, `_` and `-`, at most 64.
        dim: values per row; a multiple of 8 if they are kept as bits.
        dtype: storage format.
        fields: name to type of the payload fields that filters may use; names are ASCII identifiers.
        normalize: rows and queries are scaled to length 1 by lateint, once.
        encoder: fingerprint of the model that made the vectors, as JSON-like data; None if unknown.
        engine_options: engine name to options that only this engine knows; the others ignore them.
        metadata: free JSON-like data kept with the index.
        pending: declared fields that documents written before are still to be made ready for; filters on them are
            refused. `Index.update` sets and clears it.

    Raises:
        InvalidInput: at construction, naming the field at fault.
    """

    name: str
    dim: int
    dtype: DType = field(default=DType.FLOAT32, kw_only=True)
    fields: Mapping[str, FieldType] = field(default_factory=dict, kw_only=True)
    normalize: bool = field(default=True, kw_only=True)
    encoder: Mapping[str, Any] | None = field(default=None, kw_only=True)
    engine_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, kw_only=True)
    metadata: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    pending: tuple[str, ...] = field(default=(), kw_only=True)

    def __init__(  # written out so that callers may pass plain strings and a type checker agrees
        self,
        name: str,
        dim: int,
        *,
        dtype: DType | str = DType.FLOAT32,
        fields: Mapping[str, FieldType | str] | None = None,
        normalize: bool = True,
        encoder: Mapping[str, Any] | None = None,
        engine_options: Mapping[str, Mapping[str, Any]] | None = None,
        metadata: Mapping[str, Any] | None = None,
        pending: Sequence[str] = (),
    ) -> None:
        put = object.__setattr__
        put(self, "name", check_name(name))
        put(self, "dtype", _member(DType, dtype, "dtype"))
        put(self, "dim", _check_dim(dim, self.dtype))
        put(self, "fields", check_fields(fields or {}))
        put(self, "normalize", _check_bool(normalize, "normalize"))
        put(self, "encoder", None if encoder is None else _plain(encoder, "encoder"))
        options = _plain(engine_options or {}, "engine_options")
        put(self, "engine_options", {name: _plain(part, "engine_options") for name, part in options.items()})
        put(self, "metadata", _plain(metadata or {}, "metadata"))
        put(self, "pending", _check_pending(pending, self.fields))

    def replace(self, **changes: Any) -> IndexSpec:  # noqa: ANN401
        """Copy with some attributes changed.

        Raises:
            InvalidInput: an unknown attribute, or a value out of bounds.
        """
        known = [part.name for part in fields(self)]
        for name in changes:
            if name not in known:
                raise errors.InvalidInput(f"IndexSpec has no {name!r}.", hint=suggestion(name, known))
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-like form with a version, a copy throughout; `from_dict` reads it back."""
        return deepcopy(self._as_dict())

    def _as_dict(self) -> dict[str, Any]:
        return {
            "version": SPEC_VERSION,
            "name": self.name,
            "dim": self.dim,
            "dtype": self.dtype.value,
            "fields": {name: kind.value for name, kind in self.fields.items()},
            "normalize": self.normalize,
            "encoder": self.encoder,
            "engine_options": self.engine_options,
            "metadata": self.metadata,
            "pending": list(self.pending),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> IndexSpec:
        """Read what `to_dict` wrote.

        Raises:
            InvalidInput: of a newer version, or with parts missing or unknown.
        """
        if not isinstance(data, Mapping):
            raise errors.InvalidInput(f"index spec {data!r:.60} is not an object.")
        version = data.get("version")
        if version != SPEC_VERSION:
            raise errors.InvalidInput(
                f"index spec of version {version!r}; this lateint reads version {SPEC_VERSION}.",
                hint="Upgrade lateint.",
            )
        values = {name: value for name, value in data.items() if name != "version"}
        known = [part.name for part in fields(cls)]
        missing = [name for name in ("name", "dim") if name not in values]
        unknown = [name for name in values if name not in known]
        if missing or unknown:
            raise errors.InvalidInput(f"index spec with {missing or unknown} {'missing' if missing else 'unknown'}.")
        return cls(**values)


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def check_name(name: object) -> str:
    """Return `name` if it can name an index on every engine.

    Raises:
        InvalidInput: says which characters are allowed.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise errors.InvalidInput(
        f"index name {name!r} is not allowed.",
        hint="Use a letter, then letters, digits, '_' or '-', at most 64 characters.",
    )


def check_fields(declared: Mapping[str, FieldType | str]) -> dict[str, FieldType]:
    """Return field names and types, checked.

    Raises:
        InvalidInput: a name that is no ASCII identifier or is reserved, or an unknown type.
    """
    if not isinstance(declared, Mapping):
        raise errors.InvalidInput(f"fields {declared!r:.60} are not a mapping.", hint='Pass {"year": "integer"}.')
    checked: dict[str, FieldType] = {}
    for name, kind in declared.items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            raise errors.InvalidInput(
                f"field name {name!r} is not allowed.",
                hint="Use ASCII letters, digits and '_', at most 63, not beginning with a digit.",
            )
        if name.startswith(RESERVED_PREFIX):
            raise errors.InvalidInput(
                f"field name {name!r} is reserved.", hint=f"Choose one without {RESERVED_PREFIX!r}."
            )
        checked[name] = _member(FieldType, kind, f"type of field {name!r}")
    return checked


def suggestion(word: str, known: Iterable[str]) -> str:
    """The hint for a misspelt word: the nearest known one, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "There are none."


def _member(kind: type[Any], value: object, place: str) -> Any:  # noqa: ANN401
    try:
        return kind(value)
    except ValueError:
        raise errors.InvalidInput(
            f"{place} {value!r} is not known.", hint=suggestion(str(value), [member.value for member in kind])
        ) from None


def _check_dim(dim: object, dtype: DType) -> int:
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= 65_536:
        raise errors.InvalidInput(f"dim {dim!r} is not a dimension.", hint="Pass an integer from 1 to 65,536.")
    if dtype is DType.BINARY and dim % 8:
        raise errors.InvalidInput(
            f"dim {dim} cannot be kept as {dtype.value}: bits are packed into whole bytes.",
            hint=f"Use dim={dim + -dim % 8} and append zeros to all rows and queries: scores stay the same.",
        )
    return dim


def _check_bool(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise errors.InvalidInput(f"{place} {value!r} is neither True nor False.")
    return value


def _plain(value: object, place: str) -> dict[str, Any]:
    """A copy in plain JSON values."""
    if not isinstance(value, Mapping):
        raise errors.InvalidInput(f"{place}: {value!r:.60} is not a mapping.", hint="Pass a dict of names to values.")
    try:
        _check_keys(value)
        plain: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise errors.InvalidInput(
            f"{place}: {error}.", hint="Use JSON values: text, numbers, lists, objects."
        ) from error
    return plain


def _check_keys(value: object) -> None:
    """JSON turns other keys into text, and two of them may become one."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not text")
            _check_keys(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _check_keys(part)


def _check_pending(pending: object, declared: Mapping[str, FieldType]) -> tuple[str, ...]:
    if isinstance(pending, (list, tuple)) and all(name in declared for name in pending):
        return tuple(pending)
    raise errors.InvalidInput(f"pending {pending!r} are not declared fields.", hint=suggestion(str(pending), declared))
