"""The proxy that the environment names (`http_proxy`, `https_proxy`, `no_proxy`), as curl and pip take it."""

import asyncio
import ipaddress
import socket
from contextlib import suppress
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from tasks.pictures.address import is_public


class Proxies:
    """Which requests go through a proxy, and which of them may. Used by one event loop only."""

    def __init__(self) -> None:
        self._by_scheme: dict[str, URL] = {}
        for scheme, value in getproxies().items():
            with suppress(ValueError):  # of a form that only others understand
                proxy = URL(value if "://" in value else f"http://{value}")
                if proxy.scheme in {"http", "https"} and proxy.host:
                    self._by_scheme[scheme] = proxy
        self._private: dict[str, asyncio.Task[bool]] = {}

    def proxy(self, url: URL) -> URL | None:
        """The proxy that a request goes through; None if it goes straight to its host, as to this machine's own."""
        host = url.raw_host or ""
        proxy = self._by_scheme.get(url.scheme)
        if proxy is None or host == "localhost" or _is_number(host) or proxy_bypass(host):
            return None
        return proxy

    async def is_private(self, url: URL) -> bool:
        """Whether the host's name means an address here that is not of the public internet.

        The address really connected to is the proxy's, so the name is all that can be looked at. One that only the
        proxy can resolve is left to its rules.
        """
        host = url.raw_host or ""
        if host not in self._private:
            self._private[host] = asyncio.create_task(_is_private(host))
        return await asyncio.shield(self._private[host])


async def _is_private(host: str) -> bool:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return not all(is_public(str(address[0])) for *_, address in found)


def _is_number(host: str) -> bool:
    """Whether a host is an IP address: those are reached directly, where the address itself is checked."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
