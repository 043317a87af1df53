"""What a text model does around its weights: markers, lengths, expansion, what is skipped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense

Task = Literal["query", "document"]

PROBE = "The quick brown Fox, naïve & 東京🙂 can't [jump] over 3.14 lazy dogs?"
"""Tokenised for the fingerprint: two tokenizers that agree here and on their markers are taken for the same."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What happens around the weights, as far as it changes a vector.

    Attributes:
        prompts: what is put before a text.
        lengths: tokens that a text is cut at, before expansion.
        expansion: how queries are filled up; None if they are not.
        skiplist: tokens that get no row.
        skiplist_tasks: of what they get none: documents as a rule.
        kept_ids: the only tokens of documents that get a row; None for all.
        pooling: how rows of documents are merged; None if they are not.
        tokenizer: tells it from others.
        dense: what each dense layer does beside its matrix.
        unit: the model scales rows to length 1.
    """

    prompts: dict[Task, str | None]
    lengths: dict[Task, int | None]
    expansion: dict[str, Any] | None
    skiplist: tuple[str, ...]
    skiplist_tasks: tuple[str, ...]
    kept_ids: tuple[int, ...] | None
    pooling: str | None
    tokenizer: str
    dense: tuple[str, ...]
    unit: bool

    @classmethod
    def of(cls, model: MultiVectorEncoder) -> Recipe:
        """Read it from a model."""
        from sentence_transformers.base.modules import Dense, Normalize  # noqa: PLC0415 - an extra
        from sentence_transformers.multi_vector_encoder.modules import (  # noqa: PLC0415
            BaseTokenPooling,
            MultiVectorMask,
        )

        first: Any = model[0]
        masks = [module for module in model if isinstance(module, MultiVectorMask)]
        kept = [set(mask.keep_only_token_ids) for mask in masks if mask.keep_only_token_ids]
        pools = [module for module in model if isinstance(module, BaseTokenPooling)]
        return cls(
            prompts={
                "query": _prompt(model, "query"),
                "document": _prompt(model, "document", "passage", "corpus"),
            },
            lengths={
                "query": first.query_length or model.max_seq_length,
                "document": first.document_length or model.max_seq_length,
            },
            expansion=dict(first.query_expansion) if first.query_expansion else None,
            skiplist=tuple(sorted({word for mask in masks for word in mask.skiplist_words})),
            skiplist_tasks=tuple(sorted({task for mask in masks for task in mask.skiplist_tasks})),
            kept_ids=tuple(sorted(set.intersection(*kept))) if kept else None,
            pooling="; ".join(f"{type(pool).__name__} {pool.get_config_dict()}" for pool in pools) or None,
            tokenizer=_told(model.tokenizer),
            dense=tuple(_dense(module) for module in model if isinstance(module, Dense)),
            unit=any(
                isinstance(module, Normalize) and module.module_output_name == "token_embeddings" for module in model
            ),
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
            "skiplist_tasks": " ".join(self.skiplist_tasks),
            "kept_ids": None if self.kept_ids is None else " ".join(map(str, self.kept_ids)),
            "pooling": self.pooling,
            "tokenizer": self.tokenizer,
            "dense": "; ".join(self.dense),
            "unit": self.unit,
        }


def _prompt(model: MultiVectorEncoder, *names: str) -> str | None:
    """The first that is set, even to nothing, and else the default: as sentence-transformers chooses."""
    name = next((name for name in names if name in model.prompts), model.default_prompt_name)
    return (name is not None and model.prompts.get(name)) or None


def _dense(layer: Dense) -> str:
    activation = type(layer.activation_function).__name__
    return f"{activation} + residual" if layer.use_residual else activation


def _told(tokenizer: Any) -> str:  # noqa: ANN401 - of transformers
    ids = tokenizer(PROBE)["input_ids"]
    return hashlib.sha256(repr((ids, tokenizer.padding_side)).encode()).hexdigest()[:16]
