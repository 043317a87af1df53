"""Which encoder a command uses: the one that is named, or the one that the index was made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

import lateint
from lateint import errors
from lateint.encoders import Encoder
from lateint.encoders.base import MADE_WITH
from lateint.encoders.names import HASHING

Command = TypeVar("Command", bound=Callable[..., Any])

LOADED = {"sentence-transformers", "vision"}
"""Kinds of encoders that a name or folder is enough for."""

_NAME = (
    "A late-interaction model on the hub, a folder that holds one, or 'hashing', which needs none; "
    "the one that the index was made with if left out."
)


def encoder_options(command: Command) -> Command:
    """Let a command take `--encoder` and `--trust-remote-code`."""
    trust = click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model.")
    return click.option("--encoder", metavar="NAME", help=_NAME)(trust(command))


def encoder_for(index: lateint.Index, chosen: str | None, *, trust_remote_code: bool = False) -> Encoder:
    """The encoder for an index.

    Raises:
        ConfigurationError: the index does not say which it is, or it cannot be run from the command line.
    """
    made_with = index.spec.encoder or {}
    kind = made_with.get("kind")
    if chosen == HASHING or (chosen is None and kind == HASHING):
        return lateint.encoder(HASHING, dim=index.spec.dim)
    dim = made_with["dim"] if made_with.get("dim") == index.spec.dim and kind in LOADED else None
    if chosen is not None:
        return lateint.encoder(chosen, dim=dim, trust_remote_code=trust_remote_code)
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
    return lateint.encoder(name, revision=revision, dim=dim, trust_remote_code=trust_remote_code)


def _origin(fingerprint: Mapping[str, Any]) -> tuple[str, str | None]:
    """Name and commit of a model on the hub; no commit for one in a folder."""
    part = fingerprint.get(MADE_WITH, {})
    return str(part.get("model")), part.get("revision")
