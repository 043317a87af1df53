"""asyncio over the blocking shell: encoding holds the interpreter lock, and the rest waits in threads either way.

A verb that is cancelled goes on in its thread until it has ended.
"""

from __future__ import annotations

import asyncio
from typing import Any

from lateint.engine.registry import Settings
from lateint.engine.threaded import ThreadedBackend
from lateint_vespa import sync


async def borrow(client: Any, settings: Settings) -> ThreadedBackend:  # noqa: ANN401 - of a package that may be absent
    """See `sync.borrow`."""
    return ThreadedBackend(await asyncio.to_thread(sync.borrow, client, settings))
