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

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.scoring.rounding import from_bfloat16_bits
from lateint.vectors import MultiVector

_NEEDED = {"tokens", "offsets", "ids"}
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
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
    offsets: NDArray[Any]
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
    try:
        found, bfloat16 = _safetensors(path) if path.suffix == ".safetensors" else (_npz(path), False)
        _check_names(set(found))
        ids = _lines(found["ids"])
        payload = _lines(found["payload"]) if "payload" in found else []
        _check_shapes(found["tokens"], found["offsets"], ids, payload, bfloat16=bfloat16)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise errors.InvalidInput(f"{path}: {error}.", hint=_LAYOUT) from error
    return Arrays(found["tokens"], found["offsets"], ids, payload, bfloat16)


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    opened = np.load(path, allow_pickle=False)
    if not isinstance(opened, np.lib.npyio.NpzFile):
        raise ValueError("one array, not an npz archive of several")  # noqa: TRY004 - about the file, not about an argument
    with opened:
        return {name: opened[name] for name in opened}


def _safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], bool]:
    """Map the arrays of a file: eight bytes of length, a JSON header with types, shapes and places, then the data."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            raise ValueError("not a safetensors file")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file")  # noqa: TRY004 - about the file, not about an argument
    data = np.memmap(path, np.uint8, "r", offset=8 + length) if size > 8 + length else np.empty(0, np.uint8)
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    bfloat16 = entries.get("tokens", {}).get("dtype") == "BF16"
    return {name: _mapped(data, name, entry) for name, entry in entries.items()}, bfloat16


def _mapped(data: NDArray[np.uint8], name: str, entry: dict[str, Any]) -> NDArray[Any]:
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"array {name!r} has type {entry['dtype']}")
    first, last = entry["data_offsets"]
    return data[first:last].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


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
    tokens: NDArray[Any], offsets: NDArray[Any], ids: list[str], payload: list[str], *, bfloat16: bool
) -> None:
    faults = {
        f"tokens of shape {tokens.shape}": tokens.ndim != 2,
        f"tokens of type {tokens.dtype}": tokens.dtype.kind != "f" and not bfloat16,
        f"offsets of type {offsets.dtype} and shape {offsets.shape}": offsets.dtype.kind != "i" or offsets.ndim != 1,
    }
    if not any(faults.values()):
        faults = {
            f"{len(ids)} ids for {len(offsets)} offsets": len(offsets) != len(ids) + 1,
            f"{len(payload)} payloads for {len(ids)} ids": bool(payload) and len(payload) != len(ids),
            "offsets that go back": bool((np.diff(offsets) < 0).any()),
            f"offsets that do not run from 0 to {len(tokens)}": offsets[:1] != [0] or offsets[-1:] != [len(tokens)],
        }
    for fault, found in faults.items():
        if found:
            raise ValueError(fault)
