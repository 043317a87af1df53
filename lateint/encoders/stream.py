"""Any number of documents through an encoder in bounded memory, one chunk ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from lateint import errors
from lateint.encoders.ahead import ahead
from lateint.encoders.base import Batching, Encoder, Preparing, Rows

Key = TypeVar("Key")

BATCHES = 4
"""Of the encoder, in one chunk: enough to find texts of one length among, few enough that stopping takes seconds."""

TOKENS, PAGES = 4_096, 4
"""In a batch of an encoder that does not say."""

CHARACTERS, SHORTEST = 4, 16
"""What a text is taken for: a token for as many characters, and so many tokens at least."""


def encoded(encoder: Encoder, items: Iterable[tuple[Key, Any]]) -> Iterator[tuple[Key, Rows | errors.InvalidInput]]:
    """Encode documents as they come; while one chunk is being used, the next is being encoded.

    The items are pulled in the caller's thread, and the encoder runs in one other: neither has to stand several. An
    encoder that can prepare documents does so in threads of its own, ahead of both. Stopping early waits for the chunk
    that is being encoded, and starts no other.

    Args:
        encoder: encodes the documents.
        items: keys and documents; an `InvalidInput` in place of a document is passed on.

    Yields:
        Each key, in order, with its multi-vector or with what is wrong with its document.

    Raises:
        ConfigurationError: the encoder gave another number of arrays than it was given documents.
    """
    waiting: deque[tuple[list[Key], Future[list[Rows | errors.InvalidInput]]]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="lateint-encode")
    try:
        with closing(_ready(encoder, items)) as ready:
            chunks = _chunks(encoder, ready)
            while True:
                for chunk in chunks:
                    given = [item for _, item in chunk]
                    waiting.append(([key for key, _ in chunk], pool.submit(_settled, encoder, given)))
                    del chunk, given  # the encoder is the last to need the documents
                    if len(waiting) == 2:
                        break
                if not waiting:
                    return
                keys, future = waiting.popleft()
                yield from zip(keys, future.result(), strict=True)
                del keys, future  # or these rows would stay while the next but one chunk is gathered
    finally:
        pool.shutdown(cancel_futures=True)


def _ready(encoder: Encoder, items: Iterable[tuple[Key, Any]]) -> Generator[tuple[Key, Any]]:
    if isinstance(encoder, Preparing):
        depth = encoder.workers + encoder.batch_size
        return ahead(partial(_prepared, encoder), items, workers=encoder.workers, depth=depth)
    return (pair for pair in items)  # closed with us, and the iterator that was passed is not


def _prepared(encoder: Preparing, pair: tuple[Key, Any]) -> tuple[Key, Any]:
    key, item = pair
    if isinstance(item, errors.InvalidInput):
        return pair
    try:
        return key, encoder.prepare(item)
    except errors.InvalidInput as error:
        return key, error


def _chunks(encoder: Encoder, items: Iterable[tuple[Key, Any]]) -> Iterator[list[tuple[Key, Any]]]:
    tokens = BATCHES * (encoder.tokens_per_batch if isinstance(encoder, Batching) else TOKENS)
    pages = BATCHES * (encoder.batch_size if isinstance(encoder, Preparing) else PAGES)
    chunk: list[tuple[Key, Any]] = []
    filled = 0.0
    for key, item in items:
        chunk.append((key, item))
        filled += max(SHORTEST, len(item) / CHARACTERS) / tokens if isinstance(item, str) else 1 / pages
        if filled >= 1:
            yield chunk
            chunk, filled = [], 0.0
    if chunk:
        yield chunk


def _settled(encoder: Encoder, items: Sequence[Any]) -> list[Rows | errors.InvalidInput]:
    results: list[Rows | errors.InvalidInput] = [item for item in items if isinstance(item, errors.InvalidInput)]
    good = [item for item in items if not isinstance(item, errors.InvalidInput)]
    if not results:
        return _encoded(encoder, good)
    outcomes = iter(_encoded(encoder, good))
    return [item if isinstance(item, errors.InvalidInput) else next(outcomes) for item in items]


def _encoded(encoder: Encoder, items: Sequence[Any]) -> list[Rows | errors.InvalidInput]:
    """In halves where something is wrong, until it stands alone."""
    if not items:
        return []
    try:
        arrays = encoder.encode_documents(items)
    except errors.InvalidInput as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*_encoded(encoder, items[:middle]), *_encoded(encoder, items[middle:])]
    if len(arrays) != len(items):
        raise errors.ConfigurationError(
            f"the encoder gave {len(arrays)} arrays for {len(items)} documents.",
            hint="Run lateint.check_encoder(encoder).",
        )
    return list(arrays)
