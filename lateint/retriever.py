"""Text in, hits out: an encoder and an index."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from typing import Any, TypeAlias

from lateint import errors
from lateint.client import Index
from lateint.encoders.base import MADE_WITH, Encoder
from lateint.encoders.stream import encoded
from lateint.engine.pipelines import ProgressCallback
from lateint.filters import Filter
from lateint.types import Document, SearchResult, WriteReport

Item: TypeAlias = tuple[str, Any] | tuple[str, Any, Mapping[str, Any]]


class Retriever:
    """Encodes with one model and keeps and searches in one index.

    Args:
        index: where the multi-vectors are.
        encoder: the model that makes them; an index that knows its encoder accepts no other.

    Raises:
        EncoderMismatch: the vectors of the index were made by another encoder, or have another dimension.
    """

    def __init__(self, index: Index, encoder: Encoder) -> None:
        check_encoder_of(index, encoder)
        self.index = index
        self.encoder = encoder

    def __repr__(self) -> str:
        return f"<lateint.Retriever {type(self.encoder).__name__} on {self.index!r}>"

    def add(
        self,
        items: Mapping[str, Any] | Iterable[Item],
        *,
        on_error: str = "raise",
        progress: ProgressCallback | None = None,
    ) -> WriteReport:
        """Encode and write documents; streams in bounded memory, encoding one chunk while the one before is written.

        Args:
            items: id to document; or pairs of id and document, or triples with a payload. A document is what the
                encoder takes: a text, or an image.
            on_error: as for `Index.write`.
            progress: as for `Index.write`.
        """
        pairs: Iterable[Item] = items.items() if isinstance(items, Mapping) else items
        total = len(pairs) if isinstance(pairs, Sized) else None
        return self.index._write(self._documents(pairs), on_error=on_error, progress=progress, total=total)  # noqa: SLF001

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002
        exact: bool | None = None,
        payload: bool | Iterable[str] = True,
        timeout_s: float | None = None,
    ) -> SearchResult:
        """The `k` documents that match a text best; the options are those of `Index.search`.

        The score is the one that the model was trained with: for MeanMaxSim the engine's sum over the query's rows.
        """
        if not isinstance(text, str):
            raise errors.InvalidInput(f"query {text!r} is not text.", hint="Search a matrix with index.search(…).")
        query = self.encoder.encode_queries([text])[0]
        result = self.index.search(query, k, filter=filter, exact=exact, payload=payload, timeout_s=timeout_s)
        if getattr(self.encoder, "score", "maxsim") == "maxsim":
            return result
        return replace(result, hits=tuple(replace(hit, score=hit.score / len(query)) for hit in result))

    def _documents(self, items: Iterable[Item]) -> Iterator[Document | errors.InvalidInput]:
        for key, vectors in encoded(self.encoder, map(_split, items)):
            if key is None:
                assert isinstance(vectors, errors.InvalidInput)
                yield vectors
            elif isinstance(vectors, errors.InvalidInput):
                yield errors.InvalidInput(f"document {key[0]!r}: {vectors}", document=str(key[0]))
            else:
                yield Document(key[0], vectors, key[1])


def _split(item: Item) -> tuple[tuple[str, Mapping[str, Any]] | None, Any]:
    """What is kept until the rows are there, and what they are made of: pages are large, and go once encoded."""
    if isinstance(item, (tuple, list)) and 2 <= len(item) <= 3:
        return (item[0], item[2] if len(item) == 3 else {}), item[1]
    return None, errors.InvalidInput(
        f"{item!r:.80} is not an id with a text or an image.",
        hint="Pass {id: text}, (id, text) or (id, text, payload).",
        document=str(item[0]) if isinstance(item, (tuple, list)) and item else None,
    )


def check_encoder_of(index: Index, encoder: Encoder) -> None:
    """Compare an encoder with the one that an index was made with.

    Warns if the index knows of none: `index.update(encoder=encoder.fingerprint)` binds it.

    Raises:
        EncoderMismatch: names the parts that differ.
    """
    spec = index.spec
    if encoder.dim != spec.dim:
        raise errors.EncoderMismatch(
            f"the encoder makes rows of {encoder.dim}, index {spec.name!r} holds rows of {spec.dim}.",
            hint=f"Use the model that the index was made with, or create an index with dim={encoder.dim}.",
        )
    if spec.encoder is None:
        warnings.warn(
            f"index {spec.name!r} does not say which encoder made its vectors; if it was this one, bind it: "
            "index.update(encoder=encoder.fingerprint)",
            stacklevel=3,
        )
        return
    mine, theirs = dict(encoder.fingerprint), dict(spec.encoder)
    around = _differences(_part(mine), _part(theirs))
    mine.pop(MADE_WITH, None)
    theirs.pop(MADE_WITH, None)
    if different := _differences(mine, theirs):
        raise errors.EncoderMismatch(
            f"index {spec.name!r} was made with another encoder: {'; '.join([*different, *around])}.",
            hint="Use that one, or encode the documents again into another index.",
        )
    if around:
        warnings.warn(
            f"index {spec.name!r} was made with the same encoder under other circumstances: {'; '.join(around)}. "
            "Scores may differ by rounding.",
            stacklevel=3,
        )


def _part(fingerprint: Mapping[str, Any]) -> Mapping[str, Any]:
    part = fingerprint.get(MADE_WITH)
    return part if isinstance(part, Mapping) else {}


def _differences(mine: Mapping[str, Any], theirs: Mapping[str, Any], within: str = "") -> list[str]:
    """Which parts differ, down to the innermost."""
    found: list[str] = []
    for part in sorted(mine.keys() | theirs.keys()):
        here, there = mine.get(part), theirs.get(part)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            found += _differences(here, there, f"{within}{part}.")
        elif here != there:
            found.append(f"{within}{part} is {here!r} here and {there!r} in the index")
    return found
