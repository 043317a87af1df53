"""The records: what may be an id, how a result behaves as a sequence, and that nothing prints a million floats."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.types import (
    MAX_ID_BYTES,
    MAX_SLICES,
    Document,
    Hit,
    SearchResult,
    ServerInfo,
    Slice,
    WriteFailure,
    WriteReport,
    check_id,
)


class TestCheckId:
    """An id is kept as it is, or refused."""

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("a", id="one byte"),
            pytest.param("x" * 512, id="512 bytes"),
            pytest.param("é" * 256, id="512 bytes in 256 characters"),
            pytest.param("😀" * 128, id="512 bytes in 128 characters"),
            pytest.param(" a  b ", id="spaces around and within"),
            pytest.param(" ", id="a space"),
            pytest.param("\u00a0\u2003\u3000", id="other spaces"),
            pytest.param("\u2028\u200b\ufeff", id="line separator, zero-width space, byte-order mark"),
            pytest.param("e\u0301", id="combining accent"),
            pytest.param("\u00e9", id="precomposed accent"),
            pytest.param("../a/b?c=d#e&%00\\'\"", id="what a URL or a path would trip over"),
            pytest.param("\ue000\U0010fffd", id="private use"),
            pytest.param("\ufffd", id="replacement character"),
        ],
    )
    def test_kept(self, name: str) -> None:
        """Two ids that differ in a space or in their normal form are two documents."""
        assert check_id(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("", id="empty"),
            pytest.param("x" * 513, id="513 bytes"),
            pytest.param("é" * 256 + "x", id="513 bytes in 257 characters"),
            pytest.param("😀" * 129, id="516 bytes in 129 characters"),
            pytest.param("a\0b", id="NUL"),
            pytest.param("a\n", id="newline at the end"),
            pytest.param("\t", id="tab"),
            pytest.param("a\x7f", id="delete"),
            pytest.param("a\x80", id="first of C1"),
            pytest.param("a\x85", id="next line, C1"),
            pytest.param("a\x9f", id="last of C1"),
            pytest.param("a\ud800", id="lone high surrogate"),
            pytest.param("a\udfff", id="lone low surrogate"),
            pytest.param("\ufdd0", id="first noncharacter"),
            pytest.param("\ufdef", id="last of the noncharacters in a row"),
            pytest.param("\ufffe", id="U+FFFE"),
            pytest.param("\uffff", id="U+FFFF"),
            pytest.param("\U0001fffe", id="U+1FFFE"),
            pytest.param("\U0010ffff", id="U+10FFFF"),
            pytest.param(None, id="None"),
            pytest.param(7, id="integer"),
            pytest.param(b"a", id="bytes"),
            pytest.param(["a"], id="list"),
        ],
    )
    def test_refused(self, name: Any) -> None:
        """Some engine rejects, strips or changes each of these: better here than in the middle of a batch."""
        with pytest.raises(errors.InvalidInput, match="document id ") as raised:
            check_id(name)
        assert raised.value.hint

    def test_names_the_character_and_its_place(self) -> None:
        """A control character cannot be seen; the message must spell it."""
        with pytest.raises(errors.InvalidInput, match=r"U\+0085 at position 3"):
            check_id("abc\x85")

    @pytest.mark.parametrize(
        "name",
        ["x" * 10**6, "\ud800" + "x" * 10**6, [0.5] * 10**6],
        ids=["too long", "surrogate in a long text", "a list of numbers"],
    )
    def test_message_stays_short(self, name: Any) -> None:
        """A document passed as id must not flood the log."""
        with pytest.raises(errors.InvalidInput) as raised:
            check_id(name)
        assert len(str(raised.value)) < 400

    @given(st.text())
    def test_never_changed(self, name: str) -> None:
        """Whatever is accepted comes back as it was, and fits."""
        try:
            kept = check_id(name)
        except errors.InvalidInput:
            return
        assert kept == name
        assert 1 <= len(kept.encode()) <= MAX_ID_BYTES


class TestWriteReport:
    """A report is data until somebody asks it to be an exception."""

    def test_nothing_failed(self) -> None:
        """The happy path costs one line in a script."""
        WriteReport(written=3).raise_for_failures()

    def test_raises_with_everything(self) -> None:
        """The message shows the first few, the exception carries all, with the report, for a second attempt."""
        failed = tuple(WriteFailure(f"d{number}", f"reason {number}", retryable=True) for number in range(5))
        report = WriteReport(written=7, failed=failed)
        with pytest.raises(errors.PartialWrite) as raised:
            report.raise_for_failures()
        assert raised.value.failed == failed
        assert raised.value.report is report
        message = str(raised.value)
        assert all(text in message for text in ("'d0'", "reason 0", "'d2'"))
        assert "5" in message

    def test_message_of_many_failures_is_short(self) -> None:
        """A hundred thousand refusals are data, not a message."""
        report = WriteReport(failed=tuple(WriteFailure(f"d{number}", "no") for number in range(100_000)))
        with pytest.raises(errors.PartialWrite) as raised:
            report.raise_for_failures()
        assert len(str(raised.value)) < 500

    def test_compares_by_value(self) -> None:
        """Reports are compared in tests and merged across processes."""
        assert WriteReport(written=1) == WriteReport(written=1)
        assert pickle.loads(pickle.dumps(WriteReport(failed=(WriteFailure("a", "no"),)))).failed[0].id == "a"


class TestSearchResult:
    """Hits in order, usable like any sequence."""

    first, second, third = Hit("a", 3.0), Hit("b", 2.0), Hit("c", 1.0)
    result = SearchResult((first, second, third), exact=True)

    def test_is_a_sequence(self) -> None:
        """`len`, `for`, indexing and slicing are what everybody types first."""
        assert len(self.result) == 3
        assert [hit.id for hit in self.result] == ["a", "b", "c"]
        assert self.result[0] is self.first
        assert self.result[-1] is self.third
        assert self.result[1:] == (self.second, self.third)
        assert list(reversed(self.result)) == [self.third, self.second, self.first]
        assert self.second in self.result
        assert self.result.index(self.third) == 2
        with pytest.raises(IndexError):
            self.result[3]

    def test_empty_is_false(self) -> None:
        """`if not result` is how people ask whether anything was found."""
        assert not SearchResult((), exact=True)
        assert self.result

    def test_says_how_it_was_found(self) -> None:
        """Whether a search was exact is part of the answer; nobody may forget to say it."""
        assert (self.result.exact, self.result.candidates, self.result.warnings) == (True, None, ())
        with pytest.raises(TypeError):
            SearchResult(())  # type: ignore[call-arg]


MANY = np.full((100, 100), 0.123456789, np.float32)


class TestSlice:
    """One worker's share of a scan."""

    @pytest.mark.parametrize(("index", "count"), [(0, 1), (3, 4), (MAX_SLICES - 1, MAX_SLICES)])
    def test_within_bounds(self, index: int, count: int) -> None:
        """Equal by value, and said as a person would: cursors name it so."""
        part = Slice(index=index, count=count)
        assert part == Slice(index=index, count=count)
        assert str(part) == f"{index} of {count}"

    @pytest.mark.parametrize(
        ("index", "count", "words"),
        [
            (4, 4, "index=4 is none of 4 slices"),
            (-1, 4, "index=-1"),
            (True, 4, "index=True"),
            (0.0, 4, r"index=0\.0"),
            ("0", 4, "index='0'"),
            (0, 0, "count=0 is no number of slices"),
            (0, -4, "count=-4"),
            (0, MAX_SLICES + 1, "from 1 to 1,024"),
            (0, True, "count=True"),
            (0, 4.0, r"count=4\.0"),
            (0, None, "count=None"),
        ],
    )
    def test_out_of_bounds(self, index: Any, count: Any, words: str) -> None:
        """An engine would answer with nothing, with everything, or with an error of its own."""
        with pytest.raises(errors.InvalidInput, match=words):
            Slice(index=index, count=count)


class TestReprs:
    """What a notebook prints after a slip of the fingers."""

    @pytest.mark.parametrize(
        "record",
        [
            pytest.param(Document("a", MANY), id="document"),
            pytest.param(Hit("a", 1.0, {}, MANY), id="hit"),
            pytest.param(SearchResult((Hit("a", 1.0, {}, MANY),), exact=True), id="result"),
        ],
    )
    def test_rows_are_shown_as_their_shape(self, record: object) -> None:
        """Rows say nothing to a person, and some people print arrays in full."""
        with np.printoptions(threshold=sys.maxsize):
            text = repr(record)
        assert len(text) < 300
        assert "0.123" not in text
        assert "(100, 100)" in text

    def test_document_of_lists(self) -> None:
        """Rows that are not an array yet are there all the same, and must not look like none, nor be printed."""
        text = repr(Document("a", [[0.123456789] * 100] * 100))
        assert len(text) < 300
        assert "vectors=None" not in text

    def test_document_without_rows(self) -> None:
        """Read without vectors: the repr has no word of them."""
        assert repr(Document("a", None, {"year": 2024})) == "Document(id='a', payload={'year': 2024})"


class TestRecords:
    """Frozen, cheap, without surprises of comparison."""

    @pytest.mark.parametrize(
        ("record", "name"),
        [
            (Document("a", None), "id"),
            (Hit("a", 1.0), "score"),
            (SearchResult((), exact=True), "hits"),
            (WriteReport(), "written"),
            (WriteFailure("a", "no"), "reason"),
            (Slice(index=0, count=4), "index"),
            (ServerInfo(engine="x", version="1", location="y"), "engine"),
        ],
    )
    def test_frozen(self, record: object, name: str) -> None:
        """Records cross threads: what has been handed over does not change any more."""
        with pytest.raises(AttributeError):
            setattr(record, name, None)

    def test_documents_compare_by_identity(self) -> None:
        """Comparing arrays by == gives an array, so a generated __eq__ would raise in `in` and in `assert`."""
        rows = np.ones((2, 2), np.float32)
        document = Document("a", rows)
        assert document == document
        assert document != Document("a", rows)

    def test_payloads_are_not_shared(self) -> None:
        """A mutable default would make every document without payload the same one."""
        assert Document("a", None).payload is not Document("b", None).payload

    def test_pickle(self) -> None:
        """Encoding runs in worker processes, which hand documents back by pickle."""
        document = pickle.loads(pickle.dumps(Document("a", np.eye(2, dtype=np.float32), {"x": 1}, normalized=True)))
        assert (document.id, document.payload, document.normalized) == ("a", {"x": 1}, True)
        assert np.array_equal(document.vectors, np.eye(2))
