"""What is known of a host while it is asked: places for requests, pauses, whether it is to be left alone."""

import asyncio
import time
from dataclasses import dataclass, field

from tasks.pictures.outcome import CIRCUIT_OPEN, Failed
from tasks.pictures.settings import FetchConfig

# Failures to reach the host itself, rather than a bad answer.
UNREACHABLE = frozenset({"dns", "connect", "proxy", "tls", "timeout_connect", "timeout_read"})
OVERLOADED = frozenset({"http_429", "http_5xx"})


def doubled(seconds: float, times: int, most_s: float) -> float:
    """`seconds` doubled so many times, at most `most_s`."""
    return min(seconds * 2.0 ** min(times, 60), most_s)


@dataclass
class Host:
    """One host and port. Used by one event loop only.

    A pause holds requests back; a closed host refuses them at once. It is closed when it asks for a longer pause than
    may be waited for, and when too many failures follow each other (the circuit breaker): of a host that has answered
    before only those to reach it count, and it is first given `breaker_s` to come back, as after a restart.
    """

    config: FetchConfig
    places: asyncio.Semaphore = field(init=False)
    alive: bool = False
    paused_until: float = 0.0
    pauses_in_a_row: int = 0
    failures_in_a_row: int = 0
    closed_until: float = 0.0
    closed_for: str = CIRCUIT_OPEN
    last_failure: str = ""
    reopened: bool = False
    asked_again: bool = False  # since it was reopened

    def __post_init__(self) -> None:
        self.places = asyncio.Semaphore(self.config.concurrency_per_host)

    def refusal(self) -> Failed | None:
        """A failure while the host is closed; None when it may be asked."""
        now = time.monotonic()
        if now < self.closed_until:
            left_s = self.closed_until - now
            return Failed(reason=self.closed_for, detail=f"after {self.last_failure}", retry_after_s=left_s)
        if self.failures_in_a_row >= self.config.breaker_failures:
            # Half open: this one request is let through, and others only if it brings an answer.
            self._close(self.config.breaker_s, CIRCUIT_OPEN)
        return None

    @property
    def pause_s(self) -> float:
        """How long a pause still lasts; at most 0 when it is over."""
        return self.paused_until - time.monotonic()

    def note(self, failure: Failed | None) -> None:
        """Learn from an answer, or from none."""
        self.asked_again = self.reopened
        if failure is None or not failure.passing:
            self.alive, self.pauses_in_a_row = True, 0
            self._forget_failures()
            return
        self.last_failure = failure.reason
        if failure.retry_after_s is None:
            self._note_silence(failure)
        elif failure.retry_after_s > self.config.retry_after_max_s:
            self._close(failure.retry_after_s, failure.reason)
        else:
            self._pause(failure.retry_after_s)

    def _note_silence(self, failure: Failed) -> None:
        """Learn from a failure that may pass and says nothing about when."""
        began = self.pause_s <= 0  # else it was in flight when the pause began
        if failure.reason in OVERLOADED and began:
            self.pauses_in_a_row += 1
            self._pause(doubled(self.config.backoff_s, self.pauses_in_a_row - 1, self.config.backoff_max_s))
        if self.alive and failure.reason not in UNREACHABLE:
            return
        self.failures_in_a_row += 1
        if self.failures_in_a_row < self.config.breaker_failures:
            return
        if self.alive:
            self.alive, self.failures_in_a_row = False, 0
            self._pause(self.config.breaker_s)
        elif began:
            self._close(self.config.breaker_s, CIRCUIT_OPEN)

    def reopen(self) -> None:
        """Begin to ask for the last time: however often it failed, it may be asked; what it asked for itself stays."""
        self.reopened = True
        self._forget_failures()

    def _forget_failures(self) -> None:
        self.failures_in_a_row = 0
        if self.closed_for == CIRCUIT_OPEN:
            self.closed_until = 0.0

    def _pause(self, pause_s: float) -> None:
        self.paused_until = max(self.paused_until, time.monotonic() + pause_s)

    def _close(self, closed_s: float, reason: str) -> None:
        until = time.monotonic() + closed_s
        if until > self.closed_until:
            self.closed_until, self.closed_for = until, reason
