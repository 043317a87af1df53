"""Servers in containers: the files of compose/, started through testcontainers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import free_ports

COMPOSE = Path(__file__).parents[2] / "compose"


@contextmanager
def started(engine: str, second: str = "GRPC") -> Iterator[tuple[int, int]]:
    """Start the engine's file; yields the ports of REST and of its second interface on the loopback."""
    from testcontainers.compose import DockerCompose  # noqa: PLC0415 - not needed elsewhere

    port, second_port = free_ports(2)
    settings = {
        "COMPOSE_PROJECT_NAME": f"lateint-test-{engine}-{os.getpid()}",  # not that of a server someone runs by hand
        f"{engine.upper()}_HOST": "127.0.0.1",
        f"{engine.upper()}_PORT": str(port),
        f"{engine.upper()}_{second}_PORT": str(second_port),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with DockerCompose(COMPOSE, compose_file_name=f"{engine}.yaml", env_file="versions.env", wait=True):
            yield port, second_port
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def why_not() -> str:
    """Why no container can be started here; empty if one can."""
    if importlib.util.find_spec("testcontainers") is None:
        return "testcontainers is not installed"
    docker = shutil.which("docker")
    if docker is None:
        return "docker is not installed"
    for command in (["info"], ["compose", "version"]):
        try:
            done = subprocess.run([docker, *command], capture_output=True, timeout=30, check=False)
        except subprocess.TimeoutExpired:
            return f"`docker {' '.join(command)}` does not answer"
        if done.returncode:
            return f"`docker {' '.join(command)}` fails"
    return ""
