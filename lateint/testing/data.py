"""Multi-vectors made to break adapters: small, deterministic, each set with the mistake that it catches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateint.types import Document
from lateint.vectors import MultiVector

DIM = 8


def rows(random: np.random.Generator, count: int, dim: int = DIM) -> MultiVector:
    """Rows in every direction, not normalised: lengths from about 1/10 to 10."""
    lengths = 10.0 ** random.uniform(-1, 1, (count, 1))
    return (random.standard_normal((count, dim)) * lengths).astype(np.float32)


def query(dim: int = DIM, *, count: int = 5, seed: int = 77) -> MultiVector:
    """One query of `count` rows."""
    return rows(np.random.default_rng(seed), count, dim)


def ragged(count: int = 40, dim: int = DIM, *, seed: int = 1) -> list[Document]:
    """Documents of 1 to 9 rows: a batch of them cannot be one array without padding."""
    random = np.random.default_rng(seed)
    return [
        Document(f"ragged-{number:04d}", rows(random, 1 + number * 7 % 9, dim), {"position": number})
        for number in range(count)
    ]


def opposed(dim: int = DIM, *, count: int = 24) -> tuple[MultiVector, list[Document]]:
    """A query, and documents all of whose similarities with it are negative.

    A row of zeros, put in by padding or by a mask, scores 0 and wins over every true row.
    """
    random = np.random.default_rng(2)
    positive = np.abs(rows(random, 4, dim)) + np.float32(0.05)
    documents = [
        Document(f"opposed-{number:02d}", -np.abs(rows(random, 1 + number % 7, dim)) - np.float32(0.05))
        for number in range(count)
    ]
    return positive, documents


def tied(dim: int = DIM, *, groups: int = 4, size: int = 7) -> list[Document]:
    """Groups of documents with equal rows, interleaved: any cut at `k` falls into a tie."""
    random = np.random.default_rng(3)
    shapes = [rows(random, 2 + group, dim) for group in range(groups)]
    return [
        Document(f"tied-{member}-{group}", shapes[group].copy(), {"group": group})
        for member in range(size)
        for group in range(groups)
    ]


def one_token(dim: int = DIM, *, count: int = 2 * DIM) -> list[Document]:
    """Documents of one row, the unit axes and their negatives: the shape where a dimension is easily dropped."""
    axes = np.eye(dim, dtype=np.float32)
    signs = [(number, np.float32(-1 if number // dim % 2 else 1)) for number in range(count)]
    return [Document(f"one-{number:02d}", axes[number % dim : number % dim + 1] * sign) for number, sign in signs]


def repeated(dim: int = DIM) -> list[Document]:
    """The same rows once, twice and twenty times: MaxSim does not see the difference, a mean or a set does."""
    base = rows(np.random.default_rng(4), 3, dim)
    return [Document(f"repeated-{times:02d}", np.tile(base, (times, 1))) for times in (1, 2, 20)]


def adversarial(dim: int = DIM) -> list[Document]:
    """All of the above in one index."""
    return [*ragged(30, dim), *opposed(dim)[1], *tied(dim), *one_token(dim), *repeated(dim)]


def near_rounding(dim: int = 64) -> MultiVector:
    """One row that float16 and bfloat16 round upwards in every value, so that the errors add up in a dot product."""
    return np.full((1, dim), 1 + 0.75 * 2.0**-11, dtype=np.float32) + np.float32(0.75 * 2.0**-8)


def heavy(name: str, size: int, *, version: int, dim: int = 128) -> Document:
    """A document of about `size` bytes, all of whose rows say which version it is."""
    axis: NDArray[np.float32] = np.zeros(dim, dtype=np.float32)
    axis[version % dim] = 1
    return Document(name, np.tile(axis, (max(1, size // (4 * dim)), 1)), {"version": version})


def same_bits(left: MultiVector, right: MultiVector) -> bool:
    """Equal in every bit, so that 0.0 and -0.0 differ."""
    return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()


def same_payload(left: Any, right: Any) -> bool:  # noqa: ANN401
    """Equal in value, type, zone and sign: `1`, `1.0` and `True` differ, and so do one instant in two zones."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same_payload(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same_payload, left, right))
    if hasattr(left, "utcoffset"):
        return bool(left == right and left.utcoffset() == right.utcoffset())
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)
