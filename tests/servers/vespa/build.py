"""Build the server with Maven, once, into the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent
_OLDEST_JAVA = 17


class CannotBuild(Exception):
    """There is no Java or Maven that could build it, or its build failed."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """What to start.

    Attributes:
        java: the executable.
        classpath: as it takes it.
    """

    java: str
    classpath: str


def version() -> str:
    """Vespa's version, as pom.xml has it: `8.700.24`."""
    found = re.search(r"<vespa\.version>(.+?)</vespa\.version>", (SOURCES / "pom.xml").read_text())
    assert found is not None
    return found[1]


def server(environment: Mapping[str, str] = os.environ) -> Built:
    """The server; the first build fetches 190 MB into Maven's own cache, later ones take half a minute, finding it none.

    It is kept by its sources. Processes that want it at the same time wait for the one that builds.

    Args:
        environment: for `PATH`, `XDG_CACHE_HOME`, and whatever Java and Maven take from it.

    Raises:
        CannotBuild: Java or Maven is missing, too old, or failed; with the end of what it said.
    """
    java = _java(environment)
    folder = cache(environment) / f"vespa-{version()}-{_hash()}"
    if not _is_whole(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_whole(folder):
                _build(folder, environment)
    return Built(java=java, classpath=_classpath(folder))


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where servers are kept; may be emptied at any time."""
    home = environment.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lateint" / "servers"


def why_not(environment: Mapping[str, str] = os.environ) -> str:
    """What is missing for it, or nothing."""
    try:
        _java(environment)
        if not _is_whole(cache(environment) / f"vespa-{version()}-{_hash()}"):
            _maven(environment)
    except CannotBuild as reason:
        return str(reason)
    return ""


def _hash() -> str:
    digest = hashlib.sha256()
    for source in [SOURCES / "pom.xml", *sorted((SOURCES / "java").rglob("*.java"))]:
        digest.update(f"{source.relative_to(SOURCES)}\n".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _classpath(folder: Path) -> str:
    """Our classes first: two of them stand in for classes of Vespa."""
    return f"{folder / 'built' / 'classes'}{os.pathsep}{(folder / 'built' / 'classpath.txt').read_text()}"


def _is_whole(folder: Path) -> bool:
    """Whether it was built, and Maven's cache still has what it needs."""
    if not (folder / "built").exists():
        return False
    return all(Path(part).exists() for part in _classpath(folder).split(os.pathsep))


def _java(environment: Mapping[str, str]) -> str:
    home = environment.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else environment.get("PATH"))
    if java is None:
        raise CannotBuild("Java is not installed")
    asked = subprocess.run(
        [java, "-version"], env=dict(environment), capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r'version "(\d+)', asked.stderr)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        said = asked.stderr.partition("\n")[0]
        raise CannotBuild(f"Java {_OLDEST_JAVA} or newer is needed, here is: {said}")
    return java


def _maven(environment: Mapping[str, str]) -> str:
    maven = shutil.which("mvn", path=environment.get("PATH"))
    if maven is None:
        raise CannotBuild("Maven is not installed")
    return maven


def _build(folder: Path, environment: Mapping[str, str]) -> None:
    """In a folder next to its place, so that a build that is broken off leaves no half a server there."""
    maven = _maven(environment)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / "built"
        command = [
            maven,
            "--quiet",
            "--batch-mode",
            f"--file={SOURCES / 'pom.xml'}",
            f"-Dbuild.folder={made}",
            "compile",
        ]
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotBuild(f"`mvn compile` failed:\n{done.stdout[-4000:]}")
        shutil.rmtree(folder / "built", ignore_errors=True)
        made.replace(folder / "built")
