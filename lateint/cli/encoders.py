"""Which encoder a command uses: the one that the index names, where it can be run from here."""

from __future__ import annotations

import click

import lateint
from lateint import errors
from lateint.encoders import HashingEncoder

HASHING = "hashing"

encoder_option = click.option(
    "--encoder",
    type=click.Choice([HASHING]),
    help="Encoder of the texts; the one that the index was made with if left out.",
)


def encoder_for(index: lateint.Index, chosen: str | None) -> HashingEncoder:
    """The encoder for an index.

    Raises:
        ConfigurationError: the index does not say which it is, or it cannot be run from the command line.
    """
    made_with = index.spec.encoder
    if chosen == HASHING or (made_with is not None and made_with.get("kind") == HASHING):
        return HashingEncoder(index.spec.dim)
    if made_with is None:
        raise errors.ConfigurationError(
            f"index {index.name!r} does not say which encoder made its vectors.",
            hint="Pass --encoder hashing if it was that one, or use lateint.Retriever(index, encoder) from Python.",
        )
    raise errors.ConfigurationError(
        f"index {index.name!r} was made with {made_with}, which the command line cannot run.",
        hint="Use lateint.Retriever(index, encoder) from Python.",
    )
