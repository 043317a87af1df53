"""Text through a late-interaction model that sentence-transformers loads: ColBERT, Jina-ColBERT, LateOn and their kin.

sentence-transformers reads the formats (Stanford's, PyLate's, its own) and runs the model. What is added here: batches
by tokens, one copy from the device per batch, shorter vectors, half precision, what each row stands for, a word about
texts that were cut, and a fingerprint.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lateint import errors
from lateint.encoders.base import MADE_WITH, DocumentKind, Encoding, Rows, Score, Token
from lateint.encoders.checkpoint import Checkpoint, Precision, digest, installed, needs, resolve
from lateint.encoders.loading import check_adapted, check_tokenizer, loaded
from lateint.encoders.recipe import Recipe, Task
from lateint.encoders.texts import check_texts

if TYPE_CHECKING:
    import torch
    from sentence_transformers import MultiVectorEncoder

TOKENS_PER_BATCH = {"cpu": 4_096}
"""Padding counted. More would leave a CPU's caches; an accelerator wants more."""

TOKENS_PER_BATCH_ELSEWHERE = 32_768

BYTES_PER_TOKEN = 3
"""What batches are laid out by: few tokens of a language are shorter. Batches that turn out too large are halved."""

VALUES = 256
"""Of each tensor, for the fingerprint of a model that did not come from files; training changes them all."""


class SentenceTransformersEncoder:
    """A late-interaction text model, by its name on the hub or the folder that it lies in.

    A text that is longer than the model takes is cut, as everywhere; here it is said, once, with the count of the
    call that it was first seen in, where the tokenizer tells it, as all fast ones do.

    Args:
        model: a name such as `lightonai/LateOn`, a folder, or a `MultiVectorEncoder` that is loaded already; that is
            told by its values, in float32 or float16 (bfloat16 is another), so that an index filled with it is searched
            with it, and not with its name.
        revision: branch, tag or commit on the hub.
        dim: keep the first values of each row only and scale it to length 1 again; for models that were trained for it
            (Matryoshka).
        document_length: tokens of a document that are kept, where the model takes more than it was saved with. An index
            has to be searched with the same.
        device: `cpu`, `cuda`, `mps`, …; the best there is if left out.
        precision: what the model computes in; its own on an accelerator and float32 on a CPU if left out. Rows come out
            as float16 from float16, else as float32.
        trust_remote_code: run code that comes with the model. It can do anything that you can.
        tokens_per_batch: padded tokens in one batch at most; more only for a single text that is longer.

    Raises:
        ConfigurationError: no such model, no late-interaction model, one that is not whole, code that was not allowed,
            or `dim` above its own.
        MissingDependency: the extra `text` is not installed; or peft, for an adapter.
    """

    document_kind: DocumentKind = "text"

    def __init__(
        self,
        model: str | Path | MultiVectorEncoder,
        *,
        revision: str | None = None,
        dim: int | None = None,
        document_length: int | None = None,
        device: str | None = None,
        precision: Precision | None = None,
        trust_remote_code: bool = False,
        tokens_per_batch: int | None = None,
    ) -> None:
        needs("torch", "transformers", "sentence_transformers", extra="text")
        checkpoint = None
        if isinstance(model, (str, Path)):
            checkpoint = resolve(model, revision=revision)
            model = loaded(checkpoint, device=device, precision=precision, trust_remote_code=trust_remote_code)
        elif device is not None:
            model.to(device)
        check_adapted(model)
        check_tokenizer(model.tokenizer, checkpoint.name if checkpoint is not None else type(model).__name__)
        if document_length is not None:
            _lengthen(model, document_length)
        self._model = model.eval()
        self._recipe = Recipe.of(model)
        self._lock = threading.Lock()
        self._told: set[Task] = set()
        self._budget = tokens_per_batch or TOKENS_PER_BATCH.get(model.device.type, TOKENS_PER_BATCH_ELSEWHERE)
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

    @property
    def tokens_per_batch(self) -> int:
        """Padded tokens in one batch."""
        return self._budget

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
        check_texts(texts)
        results: dict[int, Encoding] = {}
        cut = 0
        waiting: deque[_Batch] = deque()
        with self._lock:  # the tokenizer keeps state, and a device gains nothing from two batches at once
            inputs = (made for places in self._batches(texts, task) for made in self._inputs(texts, places, task))
            for places, features in inputs:
                batch = self._started(places, features, task)
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
        sizes = [len(text.encode(errors="surrogatepass")) for text in texts]
        batch: list[int] = []
        width = 1
        for at in sorted(range(len(texts)), key=lambda at: -sizes[at]):
            if not batch:
                width = cap if fixed else min(cap, sizes[at] // BYTES_PER_TOKEN + 8)
            batch.append(at)
            if (len(batch) + 1) * width > self._budget:
                yield batch
                batch = []
        if batch:
            yield batch

    def _inputs(
        self, texts: Sequence[str], places: list[int], task: Task
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """What the model takes for the texts at these places, in halves if their tokens exceed the budget."""
        batch = [texts[at] for at in places]
        features = self._model.preprocess(batch, prompt=self._recipe.prompts[task], task=task)
        ids = features.get("input_ids")
        if len(places) > 1 and ids is not None and ids.numel() > self._budget:
            half = len(places) // 2
            yield from self._inputs(texts, places[:half], task)
            yield from self._inputs(texts, places[half:], task)
        else:
            yield places, features

    def _started(self, places: list[int], features: dict[str, Any], task: Task) -> _Batch:
        import torch  # noqa: PLC0415 - an extra
        from sentence_transformers.util import batch_to_device  # noqa: PLC0415

        encodings = getattr(features, "encodings", None)
        ids = features.get("input_ids")
        features = batch_to_device(features, self.device)
        with torch.inference_mode():
            features = self._model(features, task=task)
            rows = self._shaped(features["token_embeddings"])
            mask = features["attention_mask"].bool()
            there = rows.device.type == "cuda"  # elsewhere a copy that does not block may be read before it is whole
            host = rows.to("cpu", non_blocking=there), mask.to("cpu", non_blocking=there)
            event = torch.cuda.current_stream(rows.device).record_event() if there else None
        return _Batch(places, *host, event, ids, encodings, len(self._recipe.prompts[task] or ""))

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
        weights = digest(checkpoint) if checkpoint is not None else None
        return {
            "kind": "sentence-transformers",
            "dim": self.dim,
            "weights": weights or _told_apart(self._model),
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


def _told_apart(model: MultiVectorEncoder) -> str:
    """What tells the weights of a model from any others where no files do, by some values of each tensor.

    They are taken as float16, so that half precision is the same model. Poolers are left out: they are drawn at random
    where the files have none, and make no rows.
    """
    told = hashlib.sha256()
    for name, values in sorted(model.state_dict().items()):
        if "pooler" not in name:
            some = values.flatten()[:: max(1, values.numel() // VALUES)].half().cpu()
            told.update(f"{name} {tuple(values.shape)}\n".encode())
            told.update(some.numpy().tobytes())
    return told.hexdigest()[:32]


def _lengthen(model: MultiVectorEncoder, document_length: int) -> None:
    first: Any = model[0]
    longest = model.max_seq_length
    if document_length < 4 or (longest is not None and document_length > longest):
        raise errors.ConfigurationError(
            f"document_length {document_length} is not from 4 to {longest}, which is what the model can take."
        )
    first.document_length = document_length


def _span(span: tuple[int, int], prompt: int) -> tuple[int, int] | tuple[None, None]:
    """Characters of the text, without the prompt before it; none for what stands for no character of it."""
    start, end = span
    return (max(0, start - prompt), end - prompt) if end > max(start, prompt) else (None, None)
