"""Multi-vectors in files.

`.npz` and `.safetensors` files hold the same arrays:

    tokens    (rows, dim)        float32, float16, or bfloat16 in safetensors: the rows of all documents in turn
    offsets   (documents + 1,)   integers: document i has the rows from offsets[i] up to offsets[i + 1]
    ids       (documents,)       one id per document
    payload   (documents,)       optional: one JSON object per document

`ids` and `payload` are lines of UTF-8 in an array of uint8 or, in npz only, an array of text. A safetensors file is
mapped and read piece by piece, so it may be larger than memory; an npz file is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.cli import containers
from lateint.scoring.rounding import from_bfloat16_bits
from lateint.vectors import MultiVector

_NEEDED = {"tokens", "offsets", "ids"}
_LAYOUT = "`lateint push --help` describes the layout."


@dataclass(frozen=True, slots=True)
class Arrays:
    """A file of multi-vectors, checked.

    Attributes:
        tokens: rows of all documents; bits in uint16 if `bfloat16`.
        offsets: where each document begins and the last one ends.
        ids: one per document.
        payload: JSON text, one per document; empty if the file has none.
        bfloat16: what `tokens` holds.
    """

    tokens: NDArray[Any]
    offsets: NDArray[np.int64]
    ids: list[str]
    payload: list[str]
    bfloat16: bool = False

    @property
    def dim(self) -> int:
        """Values per row."""
        return int(self.tokens.shape[1])

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, MultiVector, str]]:
        """Id, rows and payload of every document."""
        for position, name in enumerate(self.ids):
            rows = self.tokens[self.offsets[position] : self.offsets[position + 1]]
            vectors = from_bfloat16_bits(np.asarray(rows)) if self.bfloat16 else np.asarray(rows, np.float32)
            yield name, vectors, self.payload[position] if self.payload else "{}"


def read(path: Path) -> Arrays:
    """Open a file and check that its arrays fit together.

    Raises:
        InvalidInput: names the file and what is wrong with it.
    """
    load = containers.safetensors if path.suffix == ".safetensors" else containers.npz
    with path.open("rb") as file:
        try:
            found, bfloat16 = load(file)
            _check_names(set(found))
            offsets = _integers(found["offsets"])
            ids = _lines(found["ids"])
            payload = _lines(found["payload"]) if "payload" in found else []
            _check_shapes(found["tokens"], offsets, ids, payload, bfloat16=bfloat16)
        except Exception as error:
            reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            raise errors.InvalidInput(f"{path}: {reason}.", hint=_LAYOUT) from error
    return Arrays(found["tokens"], offsets, ids, payload, bfloat16)


def _integers(offsets: NDArray[Any]) -> NDArray[np.int64]:
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1:
        raise ValueError(f"offsets of type {offsets.dtype} and shape {offsets.shape}")
    if len(offsets) and offsets.max() > np.iinfo(np.int64).max:
        raise ValueError(f"offset {offsets.max()}, which no 64-bit integer holds")
    return offsets.astype(np.int64)


def _lines(array: NDArray[Any]) -> list[str]:
    if array.dtype.kind == "U" and array.ndim == 1:
        return [str(line) for line in array]
    if array.dtype == np.uint8 and array.ndim == 1:
        text = array.tobytes().decode()
        return text.removesuffix("\n").split("\n") if text else []
    raise ValueError(f"text of type {array.dtype} and shape {array.shape}")


def _check_names(names: set[str]) -> None:
    missing, unknown = sorted(_NEEDED - names), sorted(names - _NEEDED - {"payload"})
    if missing or unknown:
        raise ValueError(f"no array {missing[0]!r}" if missing else f"array {unknown[0]!r}, which nothing would read")


def _check_shapes(
    tokens: NDArray[Any], offsets: NDArray[np.int64], ids: list[str], payload: list[str], *, bfloat16: bool
) -> None:
    faults = {
        f"tokens of shape {tokens.shape}": tokens.ndim != 2,
        f"tokens of type {tokens.dtype}": tokens.dtype.kind != "f" and not bfloat16,
    }
    if not any(faults.values()):
        faults = {
            f"{len(ids)} ids for {len(offsets)} offsets": len(offsets) != len(ids) + 1,
            f"{len(payload)} payloads for {len(ids)} ids": bool(payload) and len(payload) != len(ids),
            "offsets that go back": bool((offsets[1:] < offsets[:-1]).any()),
            f"offsets that do not run from 0 to {len(tokens)}": offsets[:1] != [0] or offsets[-1:] != [len(tokens)],
        }
    for fault, found in faults.items():
        if found:
            raise ValueError(fault)
