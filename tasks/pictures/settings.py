"""How pictures are fetched. Nothing here changes the bytes of a dataset."""

import hashlib
import re
from dataclasses import dataclass

from model.configuration import check, check_choice, setting
from model.store import COMPRESSIONS

# In one process: some decode while others wait for their last pictures, asked for again after a pause.
CHUNKS_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How pictures are fetched: how fast, how patiently, from where."""

    concurrency: int = setting(64, "requests in flight in all")
    concurrency_per_host: int = setting(16, "requests in flight to one host")
    decode_threads: int = setting(0, "threads that decode and resize; 0 is one a core, and one more")
    chunk_rows: int = setting(500, "pictures in a chunk: what is asked again after a kill")
    attempts: int = setting(4, "times that a picture is asked for when the failure may pass")
    backoff_s: float = setting(0.5, "mean wait before the second attempt; doubles with each", unit="s")
    backoff_max_s: float = setting(30.0, "longest wait between attempts", unit="s")
    retry_after_max_s: float = setting(
        120.0, "longest Retry-After that is waited for; who asks for more is left alone", unit="s"
    )
    connect_timeout_s: float = setting(10.0, "time to find and reach the host", unit="s")
    read_timeout_s: float = setting(20.0, "time without a byte, the first one included", unit="s")
    total_timeout_s: float = setting(90.0, "time for one attempt in all, waiting for a turn apart", unit="s")
    max_bytes: int = setting(20_000_000, "largest file that is taken", unit="bytes")
    max_redirects: int = setting(5, "redirects that are followed for one picture")
    breaker_failures: int = setting(20, "failures in a row after which a host is left alone for a while")
    breaker_s: float = setting(30.0, "how long it is left alone, or given to come back if it answered before", unit="s")
    max_failure_rate: float = setting(
        0.1, "share of a chunk, of ten rows at least, that may fail for passing reasons before the run stops"
    )
    allow_private_hosts: bool = setting(False, "also ask loopback, private and link-local addresses")
    refresh: bool = setting(False, "ask once more for pictures that are there already")
    contact: str = setting("", "an address or URL for the User-Agent, so that a host can reach you")
    runner: str = setting("threads", "where chunks run: threads, dask (a process a core) or dask://HOST:PORT")
    compression: str = setting("none", "of the picture files, lossless: none, lzf (fast) or gzip (smaller)")

    def __post_init__(self) -> None:
        for name in ("concurrency", "concurrency_per_host", "chunk_rows", "attempts", "breaker_failures"):
            check(getattr(self, name) >= 1, f"fetch.{name}", getattr(self, name), "at least 1")
        for name in ("decode_threads", "max_redirects", "backoff_s", "backoff_max_s", "retry_after_max_s", "breaker_s"):
            check(getattr(self, name) >= 0, f"fetch.{name}", getattr(self, name), "at least 0")
        for name in ("connect_timeout_s", "read_timeout_s", "total_timeout_s", "max_bytes"):
            check(getattr(self, name) > 0, f"fetch.{name}", getattr(self, name), "above 0")
        check(0 <= self.max_failure_rate <= 1, "fetch.max_failure_rate", self.max_failure_rate, "in [0, 1]")
        check(self.contact.isprintable(), "fetch.contact", self.contact, "one printable line")
        known = re.fullmatch(r"threads|dask|dask://[^/\s]+:\d+", self.runner) is not None
        check(known, "fetch.runner", self.runner, "threads, dask or dask://HOST:PORT")
        check_choice("fetch.compression", self.compression, COMPRESSIONS)

    def verdict_key(self, base: str) -> str:
        """Of what decides whether a picture is refused for good: with anything else, ask again.

        Args:
            base: the value of --image-base-url: of a URL, the host is trusted.
        """
        named = base if "://" in base else ""
        bounds = (self.max_bytes, self.max_redirects, self.allow_private_hosts, named)
        return hashlib.sha256(repr(bounds).encode()).hexdigest()[:16]
