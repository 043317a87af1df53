"""Cutting what is to be sent into requests that an engine takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def by_number(items: Sequence[T], size: int | None) -> Iterator[Sequence[T]]:
    """Items in order, `size` at a time; None for all at once."""
    step = size or max(1, len(items))
    return (items[start : start + step] for start in range(0, len(items), step))


def by_size(items: Sequence[T], sizes: Sequence[int], most: int) -> Iterator[Sequence[T]]:
    """Items in order, no part larger than `most` unless one item is."""
    start = total = 0
    for position, size in enumerate(sizes):
        if position > start and total + size > most:
            yield items[start:position]
            start, total = position, 0
        total += size
    if items:
        yield items[start:]
