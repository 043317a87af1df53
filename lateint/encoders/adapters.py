"""Encoders out of what other libraries load, and out of arrays that exist already. None of them is a dependency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from lateint import errors
from lateint.encoders.base import MADE_WITH, DocumentKind, Rows, Score
from lateint.encoders.checkpoint import installed
from lateint.encoders.images import name_of, read_image
from lateint.encoders.loading import check_adapted
from lateint.encoders.recipe import PROBE
from lateint.encoders.texts import check_texts
from lateint.vectors import as_multivector

LONG = "late interaction " * 1_000
PAGE = (1_240, 1_754)
"""A4 at 150 dpi."""

_TORCH = ("transformers", "torch")
_FASTEMBED_HINT = "Pass a fastembed.LateInteractionTextEmbedding."


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedEncoder:
    """An encoder made of two functions.

    Attributes:
        dim: values per row.
        queries: gives one array of shape (tokens, dim) per text.
        documents: gives one array of shape (tokens, dim) per document.
        fingerprint: what tells this encoder from every other; see `Encoder.fingerprint`.
        max_query_tokens: rows that a query has at most; None if there is no limit.
        score: what the model was trained to rank by.
        document_kind: what `documents` takes.
    """

    dim: int
    queries: Callable[[Sequence[str]], Sequence[Any]] = field(repr=False)
    documents: Callable[[Sequence[Any]], Sequence[Any]] = field(repr=False)
    fingerprint: Mapping[str, Any]
    max_query_tokens: int | None = None
    score: Score = "maxsim"
    document_kind: DocumentKind = "text"

    def encode_queries(self, texts: Sequence[str]) -> list[Rows]:
        """One array of shape (tokens, dim) per text.

        Raises:
            InvalidInput: what is to be encoded is not text, or what came of it no multi-vector.
        """
        check_texts(texts)
        return self._rows(self.queries, texts)

    def encode_documents(self, items: Sequence[Any]) -> list[Rows]:
        """One array of shape (tokens, dim) per document.

        Raises:
            InvalidInput: as `encode_queries`; of an image, that it cannot be read.
        """
        if isinstance(items, (str, bytes)):
            raise errors.InvalidInput("items is one document, not a sequence of them.", hint="Write [document].")
        return self._rows(self.documents, items)

    def _rows(self, encode: Callable[[list[Any]], Sequence[Any]], items: Sequence[Any]) -> list[Rows]:
        # Nothing is not a batch to every library: PyLate fails on it.
        return [as_multivector(rows, self.dim) for rows in encode(list(items))] if len(items) else []


def from_fastembed(model: Any) -> AdaptedEncoder:  # noqa: ANN401 - of a package that may not be there
    """An encoder out of a `fastembed.LateInteractionTextEmbedding`.

    Its lengths are not those of sentence-transformers: queries are not cut at 32 tokens, documents at the tokenizer's
    512. An index has to be searched with the one that filled it, as their fingerprints say: by the rows that come of
    texts short and long, so that another version which cuts or skips otherwise is another encoder.

    Raises:
        ConfigurationError: another class of fastembed, which gives one vector per text or takes images.
    """
    if not hasattr(model, "query_embed"):
        raise errors.ConfigurationError(f"a fastembed {type(model).__name__} cannot be adapted.", hint=_FASTEMBED_HINT)
    dim = int(type(model).get_embedding_size(model.model_name))
    probes = {"query": list(model.query_embed(["late", LONG])), "document": list(model.embed([PROBE, LONG]))}
    if any(getattr(rows, "ndim", 0) != 2 for probe in probes.values() for rows in probe):
        raise errors.ConfigurationError(
            f"fastembed's {model.model_name!r} makes one vector of a text, not one per token.", hint=_FASTEMBED_HINT
        )
    rows = {noun: " ".join(str(len(rows)) for rows in probe) for noun, probe in probes.items()}
    return AdaptedEncoder(
        dim=dim,
        queries=lambda texts: list(model.query_embed(texts)),
        documents=lambda texts: list(model.embed(_texts(texts))),
        fingerprint={**_fingerprint("fastembed", model.model_name, dim, "fastembed", "onnxruntime"), "rows": rows},
    )


def from_pylate(model: Any, *, name: str) -> AdaptedEncoder:  # noqa: ANN401
    """An encoder out of a `pylate.models.ColBERT`.

    Args:
        model: the model.
        name: what to call it in fingerprints; the model itself does not know where it came from.

    Raises:
        ConfigurationError: it has an adapter whose weights were not read, so that its base would pass for it.
    """
    check_adapted(model)
    dim = int(model.get_sentence_embedding_dimension())
    recipe = ("query_length", "document_length", "do_query_expansion", "attend_to_expansion_tokens")
    prompts = ("query_prefix", "document_prefix")
    parts = {part: getattr(model, part, None) for part in (*recipe, *prompts)}
    parts["skiplist"] = " ".join(sorted(model.skiplist_words))
    return AdaptedEncoder(
        dim=dim,
        queries=lambda texts: model.encode(texts, is_query=True, show_progress_bar=False),
        documents=lambda texts: model.encode(_texts(texts), is_query=False, show_progress_bar=False),
        fingerprint={**_computed(_fingerprint("pylate", name, dim, "pylate", *_TORCH), model), **parts},
        max_query_tokens=model.query_length,
    )


def from_colpali_engine(model: Any, processor: Any, *, name: str, batch_size: int = 4) -> AdaptedEncoder:  # noqa: ANN401
    """An encoder of page images out of a model and a processor of colpali-engine.

    Queries are encoded one at a time: ColPali's depend on their neighbours in a batch there, since its processor leaves
    out `token_type_ids`.

    How a query is rendered has changed with its versions, and so have the scores: what the processor makes of a query
    and of a page is part of the fingerprint. Pages are read as everywhere in lateint, from Pillow images, paths or
    bytes. Of a model with `mask_non_image_embeddings` the rows that it makes zero are left out.

    Args:
        model: such as `ColQwen2.from_pretrained(…)`.
        processor: such as `ColQwen2Processor.from_pretrained(…)`.
        name: what to call it in fingerprints.
        batch_size: pages in one batch.

    Raises:
        ConfigurationError: it has an adapter whose weights were not read, so that its base would pass for it.
    """
    check_adapted(model)
    model.eval()  # one that was trained a moment ago would drop values at random
    of_image_only = bool(getattr(model, "mask_non_image_embeddings", False))

    def rows(batch: Any, kept: Any) -> list[Any]:  # noqa: ANN401
        import torch  # noqa: PLC0415 - it is there, or there would be no model

        batch = batch.to(model.device)
        with torch.inference_mode():
            vectors = model(**batch)
        return [one[mask.bool()].float() for one, mask in zip(vectors, kept.to(model.device), strict=True)]

    def queries(texts: Sequence[str]) -> list[Any]:
        batches = (processor.process_queries(texts=[text]) for text in texts)
        return [row for batch in batches for row in rows(batch, batch["attention_mask"])]

    def pages(items: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(items), batch_size):
            some = enumerate(items[start : start + batch_size], start)
            batch = processor.process_images([read_image(item, name_of(item, at)) for at, item in some])
            found += rows(batch, processor.get_image_mask(batch) if of_image_only else batch["attention_mask"])
        return found

    dim = int(model.dim)
    return AdaptedEncoder(
        dim=dim,
        queries=queries,
        documents=pages,
        fingerprint={
            **_computed(_fingerprint("colpali-engine", name, dim, "colpali-engine", *_TORCH), model),
            **_rendered(processor),
            "image_tokens_only": of_image_only,
        },
        document_kind="image",
    )


def from_arrays(
    queries: Mapping[str, Any], documents: Mapping[str, Any], *, dim: int, fingerprint: Mapping[str, Any]
) -> AdaptedEncoder:
    """An encoder that looks up what was encoded before, by text or by any other key.

    Args:
        queries: text to an array of shape (tokens, dim).
        documents: likewise.
        dim: values per row.
        fingerprint: of the model that made them.
    """
    return AdaptedEncoder(
        dim=dim,
        queries=lambda texts: [_found(queries, text, "query") for text in texts],
        documents=lambda items: [_found(documents, item, "document") for item in items],
        fingerprint=fingerprint,
    )


def _rendered(processor: Any) -> dict[str, Any]:  # noqa: ANN401
    """A query and a page as the tokenizer reads them, repeated tokens once, and how many a page takes."""
    from PIL import Image  # noqa: PLC0415 - it is there, or there would be no processor

    query = processor.process_queries(texts=[PROBE])["input_ids"][0].tolist()
    page = processor.process_images([Image.new("RGB", PAGE, "white")])["input_ids"][0].tolist()
    return {
        "query": processor.tokenizer.decode(query),
        "page": {"prompt": processor.tokenizer.decode([token for token, _ in groupby(page)]), "tokens": len(page)},
    }


def _found(arrays: Mapping[str, Any], key: str, noun: str) -> Any:  # noqa: ANN401
    try:
        return arrays[key]
    except KeyError:
        raise errors.InvalidInput(f"no array was given for {noun} {key!r:.60}.") from None


def _texts(items: Sequence[Any]) -> Sequence[str]:
    check_texts(items)
    return items


def _fingerprint(kind: str, name: str, dim: int, *packages: str) -> dict[str, Any]:
    return {"kind": kind, "model": name, "dim": dim, MADE_WITH: {package: installed(package) for package in packages}}


def _computed(fingerprint: dict[str, Any], model: Any) -> dict[str, Any]:  # noqa: ANN401
    """With what a model of torch computes in, which also says how far rounding may move a row."""
    return {**fingerprint, MADE_WITH: {**fingerprint[MADE_WITH], "precision": str(model.dtype).removeprefix("torch.")}}
