"""Page images: ColPali, ColQwen2 and ColModernVBert as `transformers` has them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lateint import errors
from lateint.encoders.ahead import ahead
from lateint.encoders.base import MADE_WITH, DocumentKind, Encoding, Origin, Rows, Score, Token
from lateint.encoders.checkpoint import (
    ADAPTER_HINT,
    COLPALI_ENGINE_HINT,
    Checkpoint,
    Precision,
    digest,
    installed,
    needs,
    resolve,
)
from lateint.encoders.images import PageImage, name_of, read_image, sample_images
from lateint.encoders.loading import check_tokenizer, not_loaded
from lateint.encoders.page_models import PAGE_MODELS
from lateint.encoders.texts import check_texts
from lateint.vectors import as_multivector, normalized

if TYPE_CHECKING:
    from torch import Tensor

QUERIES_AT_ONCE = 32
MOST_WORKERS = 8
OLDEST = (5, 18)
"""Of transformers: what this has been seen to work with."""

_OF_TOKENS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
_IMAGE_SETTINGS = (
    "size",
    "max_image_size",
    "do_image_splitting",
    "patch_size",
    "temporal_patch_size",
    "merge_size",
    "resample",
    "rescale_factor",
    "image_mean",
    "image_std",
)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPage:
    """A page ready for the model.

    Attributes:
        inputs: as a batch of one.
        size: width and height of the page, in pixels.
    """

    inputs: dict[str, Tensor]
    size: tuple[int, int]


class VisionEncoder:
    """Encodes page images as documents and text as queries.

    Inputs are made by the processor that the checkpoint names, with nothing of what it gives left out; rows are chosen
    by the attention mask, so that padding never becomes a row; and they are normalised in float32, which half precision
    is too coarse for. Pages are read and prepared in threads while the model works on those before.

    Args:
        model: a folder, or a name on the hub such as `vidore/colpali-v1.3-hf`.
        revision: branch, tag or commit on the hub.
        dim: keep the first values of each row only and scale it to length 1 again; for models that were trained for it.
        device: where the model runs, as torch calls it; None for an accelerator if there is one.
        precision: what the model computes in; None for float32 on a CPU, and elsewhere what the checkpoint says, or
            bfloat16. Rows come out as float16 where it is that, else as float32.
        batch_size: pages encoded at once.
        image_tokens_only: leave out the rows of the prompt around an image.
        workers: threads that read and prepare pages; None for one a core, up to 8.
        fetch: gets the bytes behind a URL; None refuses URLs.

    Raises:
        ConfigurationError: no such model, not one of these, its checkpoint lacks weights, or `dim` above its own.
        MissingDependency: torch, transformers or pillow is not installed.
    """

    score: Score = "maxsim"
    document_kind: DocumentKind = "image"
    max_query_tokens: int | None = None

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        dim: int | None = None,
        device: str | None = None,
        precision: Precision | None = None,
        batch_size: int = 4,
        image_tokens_only: bool = False,
        workers: int | None = None,
        fetch: Callable[[str], bytes] | None = None,
    ) -> None:
        needs("torch", "transformers", "PIL", extra="vision")
        _check_version(installed("transformers"))
        self._device = device or _device()
        found = resolve(model, revision=revision)
        if found.architecture not in PAGE_MODELS:
            raise errors.ConfigurationError(
                f"{found.name!r} was saved from {found.architecture or 'no class that its configuration names'}.",
                hint=f"Pass a checkpoint saved from one of {', '.join(PAGE_MODELS)}. "
                + (COLPALI_ENGINE_HINT if found.of_colpali_engine else ""),
            )
        if found.adapter is not None:
            raise errors.ConfigurationError(
                f"{found.name!r} holds an adapter of {found.adapter}: an index could not tell it from one of another.",
                hint=ADAPTER_HINT,
            )
        computed_in = precision or _precision(self._device, found.config)
        self._kind = PAGE_MODELS[found.architecture]
        self._model, self._processor = _loaded(found, self._device, computed_in)
        weights = digest(found)
        if weights is None:
            raise errors.ConfigurationError(
                f"the files of {found.name!r} do not tell its weights from others: an index could not know its model.",
                hint=f"Save the whole model as safetensors. {ADAPTER_HINT}",
            )
        check_tokenizer(self._processor.tokenizer, found.name)
        self._image = self._processor.tokenizer.convert_tokens_to_ids(self._processor.image_token)
        self.batch_size = batch_size
        self._image_tokens_only = image_tokens_only
        self.workers = workers or min(MOST_WORKERS, os.cpu_count() or 1)
        self._fetch = fetch
        self._out = np.dtype(np.float16 if computed_in == "float16" else np.float32)
        own = int(self._model.config.embedding_dim)
        if dim is not None and not 1 <= dim <= own:
            raise errors.ConfigurationError(f"dim {dim} cannot be had of rows of {own}.", hint=f"Pass 1 to {own}.")
        self.dim = dim or own
        # Reading a page once also sets up the tokenizer: setting it up is what threads must not do at the same time.
        self.fingerprint: Mapping[str, Any] = {
            "kind": "vision",
            "architecture": found.architecture,
            "weights": weights,
            "dim": self.dim,
            **self._recipe(),
            MADE_WITH: {
                "model": found.name,
                "revision": found.revision,
                "precision": computed_in,
                "transformers": installed("transformers"),
                "torch": installed("torch"),
                "pillow": installed("pillow"),
                "torchvision": installed("torchvision")
                if find_spec("torchvision")
                else None,  # resizes, if it is there
            },
        }

    def __repr__(self) -> str:
        return f"VisionEncoder({self.fingerprint[MADE_WITH]['model']!r}, dim={self.dim})"

    def encode_queries(self, texts: Sequence[str]) -> list[Rows]:
        """One array of shape (tokens, dim) per text, its prompt included.

        Raises:
            InvalidInput: names what is not text.
        """
        return [rows for rows, _, _ in self._queries(texts)]

    def prepare(self, item: PageImage) -> PreparedPage:
        """Read one page and make the inputs of the model out of it; for threads that work ahead of the model.

        Raises:
            InvalidInput: the page cannot be read, or the model cannot take it.
        """
        return self._read(item, name_of(item))

    def encode_documents(self, items: Sequence[PageImage | PreparedPage]) -> list[Rows]:
        """One array of shape (tokens, dim) per page.

        Args:
            items: Pillow images, paths, the bytes of image files, or what `prepare` made of one.

        Raises:
            InvalidInput: names the page that cannot be read, or that the model cannot take.
        """
        return [rows for rows, _ in self._pages(items)]

    def trace_queries(self, texts: Sequence[str]) -> list[Encoding]:
        """As `encode_queries`, with the token and its place in the text for every row."""
        names = self._processor.tokenizer.convert_ids_to_tokens
        before = len(self._kind.opening(self._processor))
        encodings = []
        for text, (rows, ids, spans) in zip(texts, self._queries(texts), strict=True):
            places = [_within(start - before, end - before, len(text)) for start, end in spans]
            origins = (Token(name, *place) for name, place in zip(names(ids), places, strict=True))
            encodings.append(Encoding(rows, tuple(origins)))
        return encodings

    def trace_documents(self, items: Sequence[PageImage | PreparedPage]) -> list[Encoding]:
        """As `encode_documents`, with the patch or the token of the prompt for every row.

        Raises:
            InvalidInput: as `encode_documents`.
            ConfigurationError: the processor cuts a page into other patches than its settings say.
        """
        encodings = []
        for rows, page in self._pages(items):
            patches = self._kind.patches(self._processor, page.inputs, page.size)
            ids = page.inputs["input_ids"][self._kept(page.inputs)].tolist()
            if (found := ids.count(self._image)) != len(patches):
                raise errors.ConfigurationError(
                    f"a page of {page.size[0]} × {page.size[1]} pixels has {found} rows of patches, and by the "
                    f"processor's settings {len(patches)}: it is not known where they lie.",
                    hint="Encode without origins; another version of transformers may know.",
                )
            names, patch = self._processor.tokenizer.convert_ids_to_tokens(ids), iter(patches)
            named = zip(ids, names, strict=True)
            origins: list[Origin] = [next(patch) if i == self._image else Token(name) for i, name in named]
            encodings.append(Encoding(rows, tuple(origins), patches[0].grid))
        return encodings

    @contextmanager
    def padding(self, side: Literal["left", "right"]) -> Iterator[None]:
        """Pad the shorter items of a batch on that side within the block."""
        tokenizer = self._processor.tokenizer
        before, tokenizer.padding_side = tokenizer.padding_side, side
        try:
            yield
        finally:
            tokenizer.padding_side = before

    def _queries(self, texts: Sequence[str]) -> Iterator[tuple[Rows, list[int], list[tuple[int, int]]]]:
        """Rows, token ids, and where each token lies in what the processor made of the text."""
        check_texts(texts)
        for start in range(0, len(texts), QUERIES_AT_ONCE):
            batch = list(texts[start : start + QUERIES_AT_ONCE])
            inputs = dict(self._processor.process_queries(batch, return_offsets_mapping=True))
            spans, kept = inputs.pop("offset_mapping"), inputs["attention_mask"].bool()
            for at, rows in enumerate(self._rows(inputs, kept)):
                yield rows, inputs["input_ids"][at][kept[at]].tolist(), spans[at][kept[at]].tolist()

    def _pages(self, items: Sequence[PageImage | PreparedPage]) -> Iterator[tuple[Rows, PreparedPage]]:
        if isinstance(items, (str, bytes, os.PathLike)):
            raise errors.InvalidInput("items is one image, not a sequence of them.", hint="Write [image].")
        # A batch for the model, the next one behind it, and every thread at work.
        depth = self.batch_size + self.workers
        with closing(ahead(self._prepared, enumerate(items), workers=self.workers, depth=depth)) as prepared:
            while batch := list(islice(prepared, self.batch_size)):
                inputs = self._stacked([page.inputs for page in batch])
                yield from zip(self._rows(inputs, self._kept(inputs)), batch, strict=True)

    def _prepared(self, numbered: tuple[int, PageImage | PreparedPage]) -> PreparedPage:
        at, item = numbered
        return item if isinstance(item, PreparedPage) else self._read(item, name_of(item, at))

    def _read(self, item: PageImage, name: str) -> PreparedPage:
        image = read_image(item, name, fetch=self._fetch)
        try:
            inputs = dict(self._processor.process_images([image]))
        except (ValueError, ArithmeticError, IndexError) as error:
            width, height = image.size
            raise errors.InvalidInput(f"{name}, {width} × {height} pixels, is not for this model: {error}") from error
        inputs.pop("labels", None)  # for training only
        return PreparedPage(inputs, image.size)

    def _stacked(self, pages: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Inputs of several pages as one batch: tokens padded on the side of the tokenizer, pixels at their end."""
        tokenizer = self._processor.tokenizer
        stacked = {}
        for key, first in pages[0].items():
            longest = max(page[key].shape[1] for page in pages)
            fill = tokenizer.pad_token_id if key == "input_ids" else 0
            stacked[key] = first.new_full((len(pages), longest, *first.shape[2:]), fill)
            for row, page in enumerate(pages):
                length = page[key].shape[1]
                start = longest - length if key in _OF_TOKENS and tokenizer.padding_side == "left" else 0
                stacked[key][row, start : start + length] = page[key][0]
        return stacked

    def _kept(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Which tokens of a batch of pages become rows, shape (pages, tokens)."""
        kept = inputs["attention_mask"].bool()
        return kept & (inputs["input_ids"] == self._image) if self._image_tokens_only else kept

    def _rows(self, inputs: Mapping[str, Tensor], kept: Tensor) -> list[Rows]:
        """One array for each item of a batch, and one copy from the device for all of them."""
        import torch  # noqa: PLC0415 - an extra

        precision = self._model.dtype
        everything = {**inputs, **self._kind.left_out(self._model, inputs)}
        given = {
            key: value.to(self._device, precision if value.is_floating_point() else value.dtype)
            for key, value in everything.items()
        }
        at = kept.flatten().nonzero().squeeze(1).to(self._device)
        with torch.inference_mode():
            embeddings = self._model(**given).embeddings.flatten(0, 1).index_select(0, at)
        rows = normalized(as_multivector(embeddings[:, : self.dim])).astype(self._out, copy=False)
        return np.split(rows, np.cumsum(kept.sum(1).tolist())[:-1])

    def _recipe(self) -> dict[str, Any]:
        """What is made of a query and of a page, as the tokenizer reads it."""
        tokenizer = self._processor.tokenizer
        page = self._prepared((0, sample_images()[0])).inputs["input_ids"][0].tolist()
        first, last = page.index(self._image), len(page) - page[::-1].index(self._image)
        settings = json.loads(self._processor.image_processor.to_json_string())
        return {
            "query": tokenizer.decode(self._processor.process_queries(["..."])["input_ids"][0]),
            "page": tokenizer.decode([*page[:first], self._image, *page[last:]]),
            "image": {key: settings[key] for key in _IMAGE_SETTINGS if settings.get(key) is not None},
            "image_tokens_only": self._image_tokens_only,
        }


def _within(start: int, end: int, length: int) -> tuple[int, int] | tuple[None, None]:
    """A span cut to the text that a user wrote; none if it lies outside."""
    start, end = max(start, 0), min(end, length)
    return (start, end) if start < end else (None, None)


def _device() -> str:
    import torch  # noqa: PLC0415

    return str(torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu")


def _precision(device: str, config: Mapping[str, Any]) -> str:
    if device.startswith("cpu"):
        return "float32"
    # The language models of these overflow in float16, PaliGemma's first of all.
    return str(config.get("dtype") or config.get("torch_dtype") or "bfloat16")


def _check_version(version: str) -> None:
    """The extra `text` takes transformers from 5.3 on, which have some of these models with other recipes."""
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise errors.MissingDependency(
            f"transformers {version} is too old for page images.",
            hint=f'Install version {OLDEST[0]}.{OLDEST[1]} or newer: pip install "lateint[vision]"',
        )


def _loaded(found: Checkpoint, device: str, precision: str) -> tuple[Any, Any]:
    """The model and its processor.

    Raises:
        ConfigurationError: it cannot be loaded, or lacks weights, which would be drawn at random.
    """
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    dtype = getattr(torch, precision)
    try:
        kind = getattr(transformers, found.architecture)
        processor_kind = getattr(transformers, PAGE_MODELS[found.architecture].processor)
        model, report = kind.from_pretrained(
            found.source, revision=found.revision, dtype=dtype, output_loading_info=True
        )
        processor = processor_kind.from_pretrained(found.source, revision=found.revision)
    except Exception as error:  # whatever libraries say of files, and of each other, that are not what they should be
        raise not_loaded(found, error) from error
    if lacking := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        raise errors.ConfigurationError(
            f"the checkpoint of {found.name!r} lacks {len(lacking)} of the weights of {found.architecture}, "
            f"{lacking[0]} first.",
            hint="Download or save it again, whole, with its projection.",
        )
    return model.to(device).eval(), processor
