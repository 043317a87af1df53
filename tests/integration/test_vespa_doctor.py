"""`lateint doctor vespa://…` and `lateint schema vespa://…`, as somebody uses them for whom nothing works yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import lateint
from lateint.cli.app import app
from lateint.spec import IndexSpec
from lateint_vespa import package
from tests.golden.vespa.packages import FLOAT, kept
from tests.servers.ports import free_ports
from tests.servers.vespa.asking import Client, edited
from tests.servers.vespa.control import Control

SMALL = IndexSpec("small", 16, fields={"year": "integer"})
FOREIGN = '<document type="page" mode="index"/>'


@pytest.fixture(scope="module")
def started(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        yield server


@pytest.fixture
def client(started) -> Client:
    """A server that nothing was deployed to."""
    control: Control = started.control
    control.clear()
    control.drop_application()
    control.drop_documents()
    return Client(started.http_url, started.config_url)


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def doctor(url: str) -> tuple[int, dict[str, tuple[str, str]], list[dict[str, str]]]:
    """Exit code, what was seen with its severity by part, and problems."""
    code, said = run("doctor", url)
    return code, {check["part"]: (check["severity"], check["seen"]) for check in said["checks"]}, said["problems"]


class TestDoctor:
    def test_nothing_deployed(self, started, client: Client) -> None:
        """A new server has no open port but the config server's; that is no fault of it."""
        code, seen, problems = doctor(started.url)
        assert (code, problems) == (0, [])
        assert seen[f"config server port {started.config_port}"] == ("ok", "answers")
        assert seen[f"container port {started.port}"] == ("ok", "is closed, as it is until something was deployed")
        assert seen["version"] == ("ok", "8.700.24")
        assert seen["application"][1].startswith("nothing is deployed")

    def test_an_application_of_lateint(self, started, client: Client) -> None:
        with lateint.connect(started.url) as connection:
            connection.create_index(SMALL)
        code, said = run("doctor", started.url)
        assert code == 0
        seen = {check["part"]: check["seen"] for check in said["checks"]}
        assert "deployed by lateint" in seen["application"]
        assert seen["schema 'small'"] == "index 'small', made by lateint, dimension 16, float32"
        assert [(index["name"], index["count"], index["error"]) for index in said["indexes"]] == [("small", 0, None)]

    def test_somebody_elses(self, started, client: Client) -> None:
        more = f'{FOREIGN}<document type="small" mode="index"/>'
        files = edited("services.xml", FOREIGN, more) | package.additions(SMALL)
        del files[package.PROFILE_FILE]
        client.deployed(files)
        code, seen, problems = doctor(started.url)
        assert (code, problems) == (0, [])
        assert "not deployed by lateint" in seen["application"][1]
        assert seen["query profile"][0] == "warning"
        assert "400 hits" in seen["query profile"][1]
        severity, said = seen["schema 'page'"]
        assert severity == "ok"
        assert "'d' (tensor<float>(token{}, v[128]))" in said
        assert "not made by lateint" in said

    def test_a_schema_that_was_edited(self, started, client: Client) -> None:
        text = package.schema_text(SMALL).replace("    rank-profile", "    # by hand\n    rank-profile", 1)
        client.deployed(package.files({"small": text}))
        assert "edited since" in doctor(started.url)[1]["schema 'small'"][1]
        client.deployed(package.files({"small": text.replace('"dim": 16', '"dim": 17')}))
        code, seen, problems = doctor(started.url)
        assert seen["schema 'small'"][0] == "warning"
        assert code == 1
        assert "does not describe an index" in problems[0]["problem"]

    def test_an_application_that_is_not_yet_in_use(self, started, client: Client) -> None:
        client.deployed(package.files({}))
        started.control.fault("converge", delay_ms=10**9)
        client.deploy(package.files({"small": package.schema_text(SMALL)}))
        severity, said = doctor(started.url)[1]["application"]
        assert severity == "warning"
        assert "not yet in use: container at" in said

    def test_a_config_port_that_is_closed(self, started, client: Client) -> None:
        client.deployed(package.files({}))
        (closed,) = free_ports(1)
        code, seen, problems = doctor(f"vespa://127.0.0.1:{started.port}?config_port={closed}")
        assert code == 1
        assert seen[f"config server port {closed}"] == ("problem", "is closed")
        assert "config_port=" in problems[0]["remedy"]
        assert len(problems) == 1

    def test_ports_that_are_swapped(self, started, client: Client) -> None:
        client.deployed(package.files({}))
        code, seen, _ = doctor(f"vespa://127.0.0.1:{started.config_port}?config_port={started.port}")
        assert code == 1
        assert seen[f"config server port {started.port}"][0] == "problem"

    def test_without_a_config_server(self, started, client: Client) -> None:
        """As behind the gate of a cloud: what can be done without it can be done."""
        client.deployed(package.files({}))
        code, seen, problems = doctor(f"vespa://127.0.0.1:{started.port}?config_port=0")
        assert (code, problems) == (0, [])
        assert "opened by name" in seen["config server"][1]

    def test_a_token_that_is_refused(self, started, client: Client) -> None:
        client.deployed(package.files({}))
        started.control.fault("http", status=401, times=-1)
        code, seen, problems = doctor(started.url)
        assert code == 1
        assert "not to this client, which shows nothing" in seen[f"container port {started.port}"][1]
        assert "VESPA_CLOUD_SECRET_TOKEN" in problems[0]["remedy"]

    def test_nothing_there(self) -> None:
        port, config_port = free_ports(2)
        code, seen, problems = doctor(f"vespa://127.0.0.1:{port}?config_port={config_port}")
        assert code == 1
        assert {severity for severity, _ in seen.values()} == {"problem"}
        assert len(problems) == 2


ARGUMENTS = ("--dim", "16", "--field", "year:integer")


class TestSchema:
    def test_a_whole_application(self, tmp_path: Path) -> None:
        """Without a server; as it is kept, down to the last byte."""
        code, said = run("schema", "vespa://", "LateOn-Pages", "--dim", "128", "--out", str(tmp_path))
        assert code == 0
        assert sorted(said["written"]) == sorted(said["files"])
        written = {
            path.relative_to(tmp_path).as_posix(): path.read_bytes().decode()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }
        assert written == said["files"]
        golden = kept("by-hand")
        name = "schemas/LateOn_Pages__d1.sd"
        assert written.keys() == golden.keys()
        assert {path: text for path, text in written.items() if path != name} == {
            path: text for path, text in golden.items() if path != name
        }
        assert package.described_spec(written[name]) == IndexSpec("LateOn-Pages", 128)
        assert package.described_spec(golden[name]) == FLOAT

    def test_it_is_deployed_by_hand_and_opened(self, started, client: Client, tmp_path: Path) -> None:
        """It has no mark: whoever deploys it owns it, and lateint takes no schema out of their next deployment."""
        run("schema", "vespa://", "small", *ARGUMENTS, "--out", str(tmp_path))
        run("schema", "vespa://", "other", *ARGUMENTS, "--out", str(tmp_path))
        services = tmp_path / "services.xml"
        listed = '<document type="small" mode="index"/>'
        services.write_text(services.read_text().replace(listed, listed + listed.replace("small", "other")))
        client.deployed({p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*") if p.is_file()})
        with lateint.connect(started.url) as connection:
            assert connection.list_indexes() == ["other", "small"]
            index = connection.open("small")
            index.write([lateint.Document("a", [[1.0] * 16], {"year": 3})])
            assert [hit.id for hit in index.search([[1.0] * 16], filter=lateint.field("year") == 3)] == ["a"]
            with pytest.raises(lateint.errors.UnsupportedFeature, match=r"services\.xml"):
                connection.create_index(SMALL.replace(name="third"))

    def test_into_an_application_that_is_there(self, tmp_path: Path) -> None:
        """Its services are left alone: what to add to them is said, unless it is there."""
        services = edited("services.xml", FOREIGN, FOREIGN)["services.xml"]
        (tmp_path / "services.xml").write_text(services)
        _, said = run("schema", "vespa://", "small", *ARGUMENTS, "--out", str(tmp_path))
        assert sorted(said["written"]) == ["schemas/small.sd", "search/query-profiles/lateint.xml"]
        assert said["todo"] == [
            'Add <document type="small" mode="index"/> to the <documents> of a content cluster in services.xml.'
        ]
        assert (tmp_path / "services.xml").read_text() == services
        (tmp_path / "services.xml").write_text(services.replace(FOREIGN, FOREIGN.replace("page", "small")))
        _, said = run("schema", "vespa://", "small", *ARGUMENTS, "--out", str(tmp_path))
        assert (said["written"], said["todo"]) == ([], [])

    def test_no_file_is_replaced_unasked(self, tmp_path: Path) -> None:
        """Somebody may have added a rank profile of their own."""
        run("schema", "vespa://", "small", *ARGUMENTS, "--out", str(tmp_path))
        schema = tmp_path / "schemas" / "small.sd"
        schema.write_text(schema.read_text() + "# mine\n")
        code, said = run("schema", "vespa://", "small", "--dim", "32", "--out", str(tmp_path))
        assert code == 2
        assert "schemas/small.sd" in said["error"]["message"]
        assert schema.read_text().endswith("# mine\n")
        code, said = run("schema", "vespa://", "small", "--dim", "32", "--out", str(tmp_path), "--force")
        assert (code, said["written"]) == (0, ["schemas/small.sd"])

    @pytest.mark.parametrize(
        ("url", "arguments", "kind"),
        [
            ("memory://", ("--dim", "8"), "UnsupportedFeature"),
            ("vespa://", ("--dim", "8", "--dtype", "float16"), "UnsupportedFeature"),
            ("vespa://", (), "UsageError"),
        ],
    )
    def test_what_has_no_files(self, tmp_path: Path, url: str, arguments: tuple[str, ...], kind: str) -> None:
        code, said = run("schema", url, "small", *arguments, "--out", str(tmp_path))
        assert code != 0
        assert said["error"]["kind"] == kind
        assert list(tmp_path.iterdir()) == []
