"""Indexes that tests share: to make one takes some engines longer than all that a test does with it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from lateint.client import Client
from lateint.types import Document


class Shelf:
    """The indexes of a class of tests, by what is in them. Each test leaves them as it finds them."""

    def __init__(self) -> None:
        self._prefix = f"conformance-shared-{secrets.token_hex(4)}"
        self._names: dict[str, str] = {}
        self._made = 0

    def name(self) -> str:
        """A new name for an index."""
        self._made += 1
        return f"{self._prefix}-{self._made}"

    def find(self, documents: Sequence[Document], spec: Mapping[str, Any]) -> str | None:
        """Name of the index with these documents; None if there is none."""
        return self._names.get(_content(documents, spec))

    def put(self, name: str, documents: Sequence[Document], spec: Mapping[str, Any]) -> None:
        """Let others have an index."""
        self._names[_content(documents, spec)] = name

    def clear(self) -> None:
        """Let nobody have any more what is here: a test failed, and nobody knows what it left."""
        self._names.clear()

    def drop(self, client: Client) -> None:
        """Drop all that was ever made."""
        for name in client.list_indexes() if self._made else ():
            if name.startswith(self._prefix):
                client.drop_index(name)


def _content(documents: Sequence[Document], spec: Mapping[str, Any]) -> str:
    digest = sha256(repr(sorted(spec.items())).encode())
    for each in documents:
        digest.update(repr((each.id, np.shape(each.vectors), each.payload)).encode())
        digest.update(np.asarray(each.vectors, np.float64).tobytes())
    return digest.hexdigest()
