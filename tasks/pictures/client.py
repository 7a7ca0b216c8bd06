"""One picture by HTTP or from a folder: patient with what may pass, strict with bounds, never an exception."""

import asyncio
import random
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Generic, TypeVar

import aiohttp
from yarl import URL

from tasks.catalog.urls import is_web
from tasks.pictures.address import (
    Address,
    FileAddress,
    PrivateAddressError,
    WebAddress,
    origin,
    public_socket,
    resolve,
)
from tasks.pictures.hosts import Host, doubled
from tasks.pictures.outcome import Failed, Fetched, failed_status
from tasks.pictures.proxies import Proxies
from tasks.pictures.settings import FetchConfig

T = TypeVar("T")
ENCODINGS = {"gzip", "x-gzip", "deflate", "br", "zstd", "compress"}
REDIRECTS = {301, 302, 303, 307, 308}
# Files above the first bound are read only a few at a time, so that memory stays within both bounds together.
LARGE_BYTES = 1_000_000
LARGE_AT_ONCE = 4


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The result of asking for one picture, after all attempts."""

    result: T | Failed
    attempts: int
    seconds: float
    bytes: int = 0
    http_status: int = 0


class Client:
    """Asks for pictures. Made and used inside one event loop.

    Args:
        config: how.
        named: what the user named (the value of --image-base-url, a picture): of a URL, host and port are trusted.
    """

    def __init__(self, config: FetchConfig, named: Collection[str]) -> None:
        self.config = config
        self._trusted = {
            origin(place.url) for one in named if is_web(one) and isinstance(place := resolve(one), WebAddress)
        }
        self._proxies = Proxies()
        self._places = asyncio.Semaphore(config.concurrency)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._hosts: dict[tuple[str, int], Host] = {}
        # A host like others, but for its bound; it asks for no pause, and its failures are never of reaching it.
        self._folder = Host(replace(config, concurrency_per_host=config.concurrency))
        self._guarded = self._session(guarded=True)
        self._open = self._session(guarded=False)
        self._random = random.Random()

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        config = self.config
        connector = aiohttp.TCPConnector(
            limit=0,  # bounded by the semaphores, which also cover decoding
            ttl_dns_cache=300,
            socket_factory=public_socket if guarded else None,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=config.connect_timeout_s, sock_read=config.read_timeout_s
            ),
            headers={
                "User-Agent": f"ec-descr-gen/{version('ec-descr-gen')}"
                + (f" (+{config.contact})" if config.contact else ""),
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # decompressed below, with a bound
        )
        # By itself aiohttp asks once more, at once, where a connection was cut: twice the requests, without a pause.
        session._retry_connection = False
        return session

    async def close(self) -> None:
        """Close all connections."""
        await self._guarded.close()
        await self._open.close()

    async def get(self, address: Address, use: Callable[[Fetched], Awaitable[T | Failed]]) -> Answer[T]:
        """Ask for a picture until it comes, fails for good, or the attempts are used up.

        Args:
            address: where it is.
            use: starts what is done with the bytes (decoding), elsewhere; its time counts as the request's, so
                that no more files wait in memory than requests may be in flight.
        """
        started = time.monotonic()
        attempt, size, status = 0, 0, 0
        result: T | Failed | None = None
        while True:
            fetched, found = await self._attempt(address, use)
            if fetched is None:
                if result is None:  # else why it failed tells more than that its host is left alone
                    result = found
                break
            attempt, result = attempt + 1, found
            status = fetched.http_status
            if isinstance(fetched, Fetched):
                size = len(fetched.data)
            if not isinstance(result, Failed) or not result.passing or attempt >= self.config.attempts:
                break
            if (result.retry_after_s or 0) > self.config.retry_after_max_s:
                break
            await asyncio.sleep(self._pause_s(attempt))
        return Answer(result, attempt, time.monotonic() - started, size, status)

    async def _attempt(
        self, address: Address, use: Callable[[Fetched], Awaitable[T | Failed]]
    ) -> tuple[Fetched | Failed | None, T | Failed]:
        """Ask once, when there is a place for it: what came (None: the host is not to be asked), what became of it.

        Each redirect takes a place at the host that it leads to, and is checked like the first address.
        """
        left_s = self.config.total_timeout_s  # all redirects together, but for waiting for places
        seen: set[Address] = set()
        for _ in range(self.config.max_redirects + 1):
            if address in seen:
                return _both(Failed(reason="redirect_loop"))
            host = self._host(address)
            async with self._place(host):
                if (refusal := host.refusal()) is not None:
                    return (refusal if seen else None), refusal
                seen.add(address)
                started = time.monotonic()
                answer = await self._ask(address, left_s)
                left_s -= time.monotonic() - started
                host.note(answer if isinstance(answer, Failed) else None)
                if isinstance(answer, Fetched):
                    return answer, await use(answer)
                if isinstance(answer, Failed):
                    return _both(answer)
                address = answer
        return _both(Failed(reason="too_many_redirects"))

    @asynccontextmanager
    async def _place(self, host: Host) -> AsyncIterator[None]:
        """A place at the host and one of all, with no pause of the host's; one keeps its own places waiting only."""
        async with host.places:
            while True:
                await asyncio.sleep(host.pause_s)
                async with self._places:
                    if host.pause_s <= 0:  # else it began while this request waited for its place
                        yield
                        return

    def reopen(self, address: Address) -> None:
        """Ask an address's host again, however often it failed."""
        self._host(address).reopen()

    def asked_again(self, address: Address) -> bool:
        """Whether the address's host was asked since it was reopened."""
        return self._host(address).asked_again

    def _pause_s(self, attempt: int) -> float:
        """Back-off before the next attempt: doubling, between half and one and a half times the mean."""
        mean_s = doubled(self.config.backoff_s, attempt - 1, self.config.backoff_max_s)
        return float(mean_s * self._random.uniform(0.5, 1.5))

    def _host(self, address: Address) -> Host:
        if isinstance(address, FileAddress):
            return self._folder
        return self._hosts.setdefault(origin(address.url), Host(self.config))

    async def _ask(self, address: Address, left_s: float) -> Fetched | Failed | WebAddress:
        if isinstance(address, FileAddress):
            return await asyncio.to_thread(_read_file, address, self.config.max_bytes)
        try:
            async with asyncio.timeout(left_s) as limit:
                return await self._request(address.url, limit)
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as error:
            return _failure(error)

    async def _request(self, url: URL, limit: asyncio.Timeout) -> Fetched | Failed | WebAddress:
        """One request: a picture's file, or where it leads."""
        proxy, trusted = self._proxies.proxy(url), self._trusts(url)
        if proxy is not None and not trusted and await self._proxies.is_private(url):
            raise PrivateAddressError
        session = self._open if proxy is not None or trusted else self._guarded
        async with session.get(url, allow_redirects=False, proxy=proxy) as response:
            if response.status in REDIRECTS:
                return _redirected(url, response)
            if response.status != 200:
                return failed_status(response.status, _retry_after_s(response))
            return await self._body(response, limit)

    def _trusts(self, url: URL) -> bool:
        return self.config.allow_private_hosts or origin(url) in self._trusted

    async def _body(self, response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> Fetched | Failed:
        """The body, bounded while it streams."""
        bound = self.config.max_bytes
        if (response.content_length or 0) > bound:
            return Failed(reason="too_large", detail=f"{response.content_length} bytes announced", http_status=200)
        encoding = response.headers.get("Content-Encoding", "identity").lower().strip()
        data = bytearray()
        if (response.content_length or 0) <= LARGE_BYTES:
            await _read_up_to(response, data, LARGE_BYTES)
        if not response.content.at_eof():
            now = asyncio.get_running_loop().time
            left_s = (limit.when() or now()) - now()
            limit.reschedule(None)  # waiting for one of our own places is not the host's time
            async with self._large:
                limit.reschedule(now() + left_s)
                await _read_up_to(response, data, bound)
        if len(data) > bound:
            return Failed(reason="too_large", detail=f"more than {bound} bytes", http_status=200)
        if encoding not in ENCODINGS:  # "aws-chunked", "none", "utf-8": as browsers do, for what comes
            return Fetched(data=bytes(data)) if data else Failed(reason="empty", http_status=200)
        return _decompress(bytes(data), encoding, bound)


def _both(failure: Failed) -> tuple[Failed, Failed]:
    """What came, and what became of it."""
    return failure, failure


async def _read_up_to(response: aiohttp.ClientResponse, data: bytearray, bound: int) -> None:
    """Read until the end of the body, or until `data` is longer than `bound`."""
    async for block in response.content.iter_any():
        data += block
        if len(data) > bound:
            return


# The first that fits: subclasses stand before their parents.
_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "proxy"),
    (aiohttp.ConnectionTimeoutError, "timeout_connect"),
    (aiohttp.SocketTimeoutError, "timeout_read"),
    (TimeoutError, "timeout_total"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError), "tls"),
    (aiohttp.ClientConnectorError, "connect"),
    ((aiohttp.InvalidURL, UnicodeError), "malformed_url"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError), "reset"),
    (aiohttp.ClientError, "bad_response"),
)


def _failure(error: BaseException) -> Failed:
    """What an exception of a request means."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, PrivateAddressError):
        return Failed(reason="private_address")
    reason = next(reason for kinds, reason in _REASONS if isinstance(error, kinds))
    # Not the text of the exception: it may quote the URL.
    detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return Failed(reason=reason, detail=detail)


def _redirected(url: URL, response: aiohttp.ClientResponse) -> WebAddress | Failed:
    """Where a redirect leads."""
    location = response.headers.get("Location", "")
    if not location:
        return Failed(reason="bad_redirect", http_status=response.status)
    try:
        target = resolve(str(url.join(URL(location))))
    except (ValueError, IndexError):  # as in `resolve`
        return Failed(reason="bad_redirect", http_status=response.status)
    if isinstance(target, Failed):
        return Failed(reason=target.reason, detail="in a redirect", http_status=response.status)
    assert isinstance(target, WebAddress)
    return target


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    """The Retry-After header, seconds or a date, as seconds from now: negative if it has passed."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def _decompress(data: bytes, encoding: str, bound: int) -> Fetched | Failed:
    """Undo a Content-Encoding that was not asked for, at most `bound` bytes."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return Failed(reason="bad_encoding", detail=encoding[:20], http_status=200)
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by their headers
    try:
        whole = inflater.decompress(data, bound + 1)
    except zlib.error:
        return Failed(reason="bad_encoding", detail="damaged", http_status=200)
    if len(whole) > bound:
        return Failed(reason="too_large", detail=f"more than {bound} bytes unpacked", http_status=200)
    return Fetched(data=whole) if whole else Failed(reason="empty", http_status=200)


def _read_file(address: FileAddress, bound: int) -> Fetched | Failed:
    """A file of the folder, by the same rules."""
    try:
        if address.path.stat().st_size > bound:
            return Failed(reason="too_large", detail=f"more than {bound} bytes")
        data = address.path.read_bytes()
    except FileNotFoundError:
        return Failed(reason="no_such_file")
    except OSError as error:
        return Failed(reason="unreadable_file", detail=error.strerror or "")
    return Fetched(data=data, http_status=0) if data else Failed(reason="empty")
