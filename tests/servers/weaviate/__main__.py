"""`python -m tests.servers.weaviate [FOLDER]`: build the server, run it until interrupted."""

from __future__ import annotations

import argparse
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.servers.weaviate import build
from tests.servers.weaviate.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(description="A Weaviate server on the loopback.")
    parser.add_argument("folder", type=Path, nargs="?", help="keeps its data; without one, they go with it")
    parser.add_argument("--build", action="store_true", help="only build it")
    parser.add_argument("--api-key", help="of a user who may do everything; without it, everybody may")
    parser.add_argument("--read-only-api-key")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    given = parser.parse_args()
    if given.build:
        print(build.server())  # noqa: T201
        return
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = dict(one.split("=", 1) for one in given.set)
        server = Server(
            folder.absolute(), api_key=given.api_key, read_only_api_key=given.read_only_api_key, settings=settings
        ).start()
        stack.callback(server.stop)
        ends = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # not earlier: the server would inherit it
        print(server.url, f"pid={server.pid}", f"log={server.log}", flush=True)  # noqa: T201
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
