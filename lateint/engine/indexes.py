"""Creating, opening and changing indexes, as pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lateint import errors
from lateint.engine import prepare
from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Feature
from lateint.engine.drive import Call, Steps
from lateint.engine.payload import checked
from lateint.engine.pipelines import Handle, called, check_writable, current, get, retried, update_payload
from lateint.engine.retry import RetryPolicy
from lateint.engine.scan import start
from lateint.spec import FieldType, IndexSpec, check_fields


def create(spec: IndexSpec, *, backend: str, read_only: str) -> Steps[IndexInfo]:
    """Create an index that the engine can hold. Not retried: a second try could not tell who made it."""
    if not isinstance(spec, IndexSpec):
        raise errors.InvalidInput(
            f"{spec!r:.60} is not an IndexSpec.", hint='Pass lateint.IndexSpec("pages", dim=128).'
        )
    check_writable(read_only, operation="create_index", backend=backend, index=spec.name)
    capabilities = yield Call("capabilities")
    prepare.check_spec(spec, capabilities, engine=backend.partition("+")[0])
    info: IndexInfo = yield Call("create_index", (spec,))
    return info


def describe(
    name: str, *, vector: str | None, fields: Mapping[str, FieldType | str] | None, retry: RetryPolicy
) -> Steps[IndexInfo]:
    """Look at an index and declare, for this handle, the fields of one that was adopted.

    Raises:
        IndexNotFound: there is none of that name.
        InvalidInput: `fields` for an index that lateint manages, which knows its own.
    """
    if not isinstance(name, str) or not name:
        raise errors.InvalidInput(f"index name {name!r} is not text.")
    found, _ = yield from retried(Call("describe_index", (name,), {"vector": vector}), retry)
    info: IndexInfo = found
    if not fields:
        return info
    declared = check_fields(fields)
    if info.managed:
        if prepare.check_new_fields(info.spec, declared):
            raise errors.InvalidInput(
                f"index {name!r} does not declare {sorted(set(declared) - set(info.spec.fields))}.",
                hint="Declare a field for good with index.update(fields={…}).",
            )
        return info
    return replace(info, spec=info.spec.replace(fields={**info.spec.fields, **declared}))


def update(
    handle: Handle,
    *,
    fields: Mapping[str, FieldType | str] | None,
    metadata: Mapping[str, Any] | None,
    encoder: Mapping[str, Any] | None,
) -> Steps[IndexInfo]:
    """Declare fields, set metadata, or bind the encoder.

    A new field is declared in two steps, and refused to filters in between: a document written before is only found by
    it once its payload has been projected again. A run that was cut short is finished by the same call.

    Raises:
        PayloadTypeError: a stored document holds a value of another type; nothing was changed.
        EncoderMismatch: another encoder is bound already.
        UnsupportedFeature: the engine cannot add fields.
    """
    handle.require_writable("update")
    handle = yield from current(handle)
    spec = handle.info.spec
    if encoder is not None and spec.encoder not in (None, encoder):
        raise errors.EncoderMismatch(
            f"index {spec.name!r} is bound to encoder {spec.encoder}, not {dict(encoder)}.",
            hint="Vectors of two encoders do not compare: create another index.",
        )
    added = prepare.check_new_fields(spec, check_fields(fields or {}))
    changed = spec.replace(
        fields={**spec.fields, **added},
        metadata=spec.metadata if metadata is None else metadata,
        encoder=spec.encoder if encoder is None else encoder,
        pending=sorted({*spec.pending, *added}),
    )
    if added:
        handle.info.capabilities.require(Feature.ADD_FIELD, backend=handle.backend)
        prepare.check_spec(changed, handle.info.capabilities, engine=handle.backend.partition("+")[0])
        yield from _check_stored(handle, changed)
    info: IndexInfo = yield from called(handle, "update_index", spec=changed)
    if added:
        handle = replace(handle, info=info)
        yield from _project_again(handle)
        done = info.spec.replace(pending=[name for name in info.spec.pending if name not in added])
        info = yield from called(handle, "update_index", spec=done)
    return info


def _check_stored(handle: Handle, changed: IndexSpec) -> Steps[None]:
    state = start(handle, condition=None, with_vectors=False, cursor=None)
    while not state.finished:
        yield from state.fetch()
        while state.buffer:
            document = state.buffer.popleft()
            checked(document.payload, changed.fields, document=document.id)


def _project_again(handle: Handle) -> Steps[None]:
    state = start(handle, condition=None, with_vectors=False, cursor=None)
    while not state.finished:
        yield from state.fetch()
        report = yield from update_payload(handle, [document.id for document in state.buffer], {})
        if report.failed:  # deleted meanwhile is no failure
            there = yield from get(handle, [failure.id for failure in report.failed], with_vectors=False)
            if there:
                report.raise_for_failures()
        state.buffer.clear()


def drop(name: str) -> Steps[None]:
    """Delete an index. Not retried: a second try could not tell who dropped it."""
    yield Call("drop_index", (name,))


def with_info(handle: Handle, info: IndexInfo) -> Handle:
    """The handle of an index that has changed."""
    return replace(handle, info=info)
