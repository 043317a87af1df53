"""Known gaps of a backend, each with its reason: `not_implemented`, `not_yet`, `never`.

A mark turns a test into a strict expected failure: it must fail, and with the exception named. When the gap closes the
build turns red until the mark goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from _pytest.mark.structures import MarkDecorator

Raises: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Why a test is known to fail, and how.

    Attributes:
        kind: who would have to move.
        reason: what is missing, for a person.
        raises: the exception that the test fails with.
    """

    kind: str
    reason: str
    raises: Raises

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a mark without a reason explains nothing: say what is missing.")

    def decorator(self) -> MarkDecorator:
        """The mark as pytest knows it."""
        return pytest.mark.xfail(reason=f"{self.kind}: {self.reason}", raises=self.raises, strict=True)


def not_implemented(reason: str, *, raises: Raises) -> Mark:
    """The engine can, the adapter does not yet: ours to do."""
    return Mark("not implemented", reason, raises)


def not_yet(reason: str, *, raises: Raises) -> Mark:
    """The engine has to move first."""
    return Mark("not yet", reason, raises)


def never(reason: str, *, raises: Raises) -> Mark:
    """It is against what the engine is, and will stay so."""
    return Mark("never", reason, raises)
