"""`memory://` conforms."""

from __future__ import annotations

from lateint.testing import ConformanceSuite, Target


class TestMemory(ConformanceSuite):
    target = Target("memory://")
