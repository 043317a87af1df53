"""The command line: data on stdout, words on stderr, exit codes, and messages that a tired person can act on."""

import inspect
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lateint
from lateint import errors
from lateint.cli import arrays, documents, output
from lateint.cli.app import app, exit_code
from lateint.encoders import HashingEncoder, stream
from lateint.engine import registry
from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.findings import Finding, Severity
from lateint.engine.memory import MemoryBackend
from lateint.types import Document, SearchRequest, SearchResult, WriteFailure

URL = "kept://here"
COMMANDS = ["demo", "backends", "doctor", "create", "schema", "push", "search", "show", "verify", "drop", "encoder"]


class Kept(MemoryBackend):
    """The reference backend, outliving its clients as a server does."""

    def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Kept:
    backend = Kept()
    serve(monkeypatch, backend)
    return backend


def serve(monkeypatch: pytest.MonkeyPatch, backend: MemoryBackend) -> None:
    real = lateint.connect

    def connect(url: str, **options: Any) -> lateint.Client:
        if url != URL:
            return real(url, **options)
        return lateint.Client(backend, read_only=options.get("read_only", False), retry=lateint.RetryPolicy(attempts=1))

    monkeypatch.setattr(lateint, "connect", connect)


def runner() -> CliRunner:
    """One that keeps stdout and stderr apart, which older versions of click must be told."""
    options: dict[str, Any] = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**options)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return runner().invoke(app, arguments, input=stdin)


def answer(*arguments: str, stdin: str | None = None, code: int = 0) -> dict[str, Any]:
    """The whole object that a command prints with --json."""
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == code, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    assert parsed["ok"] is (code == 0)
    assert code or parsed["error"] is None
    return parsed


def data(*arguments: str, stdin: str | None = None, code: int = 0) -> dict[str, Any]:
    """What is in it beside `ok` and `error`."""
    whole = answer(*arguments, stdin=stdin, code=code)
    return {name: value for name, value in whole.items() if name not in {"ok", "error"}}


def failure(*arguments: str, stdin: str | None = None, code: int = 1) -> dict[str, Any]:
    """The error in it."""
    error: dict[str, Any] = answer(*arguments, stdin=stdin, code=code)["error"]
    assert set(error) == {"kind", "message", "hint", "notes"}
    return error


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    lines = [
        {"id": "json", "text": "Parse a JSON document", "payload": {"year": 2020}},
        {"id": "csv", "text": "Read rows of a CSV file", "payload": {"year": 2021}},
        {"id": "zip", "text": "Compress a file into an archive"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def filled(server: Kept, notes: Path) -> Kept:
    assert run("create", URL, "notes", "--encoder", "hashing", "--field", "year:integer").exit_code == 0
    assert run("push", URL, "notes", str(notes)).exit_code == 0
    return server


class TestProgram:
    def test_help_of_every_command(self) -> None:
        overview = run("--help")
        assert overview.exit_code == 0
        assert list(app.commands) == COMMANDS
        for name in COMMANDS:
            assert name in overview.output
            assert "--json" in run(name, *(["check"] if name == "encoder" else []), "--help").output
        assert "..." not in overview.output.split("Commands:")[1], "a summary that does not fit on its line"

    def test_version(self) -> None:
        assert run("--version").output == f"lateint, version {lateint.__version__}\n"

    @pytest.mark.parametrize(
        "arguments", [("nonsense",), ("search",), ("show", URL, "--nonsense"), ("search", URL, "x", "y", "-k", "0")]
    )
    def test_wrong_usage_is_2(self, arguments: tuple[str, ...]) -> None:
        result = run(*arguments)
        assert result.exit_code == 2
        assert not result.stdout
        assert "Usage:" in result.stderr

    def test_without_click_it_says_what_to_install(self) -> None:
        program = "import sys; sys.modules['click'] = None; sys.argv = ['lateint', 'demo']; from lateint.cli import main; main()"
        result = python("-c", program)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr == 'The command needs click. Install it: pip install "lateint[cli]"\n'

    def test_importing_lateint_does_not_import_click(self) -> None:
        program = "import sys, lateint, lateint.encoders; print({'click', 'rich'} & set(sys.modules))"
        assert python("-c", program).stdout.strip() == "set()"

    def test_runs_as_a_module(self) -> None:
        result = python("-m", "lateint", "show", "memory://", "--json")
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["indexes"] == []

    def test_characters_that_the_terminal_lacks(self) -> None:
        result = python("-m", "lateint", "show", "memory://", "säge", encoding="ascii")
        assert result.returncode == 1
        assert "s\\xe4ge" in result.stderr

    def test_errors_are_one_message_and_a_hint(self, server: Kept) -> None:
        result = run("show", URL, "missing")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith("IndexNotFound: ")
        assert "Traceback" not in result.stderr

    def test_debug_shows_the_traceback(self, server: Kept) -> None:
        result = run("--debug", "show", URL, "missing")
        assert isinstance(result.exception, errors.IndexNotFound)

    def test_keys_in_urls_are_refused_and_not_shown(self) -> None:
        for url in ("memory://me:s3cret@host", "memory://host?api_key=s3cret"):
            for command in (("show", url), ("doctor", url), ("search", url, "i", "t")):
                result = run(*command)
                assert result.exit_code in {1, 2}
                assert "s3cret" not in result.stdout + result.stderr

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (errors.BackendError("x"), 1),
            (errors.InvalidInput("x"), 1),
            (errors.InvalidURL("x"), 2),
            (errors.EncoderMismatch("x"), 2),
            (errors.VerificationFailed("x"), 3),
            (errors.PartialWrite("x"), 4),
            (OSError("x"), 1),
            (KeyboardInterrupt(), 130),
        ],
    )
    def test_exit_codes(self, error: BaseException, code: int) -> None:
        assert exit_code(error) == code

    def test_an_error_after_some_documents_were_written_is_a_partial_write(self) -> None:
        for error in (errors.InvalidInput("x"), errors.Timeout("x")):
            error.report = lateint.WriteReport(written=0)
            assert exit_code(error) == 1
            error.report = lateint.WriteReport(written=1)
            assert exit_code(error) == 4


class TestJson:
    """One object on stdout, whatever happens: a program that reads it must not have to parse words on stderr."""

    @pytest.mark.parametrize(
        ("arguments", "code", "kind"),
        [
            (("show", URL, "missing"), 1, "IndexNotFound"),
            (("search", URL, "missing", "x"), 1, "IndexNotFound"),
            (("push", URL, "missing", "-"), 1, "IndexNotFound"),
            (("verify", URL, "missing"), 1, "IndexNotFound"),
            (("drop", URL, "missing", "--yes"), 1, "IndexNotFound"),
            (("create", URL, "notes", "--dim", "8"), 1, "IndexExists"),
            (("show", "nonsense"), 2, "InvalidURL"),
            (("create", URL, "no spaces", "--dim", "8"), 2, "UsageError"),
            (("search", URL), 2, "MissingParameter"),
            (("show", URL, "--nonsense"), 2, "NoSuchOption"),
            (("backends", "extra"), 2, "UsageError"),
        ],
    )
    def test_errors_of_every_command(self, filled: Kept, arguments: tuple[str, ...], code: int, kind: str) -> None:
        """Stdout was empty for all of these."""
        error = failure(*arguments, code=code)
        assert error["kind"] == kind
        assert error["message"]
        assert error["message"] in run(*arguments).stderr

    def test_hint_stands_alone(self, filled: Kept) -> None:
        error = failure("search", URL, "notes", "x", "--filter", '{"field": "yaer", "op": "exists"}')
        assert "Did you mean" not in error["message"]
        assert error["hint"] == "Did you mean 'year'?"

    def test_a_bug_is_told_too(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Kept, "list_indexes", lambda self: 1 // 0)
        result = run("show", URL, "--json")
        assert json.loads(result.stdout)["error"]["kind"] == "ZeroDivisionError"
        assert isinstance(result.exception, ZeroDivisionError)

    def test_only_an_option_asks_for_it(self, filled: Kept) -> None:
        assert "Usage:" in run("show", "--json", "--help").stdout
        assert run("show", URL, "--", "--json").stdout == ""

    def test_help_says_so(self) -> None:
        for word in ("--json", '"ok"', '"error"', '"kind"', '"message"', '"hint"'):
            assert word in run("--help").stdout


class TestCreate:
    def test_all_options(self, server: Kept) -> None:
        arguments = (
            "--dim",
            "96",
            "--dtype",
            "float16",
            "--field",
            "year:integer",
            "--field",
            "tags:keyword[]",
            "--no-normalize",
        )
        created = data("create", URL, "pages", *arguments)
        assert created == {
            "created": True,
            "location": "memory://",
            "spec": lateint.IndexSpec(
                "pages", 96, dtype="float16", fields={"year": "integer", "tags": "keyword[]"}, normalize=False
            ).to_dict(),
        }
        assert server.list_indexes() == ["pages"]

    def test_encoder_gives_dimension_and_fingerprint(self, server: Kept) -> None:
        assert data("create", URL, "a", "--encoder", "hashing")["spec"]["encoder"] == HashingEncoder().fingerprint
        assert data("create", URL, "b", "--encoder", "hashing", "--dim", "32")["spec"]["encoder"]["dim"] == 32

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "Missing option '--dim'"),
            (("--dim", "0"), "dim 0 is not a dimension"),
            (("--dim", "8", "--field", "year"), "'year' is not NAME:TYPE"),
            (("--dim", "8", "--field", "year:integer", "--field", "year:float"), "'year' comes twice"),  # the last won
            (("--dim", "8", "--field", "year:intger"), "Did you mean 'integer'?"),
            (("--dim", "8", "--dtype", "int8"), "'int8' is not one of"),
        ],
    )
    def test_wrong_usage(self, server: Kept, arguments: tuple[str, ...], message: str) -> None:
        result = run("create", URL, "pages", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert server.list_indexes() == []

    def test_wrong_name(self, server: Kept) -> None:
        result = run("create", URL, "no spaces", "--dim", "8")
        assert result.exit_code == 2
        assert "index name 'no spaces' is not allowed" in result.stderr

    def test_dry_run_creates_nothing(self, server: Kept) -> None:
        assert data("create", URL, "pages", "--dim", "8", "--dry-run")["created"] is False
        assert server.list_indexes() == []

    def test_dry_run_notices_what_is_there(self, filled: Kept) -> None:
        result = run("create", URL, "notes", "--dim", "8", "--dry-run")
        assert result.exit_code == 1
        assert "IndexExists" in result.stderr


class TestPushLines:
    def test_report(self, filled: Kept, notes: Path) -> None:
        assert data("push", URL, "notes", str(notes)) == {
            "index": "notes",
            "dry_run": False,
            "written": 3,
            "could_write": None,
            "failed": [],
            "retries": 0,
        }
        result = run("push", URL, "notes", str(notes))
        assert result.stdout == ""
        assert "Wrote 3 documents to index 'notes'" in result.stderr

    def test_standard_input_and_several_files(self, filled: Kept, notes: Path, tmp_path: Path) -> None:
        more = tmp_path / "more.ndjson"
        more.write_text('\ufeff{"id": "more", "text": "more"}\n\n   \n')
        line = '{"id": "ü", "text": "über"}'
        assert data("push", URL, "notes", str(notes), "-", str(more), stdin=line)["written"] == 5
        assert data("show", URL, "notes")["count"] == 5

    def test_dry_run_checks_and_writes_nothing(self, filled: Kept, tmp_path: Path) -> None:
        good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
        good.write_text('{"id": "new", "text": "new"}')
        bad.write_text('{"id": "new", "text": "new", "payload": {"year": "MMXX"}}')
        report = data("push", URL, "notes", str(good), "--dry-run")
        assert (report["dry_run"], report["written"], report["could_write"]) == (True, 0, 1)
        assert run("push", URL, "notes", str(bad), "--dry-run").exit_code == 1
        assert data("push", URL, "notes", str(bad), "--dry-run", "--on-error", "report", code=4)["could_write"] == 0
        assert data("show", URL, "notes")["count"] == 3

    def test_datetimes_are_read_where_the_field_says_so(self, server: Kept) -> None:
        run("create", URL, "d", "--encoder", "hashing", "--field", "at:datetime")
        line = '{"id": "a", "text": "x", "payload": {"at": "2024-05-01T10:00:00+02:00", "other": "2024-05-01"}}'
        assert data("push", URL, "d", "-", stdin=line)["written"] == 1
        condition = '{"field": "at", "op": "<", "value": {"datetime": "2024-05-01T09:00:00+00:00"}}'
        (hit,) = data("search", URL, "d", "x", "--filter", condition)["hits"]
        assert hit["payload"] == {"at": "2024-05-01T10:00:00+02:00", "other": "2024-05-01"}
        refused = run("push", URL, "d", "-", stdin='{"id": "b", "text": "x", "payload": {"at": "yesterday"}}')
        assert "'yesterday' (str) is not a datetime" in refused.stderr

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "stdin:2: not JSON"),
            ("[1]", "stdin:2: a JSON list, not an object"),
            ("[" * 50_000, "stdin:2: JSON that is nested too deeply"),
            ('{"id": "x", "id": "y", "text": "x"}', "stdin:2: key 'id' comes twice"),  # json keeps the last
            ('{"id": "x", "text": "x", "payload": {"a": {"b": 1, "b": 2}}}', "stdin:2: key 'b' comes twice"),
            ("\udcff", "stdin:2: not JSON"),
            ('{"text": "x"}', "stdin:2: no 'id'"),
            ('{"id": "x"}', "stdin:2: no 'text'"),
            ('{"id": "x", "text": 1}', "stdin:2: the text is not text"),
            ('{"id": 7, "text": "x"}', "stdin:2: document id 7 is a int, not text"),
            ('{"id": "x", "text": "x", "lang": "en"}', "stdin:2: 'lang' is not known"),
            ('{"id": "x", "text": "---"}', "stdin:2: text 0, '---', has no words"),
            ('{"id": "x", "text": "x", "payload": []}', "document 'x': payload is a list"),
            ('{"id": "x", "text": "x", "payload": {"year": 1.5}}', "document 'x', payload field 'year'"),
        ],
    )
    def test_bad_lines(self, server: Kept, line: str, message: str) -> None:
        run("create", URL, "i", "--encoder", "hashing", "--field", "year:integer")
        text = f'{{"id": "a", "text": "good"}}\n{line}\n{{"id": "b", "text": "good"}}\n'
        stdin = text.encode("utf-8", "surrogateescape")
        refused = runner().invoke(app, ["push", URL, "i", "-"], input=stdin)
        assert refused.exit_code == 1
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
        assert data("show", URL, "i")["count"] == 0
        went_on = runner().invoke(app, ["push", URL, "i", "-", "--on-error", "report", "--json"], input=stdin)
        assert went_on.exit_code == 4
        report = json.loads(went_on.stdout)
        assert report["written"] == 2
        assert len(report["failed"]) == 1
        assert data("show", URL, "i")["count"] == 2

    def test_failures_are_listed(self, filled: Kept) -> None:
        result = run("push", URL, "notes", "-", "--on-error", "report", stdin='{\n{"id": "x", "text": "x"}\n')
        assert result.exit_code == 4
        assert result.stdout.startswith("stdin:1\tnot JSON")
        assert "Wrote 1 document " in result.stderr

    def test_what_was_written_before_an_error_is_said(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "TOKENS", 1)
        monkeypatch.setattr("lateint.engine.memory.CAPABILITIES", filled.capabilities())
        lines = [json.dumps({"id": f"{n}", "text": "word " * 100 + str(n)}) for n in range(50)]
        result = run("push", URL, "notes", "-", "--json", stdin="\n".join([*lines, "{"]))
        report = json.loads(result.stdout)
        assert result.exit_code == (4 if report["written"] else 1)
        assert f"{report['written']} documents had been written" in result.stderr

    def test_all_that_was_not_written_is_listed(self, filled: Kept) -> None:
        """`failed` was empty: neither the bad line nor the good ones that were never sent could be found again."""
        lines = [*(json.dumps({"id": name, "text": name}) for name in "abc"), '{"id": "d"}', '{"id": "e", "text": "e"}']
        report = answer("push", URL, "notes", "-", stdin="\n".join(lines), code=1)
        assert report["written"] == 0
        assert [(failed["id"], failed["retryable"]) for failed in report["failed"]] == [
            *[("stdin:4", False)],
            *[("a", True), ("b", True), ("c", True)],
        ]
        assert report["failed"][0]["reason"].startswith("no 'text'.")
        assert report["error"]["message"] == "stdin:4: no 'text'."

    def test_dry_run_lists_what_could_not_be_written(self, filled: Kept) -> None:
        """It said that three documents were written, though nothing was."""
        lines = '{"id": "a", "text": "a"}\n{"id": "b", "text": "b", "payload": {"year": ""}}\n{'
        stopped = data("push", URL, "notes", "-", "--dry-run", stdin=lines, code=1)
        assert (stopped["written"], stopped["could_write"]) == (0, None)
        assert [failed["id"] for failed in stopped["failed"]] == ["b"]
        result = run("push", URL, "notes", "-", "--dry-run", "--on-error", "report", stdin=lines)
        assert result.exit_code == 4
        assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["b", "stdin:3"]
        assert "Could write 1 document to" in result.stderr
        assert "2 documents could not be written." in result.stderr
        assert "were" not in result.stderr

    def test_closed_standard_input(self) -> None:
        """It ended in an AttributeError, as did `drop`, which looks whether there is anybody to ask."""
        for command, message in (
            ("push memory:// i -", "standard input is closed"),
            ("drop memory:// i", "nobody to ask"),
        ):
            program = f'"{sys.executable}" -m lateint {command} <&-'
            result = subprocess.run(
                ["sh", "-c", program], env=environment(), capture_output=True, text=True, check=False
            )
            assert result.returncode == 2
            assert message in result.stderr
            assert "Traceback" not in result.stderr

    def test_unknown_kind_of_file(self, filled: Kept, tmp_path: Path) -> None:
        path = tmp_path / "x.parquet"
        path.touch()
        result = run("push", URL, "notes", str(path))
        assert result.exit_code == 2
        assert ".jsonl, .ndjson, .npz, .safetensors can" in result.stderr

    def test_another_encoder(self, server: Kept) -> None:
        client = lateint.connect(URL)
        client.create_index(lateint.IndexSpec("colbert", 128, encoder={"kind": "model", "name": "some/model"}))
        client.create_index(lateint.IndexSpec("unknown", 128))
        text = '{"id": "a", "text": "x"}'
        for index, options, message in (
            ("colbert", (), "which the command line cannot run"),
            ("colbert", ("--encoder", "hashing"), "was made with another encoder"),
            ("unknown", (), "does not say which encoder"),
        ):
            result = run("push", URL, index, "-", *options, stdin=text)
            assert result.exit_code == 2
            assert message in result.stderr

    @pytest.mark.filterwarnings("default::UserWarning")
    def test_unknown_encoder_may_be_named(self, server: Kept) -> None:
        lateint.connect(URL).create_index(lateint.IndexSpec("unknown", 128))
        result = run("push", URL, "unknown", "-", "--encoder", "hashing", stdin='{"id": "a", "text": "x"}')
        assert result.exit_code == 0
        assert "Warning: index 'unknown' does not say which encoder" in result.stderr


class Refusing(Kept):
    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        super().write(index, [document for document in documents if document.id != "csv"])
        return (WriteFailure("csv", "disk on fire", retryable=True),)


class TestPushTrouble:
    def test_refused_documents(self, monkeypatch: pytest.MonkeyPatch, notes: Path) -> None:
        serve(monkeypatch, Refusing())
        run("create", URL, "notes", "--encoder", "hashing")
        report = data("push", URL, "notes", str(notes), code=4)
        assert report["written"] == 2
        assert report["failed"] == [{"id": "csv", "reason": "disk on fire", "retryable": True}]

    def test_interrupt_says_what_was_written(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        real = documents.Reader.documents

        def interrupted(self: documents.Reader, paths: Iterable[Path]) -> Any:
            yield from real(self, paths)
            raise KeyboardInterrupt

        monkeypatch.setattr(documents.Reader, "documents", interrupted)
        result = run("push", URL, "notes", "-", stdin='{"id": "a", "text": "x"}')
        assert result.exit_code == 130
        assert "Interrupted." in result.stderr
        assert "documents had been written" in result.stderr
        report = answer("push", URL, "notes", "-", stdin='{"id": "a", "text": "x"}', code=130)
        assert (report["error"]["kind"], report["error"]["message"]) == ("KeyboardInterrupt", "Interrupted.")
        assert "lateint: 0 documents had been written." in report["error"]["notes"]
        assert set(report) == {"ok", "error", "index", "dry_run", "written", "could_write", "failed", "retries"}


TOKENS = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0], [0.8, 0.6]], np.float32)
OFFSETS = np.array([0, 2, 3, 5], np.int64)
IDS = ["a", "b ü", "c"]
PAYLOAD = ['{"year": 1}', "{}", '{"title": "line\\nbreak"}']


def lines(texts: Iterable[str]) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def safetensors(
    path: Path, arrays: dict[str, tuple[str, np.ndarray]], changes: dict[str, dict[str, Any]] | None = None
) -> Path:
    header: dict[str, dict[str, Any]] = {"__metadata__": {"made": "by hand"}}
    body = b""
    for name, (kind, array) in arrays.items():
        raw = array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    for name, changed in (changes or {}).items():
        header[name] |= changed
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def npz(path: Path, **changes: Any) -> Path:
    arrays = {"tokens": TOKENS, "offsets": OFFSETS, "ids": np.array(IDS), "payload": np.array(PAYLOAD), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def tensors(kind: str, tokens: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    return {
        "tokens": (kind, tokens),
        "offsets": ("I64", OFFSETS),
        "ids": ("U8", lines(IDS)),
        "payload": ("U8", lines(PAYLOAD)),
    }


BFLOAT16 = (TOKENS.view(np.uint32) >> 16).astype(np.uint16)
AS_BFLOAT16 = (BFLOAT16.astype(np.uint32) << 16).view(np.float32)


class TestPushArrays:
    @pytest.fixture(autouse=True)
    def _index(self, server: Kept) -> None:
        run("create", URL, "i", "--dim", "2", "--no-normalize", "--field", "year:integer")

    @pytest.mark.parametrize(
        ("write", "expected"),
        [
            (lambda path: npz(path / "x.npz"), TOKENS),
            (lambda path: npz(path / "x.npz", tokens=TOKENS.astype(np.float16)), TOKENS.astype(np.float16)),
            (lambda path: npz(path / "x.npz", ids=lines(IDS), payload=lines(PAYLOAD)), TOKENS),
            (lambda path: npz(path / "x.npz", offsets=OFFSETS.astype(np.int32)), TOKENS),
            (lambda path: npz(path / "x.npz", offsets=OFFSETS.astype(np.uint64)), TOKENS),
            (
                lambda path: safetensors(
                    path / "x.safetensors", tensors("F32", TOKENS) | {"offsets": ("U16", OFFSETS.astype(np.uint16))}
                ),
                TOKENS,
            ),
            (lambda path: safetensors(path / "x.safetensors", tensors("F32", TOKENS)), TOKENS),
            (
                lambda path: safetensors(path / "x.safetensors", tensors("F16", TOKENS.astype(np.float16))),
                TOKENS.astype(np.float16),
            ),
            (lambda path: safetensors(path / "x.safetensors", tensors("BF16", BFLOAT16)), AS_BFLOAT16),
        ],
    )
    def test_formats(self, write: Callable[[Path], Path], expected: np.ndarray, tmp_path: Path) -> None:
        assert data("push", URL, "i", str(write(tmp_path)))["written"] == 3
        index = lateint.connect(URL).open("i")
        found = index.get(IDS, with_vectors=True)
        assert [document.id for document in found] == IDS
        assert [document.payload for document in found] == [json.loads(text) for text in PAYLOAD]
        assert np.array_equal(np.concatenate([document.vectors for document in found]), expected.astype(np.float32))

    def test_payload_is_optional(self, tmp_path: Path) -> None:
        assert data("push", URL, "i", str(npz(tmp_path / "x.npz", payload=None)))["written"] == 3

    def test_no_documents(self, tmp_path: Path) -> None:
        path = npz(tmp_path / "x.npz", tokens=TOKENS[:0], offsets=OFFSETS[:1], ids=lines([]), payload=None)
        assert data("push", URL, "i", str(path))["written"] == 0

    def test_as_written_by_the_safetensors_package(self, tmp_path: Path) -> None:
        package = pytest.importorskip("safetensors.numpy")
        path = tmp_path / "x.safetensors"
        package.save_file({"tokens": TOKENS, "offsets": OFFSETS, "ids": lines(IDS)}, path)
        assert data("push", URL, "i", str(path))["written"] == 3

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"tokens": None}, "no array 'tokens'"),
            ({"vectors": TOKENS}, "array 'vectors', which nothing would read"),
            ({"tokens": TOKENS[0]}, "tokens of shape (2,)"),
            ({"tokens": BFLOAT16}, "tokens of type uint16"),
            ({"offsets": OFFSETS.astype(float)}, "offsets of type float64"),
            ({"offsets": np.array([0, 2, 2**63, 5], np.uint64)}, "offset 9223372036854775808, which no"),
            ({"offsets": np.array([0, 2**63 - 1, -(2**63), 5])}, "offsets that go back"),
            ({"offsets": OFFSETS[:-1]}, "3 ids for 3 offsets"),
            ({"offsets": np.array([0, 3, 2, 5])}, "offsets that go back"),
            ({"offsets": np.array([0, 2, 3, 4])}, "offsets that do not run from 0 to 5"),
            ({"ids": np.array([1, 2, 3])}, "text of type int64"),
            ({"ids": np.array(IDS, object)}, "allow_pickle"),
            ({"payload": np.array(["{}"])}, "1 payloads for 3 ids"),
            ({"payload": np.array(["{}", "{", "{}"])}, "document 'b ü': not JSON"),
        ],
    )
    def test_malformed_npz(self, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
        result = run("push", URL, "i", str(npz(tmp_path / "x.npz", **changes)))
        assert result.exit_code == 1
        assert "x.npz" in result.stderr
        assert message in result.stderr

    @pytest.mark.parametrize(
        "content", [b"", b"\x00", b"\xff" * 20, b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]"]
    )
    def test_not_safetensors(self, content: bytes, tmp_path: Path) -> None:
        for suffix in (".safetensors", ".npz"):
            path = tmp_path / f"x{suffix}"
            path.write_bytes(content)
            result = run("push", URL, "i", str(path))
            assert result.exit_code == 1, result.stderr
            assert f"x{suffix}: " in result.stderr

    def test_npz_damaged_anywhere(self, tmp_path: Path) -> None:
        """zlib.error, BadZipFile, NotImplementedError …: damage ended in a traceback, of another kind each time."""
        path = tmp_path / "x.npz"
        np.savez_compressed(path, tokens=TOKENS, offsets=OFFSETS, ids=np.array(IDS), payload=np.array(PAYLOAD))
        content = path.read_bytes()
        refused = 0
        for position in range(len(content)):
            path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
            try:
                arrays.read(path)
            except errors.InvalidInput as error:
                refused += 1
                assert str(error).startswith(f"{path}: ")  # noqa: PT017 - not every damage is refused
                assert ".." not in str(error)  # noqa: PT017
        assert refused > len(content) / 2

    def test_npz_that_claims_more_than_it_holds(self, tmp_path: Path) -> None:
        """A header of a hundred bytes made NumPy ask for 145 TiB."""
        path = npz(tmp_path / "x.npz")
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        shape, claimed = b"'shape': (5, 2), }            ", b"'shape': (10000000000000, 4), }"
        assert shape in members["tokens.npy"]
        members["tokens.npy"] = members["tokens.npy"].replace(shape + b" ", claimed)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        result = run("push", URL, "i", str(path))
        assert result.exit_code == 1
        assert "array 'tokens' of shape (10000000000000, 4) would take 160,000,000,000,128 bytes" in result.stderr

    def test_npz_with_an_array_twice(self, tmp_path: Path) -> None:
        """Only the last was read."""
        path = npz(tmp_path / "x.npz")
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("ids.npy", archive.read("ids.npy"))
        assert "two arrays of one name" in run("push", URL, "i", str(path)).stderr

    @pytest.mark.parametrize("header", [b'{"tokens": [1]}', b'{"tokens": null}', b"null", b"[" * 50_000, b"\xff\xff"])
    def test_safetensors_headers_that_are_none(self, header: bytes, tmp_path: Path) -> None:
        """AttributeError, TypeError and RecursionError ended in tracebacks."""
        path = tmp_path / "x.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        result = run("push", URL, "i", str(path))
        assert result.exit_code == 1, result.exception
        assert f"{path}: " in result.stderr

    @pytest.mark.parametrize(
        ("name", "changes", "message"),
        [
            ("offsets", {"data_offsets": [41, 73]}, "'offsets' begins at byte 41 of the data, not at 40"),
            ("offsets", {"data_offsets": [0, 32]}, "begins at byte 0 of the data, not at"),
            ("tokens", {"data_offsets": [-40, 0]}, "at bytes -40 to 0"),
            ("tokens", {"data_offsets": [0, 400]}, "takes 40 bytes, not 400"),
            ("tokens", {"data_offsets": [40, 0]}, "takes 40 bytes, not -40"),
            ("tokens", {"data_offsets": [0.0, 40]}, "at bytes 0.0 to 40"),
            ("tokens", {"data_offsets": [0]}, "no type, shape and place"),
            ("tokens", {"shape": [-5, -2]}, "shape [-5, -2]"),
            ("tokens", {"shape": [10**30, 2]}, "takes 8,000,"),
            ("tokens", {"shape": [True, 10]}, "shape [True, 10]"),
            ("tokens", {"dtype": "F8_E4M3"}, "type F8_E4M3"),
            ("offsets", {"dtype": "BF16"}, "array 'offsets' has type BF16"),
        ],
    )
    def test_safetensors_places_are_checked(
        self, name: str, changes: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        """Overlapping, negative and wrong places were sliced as they came, and gave other documents' rows."""
        path = safetensors(tmp_path / "x.safetensors", tensors("F32", TOKENS), {name: changes})
        result = run("push", URL, "i", str(path))
        assert result.exit_code == 1, result.exception
        assert message in result.stderr

    def test_safetensors_with_bytes_that_no_array_has(self, tmp_path: Path) -> None:
        path = safetensors(tmp_path / "x.safetensors", tensors("F32", TOKENS))
        path.write_bytes(path.read_bytes() + b"more")
        assert "bytes of data, and it has" in run("push", URL, "i", str(path)).stderr

    def test_cut_safetensors(self, tmp_path: Path) -> None:
        path = safetensors(tmp_path / "x.safetensors", tensors("F32", TOKENS))
        path.write_bytes(path.read_bytes()[:-40])
        assert run("push", URL, "i", str(path)).exit_code == 1

    def test_wrong_dimension_names_document_and_remedy(self, tmp_path: Path) -> None:
        result = run("push", URL, "i", str(npz(tmp_path / "x.npz", tokens=np.ones((5, 3), np.float32))))
        assert result.exit_code == 1
        assert "DimensionMismatch: document 'a'" in result.stderr


class TestSearch:
    def test_hits(self, filled: Kept) -> None:
        result = data("search", URL, "notes", "how to parse JSON documents", "-k", "2")
        assert set(result) == {"query", "seconds", "exact", "candidates", "warnings", "hits"}
        assert result["exact"] is True
        assert result["hits"][0]["id"] == "json"
        assert result["hits"][0]["payload"] == {"year": 2020}
        assert len(result["hits"]) == 2

    def test_pipe_gets_tabs_and_no_words(self, filled: Kept) -> None:
        result = run("search", URL, "notes", "csv", "-k", "1")
        rank, score, name, payload = result.stdout.rstrip("\n").split("\t")
        assert (rank, name, json.loads(payload)) == ("1", "csv", {"year": 2021})
        assert float(score) == data("search", URL, "notes", "csv", "-k", "1")["hits"][0]["score"], "all digits"
        assert "1 hit of 3 scored, exact" in result.stderr

    def test_filter_and_fields(self, filled: Kept) -> None:
        condition = '{"field": "year", "op": ">=", "value": 2021}'
        hits = data("search", URL, "notes", "json", "--filter", condition, "--field", "nothing")["hits"]
        assert [(hit["id"], hit["payload"]) for hit in hits] == [("csv", {})]

    def test_a_field_that_nobody_has(self, filled: Kept) -> None:
        """A misspelt name gave empty payloads without a word."""
        result = run("search", URL, "notes", "json", "--field", "yaer", "--field", "year")
        assert "Warning: no hit has a field 'yaer'. Did you mean 'year'?" in result.stderr
        line = '{"id": "x", "text": "odd", "payload": {"undeclared": 1}}'
        run("push", URL, "notes", "-", stdin=line)
        for known in ("year", "undeclared"):
            assert "Warning" not in run("search", URL, "notes", "odd", "-k", "1", "--field", known).stderr

    @pytest.mark.parametrize(
        "text",
        [
            *("{", '{"field": "year"}', "[]", "year > 2000"),
            "[" * 50_000,  # a RecursionError
            '{"not": {"field": "year", "op": "==", "op": "!=", "value": 1}}',  # the last one counted
        ],
    )
    def test_filter_that_is_none(self, filled: Kept, text: str) -> None:
        result = run("search", URL, "notes", "json", "--filter", text)
        assert result.exit_code == 2
        assert "--filter" in result.stderr

    def test_undeclared_field(self, filled: Kept) -> None:
        result = run("search", URL, "notes", "json", "--filter", '{"field": "yaer", "op": "exists"}')
        assert result.exit_code == 1
        assert "Did you mean 'year'?" in result.stderr

    def test_empty_index(self, server: Kept) -> None:
        run("create", URL, "empty", "--encoder", "hashing")
        assert data("search", URL, "empty", "json")["hits"] == []
        result = run("search", URL, "empty", "json")
        assert result.exit_code == 0
        assert result.stdout == ""

    def test_text_without_words(self, filled: Kept) -> None:
        result = run("search", URL, "notes", "???")
        assert result.exit_code == 1
        assert "has no words" in result.stderr


class TestShow:
    def test_all(self, filled: Kept) -> None:
        listed = data("show", URL)
        assert listed == {
            "engine": "memory",
            "version": lateint.__version__,
            "location": "memory://",
            "indexes": ["notes"],
        }
        assert run("show", URL).stdout == "notes\n"

    def test_one(self, filled: Kept) -> None:
        shown = data("show", URL, "notes")
        assert set(shown) == {
            *("name", "location", "count", "managed", "writable", "id_mode"),
            *("spec", "capabilities", "not_carried", "warnings"),
        }
        assert shown["count"] == 3
        assert lateint.IndexSpec.from_dict(shown["spec"]).encoder == HashingEncoder().fingerprint
        assert "exact search" in shown["capabilities"]["features"]
        facts = dict(line.split("\t") for line in run("show", URL, "notes").stdout.splitlines())
        assert facts["documents"] == "3"
        assert facts["fields"] == "year:integer"

    def test_folder_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """ "0 indexes" at a misspelt folder looks as if all data were gone."""
        url = in_folder(monkeypatch, tmp_path / "mistyped")
        result = run("show", url)
        assert result.exit_code == 0
        assert f"folder {tmp_path / 'mistyped'} does not exist yet" in result.stderr
        assert data("show", url)["indexes"] == []
        assert "not exist" not in run("show", in_folder(monkeypatch, tmp_path)).stderr


def in_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """A URL of a folder, at which the reference backend answers."""
    monkeypatch.setattr(registry, "connect", lambda url, settings: Kept())
    return f"memory://{folder}"


class Lying(Kept):
    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return [
            SearchResult(tuple(lateint.Hit(hit.id, hit.score + 0.1, hit.payload) for hit in result), exact=True)
            for result in super().search(index, requests)
        ]


class TestVerify:
    def test_good(self, filled: Kept, tmp_path: Path) -> None:
        queries = tmp_path / "q.jsonl"
        queries.write_text(
            '{"text": "json"}\n' + json.dumps({"vectors": HashingEncoder().encode_queries(["x"])[0].tolist()})
        )
        report = data("verify", URL, "notes", "--queries", str(queries))
        assert report["queries"] == 2
        result = run("verify", URL, "notes", "--sample", "2", "--seed", "7")
        assert result.exit_code == 0
        assert result.stdout.startswith("## `notes` on memory (float32): verified")
        assert "Verified in" in result.stderr

    def test_bad_is_3(self, monkeypatch: pytest.MonkeyPatch, notes: Path) -> None:
        serve(monkeypatch, Lying())
        run("create", URL, "notes", "--encoder", "hashing")
        run("push", URL, "notes", str(notes))
        assert data("verify", URL, "notes", code=3)["documents"] == 3
        assert failure("verify", URL, "notes", code=3)["kind"] == "VerificationFailed"
        result = run("verify", URL, "notes")
        assert "NOT verified" in result.stdout
        assert "VerificationFailed" in result.stderr

    @pytest.mark.parametrize("line", ["{", '{"text": 1}', '{"text": "x", "k": 1}', '{"vectors": 3}'])
    def test_bad_queries(self, filled: Kept, line: str, tmp_path: Path) -> None:
        queries = tmp_path / "q.jsonl"
        queries.write_text(f'{{"text": "fine"}}\n{line}\n')
        result = run("verify", URL, "notes", "--queries", str(queries))
        assert result.exit_code == 1
        assert "q.jsonl:2" in result.stderr

    def test_no_queries(self, filled: Kept, tmp_path: Path) -> None:
        """An empty file was "verified", with not one question asked."""
        queries = tmp_path / "q.jsonl"
        queries.write_text("\n  \n")
        result = run("verify", URL, "notes", "--queries", str(queries))
        assert result.exit_code == 2
        assert result.stdout == ""
        assert f"{queries} holds no queries" in result.stderr

    def test_encoder_without_queries(self, filled: Kept) -> None:
        assert run("verify", URL, "notes", "--encoder", "hashing").exit_code == 2

    def test_empty_index(self, server: Kept) -> None:
        run("create", URL, "empty", "--encoder", "hashing")
        assert data("verify", URL, "empty")["documents"] == 0


class TestDrop:
    def test_nobody_to_ask(self, filled: Kept) -> None:
        result = run("drop", URL, "notes")
        assert result.exit_code == 2
        assert "--yes" in result.stderr
        assert filled.list_indexes() == ["notes"]

    def test_yes(self, filled: Kept) -> None:
        assert data("drop", URL, "notes", "--yes") == {
            "dropped": True,
            "index": "notes",
            "location": "memory://",
            "count": 3,
        }
        assert filled.list_indexes() == []

    def test_dry_run(self, filled: Kept) -> None:
        assert data("drop", URL, "notes", "--dry-run")["dropped"] is False
        assert filled.list_indexes() == ["notes"]

    @pytest.mark.parametrize(
        ("typed", "code", "left"), [("notes\n", 0, []), ("note\n", 1, ["notes"]), ("", 1, ["notes"])]
    )
    def test_asks_for_the_name(
        self, filled: Kept, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, left: list[str]
    ) -> None:
        monkeypatch.setattr("lateint.cli.drop._is_interactive", lambda: True)
        result = run("drop", URL, "notes", stdin=typed)
        assert result.exit_code == code
        assert result.stdout == ""
        assert filled.list_indexes() == left

    def test_damaged(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """What cannot be counted could not be dropped either, which `doctor` advises."""
        monkeypatch.setattr(Kept, "count", broken)
        assert data("drop", URL, "notes", "--yes")["count"] is None
        assert filled.list_indexes() == []

    def test_missing(self, server: Kept) -> None:
        assert run("drop", URL, "notes", "--yes").exit_code == 1


def broken(*_: Any, **__: Any) -> Any:
    message = "disk on fire."
    raise errors.UnexpectedResponse(message)


class BrokenPoint:
    """An entry point whose module fails to import."""

    name = "broken"
    value = "broken:plugin"
    dist = None

    def load(self) -> Any:
        message = "no module named broken"
        raise ImportError(message)


class Point(BrokenPoint):
    """An entry point that gives a plugin."""

    def __init__(self, plugin: registry.Plugin) -> None:
        self.name, self.plugin = plugin.scheme, plugin

    def load(self) -> Any:
        return self.plugin


class TestBackends:
    def test_listing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lacking = registry.Variant(
            summary="lacking", example="odd+x://h", connect="", requires=("no_such",), install="lateint[odd]"
        )
        plugins = {
            "broken": [BrokenPoint()],
            "memory": [Point(registry.plugin("memory"))],
            "odd": [Point(registry.Plugin(scheme="odd", variants={"x": lacking}))],
        }
        monkeypatch.setattr(registry, "entry_points", lambda: plugins)
        broken, memory, odd = data("backends")["backends"]
        assert broken["error"] == "ImportError: no module named broken"
        assert (memory["scheme"], memory["ready"], memory["install"]) == ("memory", True, None)
        assert (odd["scheme"], odd["ready"], odd["missing"]) == ("odd+x", False, ["no_such"])
        assert odd["install"] == 'pip install "lateint[odd]"'
        result = run("backends")
        assert result.exit_code == 0
        assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["broken://", "memory://", "odd+x://h"]

    def test_what_is_installed(self) -> None:
        assert "memory" in {row["scheme"] for row in data("backends")["backends"]}


class Sick(Kept):
    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        message = f"index {name!r} has no multi-vector."
        raise errors.SchemaMismatch(message, hint="Create another one.")


GOOD = Finding(part="port", seen="open")
ODD = Finding(part="version", seen="very old", severity=Severity.WARNING, remedy="Upgrade.")
DEAD = Finding(part="other port", seen="closed", severity=Severity.PROBLEM, remedy="Open it.")


def examined(monkeypatch: pytest.MonkeyPatch, backend: Kept, found: Iterable[Finding]) -> None:
    """An engine whose own doctor finds something."""

    def examine(url: str, settings: registry.Settings) -> Iterator[Finding]:
        yield from found

    monkeypatch.setattr(registry, "examine", examine)
    monkeypatch.setattr(registry, "connect", lambda url, settings: backend)


class TestDoctor:
    def test_healthy(self, filled: Kept) -> None:
        findings = data("doctor", "memory://")
        assert {"python", "lateint", "numpy"} <= set(findings["versions"])
        assert set(findings) == {
            *("versions", "location", "reachable", "engine", "version", "checks", "indexes", "problems"),
        }
        assert "Nothing is wrong." in run("doctor", "memory://").stderr

    @pytest.mark.parametrize("url", ["nonsense", "nonesuch://h", "memory://host", "memory://?option=1"])
    def test_what_cannot_be_reached(self, url: str) -> None:
        findings = data("doctor", url, code=1)
        assert findings["reachable"] is False
        (problem,) = findings["problems"]
        assert problem["problem"]
        assert problem["remedy"]
        assert "Traceback" not in run("doctor", url).stderr

    def test_sick_index(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        sick = Sick()
        sick.create_index(lateint.IndexSpec("ill", 4))
        monkeypatch.setattr(registry, "connect", lambda url, settings: sick)
        findings = data("doctor", "memory://", code=1)
        assert findings["reachable"] is True
        assert findings["indexes"][0]["error"] == "index 'ill' has no multi-vector. Create another one."
        assert findings["problems"] == [
            {"problem": "index 'ill' has no multi-vector.", "remedy": "Create another one."}
        ]
        assert "cannot be used" in run("doctor", "memory://").stdout

    def test_damage_that_shows_on_reading(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """Describing and counting works on an index whose vectors are gone; "nothing is wrong" was said of it."""
        monkeypatch.setattr(registry, "connect", lambda url, settings: filled)
        assert data("doctor", "memory://")["problems"] == []
        monkeypatch.setattr(Kept, "scan", broken)
        findings = data("doctor", "memory://", code=1)
        assert findings["indexes"][0]["count"] == 3
        (problem,) = findings["problems"]
        assert problem["problem"] == "index 'notes': disk on fire."
        assert problem["remedy"].startswith("If its data are damaged, restore them")

    def test_what_the_engine_says(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """A warning is shown with what to do, and does not fail the command."""
        examined(monkeypatch, filled, [GOOD, ODD])
        findings = data("doctor", "memory://")
        assert [(check["part"], check["severity"]) for check in findings["checks"]] == [
            ("port", "ok"),
            ("version", "warning"),
        ]
        assert set(findings["checks"][0]) == {"part", "seen", "severity", "remedy", "index", "vectors"}
        assert findings["problems"] == []
        assert findings["indexes"][0]["count"] == 3
        result = run("doctor", "memory://")
        assert result.stdout.splitlines()[-3:-1] == ["port\tok\topen", "version\twarning\tvery old"]
        assert "Warning: version: very old.\nUpgrade.\nNothing is wrong; 1 warning.\n" in result.stderr

    def test_what_the_engine_explains_is_not_said_twice(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        examined(monkeypatch, filled, [GOOD, DEAD])
        monkeypatch.setattr(registry, "connect", broken)
        findings = data("doctor", "memory://", code=1)
        assert findings["reachable"] is False
        assert findings["problems"] == [{"problem": "other port: closed.", "remedy": "Open it."}]

    def test_what_cannot_be_worked_with_is_not_opened(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody answers, late or without a right key: opening every index would say the same once for each."""
        examined(monkeypatch, filled, [DEAD])
        findings = data("doctor", "memory://", code=1)
        assert findings["reachable"] is True
        assert findings["indexes"] == []
        assert len(findings["problems"]) == 1

    def test_what_the_engine_does_not_explain(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """A problem with one index is no reason for not getting a connection."""
        sick = Finding(part="index 'notes'", seen="sick", severity=Severity.PROBLEM, index="notes")
        examined(monkeypatch, filled, [sick])
        findings = data("doctor", "memory://", code=1)
        assert findings["problems"] == [{"problem": "index 'notes': sick.", "remedy": ""}]
        assert findings["indexes"][0]["count"] == 3
        monkeypatch.setattr(registry, "connect", broken)
        assert len(data("doctor", "memory://", code=1)["problems"]) == 2

    def test_the_engines_doctor_breaks(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "examine", broken)
        (problem,) = data("doctor", "memory://", code=1)["problems"]
        assert "disk on fire" in problem["problem"]

    def test_nothing_to_open(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody else's data are no problem."""
        examined(monkeypatch, filled, [Finding(part="index 'notes'", seen="pictures", index="notes", vectors=())])
        findings = data("doctor", "memory://")
        assert findings["problems"] == []
        assert findings["indexes"] == [
            {
                "name": "notes",
                "vector": None,
                "opened": False,
                "managed": None,
                "count": None,
                "warnings": [],
                "error": None,
            }
        ]
        result = run("doctor", "memory://")
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == "notes\t-\tnot opened"

    def test_several_to_open(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each multi-vector that the engine names is opened for itself, whichever way they are named."""
        names = [("a", "b"), (), ("c",)]
        examined(
            monkeypatch, filled, [Finding(part="index 'notes'", seen="x", index="notes", vectors=v) for v in names]
        )
        opened = []
        describe = filled.describe_index

        def noted(name: str, *, vector: str | None = None) -> IndexInfo:
            opened.append(vector)
            return describe(name)

        monkeypatch.setattr(filled, "describe_index", noted)
        findings = data("doctor", "memory://")
        assert opened == ["a", "b", "c"]
        assert [(index["vector"], index["count"]) for index in findings["indexes"]] == [("a", 3), ("b", 3), ("c", 3)]
        assert "notes, vector 'a'\t3\tgood" in run("doctor", "memory://").stdout

    def test_it_comes_to_an_end(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """With thousands of indexes, or a slow server, it stops and says what it has not looked at."""
        looked = []

        def endless(url: str, settings: registry.Settings) -> Iterator[Finding]:
            try:
                while True:
                    yield GOOD
            finally:
                looked.append(url)

        examined(monkeypatch, filled, [])
        monkeypatch.setattr(registry, "examine", endless)
        monkeypatch.setattr("lateint.cli.doctor.TOTAL_S", 0.0)
        findings = data("doctor", "memory://")
        assert looked == ["memory://"]
        assert findings["indexes"] == []
        assert findings["checks"][-1]["seen"] == "1 of 1 index not opened"
        assert findings["checks"][-1]["severity"] == "warning"

    def test_folder_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """ "Nothing is wrong", it said of a misspelt folder."""
        (problem,) = data("doctor", in_folder(monkeypatch, tmp_path / "mistyped"), code=1)["problems"]
        assert problem["problem"] == f"folder {tmp_path / 'mistyped'} does not exist."
        assert problem["remedy"]
        assert data("doctor", in_folder(monkeypatch, tmp_path))["problems"] == []


class TestDemo:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "sample.py").write_text(
            '"""Samples."""\ndef parse():\n    """Parse a JSON document."""\ndef copy():\n    """Copy a directory tree."""\n'
        )
        (tmp_path / "wrong.py").write_text("def (")
        monkeypatch.setattr("lateint.cli.demo._root", lambda: tmp_path)

    def test_on_a_server(self, server: Kept) -> None:
        shown = data("demo", "--url", URL)
        assert set(shown) == {"location", "index", "documents", "write_seconds", "answers", "verification"}
        assert shown["documents"] == 3
        assert shown["verification"]["ok"] is True
        assert shown["answers"][0]["hits"][0]["id"] == "sample.parse"
        assert server.list_indexes() == ["stdlib"]

    def test_own_question(self, server: Kept) -> None:
        result = run("demo", "--url", URL, "copy", "a", "directory")
        assert result.exit_code == 0
        assert result.stdout.split("\t")[2] == "sample.copy"
        assert "Verified in" in result.stderr
        assert "wrong.py" in result.stderr
        assert f"lateint drop {URL} stdlib" in result.stderr

    def test_index_of_an_earlier_demo(self, server: Kept) -> None:
        run("demo", "--url", URL)
        result = run("demo", "--url", URL)
        assert result.exit_code == 1
        assert failure("demo", "--url", URL)["kind"] == "IndexExists"
        assert f"lateint drop {URL} stdlib" in result.stderr

    def test_without_an_embedded_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plugins = {"broken": [BrokenPoint()], "memory": [Point(registry.plugin("memory"))]}
        monkeypatch.setattr(registry, "entry_points", lambda: plugins)
        assert data("demo")["location"] == "memory://"
        assert "Skipped broken" in run("demo").stderr

    def test_no_sources(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("lateint.cli.demo._root", lambda: tmp_path / "sample.zip")
        result = run("demo")
        assert result.exit_code == 2
        assert "no docstrings in" in result.stderr


class TestOutput:
    def test_what_an_index_holds_cannot_steer_a_terminal(self, filled: Kept) -> None:
        line = json.dumps({"id": "x", "text": "evil", "payload": {"note": "\x1b[2J[bold]\ttab\u2028", "at": ":smile:"}})
        run("push", URL, "notes", "-", stdin=line)
        for width in ("40", "200"):
            result = runner().invoke(app, ["search", URL, "notes", "evil"], env={"FORCE_COLOR": "1", "COLUMNS": width})
            assert "\x1b[2J" not in result.stdout
            assert ":smile:" in result.stdout.replace("\n", "")
        assert "\\x1b[2J[bold]\\ttab\\u2028" in result.stdout

    def test_plain(self) -> None:
        assert output.plain("a\x07b\nc\x9b") == "a\\x07b\\nc\\x9b"
        assert output.plain("a\nb", keep="\n") == "a\nb"
        assert output.plain("é機👩‍👩‍👧") == "é機👩‍👩‍👧"

    def test_narrow_terminal_cuts_no_id(self, filled: Kept) -> None:
        name = "a-very-long-identifier-that-has-to-be-shown-whole"
        run("push", URL, "notes", "-", stdin=json.dumps({"id": name, "text": "long"}))
        result = runner().invoke(
            app, ["search", URL, "notes", "long", "-k", "1"], env={"FORCE_COLOR": "1", "COLUMNS": "40"}
        )
        shown = "".join(line[10:].split("  ")[0].strip() for line in result.stdout.splitlines()[1:])
        assert name in shown.replace(" ", "")

    def test_progress_in_a_log(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(output, "SECONDS_BETWEEN_LINES", 0)
        with output.progress() as step:
            step(lateint.Progress(operation="write", done=1000, total=None))
            step(lateint.Progress(operation="write", done=2000, total=4000))
        assert capsys.readouterr().err == "write: 1,000\nwrite: 2,000 of 4,000\n"


def python(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    settings = environment() | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(
        [sys.executable, *arguments], env=settings, capture_output=True, encoding="utf-8", check=False
    )


def environment() -> dict[str, str]:
    """One in which another Python finds what this one does."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
