"""`qdrant+memory://` conforms."""

from __future__ import annotations

import pytest

from lateint.testing import ConformanceSuite, Target

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")


class TestQdrantMemory(ConformanceSuite):
    target = Target("qdrant+memory://")
