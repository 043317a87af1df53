"""Load a text model with sentence-transformers, or say why it must not be used."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lateint import errors
from lateint.encoders.checkpoint import Checkpoint, Precision

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

_REPORTED_MISSING = re.compile(r"^(\S+)\s*\|.*\bMISSING\b", re.MULTILINE)

_LATE = {"ColBERT", "MultiVectorEncoder"}
_PYLATE_KEYS = {"query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens", "skiplist_words"}


def loaded(
    checkpoint: Checkpoint, *, device: str | None, precision: Precision | None, trust_remote_code: bool
) -> MultiVectorEncoder:
    """Load a model that makes a vector per token.

    Raises:
        ConfigurationError: it is of another kind, lacks weights, cannot be loaded, or has code that was not allowed.
        MissingDependency: sentence-transformers is too old.
    """
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
