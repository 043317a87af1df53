"""The arrays in `.npz` and `.safetensors` files; what a file claims is checked before it is believed.

Damaged files make NumPy, zipfile and json raise a dozen kinds of errors: whoever calls has to expect any.
"""

from __future__ import annotations

import os
import zipfile
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lateint.cli.parsing import parsed

_MAX_HEADER_BYTES = 100_000_000  # of the reference implementation of safetensors
_BFLOAT16 = "BF16"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    _BFLOAT16: "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
}


def npz(file: IO[bytes]) -> tuple[dict[str, NDArray[Any]], bool]:
    """Read the arrays of an archive; the second value is `False`: `tokens` are no bits of bfloat16."""
    with zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ValueError("two arrays of one name")
        return {name: _array(archive, member, name) for name, member in members.items()}, False


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
        size = file.tell() + prod(shape) * dtype.itemsize
        if size != member.file_size and not dtype.hasobject:
            raise ValueError(f"array {name!r} of shape {shape} would take {size:,} bytes, not {member.file_size:,}")
        file.seek(0)
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        return array


def safetensors(file: IO[bytes]) -> tuple[dict[str, NDArray[Any]], bool]:
    """Map the arrays of a file, and say whether `tokens` are bits of bfloat16.

    The file is eight bytes of length, a JSON header with types, shapes and places, then the data, without gaps.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    begin = 8 + length
    if size < 10 or not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
        raise ValueError(f"not a safetensors file: no header of {length:,} bytes in {size:,}")
    header = parsed(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file: its header is no JSON object")  # noqa: TRY004 - about the file
    header.pop("__metadata__", None)
    places = {name: _place(name, entry) for name, entry in header.items()}
    end = 0
    for name, (first, last) in sorted(places.items(), key=lambda item: item[1]):
        if first != end:
            raise ValueError(f"array {name!r} begins at byte {first:,} of the data, not at {end:,}")
        end = last
    if end != size - begin:
        raise ValueError(f"its arrays take {end:,} bytes of data, and it has {size - begin:,}")
    data = np.memmap(file, np.uint8, "r", offset=begin) if end else np.empty(0, np.uint8)
    arrays = {
        name: data[first:last].view(_DTYPES[header[name]["dtype"]]).reshape(header[name]["shape"])
        for name, (first, last) in places.items()
    }
    return arrays, "tokens" in header and header["tokens"]["dtype"] == _BFLOAT16


def _place(name: str, entry: object) -> tuple[int, int]:
    """Where an array lies in the data, if that is as long as its type and shape say."""
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [first, last]}:
            if kind not in _DTYPES or (kind == _BFLOAT16 and name != "tokens"):
                raise ValueError(f"array {name!r} has type {kind}")
            numbers = (*shape, first, last)
            if not all(type(number) is int and number >= 0 for number in numbers):
                raise ValueError(f"array {name!r} has shape {shape} at bytes {first!r} to {last!r}")
            size = prod(shape) * np.dtype(_DTYPES[kind]).itemsize
            if size != last - first:
                raise ValueError(f"array {name!r}, {kind} of shape {shape}, takes {size:,} bytes, not {last - first:,}")
            return first, last
    raise ValueError(f"array {name!r} has no type, shape and place")
