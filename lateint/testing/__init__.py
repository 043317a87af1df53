"""The conformance suite: what a backend must do, as tests that its author runs.

A backend's test file is this, here for an engine that keeps its data in a folder:

    from lateint.testing import ConformanceSuite, Target, not_yet
    from lateint import errors


    class TestMilvus(ConformanceSuite):
        target = Target(
            "milvus+lite://{folder}",
            marks={"TestIds::test_round_trip[emoji]": not_yet("refuses astral characters", raises=errors.BackendError)},
        )

`pytest` then runs every class of `lateint.testing.suite` under it, each test once with the blocking client and once
with the asynchronous one. `{folder}` becomes a new, empty folder for every test; a URL without it names a server, where
every test makes indexes of its own and drops them; those of one class that leave an index as they find it share it.

What an engine declares it cannot do (`Capabilities`) is skipped with that as reason, and tried behind the client's
back: a "no" that is not true fails. What it should do and does not is marked in `marks`, with a reason and the
exception: by `not_implemented` (the adapter's to do), `not_yet` (the engine's) or `never`. Marks are strict: when the
gap closes, the test fails until the mark goes. Removing or overriding a test fails too.

The suite needs pytest and nothing else beside lateint: no plugin, no asyncio support, no network of its own.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("lateint.testing.suite", "lateint.testing.truth")

from lateint.testing.conformance import ConformanceSuite  # noqa: E402 - after the rewriting is arranged
from lateint.testing.marks import Mark, never, not_implemented, not_yet  # noqa: E402
from lateint.testing.target import Target  # noqa: E402

__all__ = ["ConformanceSuite", "Mark", "Target", "never", "not_implemented", "not_yet"]
