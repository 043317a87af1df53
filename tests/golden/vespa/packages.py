"""The applications whose files are kept beside this one, and how to write them anew:

python -m tests.golden.vespa.packages
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lateint.spec import FieldType, IndexSpec
from lateint.testing.payloads import FIELDS
from lateint_vespa.package import files, packaged, rendered, schema_text
from lateint_vespa.schema import Cells, Layout

HERE = Path(__file__).parent

FLOAT = IndexSpec(
    "LateOn-Pages",
    128,
    fields=FIELDS,
    encoder={"model": "lightonai/LateOn"},
    metadata={"note": "ä # } \" '\nend"},
)
BFLOAT16 = IndexSpec("pages", 96, dtype="bfloat16", normalize=False)
BITS = Layout(schema="bits", dim=128, cells=Cells.BITS, fields={"lang": FieldType.KEYWORD})

APPLICATIONS = {
    "empty": files({}),
    "float": files({"LateOn_Pages__d1": schema_text(FLOAT)}),
    "bfloat16": files({"pages": schema_text(BFLOAT16)}),
    "bits": files({"bits": rendered(BITS)}),
    "both": files({"pages": schema_text(BFLOAT16), "LateOn_Pages__d1": schema_text(FLOAT)}),
    "one-removed": files({"pages": schema_text(BFLOAT16)}, removed="LateOn_Pages__d1", until="2026-01-31"),
    "by-hand": dict(packaged(FLOAT, lambda _: None).files),
}


def kept(name: str) -> dict[str, str]:
    """The files of an application as they were written."""
    folder = HERE / name
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


def main() -> None:
    """Write them all."""
    for name, made in APPLICATIONS.items():
        shutil.rmtree(HERE / name, ignore_errors=True)
        for path, text in made.items():
            (HERE / name / path).parent.mkdir(parents=True, exist_ok=True)
            (HERE / name / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
