"""Which encoder a command uses: the one that is named, or the one that the index was made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

import lateint
from lateint import errors
from lateint.encoders import Encoder
from lateint.encoders.base import MADE_WITH
from lateint.encoders.checkpoint import Precision
from lateint.encoders.names import HASHING
from lateint.retriever import check_encoder_of

LOADED = {"sentence-transformers", "vision"}
"""Kinds of encoders that a name or folder is enough for."""

_NAME = (
    "A late-interaction model on the hub, a folder that holds one, or 'hashing', which needs none; "
    "the one that the index was made with if left out."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a user said of the encoder.

    Attributes:
        name: None for the one that the index was made with.
        device: as for `lateint.encoder`, like the others.
        precision: likewise.
        trust_remote_code: likewise.
    """

    name: str | None
    device: str | None
    precision: Precision | None
    trust_remote_code: bool


def encoder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take an encoder; it is given a `Chosen` as `encoder`."""

    @wraps(command)
    def chosen(
        *,
        encoder: str | None,
        device: str | None,
        precision: Precision | None,
        trust_remote_code: bool,
        **others: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        told = Chosen(name=encoder, device=device, precision=precision, trust_remote_code=trust_remote_code)
        return command(encoder=told, **others)

    for option in (
        click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model."),
        click.option(
            "--precision",
            type=click.Choice(["float32", "float16", "bfloat16"]),
            help="What the model computes in; its own on an accelerator and float32 on a CPU if left out.",
        ),
        click.option("--device", help="Where the model runs: cpu, cuda, mps, …; the best there is if left out."),
        click.option("--encoder", metavar="NAME", help=_NAME),
    ):
        chosen = option(chosen)
    return chosen


def encoder_for(index: lateint.Index, chosen: Chosen) -> Encoder:
    """The encoder for an index, told what the index says of its own: dimension, documents' length, which rows are kept.

    Raises:
        ConfigurationError: the index does not say which it is, or it cannot be run from the command line.
    """
    made_with = index.spec.encoder or {}
    kind = made_with.get("kind")
    how: dict[str, Any] = {
        "device": chosen.device,
        "precision": chosen.precision,
        "trust_remote_code": chosen.trust_remote_code,
    }
    if chosen.name == HASHING or (chosen.name is None and kind == HASHING):
        return lateint.encoder(HASHING, dim=index.spec.dim, **how)
    how |= _told(made_with, index.spec.dim)
    if chosen.name is not None:
        return lateint.encoder(chosen.name, **how)
    if not made_with:
        raise errors.ConfigurationError(
            f"index {index.name!r} does not say which encoder made its vectors.",
            hint="Pass it as --encoder, or use lateint.Retriever(index, encoder) from Python.",
        )
    if kind not in LOADED:
        raise errors.ConfigurationError(
            f"index {index.name!r} was made with {dict(made_with)}, which the command line cannot run.",
            hint="Use lateint.Retriever(index, encoder) from Python.",
        )
    name, revision = _origin(made_with)
    if revision is None:
        raise errors.ConfigurationError(
            f"index {index.name!r} was made with {name!r}, a model in a folder.",
            hint="Pass the folder as --encoder.",
        )
    return lateint.encoder(name, revision=revision, **how)


def checked_encoder(index: lateint.Index, chosen: Chosen) -> Encoder:
    """As `encoder_for`, compared with the one that the index was made with.

    Raises:
        EncoderMismatch: names the parts that differ.
    """
    encoder = encoder_for(index, chosen)
    check_encoder_of(index, encoder)
    return encoder


def _told(fingerprint: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """What an encoder has to be told beside its name to be the one that the index was made with."""
    if fingerprint.get("kind") not in LOADED or fingerprint.get("dim") != dim:
        return {}
    document = fingerprint.get("document")
    length = document.get("length") if isinstance(document, Mapping) else None
    return {
        "dim": dim,
        **({"document_length": length} if length is not None else {}),
        **({"image_tokens_only": True} if fingerprint.get("image_tokens_only") else {}),
    }


def _origin(fingerprint: Mapping[str, Any]) -> tuple[str, str | None]:
    """Name and commit of a model on the hub; no commit for one in a folder."""
    part = fingerprint.get(MADE_WITH, {})
    return str(part.get("model")), part.get("revision")
