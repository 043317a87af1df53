"""Multi-vectors between NumPy and Vespa's JSON: no float of them ever becomes a Python object. No I/O.

Vespa takes and gives the rows of a tensor as hexadecimal text, the cells big-endian, each row under its label. Labels
are the numbers of the rows, in as few digits as possible, for which Vespa has a fast path. All rows whose labels have
as many digits are one matrix of bytes, made by one strided copy.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.scoring import from_bfloat16_bits, to_bfloat16_bits
from lateint.vectors import MultiVector
from lateint_vespa.schema import Cells


def blocks(vectors: MultiVector, cells: Cells) -> list[bytes | memoryview]:
    """A tensor as JSON, `{"blocks":{"0":"…","1":"…"}}`, in pieces that are to be joined with what is around them.

    Args:
        vectors: float32, shape (rows, dim), at least one row; finite, also after rounding.
        cells: of the tensor. float32 is kept, rounded to nearest-even for bfloat16, and one bit is left of it for bits.

    Raises:
        NonFiniteVector: no finite bfloat16.
    """
    parts: list[bytes | memoryview] = [b'{"blocks":{']
    table = np.frombuffer(binascii.hexlify(_cells(vectors, cells)), np.uint8).reshape(len(vectors), -1)
    start, digits = 0, 1
    while start < len(table):
        rows = table[start : 10**digits]
        labels = _labels(digits)
        width = labels.shape[1]
        matrix = np.empty((len(rows), width + rows.shape[1] + 2), np.uint8)
        matrix[:, :width] = labels[: len(rows)]
        matrix[:, width:-2] = rows
        matrix[:, -2:] = _AFTER
        parts.append(matrix.reshape(-1).data)
        start, digits = 10**digits, digits + 1
    parts[-1] = parts[-1][:-1]  # the comma
    return [*parts, b"}}"]


def rows(tensor: Any, *, cells: Cells, width: int) -> MultiVector:  # noqa: ANN401 - of JSON
    """The multi-vector in a tensor that Vespa wrote, in hexadecimal or, as older servers do, in decimals.

    Args:
        tensor: its JSON.
        cells: of the tensor.
        width: cells in each row.

    Returns:
        float32, shape (rows, dim): for bits, 0.0 and 1.0. No rows if the tensor has none.

    Raises:
        UnexpectedResponse: another tensor, or rows whose labels are not the numbers from 0.
    """
    found = tensor.get("blocks") if isinstance(tensor, Mapping) else None
    if not isinstance(found, Mapping):
        raise _unexpected(f"{tensor!s:.80} is not a tensor of rows")
    try:
        ordered = [found[str(number)] for number in range(len(found))]
    except KeyError as error:
        raise _unexpected(f"{len(found)} rows, and none of number {error}") from None
    if ordered and isinstance(ordered[0], list):
        return _from_decimals(ordered, cells, width)
    try:
        lengths = set(map(len, ordered))
        data = binascii.unhexlify("".join(ordered))
    except (ValueError, TypeError) as error:
        raise _unexpected(f"a row is not hexadecimal: {error}") from error
    if not lengths <= {width * cells.hex_digits}:
        raise _unexpected(f"rows have {sorted(lengths)} digits, not {width} cells of {cells} each")
    return _widened(np.frombuffer(data, _STORED[cells]).reshape(len(ordered), width), cells)


_STORED = {Cells.FLOAT: ">f4", Cells.BFLOAT16: ">u2", Cells.BITS: "u1"}
_AFTER = np.frombuffer(b'",', np.uint8)


@lru_cache(maxsize=8)
def _labels(digits: int) -> NDArray[np.uint8]:
    """What stands before each row whose number has so many digits: `"17":"`, one below the other."""
    numbers = range(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
    text = "".join(f'"{number}":"' for number in numbers).encode()
    return np.frombuffer(text, np.uint8).reshape(len(numbers), -1)


def _cells(vectors: MultiVector, cells: Cells) -> Any:  # noqa: ANN401 - a buffer
    match cells:
        case Cells.FLOAT:
            return vectors.astype(">f4", order="C").data
        case Cells.BFLOAT16:
            return to_bfloat16_bits(vectors).astype(">u2").data
    return np.packbits(vectors > 0, axis=1).data


def _widened(stored: NDArray[Any], cells: Cells) -> MultiVector:
    match cells:
        case Cells.FLOAT:
            return stored.astype(np.float32)
        case Cells.BFLOAT16:
            return from_bfloat16_bits(stored.astype(np.uint16))
    return np.unpackbits(stored, axis=1).astype(np.float32)


def _from_decimals(ordered: list[Any], cells: Cells, width: int) -> MultiVector:
    try:
        values = np.array(ordered, np.float32)
    except (ValueError, TypeError) as error:
        raise _unexpected(f"rows are not numbers of one length: {error}") from error
    if values.shape != (len(ordered), width):
        raise _unexpected(f"rows of shape {values.shape}, not of {width} cells each")
    return _widened(values.astype(np.int8).view(np.uint8), cells) if cells is Cells.BITS else values


def _unexpected(what: str) -> errors.UnexpectedResponse:
    return errors.UnexpectedResponse(f"a multi-vector could not be read: {what}.", hint="Something else wrote it.")
