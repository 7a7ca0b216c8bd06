"""One event loop and one pool of decoding threads a process: chunks side by side share bounds and connections."""

import asyncio
import ctypes
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from tasks.pictures.client import Client
from tasks.pictures.settings import FetchConfig

T = TypeVar("T")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LOOKUPS_PER_PLACE = 4  # a lookup goes on in its thread after its request has timed out, three times as long at worst
_lock = threading.Lock()
_running: dict[tuple[FetchConfig, tuple[str, ...]], "Fetcher"] = {}


class Fetcher:
    """A client on an event loop in a thread of its own. Threads may share it."""

    def __init__(self, config: FetchConfig, named: tuple[str, ...]) -> None:
        keep_freed_memory()
        self.users = 0
        # One more than cores: each waits now and then, for the disk or for the interpreter.
        self.pool = ThreadPoolExecutor(config.decode_threads or available_cores() + 1, thread_name_prefix="decode")
        self._loop = asyncio.new_event_loop()
        # asyncio's own few threads would let names that nobody answers for keep all other hosts' names waiting.
        lookups = ThreadPoolExecutor(LOOKUPS_PER_PLACE * config.concurrency, thread_name_prefix="lookup")
        self._loop.set_default_executor(lookups)
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)
        self._thread.start()
        self.client = self.run(self._make_client(config, named))
        self.rate = Rate()

    @staticmethod
    async def _make_client(config: FetchConfig, named: tuple[str, ...]) -> Client:
        return Client(config, named)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; interrupted, it is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def decode(self, work: Callable[[], T]) -> T:
        """Work in the decoding threads. Cancelled, it is waited for all the same: it may be writing to a file."""
        started = self.pool.submit(work)
        try:
            return await asyncio.wrap_future(started)
        except asyncio.CancelledError:
            if not started.cancelled():
                await asyncio.gather(asyncio.wrap_future(started), return_exceptions=True)
            raise

    def close(self) -> None:
        """End the loop and the threads."""
        self.run(self.client.close())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.pool.shutdown()


class Rate:
    """Pictures and bytes a second over the last while, and how many failed: what stands beside the progress bar."""

    WINDOW_S = 10.0

    def __init__(self) -> None:
        self.failed = self.done = self.bytes = 0
        self._marks: list[tuple[float, int, int]] = [(time.monotonic(), 0, 0)]

    def add(self, size: int, *, failed: bool) -> str:
        """Count one more picture; say the rates in a few words. Called on the loop only."""
        self.done += 1
        self.bytes += size
        self.failed += failed
        now = time.monotonic()
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self.done, self.bytes))
            self._marks = [mark for mark in self._marks if now - mark[0] <= self.WINDOW_S] or self._marks[-1:]
        since, done, size_before = self._marks[0]
        seconds = max(now - since, 0.1)
        note = f"{(self.done - done) / seconds:.0f}/s, {(self.bytes - size_before) / seconds / 1e6:.1f} MB/s"
        return note + (f", {self.failed:,} failed" if self.failed else "")


@contextmanager
def shared_fetcher(config: FetchConfig, *named: str) -> Iterator[Fetcher]:
    """The process's fetcher for these settings: made by the first user, closed by the last.

    Args:
        config: how to fetch.
        named: what the user named, see `Client`; what is empty counts for nothing.
    """
    key = (config, tuple(filter(None, named)))
    with _lock:
        fetcher = _running.get(key)
        if fetcher is None:
            fetcher = _running[key] = Fetcher(*key)
        fetcher.users += 1
    try:
        yield fetcher
    finally:
        with _lock:
            fetcher.users -= 1
            if not fetcher.users:
                del _running[key]
                fetcher.close()


def keep_freed_memory() -> None:
    """Keep what a decoded picture leaves for the next one, instead of giving it back to the system each time.

    Whether glibc gives it back is a matter of luck (where other threads' memory lies); if so, every picture pays for
    800 fresh pages, a sixth of the download's time. What is kept is what the pictures in flight took at most.
    """
    with suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest that it takes
        library.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
