"""`python -m tests.servers.vespa [FOLDER]`: build the server, run it until interrupted."""

from __future__ import annotations

import argparse
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.servers.vespa import build
from tests.servers.vespa.asking import Client, example
from tests.servers.vespa.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(description="A Vespa server for tests, on the loopback.")
    parser.add_argument("folder", type=Path, nargs="?", help="keeps its data; without one, they go with it")
    parser.add_argument("--build", action="store_true", help="only build it")
    parser.add_argument("--example", action="store_true", help="deploy the example application to it")
    given = parser.parse_args()
    if given.build:
        build.server()
        return
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = Server(folder.absolute()).start()
        stack.callback(server.stop)
        if given.example:
            Client(server.http_url, server.config_url).deployed(example())
        ends = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # not earlier: the server would inherit it
        print(server.url, f"control={server.control.port}", f"log={server.log}", flush=True)  # noqa: T201
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
