"""Build the published server from the Go module proxy, once, into the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

MODULE = Path(__file__).parent
OLDEST_GO = (1, 26)
_PATH = "github.com/weaviate/weaviate"
_OPTIONS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=netgo", "-ldflags=-s -w")
_LISTENERS = ("adapters/handlers/grpc/server.go", "adapters/handlers/rest/clusterapi/serve.go")
"""These bind to every interface, and no setting says otherwise: too many for a server that asks for no key."""
_ANYWHERE, _LOOPBACK = 'Sprintf(":%d"', 'Sprintf("127.0.0.1:%d"'


class CannotBuild(Exception):
    """There is no Go that could build it, or its build failed."""


def version() -> str:
    """Of the server, as go.mod has it: `1.39.0`."""
    found = re.search(rf"\s{re.escape(_PATH)} v(\S+)", (MODULE / "go.mod").read_text())
    assert found is not None
    return found[1]


def server(environment: Mapping[str, str] = os.environ) -> Path:
    """The server's executable. Building it takes five minutes on two cores, finding it again nothing.

    Its folder is named after everything that decides about its bytes: sources, options, the Go that compiles them,
    the platform. Of several processes that want it one builds, the others wait.

    Args:
        environment: for `PATH`, `XDG_CACHE_HOME`, and whatever Go takes from it.

    Raises:
        CannotBuild: Go is missing, too old, or failed; with the end of what it said.
    """
    go, target = _go(environment)
    executable = cache(environment) / f"weaviate-{version()}-{target}-{_digest()}" / "weaviate-server"
    if not executable.exists():
        executable.parent.mkdir(parents=True, exist_ok=True)
        with (executable.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not executable.exists():
                _build(go, executable, environment)
    return executable


def why_not(environment: Mapping[str, str] = os.environ) -> str:
    """Why it cannot be built here; empty if it can."""
    try:
        _go(environment)
    except CannotBuild as reason:
        return str(reason)
    return ""


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where servers are kept; it may be emptied at any time."""
    home = environment.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lateint" / "servers"


def _digest() -> str:
    recipe = hashlib.sha256(repr((_OPTIONS, _LISTENERS, _LOOPBACK)).encode())
    for name in ("go.mod", "go.sum"):
        recipe.update((MODULE / name).read_bytes())
    return recipe.hexdigest()[:12]


def _go(environment: Mapping[str, str]) -> tuple[str, str]:
    """Go's command, and `go1.26.8-linux-amd64`: what it is and compiles for."""
    go = shutil.which("go", path=environment.get("PATH", ""))
    if go is None:
        raise CannotBuild("Go is not installed")
    done = _ran([go, "env", "GOVERSION", "GOOS", "GOARCH"], environment)
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    if done.returncode or found is None or (int(found[1]), int(found[2])) < OLDEST_GO:
        here = done.stdout.partition("\n")[0] or done.stderr.strip()
        raise CannotBuild(f"Go {'.'.join(map(str, OLDEST_GO))} or newer is needed, here is {here}")
    return go, "-".join(done.stdout.split())


def _build(go: str, executable: Path, environment: Mapping[str, str]) -> None:
    """In a folder next to its place, so that a build that is broken off leaves no half a server there."""

    def run(*arguments: str | Path) -> str:
        done = _ran([go, *arguments], environment)
        if done.returncode:
            raise CannotBuild(f"`go {arguments[0]}` failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done.stdout

    for left in executable.parent.glob("build-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=executable.parent) as folder:
        scratch = Path(folder)
        for name in ("go.mod", "go.sum"):
            shutil.copy(MODULE / name, scratch)
        _narrow(Path(json.loads(run("mod", "download", "-json", _PATH))["Dir"]), scratch / "source")
        run("mod", "edit", f"-replace={_PATH}={scratch / 'source'}", scratch / "go.mod")
        made = scratch / executable.name
        run("build", f"-modfile={scratch / 'go.mod'}", *_OPTIONS, "-o", made, f"{_PATH}/cmd/weaviate-server")
        made.replace(executable)


def _narrow(published: Path, source: Path) -> None:
    """Copy the published source, less its tests, with all listeners on the loopback."""
    for path in published.rglob("*.*"):
        if path.is_file() and not path.name.endswith("_test.go"):
            copy = source / path.relative_to(published)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)  # without its mode, which forbids to write
    for name in _LISTENERS:
        text = (source / name).read_text()
        if text.count(_ANYWHERE) != 1:
            raise CannotBuild(f"{name} does not listen where it did: look where it does, and name that in {__file__}")
        (source / name).write_text(text.replace(_ANYWHERE, _LOOPBACK))


def _ran(command: list[str | Path], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    settings = {**environment, "CGO_ENABLED": "0", "GOWORK": "off"}
    return subprocess.run(command, cwd=MODULE, env=settings, capture_output=True, text=True, check=False)
