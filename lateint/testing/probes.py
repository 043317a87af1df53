"""What a feature that is declared missing would look like: refused through the client, tried behind its back.

A probe asks the public verb, which must refuse, and then the backend itself with what the client would have sent. If
the backend does it right, the engine can more than is declared, and users are told a "no" that is not true.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lateint.aclient import AsyncIndex
from lateint.engine.backend import AsyncBackend
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, bound, field, ids
from lateint.spec import FieldType
from lateint.testing import conditions
from lateint.testing.data import ragged
from lateint.testing.truth import Truth, asked, selected
from lateint.types import Document, SearchRequest, Slice


@dataclass(frozen=True, slots=True)
class Subject:
    """An index to probe.

    Attributes:
        index: through the client.
        backend: behind it.
        documents: what the index holds.
    """

    index: AsyncIndex
    backend: AsyncBackend
    documents: list[Document]

    async def counts(self, found: list[Filter]) -> bool:
        """Whether the backend counts all of these filters as the definition does."""
        for condition in found:
            checked = bound(condition, self.index.spec.fields)
            expected = len(selected(condition, self.documents, self.index))
            if await self.backend.count(self.index.info, checked) != expected:
                return False
        return True

    async def searched(self, *, exact: bool) -> bool:
        """Whether the backend's own search does what `exact` says, with true scores."""
        query = self.documents[0].vectors
        request = SearchRequest(query=asked(query, self.index), k=len(self.documents), exact=exact)
        (result,) = await self.backend.search(self.index.info, [request])
        if result.exact is not exact:
            return False
        truth = Truth.of(query, self.documents, self.index)
        truth.check_top(result, request.k) if exact else truth.check_scores(result)
        return True

    def over(self, make: Callable[..., Any], *, ordered: bool = False) -> list[Filter]:
        """Filters of one operator over every field that takes it."""
        fields = self.index.spec.fields.items()
        return [one for name, kind in fields if kind.is_ordered or not ordered for one in make(name, kind)]


Verb = Callable[[Subject], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Probe:
    """How to find out whether a feature is there.

    Attributes:
        refused: the public verb, which must raise `UnsupportedFeature`.
        works: whether the backend does it when asked directly; an error means that it does not.
    """

    refused: Verb
    works: Callable[[Subject], Awaitable[bool]]


async def _scan_public(subject: Subject, **options: Any) -> None:  # noqa: ANN401
    subject.index.scan(**options)


async def _scan_filtered(subject: Subject) -> bool:
    half = [document.id for document in subject.documents[::2]]
    page = await subject.backend.scan(
        subject.index.info, cursor=None, limit=1000, condition=ids(half), with_vectors=False
    )
    return {document.id for document in page.documents} == set(half)


async def _scan_stable(subject: Subject) -> bool:
    """Pages go on although documents come and go between them."""
    seen: list[str] = []
    cursor: str | None = None
    gone: set[str] = set()
    for _ in range(len(subject.documents)):
        page = await subject.backend.scan(
            subject.index.info, cursor=cursor, limit=3, condition=None, with_vectors=False
        )
        seen += [document.id for document in page.documents]
        cursor = page.cursor
        if cursor is None:
            break
        if not gone:
            gone = set(seen)
            await subject.index.delete(seen)
    return {document.id for document in subject.documents} - gone <= set(seen) and len(set(seen)) == len(seen)


async def _scan_sliced(subject: Subject) -> bool:
    """Two halves that are a half each: an engine that reads past the slice brings everything twice."""
    seen: list[str] = []
    for part in (Slice(index=0, count=2), Slice(index=1, count=2)):
        page = await subject.backend.scan(
            subject.index.info, cursor=None, limit=1000, condition=None, with_vectors=False, part=part
        )
        seen += [document.id for document in page.documents]
    return sorted(seen) == sorted(document.id for document in subject.documents)


async def _delete_by_filter(subject: Subject) -> bool:
    half = [document.id for document in subject.documents[::2]]
    await subject.backend.delete(subject.index.info, ids(half))
    left = {document.id async for document in subject.index.scan()}
    return left == {document.id for document in subject.documents} - set(half)


async def _update_payload(subject: Subject) -> bool:
    first = subject.documents[0]
    failed = await subject.backend.update_payload(subject.index.info, [first.id], changes={"probe": 1})
    (read,) = await subject.index.get([first.id])
    return not failed and read.payload == {**first.payload, "probe": 1}


async def _add_field(subject: Subject) -> bool:
    spec = subject.index.spec
    await subject.index.write(Document(document.id, document.vectors, {"probe": 7}) for document in ragged(3, spec.dim))
    changed = spec.replace(fields={**spec.fields, "probe": FieldType.INTEGER})
    info = await subject.backend.update_index(subject.index.info, spec=changed)
    await subject.backend.update_payload(info, [document.id for document in ragged(3)], changes={})
    condition = bound(field("probe") == 7, info.spec.fields)
    return await subject.backend.count(info, condition) == 3


def _filter(make: Callable[[Subject], list[Filter]]) -> Probe:
    async def refused(subject: Subject) -> None:
        await subject.index.count(make(subject)[0])

    return Probe(refused, lambda subject: subject.counts(make(subject)))


def _ordered(subject: Subject) -> list[Filter]:
    largest = subject.index.capabilities.max_exact_integer
    return subject.over(lambda name, kind: conditions.order(name, kind, largest=largest), ordered=True)


PROBES: Final[Mapping[Feature, Probe]] = {
    Feature.EXACT_SEARCH: Probe(
        lambda subject: subject.index.search(subject.documents[0].vectors, exact=True),
        lambda subject: subject.searched(exact=True),
    ),
    Feature.APPROXIMATE_SEARCH: Probe(
        lambda subject: subject.index.search(subject.documents[0].vectors, exact=False),
        lambda subject: subject.searched(exact=False),
    ),
    Feature.FILTER_EQUAL: _filter(lambda subject: subject.over(conditions.equal)),
    Feature.FILTER_IN: _filter(lambda subject: subject.over(conditions.membership)),
    Feature.FILTER_ORDER: _filter(_ordered),
    Feature.FILTER_EXISTS: _filter(lambda subject: subject.over(conditions.presence)),
    Feature.FILTER_NOT: _filter(
        lambda subject: [~one for one in (*subject.over(conditions.equal), *subject.over(conditions.presence))]
    ),
    Feature.FILTER_IDS: _filter(
        lambda subject: list(conditions.named([document.id for document in subject.documents]))
    ),
    Feature.SCAN_FILTER: Probe(lambda subject: _scan_public(subject, filter=ids(["a"])), _scan_filtered),
    Feature.STABLE_SCAN: Probe(lambda subject: _scan_public(subject, cursor=subject.index.scan().cursor), _scan_stable),
    Feature.SCAN_SLICES: Probe(lambda subject: _scan_public(subject, part=Slice(index=0, count=2)), _scan_sliced),
    Feature.DELETE_BY_FILTER: Probe(lambda subject: subject.index.delete(filter=ids(["a"])), _delete_by_filter),
    Feature.UPDATE_PAYLOAD: Probe(lambda subject: subject.index.update_payload(["a"], {"x": 1}), _update_payload),
    Feature.ADD_FIELD: Probe(lambda subject: subject.index.update(fields={"probe": "integer"}), _add_field),
}
"""One for each feature but `PERSISTENT`, which no verb asks for: it is tried by connecting again."""
