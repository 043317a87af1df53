"""Text through a late-interaction model that sentence-transformers loads: ColBERT, Jina-ColBERT, LateOn and their kin.

sentence-transformers reads the formats (Stanford's, PyLate's, its own) and runs the model. What is added here: batches
by tokens, one copy from the device per batch, shorter vectors, half precision, what each row stands for, a word about
texts that were cut, and a fingerprint.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lateint import errors
from lateint.encoders.base import MADE_WITH, DocumentKind, Encoding, Rows, Score, Token
from lateint.encoders.checkpoint import Checkpoint, Precision, digest, installed, needs, resolve

if TYPE_CHECKING:
    import torch
    from sentence_transformers import MultiVectorEncoder

Task = Literal["query", "document"]

TOKENS_PER_BATCH = {"cpu": 4_096}
"""Padding counted. More would leave a CPU's caches; an accelerator wants more."""

TOKENS_PER_BATCH_ELSEWHERE = 32_768

PROBE = "The quick brown Fox, naïve & 東京🙂 can't [jump] over 3.14 lazy dogs?"
"""Tokenised for the fingerprint: two tokenizers that agree here and on their markers are taken for the same."""

_REPORTED_MISSING = re.compile(r"^(\S+)\s*\|.*\bMISSING\b", re.MULTILINE)

_LATE = {"ColBERT", "MultiVectorEncoder"}
_PYLATE_KEYS = {"query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens", "skiplist_words"}


class SentenceTransformersEncoder:
    """A late-interaction text model, by its name on the hub or the folder that it lies in.

    A text that is longer than the model takes is cut, as everywhere; here it is said, once, with the count.

    Args:
        model: a name such as `lightonai/LateOn`, a folder, or a `MultiVectorEncoder` that is loaded already.
        revision: branch, tag or commit on the hub.
        dim: keep the first values of each row only and scale it to length 1 again; for models that were trained for it
            (Matryoshka).
        device: `cpu`, `cuda`, `mps`, …; the best there is if left out.
        precision: what the model computes in; its own on an accelerator and float32 on a CPU if left out. Rows come out
            as float16 from float16, else as float32.
        trust_remote_code: run code that comes with the model. It can do anything that you can.
        tokens_per_batch: padded tokens in one batch.

    Raises:
        ConfigurationError: no such model, no late-interaction model, code that was not allowed, or `dim` above its own.
        MissingDependency: the extra `text` is not installed.
    """

    document_kind: DocumentKind = "text"

    def __init__(
        self,
        model: str | Path | MultiVectorEncoder,
        *,
        revision: str | None = None,
        dim: int | None = None,
        device: str | None = None,
        precision: Precision | None = None,
        trust_remote_code: bool = False,
        tokens_per_batch: int | None = None,
    ) -> None:
        needs("torch", "transformers", "sentence_transformers", extra="text")
        checkpoint = None
        if isinstance(model, (str, Path)):
            checkpoint = resolve(model, revision=revision)
            model = _loaded(checkpoint, device=device, precision=precision, trust_remote_code=trust_remote_code)
        elif device is not None:
            model.to(device)
        self._model = model.eval()
        self._recipe = _Recipe.of(model)
        self._lock = threading.Lock()
        self._told: set[Task] = set()
        self._budget = tokens_per_batch or TOKENS_PER_BATCH.get(model.device.type, TOKENS_PER_BATCH_ELSEWHERE)
        self._per_token = 4.0
        own = int(model.get_embedding_dimension() or 0)
        if dim is not None and not 1 <= dim <= own:
            raise errors.ConfigurationError(f"dim {dim} cannot be had of rows of {own}.", hint=f"Pass 1 to {own}.")
        self.dim = dim or own
        self._shorter = self.dim < own
        self.fingerprint: dict[str, Any] = self._fingerprint(checkpoint)

    def __repr__(self) -> str:
        return f"SentenceTransformersEncoder({self.fingerprint[MADE_WITH]['model']!r}, dim={self.dim})"

    @property
    def score(self) -> Score:
        """What the model was trained to rank by."""
        return self._model.similarity_fn_name

    @property
    def max_query_tokens(self) -> int | None:
        """Rows that a query has at most."""
        return self._recipe.length("query")

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self._model.device

    def encode_queries(self, texts: Sequence[str]) -> list[Rows]:
        """One array of shape (tokens, dim) per text.

        Raises:
            InvalidInput: names what is no text.
        """
        return [encoding.vectors for encoding in self._encoded(texts, "query", trace=False)]

    def encode_documents(self, items: Sequence[str]) -> list[Rows]:
        """One array of shape (tokens, dim) per text.

        Raises:
            InvalidInput: names what is no text.
        """
        return [encoding.vectors for encoding in self._encoded(items, "document", trace=False)]

    def trace_queries(self, texts: Sequence[str]) -> list[Encoding]:
        """As `encode_queries`, with the token of each row.

        Raises:
            InvalidInput: names what is no text.
        """
        return self._encoded(texts, "query", trace=True)

    def trace_documents(self, items: Sequence[str]) -> list[Encoding]:
        """As `encode_documents`, with the token of each row.

        Raises:
            InvalidInput: names what is no text.
            UnsupportedFeature: the model pools rows, so that they stand for no token.
        """
        if self._recipe.pooling is not None:
            raise errors.UnsupportedFeature(
                f"this model pools the rows of documents ({self._recipe.pooling}): none stands for a token.",
                feature="trace_documents",
            )
        return self._encoded(items, "document", trace=True)

    def _encoded(self, texts: Sequence[str], task: Task, *, trace: bool) -> list[Encoding]:
        _check(texts)
        results: dict[int, Encoding] = {}
        cut = 0
        waiting: deque[_Batch] = deque()
        with self._lock:  # the tokenizer keeps state, and a device gains nothing from two batches at once
            for places in self._batches(texts, task):
                batch = self._started([texts[at] for at in places], places, task)
                cut += batch.cut
                waiting.append(batch)
                if len(waiting) == 2:  # one is fetched while the other is computed
                    results.update(self._fetched(waiting.popleft(), trace=trace))
            for batch in waiting:
                results.update(self._fetched(batch, trace=trace))
        self._tell(cut, len(texts), task)
        return [results[at] for at in range(len(texts))]

    def _batches(self, texts: Sequence[str], task: Task) -> Iterator[list[int]]:
        """Places of texts of about the same length, the longest first: what does not fit fails at once."""
        fixed = self._recipe.expansion is not None and task == "query"
        cap = self._recipe.length(task) or 10**9
        batch: list[int] = []
        width = 1
        for at in sorted(range(len(texts)), key=lambda at: -len(texts[at])):
            if not batch:
                width = cap if fixed else min(cap, int(len(texts[at]) / self._per_token) + 8)
            batch.append(at)
            if (len(batch) + 1) * width > self._budget:
                yield batch
                batch = []
        if batch:
            yield batch

    def _started(self, texts: list[str], places: list[int], task: Task) -> _Batch:
        import torch  # noqa: PLC0415 - an extra
        from sentence_transformers.util import batch_to_device  # noqa: PLC0415

        prompt = self._recipe.prompts[task]
        features = self._model.preprocess(texts, prompt=prompt, task=task)
        encodings = getattr(features, "encodings", None)
        ids = features.get("input_ids")
        if task == "document" and ids is not None and ids.ndim == 2:
            characters = max(len(text) for text in texts)
            self._per_token = max(1.0, min(self._per_token, characters / max(1, ids.shape[1])))
        features = batch_to_device(features, self.device)
        with torch.inference_mode():
            features = self._model(features, task=task)
            rows = self._shaped(features["token_embeddings"])
            mask = features["attention_mask"].bool()
            there = rows.device.type == "cuda"  # elsewhere a copy that does not block may be read before it is whole
            host = rows.to("cpu", non_blocking=there), mask.to("cpu", non_blocking=there)
            event = torch.cuda.current_stream(rows.device).record_event() if there else None
        return _Batch(places, *host, event, ids, encodings, len(prompt or ""))

    def _shaped(self, rows: torch.Tensor) -> torch.Tensor:
        import torch  # noqa: PLC0415 - an extra

        half = rows.dtype == torch.float16
        if self._shorter or (self._recipe.unit and rows.dtype != torch.float32):
            rows = torch.nn.functional.normalize(rows[..., : self.dim].float(), dim=-1)
        return rows.to(torch.float16 if half else torch.float32)

    def _fetched(self, batch: _Batch, *, trace: bool) -> Iterator[tuple[int, Encoding]]:
        if batch.event is not None:
            batch.event.synchronize()
        rows, mask = batch.rows.numpy(), batch.mask.numpy()
        for row, place in enumerate(batch.places):
            origins = self._origins(batch, row) if trace else ()
            yield place, Encoding(rows[row][mask[row]], origins)  # a copy: the batch is not kept alive by it

    def _origins(self, batch: _Batch, row: int) -> tuple[Token, ...]:
        if batch.ids is None or batch.ids.shape != batch.mask.shape:
            raise errors.UnsupportedFeature("this model's batches do not tell the tokens of a row.", feature="trace")
        kept = batch.mask[row].nonzero().flatten().tolist()
        texts = self._model.tokenizer.convert_ids_to_tokens(batch.ids[row][kept].tolist())
        spans = batch.encodings[row].offsets if batch.encodings else []
        return tuple(
            Token(text, *_span(spans[at] if at < len(spans) else (0, 0), batch.prompt))
            for text, at in zip(texts, kept, strict=True)
        )

    def _tell(self, cut: int, count: int, task: Task) -> None:
        if not cut or task in self._told:
            return
        self._told.add(task)
        noun = "queries" if task == "query" else "documents"
        warnings.warn(
            f"{cut} of {count} {noun} are longer than the {self._recipe.length(task)} tokens that this model takes, "
            "and were cut there. Cut texts are not mentioned again.",
            stacklevel=4,
        )

    def _fingerprint(self, checkpoint: Checkpoint | None) -> dict[str, Any]:
        name = checkpoint.name if checkpoint is not None else type(self._model).__name__
        return {
            "kind": "sentence-transformers",
            "dim": self.dim,
            "weights": digest(checkpoint) if checkpoint is not None else None,
            **self._recipe.as_data(),
            "score": self.score,
            MADE_WITH: {
                "model": name,
                "revision": checkpoint.revision if checkpoint is not None else None,
                "precision": str(self._model.dtype).removeprefix("torch."),
                **{package: installed(package) for package in ("sentence-transformers", "transformers", "torch")},
            },
        }


@dataclass(slots=True)
class _Batch:
    """One batch on its way: places of its texts, padded rows and mask on the host once `event` has happened."""

    places: list[int]
    rows: torch.Tensor
    mask: torch.Tensor
    event: torch.cuda.Event | None
    ids: torch.Tensor | None
    encodings: list[Any] | None
    prompt: int

    @property
    def cut(self) -> int:
        """Texts of which a part was left out."""
        return sum(bool(encoding.overflowing) for encoding in self.encodings or ())


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What happens around the weights, as far as it changes a vector."""

    prompts: dict[Task, str | None]
    lengths: dict[Task, int | None]
    expansion: dict[str, Any] | None
    skiplist: tuple[str, ...]
    pooling: str | None
    tokenizer: str
    unit: bool

    @classmethod
    def of(cls, model: MultiVectorEncoder) -> _Recipe:
        from sentence_transformers.base.modules import Normalize  # noqa: PLC0415 - an extra
        from sentence_transformers.multi_vector_encoder.modules import (  # noqa: PLC0415
            BaseTokenPooling,
            MultiVectorMask,
        )

        first: Any = model[0]
        masks = [module for module in model if isinstance(module, MultiVectorMask)]
        pools = [module for module in model if isinstance(module, BaseTokenPooling)]
        return cls(
            prompts={
                "query": _prompt(model.prompts, "query"),
                "document": _prompt(model.prompts, "document", "passage", "corpus"),
            },
            lengths={
                "query": first.query_length or model.max_seq_length,
                "document": first.document_length or model.max_seq_length,
            },
            expansion=dict(first.query_expansion) if first.query_expansion else None,
            skiplist=tuple(sorted({word for mask in masks for word in mask.skiplist_words})),
            pooling="; ".join(f"{type(pool).__name__} {pool.get_config_dict()}" for pool in pools) or None,
            tokenizer=_told(model.tokenizer),
            unit=any(isinstance(module, Normalize) for module in model),
        )

    def length(self, task: Task) -> int | None:
        """Tokens that a text is cut at."""
        if task == "query" and self.expansion is not None:
            fixed = self.expansion["strategy"] == "fixed"
            return int(self.expansion["length"]) if fixed else self.lengths["query"]
        return self.lengths[task]

    def as_data(self) -> dict[str, Any]:
        """JSON-like, for a fingerprint."""
        return {
            "query": {"prompt": self.prompts["query"], "length": self.length("query"), "expansion": self.expansion},
            "document": {"prompt": self.prompts["document"], "length": self.length("document")},
            "skiplist": " ".join(self.skiplist),
            "pooling": self.pooling,
            "tokenizer": self.tokenizer,
        }


def _prompt(prompts: dict[str, str | None], *names: str) -> str | None:
    return next((prompts[name] for name in names if prompts.get(name)), None)


def _told(tokenizer: Any) -> str:  # noqa: ANN401 - of transformers
    ids = tokenizer(PROBE)["input_ids"]
    return hashlib.sha256(repr((ids, tokenizer.padding_side)).encode()).hexdigest()[:16]


def _span(span: tuple[int, int], prompt: int) -> tuple[int, int] | tuple[None, None]:
    """Characters of the text, without the prompt before it; none for what stands for no character of it."""
    start, end = span
    return (max(0, start - prompt), end - prompt) if end > max(start, prompt) else (None, None)


def _check(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise errors.InvalidInput("texts is one text, not a sequence of them.", hint="Write [text].")
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise errors.InvalidInput(f"text {at} is a {type(text).__name__}, not text.")


def _loaded(
    checkpoint: Checkpoint, *, device: str | None, precision: Precision | None, trust_remote_code: bool
) -> MultiVectorEncoder:
    import sentence_transformers  # noqa: PLC0415 - an extra
    import torch  # noqa: PLC0415

    if not hasattr(sentence_transformers, "MultiVectorEncoder"):
        raise errors.MissingDependency(
            f"sentence-transformers {sentence_transformers.__version__} has no MultiVectorEncoder.",
            hint='Install version 6 or newer: pip install "lateint[text]"',
        )
    _check_late(checkpoint)
    device = device or sentence_transformers.util.get_device_name()
    chosen = precision or ("float32" if device == "cpu" else None)
    dtype = getattr(torch, chosen) if chosen is not None else "auto"
    try:
        with _missing_weights() as missing:
            model = sentence_transformers.MultiVectorEncoder(
                checkpoint.source,
                device=device,
                revision=checkpoint.revision,
                trust_remote_code=trust_remote_code,
                model_kwargs={"dtype": dtype},
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if "trust_remote_code" in str(error):
            raise errors.ConfigurationError(
                f"model {checkpoint.name!r} comes with code of its own, which was not run.",
                hint="Read that code; then allow it with trust_remote_code=True (--trust-remote-code).",
            ) from error
        raise errors.ConfigurationError(
            f"model {checkpoint.name!r} cannot be loaded: {str(error).strip() or type(error).__name__}",
            hint="Look for missing files in its folder; HF_HUB_OFFLINE keeps them from being downloaded.",
        ) from error
    if missing:
        raise errors.ConfigurationError(
            f"the files of model {checkpoint.name!r} lack weights, and random ones would take their place: "
            f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}.",
            hint="Download or save it again, whole.",
        )
    return model


@contextmanager
def _missing_weights() -> Iterator[list[str]]:
    """Names of the weights that a model was loaded without. transformers tells of them in a warning, and goes on."""
    missing: list[str] = []

    def told(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        # A pooler makes one vector of a text: checkpoints of this kind never have one, and nothing here uses it.
        missing.extend(name for name in _REPORTED_MISSING.findall(text) if "pooler" not in name)
        return "LOAD REPORT" not in text

    logger = logging.getLogger("transformers.modeling_utils")
    level = logger.level
    logger.addFilter(told)
    logger.setLevel(logging.WARNING)
    try:
        yield missing
    finally:
        logger.setLevel(level)
        logger.removeFilter(told)


def _check_late(checkpoint: Checkpoint) -> None:
    """Refuse what sentence-transformers would turn into a late-interaction model by adding random weights."""
    settings = checkpoint.read_json("config_sentence_transformers.json") or {}
    late = (
        checkpoint.architecture == "HF_ColBERT"
        or checkpoint.architecture.endswith("ForRetrieval")
        or settings.get("model_type") in _LATE
        or not _PYLATE_KEYS.isdisjoint(settings)
    )
    if not late:
        raise errors.ConfigurationError(
            f"model {checkpoint.name!r} is no late-interaction model: nothing in it makes a vector per token.",
            hint="Choose a ColBERT-like one. One of your own making can be passed as a MultiVectorEncoder.",
        )
