"""Ports of the loopback for servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

_BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that no system hands to outgoing connections: one of those could take a server's port while it restarts, or a
client that calls a dead port could be connected to itself."""


def free_ports(count: int) -> list[int]:
    """Consecutive ports that nobody listens on."""
    while True:
        first = random.choice(_BELOW_EPHEMERAL)
        ports = list(range(first, first + count))
        with ExitStack() as stack:
            try:
                for port in ports:
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return ports
