"""What encoders of texts are given: a sequence of strings, checked."""

from __future__ import annotations

from collections.abc import Sequence

from lateint import errors


def check_texts(texts: Sequence[str]) -> None:
    """Refuse one string, whose letters would be taken for texts, and what is not text.

    Raises:
        InvalidInput: names the first that is wrong.
    """
    if isinstance(texts, str):
        raise errors.InvalidInput("texts is one text, not a sequence of them.", hint="Write [text].")
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise errors.InvalidInput(f"text {at} is a {type(text).__name__}, not text.")
