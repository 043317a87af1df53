"""What authors of backends write: for each planted defect the plain class, and some that try to get around the suite."""

from __future__ import annotations

from lateint.engine.registry import plugin
from lateint.testing import ConformanceSuite, Target, never, not_implemented
from lateint.testing.suite import read
from lateint.testing.suite.persistence import TestPersistence
from lateint.testing.suite.read import TestCount

for _name in plugin("broken").variants:
    globals()[f"Test{_name}"] = type(f"Test{_name}", (ConformanceSuite,), {"target": Target(f"broken+{_name}://")})


class TestLeavesOut(ConformanceSuite):
    target = Target("broken+sound://")
    TestCount = None


class TestOverrides(ConformanceSuite):
    target = Target("broken+sound://")

    class TestGet(read.TestGet):
        def test_many(self) -> None:  # type: ignore[override]
            """Easier."""


class TestRequiresMore(ConformanceSuite):
    target = Target("broken+sound://")
    TestCount = type("TestCount", (TestCount,), {"requires": TestPersistence.requires})


class TestMarksNothing(ConformanceSuite):
    target = Target("broken+sound://", marks={"TestGet::test_a_lot": never("misspelt", raises=AssertionError)})


class TestMarks(ConformanceSuite):
    """One mark is right, one names another exception, one is on a test that passes, one is on one case of several."""

    target = Target(
        "broken+dropslast://",
        marks={
            "TestWrite::test_what_is_written_is_there": not_implemented("the last one is lost", raises=AssertionError),
            "TestCount::test_beyond_a_page": not_implemented("fails otherwise", raises=KeyError),
            "TestGet::test_nothing": not_implemented("passes", raises=AssertionError),
            "TestIds::test_round_trip[leading-space]": not_implemented("the last one is lost", raises=AssertionError),
        },
    )
