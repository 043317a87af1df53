"""Text in, hits out: an encoder and an index."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any, TypeAlias

from lateint import errors
from lateint.client import Index
from lateint.encoders.base import Encoder
from lateint.engine.pipelines import ProgressCallback
from lateint.filters import Filter
from lateint.types import Document, SearchResult, WriteReport

TextItem: TypeAlias = tuple[str, str] | tuple[str, str, Mapping[str, Any]]

_TEXTS_AT_ONCE = 64


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
        texts: Mapping[str, str] | Iterable[TextItem],
        *,
        on_error: str = "raise",
        progress: ProgressCallback | None = None,
    ) -> WriteReport:
        """Encode and write texts; streams, encoding while earlier batches are on their way.

        Args:
            texts: id to text; or pairs of id and text, or triples with a payload.
            on_error: as for `Index.write`.
            progress: as for `Index.write`.
        """
        items: Iterable[TextItem] = texts.items() if isinstance(texts, Mapping) else texts
        total = len(items) if isinstance(items, Sized) else None
        return self.index._write(self._documents(iter(items)), on_error=on_error, progress=progress, total=total)  # noqa: SLF001

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
        """The `k` documents that match a text best; the options are those of `Index.search`."""
        if not isinstance(text, str):
            raise errors.InvalidInput(f"query {text!r} is not text.", hint="Search a matrix with index.search(…).")
        query = self.encoder.encode_queries([text])[0]
        return self.index.search(query, k, filter=filter, exact=exact, payload=payload, timeout_s=timeout_s)

    def _documents(self, items: Iterator[TextItem]) -> Iterator[Document | errors.InvalidInput]:
        while chunk := list(islice(items, _TEXTS_AT_ONCE)):
            try:
                for item in chunk:
                    _check_item(item)
                encoded: list[Any] = self.encoder.encode_documents([item[1] for item in chunk])
            except errors.InvalidInput:
                encoded = [self._encoded(item) for item in chunk]  # one of them is at fault, and has to be named
            for item, vectors in zip(chunk, encoded, strict=True):
                if isinstance(vectors, errors.InvalidInput):
                    yield vectors
                else:
                    yield Document(item[0], vectors, item[2] if len(item) == 3 else {})

    def _encoded(self, item: TextItem) -> Any:  # noqa: ANN401
        try:
            _check_item(item)
        except errors.InvalidInput as error:
            return error
        try:
            return self.encoder.encode_documents([item[1]])[0]
        except errors.InvalidInput as error:
            return errors.InvalidInput(f"document {item[0]!r}: {error}", document=item[0])


def _check_item(item: object) -> None:
    if not isinstance(item, (tuple, list)) or not 2 <= len(item) <= 3 or not isinstance(item[1], str):
        raise errors.InvalidInput(
            f"{item!r:.80} is not an id with a text.",
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
    mine = dict(encoder.fingerprint)
    if spec.encoder is None:
        warnings.warn(
            f"index {spec.name!r} does not say which encoder made its vectors; if it was this one, bind it: "
            "index.update(encoder=encoder.fingerprint)",
            stacklevel=3,
        )
        return
    different = [
        f"{part} is {mine.get(part)!r} here and {spec.encoder.get(part)!r} in the index"
        for part in sorted(mine.keys() | spec.encoder.keys())
        if mine.get(part) != spec.encoder.get(part)
    ]
    if different:
        raise errors.EncoderMismatch(
            f"index {spec.name!r} was made with another encoder: {'; '.join(different)}.",
            hint="Use that one, or encode the documents again into another index.",
        )
