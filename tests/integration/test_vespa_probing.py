"""Opening an index while its config server is away: with the same ranking as ever, and a word on what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, errors
from lateint_vespa import package
from tests.servers.proxy import Proxy
from tests.servers.vespa.asking import Client, edited, example

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

ROWS = np.array([[3, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]], np.float32)
DOCUMENTS = [Document(name, ROWS[[place]]) for place, name in enumerate("ab")]
QUERY = np.array([[4, 1, 0, 0, 0, 0, 0, 0], [0, 5, 0, 0, 0, 0, 0, 0], [0, 0.1, 0, 0, 0, 0, 0, 0]], np.float32)
"""Its rows weigh alike once they are normalised; sent as they are, another document is the best."""

SPECS = [
    IndexSpec(f"{dtype}-{normalize}", 8, dtype=dtype, normalize=normalize)
    for dtype in ("float32", "bfloat16")
    for normalize in (True, False)
]


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        yield server


@pytest.fixture(scope="module")
def ours(server: Server) -> Server:
    """With an index of each kind."""
    client = Client(server.http_url, server.config_url)
    client.deployed(package.files({name: text for spec in SPECS for name, text in _text(spec)}))
    with lateint.connect(server.url) as connected:
        for spec in SPECS:
            connected.open(spec.name).write(DOCUMENTS)
    return server


def _text(spec: IndexSpec) -> list[tuple[str, str]]:
    (path,) = (path for path in package.additions(spec) if path.startswith("schemas/"))
    return [(path.removeprefix("schemas/").removesuffix(".sd"), package.schema_text(spec))]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_ranking_is_the_same(ours: Server, spec: IndexSpec) -> None:
    """Breaks when: one slow answer of the config server makes another order of the hits."""
    with (
        Proxy(ours.config_port) as way,
        lateint.connect(ours.url) as known,
        lateint.connect(f"vespa://127.0.0.1:{ours.port}?config_port={way.port}") as client,
    ):
        way.close()
        index = client.open(spec.name)
        assert not index.info.managed
        assert index.spec.normalize == spec.normalize
        found = [(hit.id, hit.score) for hit in index.search(QUERY, 2)]
        assert found == [(hit.id, hit.score) for hit in known.open(spec.name).search(QUERY, 2)]


def test_a_schema_that_was_edited_or_copied(server: Server) -> None:
    """Breaks when: scores of somebody's expression are handed out as MaxSim, or a copy is taken for the original."""
    spec = IndexSpec("pages", 8)
    text = package.schema_text(spec)
    served = Client(server.http_url, server.config_url)
    served.config("DELETE", "/application/v2/tenant/default/application/default")
    served.deployed(
        package.files(
            {
                "pages": text.replace("max, token", "avg, token"),
                "other": text.replace("schema pages {", "schema other {").replace(
                    "document pages {", "document other {"
                ),
            }
        )
    )
    with lateint.connect(server.url) as client:
        assert client.list_indexes() == ["other", "pages"]
        with pytest.raises(errors.SchemaMismatch, match="rank-profile lateint_float"):
            client.open("pages")
        for verb in (client.open, client.drop_index):
            with pytest.raises(errors.SchemaMismatch, match="copied"):
                verb("other")


def test_an_application_without_the_query_profile(server: Server) -> None:
    """Its own default profile would be used, and may leave hits out that no answer tells of."""
    more = '<document type="page" mode="index"/><document type="pages" mode="index"/>'
    files = {
        **example(),
        **edited("services.xml", '<document type="page" mode="index"/>', more),
        **package.additions(IndexSpec("pages", 8)),
    }
    served = Client(server.http_url, server.config_url)
    for has in (True, False):
        served.config("DELETE", "/application/v2/tenant/default/application/default")
        served.deployed({path: text for path, text in files.items() if has or path != package.PROFILE_FILE})
        with (
            lateint.connect(server.url) as client,
            lateint.connect(f"vespa://127.0.0.1:{server.port}?config_port=0") as alone,
        ):
            for connected in (client, alone):
                warnings = connected.open("pages").search(QUERY, 1).warnings
                assert any("no query profile" in warning for warning in warnings) != has
