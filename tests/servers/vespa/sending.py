"""Send the calls that lateint's adapter makes to a server, each on a connection of its own, and deploy its packages."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

from lateint.spec import IndexSpec
from lateint_vespa import package
from lateint_vespa.answers import Answer
from lateint_vespa.calls import Call
from lateint_vespa.schema import Layout, layout_of
from tests.servers.vespa.asking import Client

_TIMEOUT_S = 60.0


def sent(client: Client, call: Call) -> Answer:
    """What it is answered with."""
    parts = urlsplit(client.http_url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request(call.method, call.target, call.body, call.headers)
        response = connection.getresponse()
        return Answer(response.status, response.read(), {name.lower(): text for name, text in response.getheaders()})
    finally:
        connection.close()


def deployed(client: Client, *specs: IndexSpec) -> list[Layout]:
    """An application of these indexes, ready to be used."""
    layouts = [layout_of(spec) for spec in specs]
    client.deployed(
        package.files({layout.schema: package.schema_text(spec) for layout, spec in zip(layouts, specs, strict=True)})
    )
    return layouts
