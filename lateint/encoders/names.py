"""From the name of an encoder to the encoder."""

from __future__ import annotations

from pathlib import Path

from lateint.encoders.base import Encoder
from lateint.encoders.checkpoint import Precision, resolve
from lateint.encoders.hashing import HashingEncoder

HASHING = "hashing"

PAGES = {"ColPaliForRetrieval", "ColQwen2ForRetrieval", "ColModernVBertForRetrieval"}
"""Models of transformers that take images of pages."""


def encoder(
    name: str | Path,
    *,
    revision: str | None = None,
    dim: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
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
        trust_remote_code: run code that comes with the model. It can do anything that you can.

    Returns:
        A `HashingEncoder`, a `VisionEncoder` for page images, or a `SentenceTransformersEncoder` for text.

    Raises:
        ConfigurationError: no such model, or not one that can be used; says what to do.
        MissingDependency: the extra that it needs is not installed.
    """
    if name == HASHING:
        return HashingEncoder() if dim is None else HashingEncoder(dim)
    checkpoint = resolve(name, revision=revision)
    if checkpoint.architecture in PAGES:
        from lateint.encoders.vision import VisionEncoder  # noqa: PLC0415 - heavy

        return VisionEncoder(name, revision=revision, dim=dim, device=device, precision=precision)
    from lateint.encoders.sentence_transformers import SentenceTransformersEncoder  # noqa: PLC0415 - heavy

    return SentenceTransformersEncoder(
        name,
        revision=revision,
        dim=dim,
        device=device,
        precision=precision,
        trust_remote_code=trust_remote_code,
    )
