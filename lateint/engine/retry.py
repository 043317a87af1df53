"""When to try again, and how long to wait before."""

from __future__ import annotations

import random
from dataclasses import dataclass

from lateint import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter, bounded in attempts and in total time.

    Only errors marked retryable are tried again; a server's own `retry_after` is honoured as the shortest wait.

    Attributes:
        attempts: calls in all, the first one included; 1 never retries.
        base_s: the first wait is up to this many seconds, each next one up to twice the one before.
        longest_s: no wait is longer, except where the server asks for it.
        total_s: no new attempt begins after this many seconds.
    """

    attempts: int = 5
    base_s: float = 0.2
    longest_s: float = 10.0
    total_s: float = 120.0

    def wait_s(self, error: errors.BackendError, *, attempt: int, elapsed_s: float) -> float | None:
        """Seconds to wait before the next attempt; None to give up.

        Args:
            error: what the last attempt failed with.
            attempt: how many attempts have failed.
            elapsed_s: seconds since the first began.
        """
        if not error.retryable or attempt >= self.attempts:
            return None
        # Jitter spreads clients that failed together; no secret depends on it.
        wait = random.uniform(0, min(self.longest_s, self.base_s * 2 ** (attempt - 1)))  # noqa: S311
        if isinstance(error, errors.RateLimited) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return wait if elapsed_s + wait <= self.total_s else None
