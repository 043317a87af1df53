"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.servers import discovery
from tests.servers.discovery import QdrantServer
from tests.servers.vespa import discovery as vespa_discovery
from tests.servers.vespa.discovery import VespaServer

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server as OwnVespa

# A loaded machine is slow, not wrong: no test fails on time.
settings.register_profile("lateint", deadline=None)
settings.load_profile("lateint")


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """One Qdrant server for the whole run; tests make collections of their own in it and drop them."""
    with ExitStack() as stack:
        with _or_skip("qdrant"):
            server = stack.enter_context(discovery.qdrant(tmp_path_factory.mktemp("qdrant")))
        yield server


@pytest.fixture(scope="session")
def vespa_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VespaServer]:
    """One Vespa server for the whole run; tests deploy schemas of their own to it and drop them."""
    with ExitStack() as stack:
        with _or_skip("vespa"):
            server = stack.enter_context(vespa_discovery.vespa(tmp_path_factory.mktemp("vespa")))
        yield server


@pytest.fixture(scope="session")
def own_vespa() -> type[OwnVespa]:
    """For tests that kill a Vespa server, or order faults from it: `with own_vespa(folder) as server`."""
    with _or_skip("vespa"):
        return vespa_discovery.own_vespa()


@contextmanager
def _or_skip(engine: str) -> Iterator[None]:
    try:
        yield
    except discovery.ServerNotFound as reason:
        if engine in discovery.required():
            pytest.fail(f"{reason} LATEINT_REQUIRE_SERVERS asks for one.")
        pytest.skip(str(reason))
