"""What is known of a host while it is asked: places for requests, pauses it asked for, whether it is dead."""

import asyncio
import time
from dataclasses import dataclass, field

from tasks.pictures.outcome import Failed
from tasks.pictures.settings import FetchConfig

# Failures to reach the host itself, rather than a bad answer.
UNREACHABLE = frozenset({"dns", "connect", "proxy", "tls", "timeout_connect", "timeout_read"})


@dataclass
class Host:
    """One host and port. Used by one event loop only."""

    config: FetchConfig
    places: asyncio.Semaphore = field(init=False)
    paused_until: float = 0.0
    failures_in_a_row: int = 0
    dead_until: float = 0.0

    def __post_init__(self) -> None:
        self.places = asyncio.Semaphore(self.config.concurrency_per_host)

    def refusal(self) -> Failed | None:
        """A failure while the circuit is open; None when the host may be asked."""
        if self.failures_in_a_row < self.config.breaker_failures:
            return None
        now = time.monotonic()
        if now < self.dead_until:
            return Failed(reason="circuit_open", detail=f"{self.failures_in_a_row} failures in a row")
        # Half open: this one request is let through, and others only if it brings an answer.
        self.dead_until = now + self.config.breaker_s
        return None

    @property
    def pause_s(self) -> float:
        """How long a Retry-After still lasts; at most 0 when it is over."""
        return self.paused_until - time.monotonic()

    async def wait(self) -> None:
        """Wait until a Retry-After is over."""
        while (left_s := self.pause_s) > 0:
            await asyncio.sleep(left_s)

    def note(self, failure: Failed | None) -> None:
        """Learn from an answer, or from none."""
        if failure is not None and failure.reason in UNREACHABLE:
            self.failures_in_a_row += 1
            if self.failures_in_a_row >= self.config.breaker_failures:
                self.dead_until = time.monotonic() + self.config.breaker_s
            return
        self.failures_in_a_row = 0
        if failure is not None and failure.retry_after_s is not None:
            pause_s = min(failure.retry_after_s, self.config.retry_after_max_s)
            self.paused_until = max(self.paused_until, time.monotonic() + pause_s)
