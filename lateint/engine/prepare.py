"""From what a user passes to what a backend may see: checked against the index, normalised once, rounded as stored."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from lateint import errors
from lateint.engine import payload as payloads
from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, bound, fields_of
from lateint.scoring import rounding
from lateint.spec import DType, FieldType, IndexSpec, suggestion
from lateint.types import Document, SearchRequest, check_id
from lateint.vectors import STORED_SLACK, MultiVector, as_multivector, check_nonzero, normalized, row_norms

_LONGEST_ROW = 2.0**53


def prepared_document(document: object, index: IndexInfo) -> tuple[Document, int]:
    """A document as the backend gets it, and about how many bytes it takes on the wire.

    Args:
        document: what the user passed.
        index: where it is to go.

    Raises:
        InvalidInput: or one of its kinds, naming document, row and remedy.
    """
    if isinstance(document, errors.InvalidInput):
        raise document
    if not isinstance(document, Document):
        raise errors.InvalidInput(
            f"a {type(document).__name__} is not a Document.",
            hint="Pass lateint.Document(id=…, vectors=…, payload={…}).",
        )
    name = check_id(document.id)
    if index.check_id is not None:
        index.check_id(name)
    if document.vectors is None:
        raise errors.EmptyMultiVector(
            f"document {name!r} has no vectors.",
            hint="Read it with with_vectors=True; to change payload alone use update_payload.",
            document=name,
        )
    spec = index.spec
    given = vectors = as_multivector(document.vectors, spec.dim, document=name)
    _check_size(vectors, index, name)
    if spec.dtype is DType.BINARY:
        _check_signs(vectors, document, spec)
    elif spec.normalize:
        vectors = _kept(vectors, name) if document.normalized else normalized(vectors, document=name)
    else:
        _check_length(vectors, name)
    vectors = rounding.mirrored(vectors, spec.dtype, document=name)
    if vectors is given:  # still the caller's memory, which an encoder may fill again before the batch is sent
        vectors = given.copy()
    payload, size = payloads.checked(document.payload, spec.fields, document=name)
    return Document(name, vectors, payload, normalized=document.normalized), vectors.nbytes + size + len(name)


def prepared_query(query: Any, index: IndexInfo) -> MultiVector:  # noqa: ANN401 - whatever as_multivector takes
    """A query as the backend gets it: the same rules as for documents.

    Raises:
        InvalidInput: or one of its kinds.
    """
    vectors = as_multivector(query, index.spec.dim)
    _check_size(vectors, index, None)
    if index.spec.normalize:
        vectors = normalized(vectors)
    else:
        _check_length(vectors, None)
    return rounding.mirrored(vectors, index.spec.dtype) if index.capabilities.rounds_queries else vectors


def prepared_filter(condition: Filter | None, index: IndexInfo, *, backend: str) -> Filter | None:
    """A filter with values in the types of their fields, known to be answerable.

    Raises:
        InvalidInput: an undeclared field or a value of another type.
        UnsupportedFeature: the engine cannot evaluate it exactly.
    """
    if condition is None:
        return None
    fields = dict(index.spec.fields)
    checked = bound(condition, fields)
    waiting = sorted(fields_of(checked) & set(index.spec.pending))
    if waiting:
        raise errors.InvalidInput(
            f"field {waiting[0]!r} is being declared and not every document is ready for filters on it.",
            hint=f"Finish with index.update(fields={{{waiting[0]!r}: {fields[waiting[0]].value!r}}}).",
        )
    index.capabilities.require_filter(checked, fields, backend=backend)
    return checked


def prepared_searches(
    queries: Iterable[Any],
    index: IndexInfo,
    *,
    backend: str,
    k: int,
    condition: Filter | None,
    exact: bool | None,
    payload: bool | Iterable[str],
    with_vectors: bool,
    timeout_s: float | None,
) -> list[SearchRequest]:
    """Searches that differ in their query only, checked.

    Raises:
        InvalidInput: a bad query, `k`, filter or field selection.
        UnsupportedFeature: the index cannot answer them.
    """
    capabilities = index.capabilities
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= capabilities.max_k:
        raise errors.InvalidInput(
            f"k={k!r} is not possible on {backend}.", hint=f"Pass a whole number from 1 to {capabilities.max_k}."
        )
    if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and timeout_s > 0):
        raise errors.InvalidInput(f"timeout_s={timeout_s!r} is not a time.", hint="Pass seconds above 0.")
    if isinstance(payload, str) or not isinstance(payload, (bool, Iterable)):
        raise errors.InvalidInput(f"payload={payload!r} are not several fields.", hint=f"Write payload=[{payload!r}].")
    if not isinstance(payload, bool):
        payload = tuple(payload)
        if not all(isinstance(name, str) for name in payload):
            raise errors.InvalidInput(f"payload={payload!r} holds what is no field name.", hint="Pass names.")
    if exact is not None and not isinstance(exact, bool):
        raise errors.InvalidInput(f"exact={exact!r} is neither True, False nor None.")
    possible = capabilities.features & {Feature.EXACT_SEARCH, Feature.APPROXIMATE_SEARCH}
    if exact is None:
        exact = Feature.EXACT_SEARCH in possible
    capabilities.require(
        Feature.EXACT_SEARCH if exact else Feature.APPROXIMATE_SEARCH,
        backend=backend,
        alternative=f"Pass exact={not exact}, or leave it out." if possible else " ".join(index.warnings),
    )
    request = partial(
        SearchRequest,
        k=int(k),
        filter=prepared_filter(condition, index, backend=backend),
        exact=exact,
        payload=payload if isinstance(payload, bool) else tuple(payload),
        with_vectors=with_vectors,
        timeout_s=timeout_s,
    )
    return [request(query=prepared_query(query, index)) for query in queries]


def check_spec(spec: IndexSpec, capabilities: Any, *, engine: str) -> None:  # noqa: ANN401
    """Refuse an index that the engine cannot hold, before any call.

    Raises:
        UnsupportedFeature: storage format, dimension, field type.
        InvalidInput: an engine option that nobody would read.
    """
    if spec.dtype not in capabilities.dtypes:
        raise errors.UnsupportedFeature(
            f"{engine} cannot store {spec.dtype.value}.",
            backend=engine,
            feature=f"dtype {spec.dtype.value}",
            alternative=f"Use {' or '.join(sorted(dtype.value for dtype in capabilities.dtypes))}.",
        )
    if spec.dim > capabilities.max_dim:
        raise errors.UnsupportedFeature(
            f"{engine} takes up to {capabilities.max_dim} dimensions, index {spec.name!r} has {spec.dim}.",
            backend=engine,
        )
    for name, kind in spec.fields.items():
        if kind not in capabilities.field_types:
            known = ", ".join(sorted(kind.value for kind in capabilities.field_types))
            raise errors.UnsupportedFeature(
                f"{engine} cannot filter field {name!r} of type {kind.value}.",
                backend=engine,
                alternative=f"Use {known}.",
            )
    for option in spec.engine_options.get(engine, {}):
        if option not in capabilities.engine_options:
            raise errors.InvalidInput(
                f"{engine} takes no engine option {option!r}.", hint=suggestion(option, capabilities.engine_options)
            )


def check_new_fields(spec: IndexSpec, added: dict[str, FieldType]) -> dict[str, FieldType]:
    """Those of `added` that are not declared yet.

    Raises:
        InvalidInput: one is declared with another type.
    """
    for name, kind in added.items():
        if spec.fields.get(name, kind) is not kind:
            raise errors.InvalidInput(
                f"field {name!r} of index {spec.name!r} is {spec.fields[name].value!r} already, not {kind.value!r}.",
                hint="Types do not change; copy the index into one that declares it otherwise.",
            )
    return {name: kind for name, kind in added.items() if name not in spec.fields or name in spec.pending}


def _kept(vectors: MultiVector, name: str) -> MultiVector:
    """Rows that claim to be normalised, as they are: rounding may have moved their norms, nothing else may."""
    norms = row_norms(vectors)
    distance = np.abs(norms - 1.0)
    row = int(np.argmax(distance))
    if distance[row] > STORED_SLACK:
        raise errors.InvalidInput(
            f"document {name!r}, row {row}: length {norms[row]:.6g} is not that of a normalised row.",
            hint="Leave out normalized=True and lateint normalises the rows; rows of bits, read from a binary index, "
            "are kept as they are by one with normalize=False.",
            document=name,
            row=row,
        )
    return vectors


def _check_signs(vectors: MultiVector, document: Document, spec: IndexSpec) -> None:
    """Of rows that are kept as signs no length matters. Padding is refused, as by every index that normalises.

    Rows that were read from an index are not looked at: zeros throughout are the bits of a row without a value above 0.
    """
    if spec.normalize and not document.normalized:
        check_nonzero(row_norms(vectors), document=document.id)


def _check_length(vectors: MultiVector, name: str | None) -> None:
    """Refuse rows so long that a float32 dot product, or the sum of a million of them, could overflow in an engine."""
    norms = row_norms(vectors)
    row = int(np.argmax(norms))
    if norms[row] > _LONGEST_ROW:
        what = f"document {name!r}" if name is not None else "query"
        raise errors.NonFiniteVector(
            f"{what}, row {row}: length {norms[row]:.3g}; above {_LONGEST_ROW:.3g} scores overflow float32.",
            hint="Scale the vectors down, or create the index with normalize=True.",
            document=name,
            row=row,
        )


def _check_size(vectors: MultiVector, index: IndexInfo, name: str | None) -> None:
    limit = index.capabilities.max_values
    if limit is None or vectors.size <= limit:
        return
    what = f"document {name!r}" if name is not None else "query"
    raise errors.DocumentTooLarge(
        f"{what} has {vectors.shape[0]} rows of {vectors.shape[1]}, {vectors.size} values; "
        f"index {index.name!r} takes {limit}.",
        hint=f"Split it into parts of at most {limit // vectors.shape[1]} rows, or pool its tokens.",
        document=name,
    )
