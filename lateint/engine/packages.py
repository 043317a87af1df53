"""What an engine has to be given as files before it can hold an index, for those who bring them there themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Files of an index.

    Attributes:
        files: texts by path, with `/` between its parts.
        todo: what is left to do by hand, as sentences.
    """

    files: Mapping[str, str]
    todo: tuple[str, ...] = ()


Reading: TypeAlias = Callable[[str], str | None]
"""The text at a path in the folder that the files are for; None if there is none."""
