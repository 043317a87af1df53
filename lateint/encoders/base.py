"""What an encoder must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lateint.vectors import MultiVector


class Encoder(Protocol):
    """Turns text into multi-vectors: float32, one row per token.

    Queries and documents have a method each, because most late-interaction models encode them differently.
    """

    @property
    def dim(self) -> int:
        """Values per row."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """JSON-like data that tells this encoder from every other: equal fingerprints, equal vectors."""

    def encode_queries(self, texts: Sequence[str]) -> list[MultiVector]:
        """One array of shape (tokens, dim) per text, in the same order."""

    def encode_documents(self, texts: Sequence[str]) -> list[MultiVector]:
        """One array of shape (tokens, dim) per text, in the same order."""
