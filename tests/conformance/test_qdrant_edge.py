"""`qdrant+edge:///folder` conforms."""

from __future__ import annotations

import pytest

from lateint.testing import ConformanceSuite, Target

pytest.importorskip("qdrant_edge")


class TestQdrantEdge(ConformanceSuite):
    target = Target("qdrant+edge://{folder}")
