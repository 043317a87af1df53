"""What an encoder must be, and what else it may tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rows: TypeAlias = "NDArray[np.float32] | NDArray[np.float16]"
"""A multi-vector as encoders give it: shape (tokens, dim), float32 or float16."""

Score: TypeAlias = Literal["maxsim", "meanmaxsim"]
"""How a model was trained to compare: the sum of the best matches, or that sum divided by the rows of the query."""

DocumentKind: TypeAlias = Literal["text", "image"]

MADE_WITH = "made_with"
"""The part of a fingerprint that may differ between machines: library versions, precision, where a model lies."""


class Encoder(Protocol):
    """Turns queries and documents into multi-vectors.

    Queries and documents have a method each, because most late-interaction models encode them differently. Both give
    rows that stand for something: never a row of padding. An item that cannot be encoded raises `InvalidInput`.
    """

    @property
    def dim(self) -> int:
        """Values per row."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """JSON-like data that tells this encoder from every other: equal fingerprints, equal vectors.

        What may differ without changing a vector by more than rounding stands below `MADE_WITH`: a difference there is
        a warning, any other an error.
        """

    @property
    def max_query_tokens(self) -> int | None:
        """Rows that a query has at most; None if there is no limit."""

    @property
    def score(self) -> Score:
        """What the model was trained to rank by. Engines give the sum; `Retriever` divides where a mean is meant."""

    @property
    def document_kind(self) -> DocumentKind:
        """What `encode_documents` takes."""

    def encode_queries(self, texts: Sequence[str]) -> Sequence[Rows]:
        """One array of shape (tokens, dim) per text, in the same order."""

    def encode_documents(self, items: Sequence[Any]) -> Sequence[Rows]:
        """One array of shape (tokens, dim) per item, in the same order."""


@dataclass(frozen=True, slots=True)
class Token:
    """A row that stands for a token.

    Attributes:
        text: the token, as its tokenizer writes it.
        start: its first character in the text that was encoded; None for a marker, a mask or another special token.
        end: one past its last character, likewise.
    """

    text: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """A row that stands for a part of an image.

    Attributes:
        row: counted from the top.
        column: counted from the left.
        grid: rows and columns that the image was cut into. A model that sees tiles and an overview has two grids.
    """

    row: int
    column: int
    grid: tuple[int, int]


Origin: TypeAlias = Token | Patch


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """A multi-vector and what its rows stand for.

    Attributes:
        vectors: shape (tokens, dim).
        origins: one for each row.
        grid: rows and columns of the finest grid of patches, for an image.
    """

    vectors: Rows
    origins: tuple[Origin, ...]
    grid: tuple[int, int] | None = None


@runtime_checkable
class Tracing(Protocol):
    """An encoder that also tells what each row stands for; the vectors are those of the plain methods."""

    def trace_queries(self, texts: Sequence[str]) -> list[Encoding]:
        """As `encode_queries`, with origins."""

    def trace_documents(self, items: Sequence[Any]) -> list[Encoding]:
        """As `encode_documents`, with origins."""


@runtime_checkable
class Batching(Protocol):
    """An encoder that says how much text it takes at once; a corpus is handed to it a few batches at a time."""

    @property
    def tokens_per_batch(self) -> int:
        """Tokens of one batch, padding counted."""


@runtime_checkable
class Preparing(Protocol):
    """An encoder whose documents have to be read before a model sees them, which threads can do ahead of it."""

    @property
    def batch_size(self) -> int:
        """Documents of one batch."""

    @property
    def workers(self) -> int:
        """Threads that prepare."""

    def prepare(self, item: Any) -> Any:  # noqa: ANN401 - between the encoder and itself
        """What `encode_documents` takes as well as the document; an `InvalidInput` if it cannot be read."""


@runtime_checkable
class Padding(Protocol):
    """An encoder whose batches can be padded on either side, which must change nothing."""

    def padding(self, side: Literal["left", "right"]) -> AbstractContextManager[None]:
        """Pad on that side within the block."""
