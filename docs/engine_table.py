"""Print the engine table of the README from what the backends declare."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

import lateint
from lateint.engine import registry
from lateint.engine import url as urls

BEGIN = "<!-- engines: begin (python docs/engine_table.py) -->"
END = "<!-- engines: end -->"


def table() -> str:
    """One row per form of an engine; a server is not asked, but taken at its adapter's word."""
    rows = ["| URL | what it is | formats | largest multi-vector | exact | filters | data |", "|---" * 7 + "|"]
    with tempfile.TemporaryDirectory() as folder:
        for scheme in registry.entry_points():
            for name, variant in registry.plugin(scheme).variants.items():
                if variant.declares:
                    rows.append(row(variant, declared(variant)))
                    continue
                full = f"{scheme}+{name}" if name else scheme
                place = f"{Path(folder).as_posix()}/{full}" if urls.parse(variant.example).folder else ""
                with lateint.connect(f"{full}://{place}") as client:
                    rows.append(row(variant, client.capabilities()))
    return "\n".join(rows)


def declared(variant: registry.Variant) -> lateint.Capabilities:
    """What the adapter says of a current server."""
    module, _, name = variant.declares.partition(":")
    found: lateint.Capabilities = getattr(importlib.import_module(module), name)
    return found


def row(variant: registry.Variant, can: lateint.Capabilities) -> str:
    """The row of one form."""
    largest = "no limit" if can.max_values is None else f"rows × dim ≤ {can.max_values:,}"
    filters = "all" if {feature for feature in lateint.Feature if "FILTER" in feature.name} <= can.features else "some"
    exact = "yes" if lateint.Feature.EXACT_SEARCH in can.features else "no"
    data = "kept" if lateint.Feature.PERSISTENT in can.features else "gone on close"
    formats = ", ".join(sorted(dtype.value for dtype in can.dtypes))
    return f"| `{variant.example}` | {variant.summary} | {formats} | {largest} | {exact} | {filters} | {data} |"


def updated(readme: str) -> str:
    """The README with the table in its place."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "README.md"
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(table() + "\n")
