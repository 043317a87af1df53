"""What tests against a server share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def over_grpc(transport: str) -> bool:
    return transport == "grpc"
