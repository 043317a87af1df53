"""Carries out a pipeline: blocking, or for asyncio.

A pipeline is a generator: it yields an effect and is resumed with the outcome. It does no I/O, so that what it decides
is written once for both worlds and tested without either.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from lateint.engine.backend import AsyncBackend, Backend
from lateint.engine.steps import acarried_out, carried_out

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """Call a verb of the backend; the outcome is what it returns."""

    verb: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Seconds of a clock that only goes forward."""


@dataclass(frozen=True, slots=True)
class Pull:
    """The next item of the source; `END` after the last."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Run another pipeline beside this one; its outcome comes by `Settle`, under `key`."""

    steps: Steps[Any]
    key: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait for any spawned pipeline to end; the outcome is a `Settled`."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a spawned pipeline ended: with a value or with an error."""

    key: int
    value: Any = None
    error: BaseException | None = None


Effect: TypeAlias = Call | Sleep | Now | Pull | Spawn | Settle
Steps: TypeAlias = Generator[Effect, Any, T]

END: Final = object()


def run(steps: Steps[T], backend: Backend, *, source: Iterable[Any] = (), workers: int = 1) -> T:
    """Carry out a pipeline, blocking.

    Args:
        steps: the pipeline.
        backend: what `Call` calls.
        source: what `Pull` pulls from.
        workers: threads for spawned pipelines.
    """
    spawned: dict[Future[Any], int] = {}
    items = iter(source)

    def perform(effect: Effect) -> Any:  # noqa: ANN401
        match effect:
            case Call(verb, arguments, options):
                return getattr(backend, verb)(*arguments, **options)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Now():
                return time.monotonic()
            case Pull():
                return next(items, END)
            case Spawn(inner, key):
                spawned[pool.submit(run, inner, backend)] = key
            case Settle():
                done = next(iter(wait(spawned, return_when=FIRST_COMPLETED).done))
                return _settled(spawned.pop(done), done)
        return None

    with ThreadPoolExecutor(workers, thread_name_prefix="lateint") as pool:  # starts no thread before the first Spawn
        return carried_out(steps, perform)


async def arun(steps: Steps[T], backend: AsyncBackend, *, source: AsyncIterable[Any] | Iterable[Any] = ()) -> T:
    """Carry out a pipeline in asyncio.

    Args:
        steps: the pipeline.
        backend: what `Call` calls.
        source: what `Pull` pulls from; a plain iterable runs in the event loop.
    """
    import asyncio  # noqa: PLC0415 - a fifth of the time that `import lateint` would take

    spawned: dict[asyncio.Task[Any], int] = {}
    items = aiter(source) if isinstance(source, AsyncIterable) else iter(source)

    async def perform(effect: Effect) -> Any:  # noqa: ANN401
        match effect:
            case Call(verb, arguments, options):
                return await getattr(backend, verb)(*arguments, **options)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Now():
                return time.monotonic()
            case Pull():
                return await anext(items, END) if isinstance(items, AsyncIterator) else next(items, END)
            case Spawn(inner, key):
                spawned[asyncio.ensure_future(arun(inner, backend))] = key
            case Settle():
                finished, _ = await asyncio.wait(spawned, return_when=asyncio.FIRST_COMPLETED)
                done = finished.pop()
                return _settled(spawned.pop(done), done)
        return None

    return await acarried_out(steps, perform)


def _settled(key: int, done: Future[Any] | asyncio.Task[Any]) -> Settled:
    if done.cancelled():
        return Settled(key, error=CancelledError())
    error = done.exception()
    return Settled(key, error=error) if error is not None else Settled(key, value=done.result())
