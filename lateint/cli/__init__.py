"""The command `lateint`. It needs click and rich, the extra `cli`; nothing else in lateint does."""

from __future__ import annotations

import importlib.util
import sys

_NEEDED = ("click", "rich")


def main() -> None:
    """Run the command line and exit."""
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        sys.stderr.write(f'The command needs {" and ".join(absent)}. Install it: pip install "lateint[cli]"\n')
        sys.exit(2)
    from lateint.cli.app import app  # noqa: PLC0415 - not before it is known that click is there

    app(prog_name="lateint")
