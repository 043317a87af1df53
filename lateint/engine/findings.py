"""What a look at an engine brings to light, for `lateint doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    """It works, and there is something to know or to mend."""
    PROBLEM = "problem"
    """It does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: what, such as `gRPC port 6334`, `key`, `index 'pages'`.
        seen: what was found there, without secrets.
        severity: how to take it.
        remedy: what to do; empty where there is nothing to do.
        index: name of the index that it is about; None where it is about the engine.
        vectors: what `open(index, vector=…)` takes there, where it has to be told: one finding may name several, or
            several findings one each. Empty: there is nothing to open. None: `open(index)` does.
    """

    part: str
    seen: str
    severity: Severity = Severity.OK
    remedy: str = ""
    index: str | None = None
    vectors: tuple[str, ...] | None = None
