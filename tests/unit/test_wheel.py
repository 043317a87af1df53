"""What the wheel holds: everything that is imported, nothing that is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]

BUILD = """
import sys
from hatchling.builders.wheel import WheelBuilder

print(next(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=["standard"])))
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel of this checkout, built in a process of its own, without isolation or network."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(ROOT), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with ZipFile(done.stdout.strip().splitlines()[-1]) as wheel:
        return set(wheel.namelist())


def sources(folder: str) -> set[str]:
    """Python files and type markers of a package, as they are named in a wheel."""
    root = ROOT / folder
    return {
        path.relative_to(root.parent).as_posix()
        for path in root.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }


@pytest.mark.parametrize(
    "package",
    ["lateint", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "backends").glob("lateint_*")))],
)
def test_packages_are_whole(names: set[str], package: str) -> None:
    """A new folder that nobody added to the build works in every checkout and in no installation."""
    missing = sources(package) - names
    assert not missing


@pytest.mark.parametrize(
    "name", ["lateint/__init__.py", "lateint/py.typed", "lateint/testing/__init__.py", "lateint_qdrant/py.typed"]
)
def test_what_others_rely_on(names: set[str], name: str) -> None:
    """Type markers, the suite for authors of backends, and the adapters are part of what is shipped."""
    assert name in names


def test_nothing_else(names: set[str]) -> None:
    """Tests, benchmarks and caches would land beside other people's packages in site-packages."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info") and not top.startswith("lateint_")} == {"lateint"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".so"))]


def test_metadata(names: set[str]) -> None:
    """Entry points are how backends and the command are found; the licence travels with the code."""
    inside = {name.split("/", 1)[1] for name in names if ".dist-info/" in name}
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"} <= inside
