"""The encoder without weights: the same bits everywhere, and words that match by their spelling."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lateint import errors
from lateint.encoders import Encoder, HashingEncoder
from lateint.encoders.hashing import words
from lateint.vectors import MultiVector, as_multivector, normalized

TEXTS = [
    "How do I parse a JSON document?",
    "json.decoder.JSONDecoder.raw_decode parses URLs, H2O and utf8Text",
    "naïve ﬁne Straße ΣΊΣΥΦΟΣ हिन्दी 機械学習 ２４ İstanbul",
    "x",
]
GOLDEN = {
    (8, "queries"): "71b09e30c3dffb6c93101718e903542547d2f7e0df7dab33c62595cabc016ea8",
    (128, "queries"): "0116b1705baa15269cec0153c782f8d5c7bbcaf219e29ac0d776eda064771379",
    (128, "documents"): "8a5bbb46974e7dcf2960baffb4af6f280849a78f0414c4cb8fba6ac6bfcc7f08",
    (300, "documents"): "24836b7be31ca3adbb73b641887eb13831222ea312870559780a77254cd74877",
}


def digest(vectors: list[MultiVector]) -> str:
    """Hash of shapes and bits, the same on either byte order."""
    state = hashlib.sha256()
    for array in vectors:
        state.update(repr(array.shape).encode() + array.astype("<f4").tobytes())
    return state.hexdigest()


@pytest.mark.parametrize(("dim", "side"), GOLDEN)
def test_bits_are_those_of_version_1(dim: int, side: str) -> None:
    """Vectors in somebody's index must match those made years later.

    Breaks when: anything about words, n-grams or rounding changes. Raise `VERSION` then.
    """
    encoder = HashingEncoder(dim)
    encode: Callable[[list[str]], list[MultiVector]] = getattr(encoder, f"encode_{side}")
    assert digest(encode(TEXTS)) == GOLDEN[dim, side]
    assert encoder.fingerprint == {"kind": "hashing", "version": 1, "dim": dim}


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_bits_do_not_depend_on_the_process(seed: str) -> None:
    """`PYTHONHASHSEED` and the locale change nothing."""
    program = (
        "import json, sys; from lateint.encoders import HashingEncoder; "
        "print([a.astype('<f4').tobytes().hex() for a in HashingEncoder(24).encode_documents(json.load(sys.stdin))])"
    )
    environment = os.environ | {
        "PYTHONHASHSEED": seed,
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(TEXTS),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    here = [array.astype("<f4").tobytes().hex() for array in HashingEncoder(24).encode_documents(TEXTS)]
    assert run.stdout.strip() == str(here)


def test_is_an_encoder() -> None:
    """The protocol holds, and the fingerprint survives JSON."""
    encoder: Encoder = HashingEncoder()
    assert encoder.dim == 128
    assert json.loads(json.dumps(encoder.fingerprint)) == encoder.fingerprint
    assert repr(encoder) == "HashingEncoder(dim=128)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("... — !?", []),
        ("Read the CSV file.", ["read", "the", "csv", "file"]),
        ("raw_decode(s, idx=0)", ["raw", "decode", "s", "idx", "0"]),
        ("JSONDecoder parseJSON", ["json", "decoder", "parse", "json"]),
        ("URLs of H2O on an iPhone", ["urls", "of", "h2o", "on", "an", "i", "phone"]),
        ("SHA256Hash base64 utf8Text", ["sha256", "hash", "base64", "utf8", "text"]),
        ("don't", ["don", "t"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("ﬁne ２４ x²", ["fine", "24", "x2"]),
        ("हिन्दी", ["हिन्दी"]),
        ("機械学習", ["機械学習"]),
        ("a\u2028b\x00c\ud800d", ["a", "b", "c", "d"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    """Snake case and camel case come apart; what looks the same is the same."""
    assert list(words(text)) == expected


def test_document_has_one_row_per_distinct_word() -> None:
    """Saying a word again adds nothing to a maximum."""
    once, twice = HashingEncoder().encode_documents(["the parser of the Parser", "the parser of"])
    assert once.shape == (3, 128)
    assert np.array_equal(once, twice)


def test_query_leaves_stop_words_out() -> None:
    """They would match everywhere and drown the others; a query of nothing else keeps them."""
    encoder = HashingEncoder()
    long, short, stops = encoder.encode_queries(["How do I parse the JSON?", "parse json", "to be or not to be"])
    assert np.array_equal(long, short)
    assert len(stops) == 6


def test_query_keeps_repeated_words() -> None:
    """Every word of a query adds its maximum to the score."""
    assert len(HashingEncoder().encode_queries(["file file"])[0]) == 2


@pytest.mark.parametrize(
    ("left", "right", "least", "most"),
    [
        ("parser", "parsers", 0.6, 0.9),
        ("parsing", "parse", 0.3, 0.8),
        ("compress", "compres", 0.6, 0.95),
        ("directory", "direcotry", 0.3, 0.8),
        ("json", "umbrella", -0.3, 0.3),
        ("same", "same", 1.0, 1.0 + 1e-6),
    ],
)
def test_words_match_by_spelling(left: str, right: str, least: float, most: float) -> None:
    """Plurals and typos stay close, strangers do not."""
    one, other = HashingEncoder(512).encode_documents([left, right])
    assert least <= float(one[0] @ other[0]) <= most


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), dim=st.integers(1, 40))
def test_every_text_gives_unit_rows_or_a_typed_error(text: str, dim: int) -> None:
    """Any Unicode, any dimension: rows that need no second normalisation, or `InvalidInput`."""
    encoder = HashingEncoder(dim)
    if not list(words(text)):
        with pytest.raises(errors.InvalidInput):
            encoder.encode_documents([text])
        return
    for (array,) in (encoder.encode_documents([text]), encoder.encode_queries([text])):
        assert array.dtype == np.float32
        assert as_multivector(array, dim) is array
        assert normalized(array) is array


def test_error_names_the_text() -> None:
    """A person can find it among thousands."""
    with pytest.raises(errors.InvalidInput, match=r"text 1, '---', has no words\. Leave it out"):
        HashingEncoder().encode_documents(["fine", "---"])
    with pytest.raises(errors.InvalidInput, match="text 0 is a int"):
        HashingEncoder().encode_queries([7])  # type: ignore[list-item]
    with pytest.raises(errors.InvalidInput, match="not a sequence"):
        HashingEncoder().encode_documents("one text")


@pytest.mark.parametrize("dim", [0, -1, 65_537, True, 12.0, "128"])
def test_impossible_dimension(dim: object) -> None:
    """Refused at construction."""
    with pytest.raises(errors.InvalidInput, match="is not a dimension"):
        HashingEncoder(dim)  # type: ignore[arg-type]


def test_no_texts() -> None:
    """Nothing in, nothing out."""
    assert HashingEncoder().encode_documents([]) == []


def test_results_are_the_callers_own() -> None:
    """Scribbling over a result does not spoil the cache."""
    encoder = HashingEncoder()
    encoder.encode_documents(["json"])[0][:] = 0
    assert encoder.encode_documents(["json"])[0].any()


def test_threads_share_an_encoder() -> None:
    """The cache is safe to share."""
    encoder = HashingEncoder()
    texts = [f"word{number}" for number in range(2_000)]
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(digest(encoder.encode_documents(texts)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1
