"""Load a text model with sentence-transformers, or say why it must not be used."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lateint import errors
from lateint.encoders.checkpoint import COLPALI_ENGINE_HINT, Checkpoint, Precision
from lateint.encoders.recipe import PROBE

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

_ONE_AT_A_TIME = threading.Lock()
_LATE = {"ColBERT", "MultiVectorEncoder"}
_PYLATE_KEYS = {"query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens", "skiplist_words"}


def loaded(
    checkpoint: Checkpoint, *, device: str | None, precision: Precision | None, trust_remote_code: bool
) -> MultiVectorEncoder:
    """Load a model that makes a vector per token.

    Raises:
        ConfigurationError: it is of another kind, lacks weights, cannot be loaded, or has code that was not allowed.
        MissingDependency: sentence-transformers is too old, or the model is an adapter and peft is not there.
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
    with _watched() as reports:
        try:
            model = sentence_transformers.MultiVectorEncoder(
                checkpoint.source,
                device=device,
                revision=checkpoint.revision,
                trust_remote_code=trust_remote_code,
                model_kwargs={"dtype": dtype},
            )
        except Exception as error:  # whatever libraries, and code that came along, say of what they cannot read
            _check_whole(checkpoint, reports)
            if "trust_remote_code" in str(error):
                raise errors.ConfigurationError(
                    f"model {checkpoint.name!r} comes with code of its own, which was not run.",
                    hint="Read that code; then allow it with trust_remote_code=True (--trust-remote-code).",
                ) from error
            raise not_loaded(checkpoint, error) from error
    _check_whole(checkpoint, reports)
    if not reports:
        raise errors.ConfigurationError(
            f"model {checkpoint.name!r} was not loaded by transformers: nothing tells whether its weights are whole.",
            hint="Load it as a MultiVectorEncoder yourself, and pass that.",
        )
    return model


def not_loaded(checkpoint: Checkpoint, error: Exception) -> errors.ConfigurationError:
    """What to say of a model that libraries fail to load."""
    reason = f"{type(error).__name__}: {str(error).strip()}"
    if (base := checkpoint.adapter) is None:
        return errors.ConfigurationError(
            f"model {checkpoint.name!r} cannot be loaded: {reason}",
            hint="Look for missing or broken files in its folder; HF_HUB_OFFLINE keeps them from being downloaded. "
            "It may also be made for other versions of the libraries, or they for other versions of each other.",
        )
    if importlib.util.find_spec("peft") is None:
        return errors.MissingDependency(
            f"model {checkpoint.name!r} is an adapter of {base}, and peft is not installed here.",
            hint="Install it: pip install peft. Or pass the model with the adapter merged into it.",
        )
    return errors.ConfigurationError(
        f"model {checkpoint.name!r}, an adapter of {base}, cannot be loaded: {reason}",
        hint="See that its files are whole, and that the base is to be had where its adapter_config.json says; or "
        "pass the model with the adapter merged into it.",
    )


def check_tokenizer(tokenizer: Any, name: str) -> None:  # noqa: ANN401 - of transformers
    """Refuse a tokenizer without words: transformers makes an empty one where its files are missing.

    Raises:
        ConfigurationError: every word is the same to it, and every text the rows of unknown tokens.
    """
    ids = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    if not set(ids) - set(tokenizer.all_special_ids):
        raise errors.ConfigurationError(
            f"the tokenizer of model {name!r} knows none of the words of a sample text.",
            hint="Look for its files, tokenizer.json first, in the folder of the model; download or save it again.",
        )


def check_adapted(model: Any) -> None:  # noqa: ANN401 - of torch, of whichever library
    """Refuse a LoRA adapter whose weights were not read: it begins as nothing, and the base would pass for the model.

    So do transformers 5.3 to 5.5, and PyLate on top of them, which log it and go on.

    Raises:
        ConfigurationError: there is an adapter, and it changes nothing.
    """
    added = [weights for part, weights in model.named_parameters() if "lora_B" in part or "lora_embedding_B" in part]
    if added and not any(bool(weights.any()) for weights in added):
        raise errors.ConfigurationError(
            "the adapter of this model changes nothing: its weights were not read, or it was never trained.",
            hint="Load it with transformers 5.6 or newer, since those before read none; or merge it into its base with "
            "the versions that it was trained with, and load that.",
        )


@contextmanager
def _watched() -> Iterator[list[Any]]:
    """What transformers knows, while it loads, of weights that it did not find. It would tell a log, and go on."""
    from transformers import modeling_utils  # noqa: PLC0415 - an extra
    from transformers.integrations import peft  # noqa: PLC0415

    reports: list[Any] = []
    silent = logging.getLogger(f"{__name__}.unheard")
    silent.setLevel(logging.CRITICAL)
    places: tuple[Any, Any] = (modeling_utils, peft)
    thread = threading.get_ident()
    with _ONE_AT_A_TIME:
        original = places[0].log_state_dict_report

        def told(*args: Any, **named: Any) -> None:  # noqa: ANN401 - as in transformers
            if threading.get_ident() != thread:
                original(*args, **named)
                return
            reports.append(named["loading_info"])
            original(*args, **{**named, "logger": silent})

        for place in places:
            place.log_state_dict_report = told
        try:
            yield reports
        finally:
            for place in places:
                place.log_state_dict_report = original


def _check_whole(checkpoint: Checkpoint, reports: list[Any]) -> None:
    """Refuse weights that are random: missing in the files, or of another shape there."""
    lacking = {name for report in reports for name in report.missing_and_mismatched()}
    # A pooler makes one vector of a text: checkpoints of this kind never have one, and nothing here uses it.
    missing = sorted(name for name in lacking if "pooler" not in name)
    if missing:
        raise errors.ConfigurationError(
            f"the files of model {checkpoint.name!r} lack weights, and random ones would take their place: "
            f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}.",
            hint="Download or save it again, whole."
            if checkpoint.adapter is None
            else "Save the adapter again, whole; or install transformers 5.6 or newer: those before read no adapters.",
        )


def _check_late(checkpoint: Checkpoint) -> None:
    """Refuse pages, and what sentence-transformers would make late-interaction by adding random weights."""
    if checkpoint.of_colpali_engine:
        raise errors.ConfigurationError(
            f"model {checkpoint.name!r} ({checkpoint.architecture}) was saved by colpali-engine.",
            hint=COLPALI_ENGINE_HINT,
        )
    if checkpoint.architecture.endswith("ForRetrieval"):
        raise errors.ConfigurationError(
            f"model {checkpoint.name!r} ({checkpoint.architecture}) takes pages, not texts: its queries would come out "
            "without its prompt.",
            hint="Use lateint.encoders.vision.VisionEncoder, which names the classes it takes.",
        )
    settings = checkpoint.read_json("config_sentence_transformers.json") or {}
    late = (
        checkpoint.architecture == "HF_ColBERT"
        or settings.get("model_type") in _LATE
        or not _PYLATE_KEYS.isdisjoint(settings)
    )
    if not late:
        raise errors.ConfigurationError(
            f"model {checkpoint.name!r} is no late-interaction model: nothing in it makes a vector per token.",
            hint="Choose a ColBERT-like one. One of your own making can be passed as a MultiVectorEncoder.",
        )
