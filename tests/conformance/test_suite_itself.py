"""The suite catches what it is for: each planted defect fails a test by name, and a sound backend fails none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lateint.testing.suite import CLASSES

PLANTED = Path(__file__).parent / "planted"

CAUGHT_BY = {
    "clamps": "TestSearchExact::test_all_similarities_negative",
    "negates": "TestSearchExact::test_score_is_a_sum_over_query_rows",
    "losesties": "TestSearchExact::test_ties_at_the_cut",
    "filterslate": "TestSearchExact::test_filter_comes_before_the_cut",
    "roundsqueries": "TestLimits::test_rounding_of_queries",
    "signsbits": "TestSearchExact::test_storage_formats",
    "dropslast": "TestWrite::test_what_is_written_is_there",
    "normalisestwice": "TestCreate::test_dtype_is_kept_or_refused",
    "foldsids": "TestIds::test_no_two_are_one",
    "floatsonly": "TestPayload::test_round_trip",
    "milliseconds": "TestPayload::test_declared_fields",
    "mergespayloads": "TestWrite::test_fewer_rows_than_before",
    "skipsmissing": "TestFilters::test_not_equal",
    "skipsfirst": "TestScanResumed::test_at_every_place",
    "ignoresslices": "TestScanSlices::test_disjoint_and_complete",
    "cutsbyplace": "TestScanSlices::test_other_documents_come_and_go",
    "replaces": "TestCreate::test_existing_name_is_refused",
    "boasts": "TestPersistence::test_documents_and_spec",
    "denies": "TestDeclaredMissing::test_is_refused_and_does_not_work",
    "drifts": "TestContract::test_signatures",
}

AUTHORS = {
    "LeavesOut": ("TestContract::test_nothing_of_the_suite_is_left_out", "TestCount"),
    "Overrides": ("TestContract::test_nothing_of_the_suite_is_left_out", "TestGet::test_many"),
    "RequiresMore": ("TestContract::test_nothing_of_the_suite_is_left_out", "TestCount"),
    "MarksNothing": ("TestContract::test_every_mark_names_a_test", "TestGet::test_a_lot"),
}

MARKED = (
    "TestWrite::test_what_is_written_is_there",
    "TestCount::test_beyond_a_page",
    "TestGet::test_nothing",
    "TestIds::test_round_trip",
)


class Outcomes:
    """What an inner run of pytest reported, by author and test."""

    def __init__(self, report: Path) -> None:
        self._cases = list(ET.parse(report).iter("testcase"))

    def of(self, author: str, test: str) -> dict[str, tuple[str, str]]:
        """Outcome and message of each case of a test, by its id."""
        suite, _, name = test.partition("::")
        return {
            case.attrib["name"].removeprefix(name).strip("[]"): self._outcome(case)
            for case in self._cases
            if case.attrib["classname"].endswith(f".Test{author}.{suite}") and case.attrib["name"].startswith(name)
        }

    def failed(self, author: str, test: str) -> set[str]:
        """Ids of the cases of a test that failed."""
        return {case for case, (outcome, _) in self.of(author, test).items() if outcome in {"failure", "error"}}

    @staticmethod
    def _outcome(case: ET.Element) -> tuple[str, str]:
        for child in case:
            if child.tag in {"failure", "error", "skipped"}:
                return child.tag, f"{child.attrib.get('message', '')} {child.text or ''}"
        return "passed", ""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """One inner run for all: the planted backends are installed as a distribution of their own would be."""
    folder = tmp_path_factory.mktemp("planted")
    installed = folder / "lateint_broken-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lateint-broken\nVersion: 0\n")
    (installed / "entry_points.txt").write_text("[lateint.backends]\nbroken = defects:plugin\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    authors = PLANTED / "authors.py"
    wanted = [f"{authors}::Test{defect}::{test}" for defect, test in CAUGHT_BY.items()]
    wanted += [f"{authors}::Testsound::{test}" for test in sorted(set(CAUGHT_BY.values()))]
    wanted += [f"{authors}::Test{author}::{test}" for author, (test, _) in AUTHORS.items()]
    wanted += [f"{authors}::TestMarks::{test}" for test in MARKED]
    report = folder / "report.xml"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-c",
            folder / "pytest.ini",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *wanted,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(PLANTED), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return Outcomes(report)


@pytest.mark.parametrize(("defect", "test"), CAUGHT_BY.items(), ids=list(CAUGHT_BY))
def test_planted_defect_is_caught(outcomes: Outcomes, defect: str, test: str) -> None:
    failed = outcomes.failed(defect, test)
    assert any("sync" in case.split("-") for case in failed)
    assert any("async" in case.split("-") for case in failed)


@pytest.mark.parametrize("test", sorted(set(CAUGHT_BY.values())))
def test_sound_backend_passes(outcomes: Outcomes, test: str) -> None:
    assert outcomes.of("sound", test)
    assert outcomes.failed("sound", test) == set()


def test_denied_but_working_features_are_named(outcomes: Outcomes) -> None:
    failed = outcomes.of("denies", CAUGHT_BY["denies"])
    wrong = {case.split("-")[1]: message for case, (outcome, message) in failed.items() if outcome == "failure"}
    assert set(wrong) == {"scan_filter", "filter_exists"}
    assert "denied but works: scan with a filter" in wrong["scan_filter"]


def test_missing_features_are_skipped_in_words(outcomes: Outcomes) -> None:
    skipped = outcomes.of("sound", "TestPersistence::test_documents_and_spec")
    assert {outcome for outcome, _ in skipped.values()} == {"skipped"}
    assert all("declared: cannot data outlive the client" in message for _, message in skipped.values())


@pytest.mark.parametrize("author", AUTHORS)
def test_author_cannot_get_around_the_suite(outcomes: Outcomes, author: str) -> None:
    test, named = AUTHORS[author]
    ((outcome, message),) = outcomes.of(author, test).values()
    assert outcome == "failure"
    assert named in message


def test_marks_are_strict(outcomes: Outcomes) -> None:
    right, other, passing, one_case = (outcomes.of("Marks", test) for test in MARKED)
    assert {outcome for outcome, _ in right.values()} == {"skipped"}
    assert all("not implemented: the last one is lost" in message for _, message in right.values())
    assert {outcome for outcome, _ in other.values()} == {"failure"}
    assert {outcome for outcome, _ in passing.values()} == {"failure"}
    assert all("XPASS(strict)" in message for _, message in passing.values())
    assert {case for case, (outcome, _) in one_case.items() if outcome == "skipped"} == {
        "sync-leading-space",
        "async-leading-space",
    }


@pytest.mark.parametrize("name", CLASSES)
def test_every_test_says_why_it_exists(name: str) -> None:
    silent = [test for test, body in CLASSES[name].members().items() if "Breaks when: " not in (body.__doc__ or "")]
    assert silent == []
    assert CLASSES[name].__doc__
