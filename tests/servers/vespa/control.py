"""Order faults from the server, and ask what it was asked."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

_TIMEOUT_S = 60.0
_HTTP = build_opener(ProxyHandler({}))
"""Never through a proxy: this is the loopback."""


class Control:
    """The control port of one server.

    Attributes:
        port: on the loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._url = f"http://127.0.0.1:{port}"

    def fault(self, at: str, **details: Any) -> None:
        """Order what goes wrong with the next requests.

        Args:
            at: `config`, `http`, `document`, `visit`, `search`, `fill`, `prepare` or `converge`.
            **details: see `Fault.java`, which documents each.

        Raises:
            ValueError: there is no such fault.
        """
        self._order("POST", "faults", {"at": at, **details})

    def clear(self) -> None:
        """Forget all faults and counts; what is being delayed goes on."""
        self._order("DELETE", "faults")

    def faults_left(self) -> int:
        """How many orders are not yet carried out."""
        return int(self._order("GET", "report")["faults"])

    def calls(self) -> dict[str, int]:
        """How often each was called, by `POST /search` or `GET /document/v1`, refused calls included."""
        calls: dict[str, int] = self._order("GET", "report")["calls"]
        return calls

    def drop_documents(self) -> None:
        """All of them; the application stays."""
        self._order("DELETE", "documents")

    def drop_application(self) -> None:
        """With its documents: as a server that nothing was deployed to."""
        self._order("DELETE", "application")

    def use_shortcut(self, *, used: bool) -> None:
        """Whether MaxSim is computed in one loop, or by Vespa's own evaluator, which is some thousand times slower."""
        self._order("POST", "evaluator", {"shortcut": used})

    def _order(self, verb: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        try:
            with _HTTP.open(Request(f"{self._url}/{path}", data, method=verb), timeout=_TIMEOUT_S) as response:
                return json.loads(response.read())
        except HTTPError as error:
            with error:
                raise ValueError(json.loads(error.read())["message"]) from error
