"""One text for two colours: tests are coroutines, and the blocking client is dressed so that it can be awaited.

A test that awaits a dressed client never waits: it is run to its end by one `send`, without an event loop around engine
clients that may refuse to work inside one.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self, TypeVar, cast

from lateint.aclient import AsyncClient, aconnect
from lateint.client import Client, Index, Scan, connect
from lateint.engine.backend import AsyncBackend, Backend

T = TypeVar("T")


class Colour(ABC):
    """How coroutines are run and which client they see."""

    is_async: ClassVar[bool]

    @abstractmethod
    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run a test to its end."""

    @abstractmethod
    async def connect(self, url: str, **options: Any) -> AsyncClient:  # noqa: ANN401
        """Open a client, in the shape of the asynchronous one."""

    @abstractmethod
    def twin(self, client: AsyncClient, **options: Any) -> AsyncClient:  # noqa: ANN401
        """Another client of the same backend object."""

    @abstractmethod
    def backend(self, client: AsyncClient) -> AsyncBackend:
        """The backend behind a client."""

    @abstractmethod
    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T | BaseException]:
        """Run calls at the same time; an error is returned in its place."""

    @abstractmethod
    def close(self) -> None:
        """Release what running needed."""


class Asynchronous(Colour):
    """asyncio, in one event loop for each test."""

    is_async = True

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(steps)

    async def connect(self, url: str, **options: Any) -> AsyncClient:  # noqa: ANN401
        return await aconnect(url, **options)

    def twin(self, client: AsyncClient, **options: Any) -> AsyncClient:  # noqa: ANN401
        return AsyncClient(self.backend(client), **options)

    def backend(self, client: AsyncClient) -> AsyncBackend:
        return client._backend  # noqa: SLF001 - the suite looks behind the client on purpose

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T | BaseException]:
        return await asyncio.gather(*(call() for call in calls), return_exceptions=True)

    def close(self) -> None:
        self._runner.close()


class Blocking(Colour):
    """The blocking client, in the thread of the test."""

    is_async = False

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        try:
            steps.send(None)
        except StopIteration as stop:
            return cast("T", stop.value)
        raise AssertionError("a blocking test waited for something that is not blocking")

    async def connect(self, url: str, **options: Any) -> AsyncClient:  # noqa: ANN401
        return cast("AsyncClient", Awaited(connect(url, **options)))

    def twin(self, client: AsyncClient, **options: Any) -> AsyncClient:  # noqa: ANN401
        return cast("AsyncClient", Awaited(Client(_undressed(client)._backend, **options)))  # noqa: SLF001

    def backend(self, client: AsyncClient) -> AsyncBackend:
        return cast("AsyncBackend", Awaited(_undressed(client)._backend))  # noqa: SLF001

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T | BaseException]:
        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(self._made_and_run, call) for call in calls]
        return [future.exception() or future.result() for future in futures]

    def close(self) -> None:
        """Nothing was opened."""

    def _made_and_run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self.run(call())


COLOURS: dict[str, Callable[[], Colour]] = {"sync": Blocking, "async": Asynchronous}


class Awaited:
    """A blocking client, index or backend whose verbs can be awaited."""

    def __init__(self, blocking: Client | Index | Backend) -> None:
        self.blocking = blocking

    def __repr__(self) -> str:
        return repr(self.blocking)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        member = getattr(self.blocking, name)
        if not inspect.isroutine(member):
            return member
        if (
            isinstance(self.blocking, Index) and name == "scan"
        ):  # the one verb that the asynchronous index has unawaited
            return lambda **options: AwaitedScan(member(**options))
        return _awaitable(member)

    async def __aenter__(self) -> Self:
        self.blocking.__enter__()  # type: ignore[union-attr]  # clients only
        return self

    async def __aexit__(self, *error: object) -> None:
        self.blocking.__exit__(*error)  # type: ignore[union-attr]


class AwaitedScan:
    """A blocking scan that `async for` can read."""

    def __init__(self, blocking: Scan) -> None:
        self._blocking = blocking

    @property
    def cursor(self) -> str:
        """Where another scan goes on."""
        return self._blocking.cursor

    def __aiter__(self) -> AwaitedScan:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401
        try:
            return next(self._blocking)
        except StopIteration:
            raise StopAsyncIteration from None


def _awaitable(verb: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        outcome = verb(*arguments, **options)
        return Awaited(outcome) if isinstance(outcome, (Client, Index)) else outcome

    return call


def _undressed(client: AsyncClient) -> Client:
    blocking = cast("Any", client).blocking
    assert isinstance(blocking, Client)
    return blocking
