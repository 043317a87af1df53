"""Plain HTTP to a Vespa server, and the example application of this folder, for tests of the server itself."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from numpy.typing import NDArray

TENANT = "/application/v2/tenant/default"
APPLICATION = f"{TENANT}/application/default/environment/prod/region/default/instance/default"
_EXAMPLE = Path(__file__).parent / "example"
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """Its body, if it is JSON lines."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def message(self) -> str:
        """Of a refusal, by the config server or the container."""
        if "root" in self.json:
            return str(self.json["root"]["errors"][0]["message"])
        return str(self.json["message"])


def call(method: str, url: str, body: Any = None, **headers: str) -> Reply:
    """One request on a connection of its own; anything but bytes goes as JSON.

    It does not say that it closes the connection: the end of an answer would then be wherever the connection ends.
    """
    parts = urlsplit(url)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", data, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def example() -> dict[str, str]:
    """The files of the example application."""
    return {str(path.relative_to(_EXAMPLE)): path.read_text() for path in sorted(_EXAMPLE.rglob("*")) if path.is_file()}


def edited(file: str, old: str, new: str, files: Mapping[str, str] | None = None) -> dict[str, str]:
    """An application with something else in a file."""
    made = dict(example() if files is None else files)
    assert old in made[file]
    made[file] = made[file].replace(old, new)
    return made


def zipped(files: Mapping[str, str]) -> bytes:
    """As the config server takes them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


class Client:
    """Speaks to one server.

    Args:
        http_url: of its container.
        config_url: of its config server.
    """

    def __init__(self, http_url: str, config_url: str) -> None:
        self.http_url = http_url
        self.config_url = config_url

    def config(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """A request to the config server."""
        headers = {} if body is None else {"Content-Type": "application/zip"}
        return call(method, self.config_url + path, body, **headers)

    def deploy(self, files: Mapping[str, str]) -> Reply:
        """Deploy, without waiting for the container to follow."""
        return self.config("POST", f"{TENANT}/prepareandactivate", zipped(files))

    def deployed(self, files: Mapping[str, str]) -> Reply:
        """Deploy what is valid, and wait until the container has it."""
        reply = self.deploy(files)
        assert reply.status == 200, reply.body
        self.await_convergence()
        return reply

    def await_convergence(self) -> None:
        """Wait until the container has what is active."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not self.convergence()["converged"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def convergence(self) -> dict[str, Any]:
        """What the config server knows of it."""
        state: dict[str, Any] = self.config("GET", f"{APPLICATION}/serviceconverge").json
        return state

    def document(self, method: str, name: str, body: Any = None, **parameters: Any) -> Reply:
        """One document operation of the type `page`."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return call(method, f"{self.http_url}/document/v1/ns/page/docid/{quote(name, safe='')}{query}", body)

    def put(self, name: str, **fields: Any) -> None:
        """Put a document that is valid."""
        reply = self.document("POST", name, {"fields": {"doc_id": name, **fields}})
        assert reply.status == 200, reply.body

    def fields(self, name: str, **parameters: Any) -> Any:
        """Of a document that is there."""
        reply = self.document("GET", name, **parameters)
        assert reply.status == 200, reply.body
        return reply.json["fields"]

    def visit(self, *, lines: bool = False, **parameters: Any) -> Reply:
        """One page of a visit, or all of it as JSON lines."""
        url = f"{self.http_url}/document/v1/ns/page/docid/?{urlencode(parameters)}"
        return call("GET", url, **({"Accept": "application/jsonl"} if lines else {}))

    def search(self, yql: str = "select * from page where true", **parameters: Any) -> Reply:
        """A query by the profile `exact`, unless told otherwise."""
        body = {
            "yql": yql,
            "ranking.profile": "exact",
            "hits": 100,
            "timeout": "20s",
            "model.restrict": "page",
            **parameters,
        }
        return call("POST", f"{self.http_url}/search/", body)

    def found(self, yql: str, **parameters: Any) -> set[str]:
        """Ids of the documents that a condition selects."""
        reply = self.search(f"select * from page where {yql}", **parameters)
        assert reply.status == 200, reply.body
        return {hit["fields"]["doc_id"] for hit in hits(reply)}


def hits(reply: Reply) -> list[Any]:
    """Of a search."""
    found: list[Any] = reply.json["root"].get("children", [])
    return found


def blocks(rows: NDArray[np.float32]) -> dict[str, Any]:
    """Rows as hexadecimal blocks."""
    return {"blocks": {str(at): row.astype(">f4").tobytes().hex() for at, row in enumerate(rows)}}


def bits(rows: NDArray[np.float32]) -> dict[str, Any]:
    """Signs of rows, packed, as hexadecimal blocks."""
    return {"blocks": {str(at): row.tobytes().hex() for at, row in enumerate(np.packbits(rows > 0, axis=1))}}
