"""The tests, one class for each verb or natural group."""

from __future__ import annotations

from lateint.testing.suite.bad_input import TestBadInput
from lateint.testing.suite.base import Suite
from lateint.testing.suite.borrowed import TestBorrowed
from lateint.testing.suite.capabilities import TestCapabilities, TestDeclaredMissing
from lateint.testing.suite.concurrency import TestConcurrency
from lateint.testing.suite.contract import TestContract
from lateint.testing.suite.create import TestCreate, TestOpenListDrop
from lateint.testing.suite.delete import TestDelete
from lateint.testing.suite.fields import TestAddField, TestUpdate
from lateint.testing.suite.filters import TestFilters
from lateint.testing.suite.ids import TestIds
from lateint.testing.suite.lifecycle import TestLifecycle
from lateint.testing.suite.limits import TestLimits
from lateint.testing.suite.payloads import TestPayload
from lateint.testing.suite.persistence import TestPersistence
from lateint.testing.suite.read import TestCount, TestGet
from lateint.testing.suite.scan import TestScan, TestScanResumed
from lateint.testing.suite.scan_slices import TestScanSlices
from lateint.testing.suite.search_answers import TestSearchAnswers
from lateint.testing.suite.search_approximate import TestSearchApproximate
from lateint.testing.suite.search_exact import TestSearchExact
from lateint.testing.suite.update_payload import TestUpdatePayload
from lateint.testing.suite.write import TestWrite, TestWriteReport

CLASSES: dict[str, type[Suite]] = {
    suite.__name__: suite
    for suite in (
        TestContract,
        TestCreate,
        TestOpenListDrop,
        TestWrite,
        TestWriteReport,
        TestBorrowed,
        TestUpdatePayload,
        TestDelete,
        TestGet,
        TestCount,
        TestSearchExact,
        TestSearchAnswers,
        TestSearchApproximate,
        TestFilters,
        TestScan,
        TestScanResumed,
        TestScanSlices,
        TestUpdate,
        TestAddField,
        TestIds,
        TestPayload,
        TestBadInput,
        TestPersistence,
        TestLifecycle,
        TestConcurrency,
        TestCapabilities,
        TestDeclaredMissing,
        TestLimits,
    )
}
"""All of them, in the order in which they run."""
