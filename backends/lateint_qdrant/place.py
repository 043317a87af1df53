"""A store of Qdrant's, and how it is spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Speech(StrEnum):
    """How calls reach a store; the value is what to show of it."""

    GRPC = "gRPC"
    REST = "REST"
    LOCAL = "none"
    """The client's local mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A store.

    Attributes:
        backend: name of what speaks to it.
        location: what to show of it.
        speech: how it is spoken to.
        timeout_s: seconds for one call.
        secret: a key that must not be shown.
    """

    backend: str
    location: str
    speech: Speech
    timeout_s: float
    secret: str | None = field(default=None, repr=False)
