"""Misbehaviour on order: what goes wrong with the next calls, and the gate that every call passes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from tests.servers.qdrant.limits import Kind, Refused

T = TypeVar("T")


class Effect(StrEnum):
    """What happens to a call."""

    DELAY = "delay"
    """It waits, then is applied and answered."""
    CUT = "cut"
    """Its connection is cut, nothing is applied."""
    APPLY_THEN_CUT = "apply-then-cut"
    """It is applied, its connection cut instead of an answer."""
    KILL_BEFORE = "kill-before"
    """The server dies, nothing is applied."""
    KILL_AFTER = "kill-after"
    """It is applied, then the server dies."""
    UNAVAILABLE = "unavailable"
    RATE_LIMIT = "rate-limit"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission-denied"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    INTERNAL = "internal"


_ERRORS = {
    Effect.UNAVAILABLE: (Kind.UNAVAILABLE, "Shard temporarily unavailable: ordered by a test"),
    Effect.RATE_LIMIT: (Kind.RATE_LIMIT, "Rate limiting exceeded: ordered by a test"),
    Effect.UNAUTHENTICATED: (Kind.UNAUTHENTICATED, "Invalid API key or JWT"),
    Effect.PERMISSION_DENIED: (Kind.FORBIDDEN, "Forbidden: Global manage access is required"),
    Effect.DEADLINE_EXCEEDED: (Kind.TIMEOUT, "Timeout: Operation ordered by a test timed out after 60s"),
    Effect.INTERNAL: (Kind.INTERNAL, "Service internal error: ordered by a test"),
}


@dataclass(kw_only=True)
class Fault:
    """An order.

    Attributes:
        effect: what goes wrong.
        method: pattern of the calls it is for, such as `Points/Upsert`, `Points/*`, `*`; the same for both transports.
        transport: `grpc`, `rest` or `*`.
        skip: so many matching calls pass first.
        times: so many are hit then.
        delay_s: how long `delay` waits.
        retry_after: seconds that `rate-limit` asks to wait.
    """

    effect: Effect
    method: str = "*"
    transport: str = "*"
    skip: int = 0
    times: int = 1
    delay_s: float = 0.0
    retry_after: int = 1


@dataclass(frozen=True)
class Call:
    """One call as it came in; `key` is its API key, and open calls need none."""

    transport: str
    method: str
    key: str | None = None
    writes: bool = False
    open: bool = False


class Cut(Exception):
    """The connection has been cut: there is no one to answer."""


class Gate:
    """Checks keys, counts calls, and lets them through or makes them fail as ordered."""

    def __init__(self, api_key: str | None = None, read_only_key: str | None = None) -> None:
        self._keys = (api_key, read_only_key)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._calls: Counter[str] = Counter()

    def pass_through(self, call: Call, work: Callable[[], T], cut: Callable[[], None]) -> T:
        """Do the work of a call.

        Args:
            call: which.
            work: applies it and returns its answer.
            cut: cuts its connection.

        Raises:
            Refused: a missing or wrong key, or an error that was ordered.
            Cut: as ordered.
        """
        fault = self._taken(call)
        self._check_key(call)
        if fault is None:
            return work()
        match fault.effect:
            case Effect.DELAY:
                time.sleep(fault.delay_s)
                return work()
            case Effect.CUT:
                cut()
            case Effect.APPLY_THEN_CUT:
                work()
                cut()
            case Effect.KILL_BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
            case Effect.KILL_AFTER:
                work()
                os.kill(os.getpid(), signal.SIGKILL)
            case effect:
                kind, text = _ERRORS[effect]
                raise Refused(kind, text, retry_after=fault.retry_after if kind is Kind.RATE_LIMIT else None)
        raise Cut

    def order(self, request: dict[str, Any]) -> None:
        """Take an order in its JSON form."""
        fault = Fault(**request)
        fault.effect = Effect(fault.effect)
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all orders and counts."""
        with self._lock:
            self._faults.clear()
            self._calls.clear()

    def report(self) -> dict[str, Any]:
        """Calls so far by transport and method, and how many faults are still to come."""
        with self._lock:
            return {"calls": dict(self._calls), "faults": sum(fault.times for fault in self._faults)}

    def _taken(self, call: Call) -> Fault | None:
        with self._lock:
            self._calls[f"{call.transport} {call.method}"] += 1
            for fault in self._faults:
                if fnmatchcase(call.method, fault.method) and fnmatchcase(call.transport, fault.transport):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None

    def _check_key(self, call: Call) -> None:
        """Texts seen; that a read-only key gets this one for every write is assumed."""
        full, read_only = self._keys
        if call.open or full is None:
            return
        if call.key is None:
            text = "Must provide an API key or an Authorization bearer token"
            raise Refused(Kind.UNAUTHENTICATED, text)
        if call.key == full:
            return
        if read_only is None or call.key != read_only:
            raise Refused(Kind.UNAUTHENTICATED, "Invalid API key or JWT")
        if call.writes:
            raise Refused(Kind.FORBIDDEN, "Forbidden: Global manage access is required")
