"""Work done ahead of the one who waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, depth: int) -> Generator[Result]:
    """`map` with threads that stay ahead of the reader: results in order, an error at its place.

    What is not read when the reader stops is dropped.

    Args:
        function: called in threads, on several items at a time.
        items: pulled by the thread of the reader.
        workers: how many threads.
        depth: how many items are in work or done and not read yet, at most; it bounds the memory.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="lateint-ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()
