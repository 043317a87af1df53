"""What a backend's author says about the place that the suite runs against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lateint.testing.marks import Mark
from lateint.testing.spares import Spares

FOLDER = "{folder}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the suite runs, and what is known to fail there.

    Attributes:
        url: what `lateint.connect` takes. `{folder}` in it becomes a new, empty folder for every test; a URL without it
            names a server that tests share, each in indexes of its own, which it drops.
        options: more arguments of `connect`, such as `api_key`.
        marks: known gaps, by test: `"TestScan::test_resumed"`, or `"TestIds::test_round_trip[slash]"` for one case.
        spares: for a server that takes long to create an index: tests leave theirs to each other. Tests of creating and
            dropping do not take from it.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    marks: Mapping[str, Mark] = field(default_factory=dict, kw_only=True)
    spares: Spares | None = field(default=None, kw_only=True)

    @property
    def is_shared(self) -> bool:
        """Other indexes may be there, and what a test leaves behind stays."""
        return FOLDER not in self.url

    def url_in(self, folder: Path) -> str:
        """The URL of an empty location, given an empty folder."""
        return self.url.replace(FOLDER, quote(str(folder)))
