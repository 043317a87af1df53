"""The README's engine table says what the backends declare."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_table_is_up_to_date() -> None:
    """A table written by hand promises what an engine could do a year ago. Mend it with `python docs/engine_table.py`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    updated = runpy.run_path(str(ROOT / "docs" / "engine_table.py"))["updated"]
    assert updated(readme) == readme
