"""What all tests share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.servers import discovery
from tests.servers.discovery import QdrantServer, WeaviateServer
from tests.servers.vespa import discovery as vespa_discovery
from tests.servers.vespa.discovery import VespaServer

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server as OwnVespa
    from tests.servers.weaviate.server import Server

# A loaded machine is slow, not wrong: no test fails on time.
settings.register_profile("lateint", deadline=None)
settings.load_profile("lateint")


CLIENTS = {"qdrant": "qdrant_client", "weaviate": "weaviate", "vespa": "lateint_vespa"}
"""What the tests of a server need to be imported at all; without it they are skipped as whole files."""


def pytest_configure() -> None:
    """See to it that the tests of a server that must be there are not skipped for want of its client."""
    for engine in discovery.required():
        if engine not in CLIENTS:
            raise pytest.UsageError(f"LATEINT_REQUIRE_SERVERS: {engine!r} is none of {', '.join(sorted(CLIENTS))}.")
        if importlib.util.find_spec(CLIENTS[engine]) is None:
            raise pytest.UsageError(f"LATEINT_REQUIRE_SERVERS={engine}, but {CLIENTS[engine]} is not installed.")


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """One Qdrant server for the whole run; tests make collections of their own in it and drop them."""
    with ExitStack() as stack:
        with _or_skip("qdrant"):
            server = stack.enter_context(discovery.qdrant(tmp_path_factory.mktemp("qdrant")))
        yield server


@pytest.fixture(scope="session")
def weaviate_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    """One Weaviate server for the whole run; tests make collections of their own in it and drop them."""
    with ExitStack() as stack:
        with _or_skip("weaviate"):
            server = stack.enter_context(discovery.weaviate(tmp_path_factory.mktemp("weaviate")))
        yield server


@pytest.fixture(scope="session")
def vespa_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VespaServer]:
    """One Vespa server for the whole run; tests deploy schemas of their own to it and drop them."""
    with ExitStack() as stack:
        with _or_skip("vespa"):
            server = stack.enter_context(vespa_discovery.vespa(tmp_path_factory.mktemp("vespa")))
        yield server


@pytest.fixture(scope="session")
def own_weaviate() -> type[Server]:
    """For tests that kill a Weaviate server, or start one with keys or settings: `with own_weaviate(folder) as server`."""
    with _or_skip("weaviate"):
        return discovery.own_weaviate()


@pytest.fixture(scope="session")
def own_vespa() -> type[OwnVespa]:
    """For tests that kill a Vespa server, or order faults from it: `with own_vespa(folder) as server`."""
    with _or_skip("vespa"):
        return vespa_discovery.own_vespa()


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tiny ColBERT."""
    from tests.checkpoints.text import build_bert_colbert  # noqa: PLC0415 - torch is not for every test

    return build_bert_colbert(tmp_path_factory.mktemp("models") / "colbert")


@pytest.fixture(scope="session")
def page_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a tiny checkpoint of every family of page models."""
    from tests.checkpoints.vision import BUILDERS  # noqa: PLC0415 - torch is not for every test

    return {family: build(tmp_path_factory.mktemp("models") / family) for family, build in BUILDERS.items()}


@contextmanager
def _or_skip(engine: str) -> Iterator[None]:
    try:
        yield
    except discovery.ServerNotFound as reason:
        if engine in discovery.required():
            pytest.fail(f"{reason} LATEINT_REQUIRE_SERVERS asks for one.")
        pytest.skip(str(reason))
