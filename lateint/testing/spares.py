"""Indexes that tests leave to each other, emptied, where creating and dropping one takes longer than a test."""

from __future__ import annotations

from itertools import chain
from types import TracebackType
from typing import Any, Self

from lateint.aclient import AsyncClient, AsyncIndex
from lateint.client import connect
from lateint.spec import IndexSpec

_OF_ONE_SPEC = 2
_IN_ALL = 24
_WORTH_EMPTYING = 200
"""Documents; with more in it, an index is dropped."""


class Spares:
    """Empty indexes of one server, none of them in use. A `with` block drops them at its end.

    Args:
        url: of the server.
        options: what else `connect` takes.
    """

    def __init__(self, url: str, **options: Any) -> None:  # noqa: ANN401
        self._url = url
        self._options = options
        self._names: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with connect(self._url, **self._options) as client:
            for name in chain.from_iterable(self._names.values()):
                client.drop_index(name)

    async def taken(self, spec: IndexSpec, client: AsyncClient) -> AsyncIndex | None:
        """An index of this spec, but for the name; None if there is none."""
        names = self._names.get(_key(spec))
        return await client.open(names.pop()) if names else None

    async def left(self, index: AsyncIndex) -> bool:
        """Take an index, emptied; False if it is to be dropped instead."""
        names = self._names.setdefault(_key(index.spec), [])
        if len(names) >= _OF_ONE_SPEC or sum(map(len, self._names.values())) >= _IN_ALL:
            return False
        if await index.count() > _WORTH_EMPTYING:
            return False
        await index.delete([document.id async for document in index.scan()])
        if await index.count():
            return False
        names.append(index.name)
        return True


def _key(spec: IndexSpec) -> str:
    return repr(spec.replace(name="any"))
