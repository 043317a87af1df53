"""Two small loops that carry out what is written as a generator: it yields calls and is resumed with what they brought.

A verb learns of an error of a call in the words of lateint, thrown in where it yielded, and may do something about it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

Call = TypeVar("Call")
T = TypeVar("T")

Translating = Callable[[], AbstractContextManager[None]]
"""Makes a context in which exceptions of an engine's client become `lateint.errors`."""


def carried_out(
    steps: Generator[Call, Any, T], send: Callable[[Call], Any], translating: Translating = nullcontext
) -> T:
    """The outcome of a verb, blocking.

    Args:
        steps: the verb.
        send: makes one call.
        translating: see `Translating`; also around what the verb itself does with a reply.
    """
    with translating():
        try:
            call = next(steps)
            while True:
                try:
                    with translating():
                        reply = send(call)
                except BaseException as error:  # noqa: BLE001 - the verb decides what an error means, also Ctrl-C
                    call = steps.throw(error)
                else:
                    call = steps.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result


async def acarried_out(
    steps: Generator[Call, Any, T], send: Callable[[Call], Awaitable[Any]], translating: Translating = nullcontext
) -> T:
    """The outcome of a verb, for asyncio; see `carried_out`."""
    with translating():
        try:
            call = next(steps)
            while True:
                try:
                    with translating():
                        reply = await send(call)
                except BaseException as error:  # noqa: BLE001 - the verb decides, also of a cancellation
                    call = steps.throw(error)
                else:
                    call = steps.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
