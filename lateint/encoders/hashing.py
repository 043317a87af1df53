"""An encoder without weights: a fuzzy lexical match, for demonstrations, tests and whoever has no model at hand."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lateint import errors
from lateint.encoders.base import DocumentKind, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lateint.vectors import MultiVector

VERSION = 1
"""Changes whenever a change of this file changes a single bit of a vector."""

SHORTEST_GRAM, LONGEST_GRAM = 3, 5
CACHE_BYTES = 32 * 2**20
MAX_DIM = 65_536

_STOP_WORDS = """
a about all am an and any are as at be been but by can could did do does for from had has have how i if in into is it
its me my no not of on or our please should so some such than that the their them then there these they this those to
us was we were what when where which who whom whose why will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Left out of queries: they match everywhere, and every row of a query weighs the same."""


class HashingEncoder:
    """Hashes the character n-grams of every word into one row. It is not a neural model and knows no meaning.

    Words match by their spelling: `parses` finds `parser` and `parsing`, and a typo costs little, but `car` does not
    find `automobile`. The same text gives the same bits on every machine, in every process and with every version of
    Python and NumPy, as long as its characters were in Unicode 14 (2021) already.

    A word is a run of letters, marks and digits after NFKC, cut again where a lower-case letter meets a capital
    (`parse|JSON`) and before a capital that two lower-case letters follow (`JSON|Decoder`); then case is folded.
    Scripts written without spaces are not segmented.

    - Documents get one row per distinct word in order of appearance: a repeated row cannot change a maximum.
    - Queries get one row per word, without English stop words ("how", "the") unless there are no others.

    Nothing is truncated.

    Args:
        dim: values per row. Unrelated words have a cosine of about 0 ± 1/√dim.

    Raises:
        InvalidInput: `dim` is not an integer from 1 to 65,536.
    """

    max_query_tokens: int | None = None
    score: Score = "maxsim"
    document_kind: DocumentKind = "text"

    def __init__(self, dim: int = 128) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= MAX_DIM:
            raise errors.InvalidInput(
                f"dim {dim!r} is not a dimension.", hint=f"Pass an integer from 1 to {MAX_DIM:,}."
            )
        self.dim = dim
        self._row = lru_cache(maxsize=CACHE_BYTES // (4 * dim))(partial(_row, dim=dim))

    def __repr__(self) -> str:
        return f"HashingEncoder(dim={self.dim})"

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Kind, version and dimension: all that the vectors depend on."""
        return {"kind": "hashing", "version": VERSION, "dim": self.dim}

    def encode_queries(self, texts: Sequence[str]) -> list[MultiVector]:
        """One array of shape (words, dim) per text, rows of length 1.

        Raises:
            InvalidInput: names the text that has no words.
        """
        return self._encode(texts, _query_words)

    def encode_documents(self, items: Sequence[str]) -> list[MultiVector]:
        """One array of shape (distinct words, dim) per text, rows of length 1.

        Raises:
            InvalidInput: names the text that has no words.
        """
        return self._encode(items, _document_words)

    def _encode(self, texts: Sequence[str], choose: Callable[[str], list[str]]) -> list[MultiVector]:
        if isinstance(texts, str):
            raise errors.InvalidInput("texts is one text, not a sequence of them.", hint="Write [text].")
        return [np.stack([self._row(word) for word in _some(choose, text, at)]) for at, text in enumerate(texts)]


def words(text: str) -> Iterator[str]:
    """The words of a text as `HashingEncoder` sees them, in order, repetitions included."""
    plain = unicodedata.normalize("NFKC", text)
    # By category and not by \w, which cuts words of many scripts at their vowel signs.
    separators = {ord(character): " " for character in set(plain) if unicodedata.category(character)[0] not in "LMN"}
    for run in plain.translate(separators).split():
        for word in _humps(run):
            yield unicodedata.normalize("NFKC", word.casefold())


def _humps(run: str) -> Iterator[str]:
    """Cut `parseJSON` and `JSONDecoder` in two, and leave `URLs` and `H2O` whole."""
    start = 0
    for at in range(1, len(run)):
        follow = run[at + 1 : at + 3]
        if run[at].isupper() and (run[at - 1].islower() or (len(follow) == 2 and follow.islower())):
            yield run[start:at]
            start = at
    yield run[start:]


def _query_words(text: str) -> list[str]:
    everything = list(words(text))
    return [word for word in everything if word not in STOP_WORDS] or everything


def _document_words(text: str) -> list[str]:
    return list(dict.fromkeys(words(text)))


def _some(choose: Callable[[str], list[str]], text: str, position: int) -> list[str]:
    if not isinstance(text, str):
        raise errors.InvalidInput(f"text {position} is a {type(text).__name__}, not text.")
    chosen = choose(text)
    if not chosen:
        raise errors.InvalidInput(
            f"text {position}, {_short(text)}, has no words.",
            hint="Leave it out: a multi-vector needs at least one row.",
        )
    return chosen


def _row(word: str, *, dim: int) -> MultiVector:
    """Unit vector of a word: the sum of a random sign vector per n-gram.

    Every n-gram counts twice and the whole word once, an odd number of signs, so the sum is never zero. Everything is
    exact in integers up to one square root, one division and one rounding, which IEEE 754 defines to the last bit.
    """
    bounded = f"<{word}>"
    grams = [
        bounded[start : start + size]
        for size in range(SHORTEST_GRAM, LONGEST_GRAM + 1)
        for start in range(len(bounded) - size + 1)
    ]
    signs = _signs([*grams, *grams, bounded], dim)
    total = signs.sum(axis=0, dtype=np.int64)
    row: MultiVector = (total / np.sqrt(np.float64(total @ total))).astype(np.float32)
    return row


def _signs(grams: list[str], dim: int) -> NDArray[np.int8]:
    """+1 or -1 from the bits of a hash that gives as many of them as are wanted, shape (grams, dim)."""
    digests = b"".join(hashlib.shake_128(gram.encode()).digest((dim + 7) // 8) for gram in grams)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(len(grams), -1), axis=1, count=dim)
    return bits.astype(np.int8) * 2 - 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
