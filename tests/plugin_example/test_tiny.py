"""All that the author of a backend writes to have it tested."""

from __future__ import annotations

from lateint.testing import ConformanceSuite, Target


class TestTiny(ConformanceSuite):
    target = Target("tiny://")
