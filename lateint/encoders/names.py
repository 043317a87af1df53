"""From the name of an encoder to the encoder."""

from __future__ import annotations

from pathlib import Path

from lateint import errors
from lateint.encoders.base import Encoder
from lateint.encoders.checkpoint import Precision, resolve
from lateint.encoders.hashing import HashingEncoder
from lateint.encoders.page_models import PAGE_MODELS

HASHING = "hashing"


def encoder(
    name: str | Path,
    *,
    revision: str | None = None,
    dim: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    document_length: int | None = None,
    image_tokens_only: bool = False,
    trust_remote_code: bool = False,
) -> Encoder:
    """Load an encoder.

    Args:
        name: a model on the hub, such as `lightonai/LateOn` or `vidore/colpali-v1.3-hf`; a folder that holds one; or
            `hashing`, which needs no weights.
        revision: branch, tag or commit on the hub.
        dim: values per row, fewer than the model's own; for models that were trained to be cut (Matryoshka).
        device: `cpu`, `cuda`, `mps`, …; the best there is if left out.
        precision: what the model computes in; its own on an accelerator and float32 on a CPU if left out.
        document_length: tokens of a text that are kept, where the model takes more than it was saved with. An index has
            to be searched with the same.
        image_tokens_only: leave out the rows of the prompt around the image of a page; likewise.
        trust_remote_code: run code that comes with the model, if there is any. It can do anything that you can.

    Returns:
        A `HashingEncoder`, a `VisionEncoder` for page images, or a `SentenceTransformersEncoder` for text.

    Raises:
        ConfigurationError: no such model, not one that can be used, or an option that is not for it; says what to do.
        MissingDependency: the extra that it needs is not installed.
    """
    if name == HASHING:
        _refuse(
            "hashing has no weights",
            revision=revision,
            device=device,
            precision=precision,
            document_length=document_length,
            image_tokens_only=image_tokens_only,
        )
        return HashingEncoder() if dim is None else HashingEncoder(dim)
    checkpoint = resolve(name, revision=revision)
    if checkpoint.architecture in PAGE_MODELS:
        _refuse(f"model {checkpoint.name!r} takes images of pages", document_length=document_length)
        from lateint.encoders.vision import VisionEncoder  # noqa: PLC0415 - heavy

        return VisionEncoder(
            name,
            revision=checkpoint.revision,
            dim=dim,
            device=device,
            precision=precision,
            image_tokens_only=image_tokens_only,
        )
    _refuse(f"model {checkpoint.name!r} takes texts", image_tokens_only=image_tokens_only)
    from lateint.encoders.sentence_transformers import SentenceTransformersEncoder  # noqa: PLC0415 - heavy

    return SentenceTransformersEncoder(
        name,
        revision=checkpoint.revision,
        dim=dim,
        document_length=document_length,
        device=device,
        precision=precision,
        trust_remote_code=trust_remote_code,
    )


def _refuse(reason: str, **options: object) -> None:
    if given := [name for name, value in options.items() if value]:
        raise errors.ConfigurationError(f"{reason}: {', '.join(given)} would do nothing.", hint="Leave it out.")
