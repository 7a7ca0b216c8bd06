"""Which addresses may be asked: what a catalogue's url means, and the guard on the address really connected to."""

import errno
import hashlib
import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from yarl import URL

from model.errors import UserError
from tasks.catalog.urls import is_web, resolve_url, without_secrets
from tasks.pictures.outcome import Failed

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
_WEB = {"http", "https"}
_IPV6_PREFIXES_WITH_IPV4 = {  # prefix: position of the IPv4 address, in bits from the right
    ipaddress.ip_network("64:ff9b::/96"): 0,  # NAT64
    ipaddress.ip_network("2002::/16"): 80,  # 6to4
}
_AZURE_METADATA = ipaddress.ip_address("168.63.129.16")  # a global address that only virtual machines reach


@dataclass(frozen=True)
class WebAddress:
    """A picture to be asked for by HTTP."""

    url: URL

    @property
    def shown(self) -> str:
        """For files and reports: no user, password, query or fragment."""
        return str(self.url.with_user(None).with_query(None).with_fragment(None))

    @property
    def key(self) -> str:
        """Equal for equal URLs."""
        return _digest(str(self.url))

    @property
    def host(self) -> str:
        """For reports: the host as people write it."""
        try:
            return self.url.host or ""
        except ValueError:  # xn--… that stands for nothing
            return self.url.raw_host or ""

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port."""
        return origin(self.url)


@dataclass(frozen=True)
class FileAddress:
    """A picture to be read from the folder that the user named."""

    path: Path

    @property
    def shown(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def key(self) -> str:
        """Equal for the same path with the same size and time of change."""
        try:
            status = self.path.stat()
        except OSError:
            return _digest(f"file {self.path}")
        return _digest(f"file {self.path} {status.st_size} {status.st_mtime_ns}")

    @property
    def host(self) -> str:
        """For reports: files have no host."""
        return "(folder)"

    @property
    def origin(self) -> tuple[str, int]:
        """All files are in one place."""
        return self.host, 0


Address = WebAddress | FileAddress


def check_base(base: str) -> None:
    """Check the value of --image-base-url: a URL that can be asked, or a folder that can be read.

    Raises:
        UserError: it is neither.
    """
    is_url = "://" in base
    if fault := asking_fault(base) if is_url else _folder_fault(Path(base)):
        # Where a password ends in what is no URL cannot be told.
        shown = base if not is_url else "with an @" if "@" in base else without_secrets(base)
        raise UserError(
            f"--image-base-url {shown} is neither a URL nor a folder that can be read ({fault}): "
            "name where the pictures are"
        )


def asking_fault(url: str) -> str:
    """Why a URL, as a user names it, cannot be asked for anything; empty if it can."""
    if not is_web(url):
        return "a URL begins with http:// or https://"
    place = _web(url)
    if isinstance(place, Failed):
        return place.detail or "no such host or port is possible"
    return "" if place.url.port else "no such port is possible"


def _folder_fault(folder: Path) -> str:
    """Why files of a folder cannot be read; empty if they can."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            return "it is a file"
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(folder, os.X_OK) else os.strerror(errno.EACCES)


def resolve(url: str, base: str = "") -> Address | Failed:
    """What a catalogue's url means: an absolute URL by itself, a relative one below the base.

    Args:
        url: as in the catalogue, of any quality.
        base: the value of --image-base-url, a URL or a folder; empty without one.
    """
    url = url.strip()
    if not url or any(ord(character) < 32 for character in url):
        return Failed(reason="malformed_url", detail="empty or with control characters")
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() not in _WEB:
        return Failed(reason="unsupported_scheme", detail=scheme[1].lower()[:20])
    if scheme or url.startswith("//"):
        return _web(url if scheme else f"https:{url}")
    if not base:
        return Failed(reason="malformed_url", detail="relative, and no --image-base-url")
    return _below(url, base)


def _below(url: str, base: str) -> Address | Failed:
    """A relative url below the base, a URL or a folder."""
    try:
        place = resolve_url(url, base)
        if isinstance(place, str):
            return _web(place)
        if not place.is_file():  # a url may say %20 for what the folder has as a space
            place = Path(resolve_url(unquote(url), base))
        return FileAddress(place) if place.is_file() else Failed(reason="no_such_file")
    except OSError as error:  # a name too long, a folder that may not be read
        return Failed(reason="no_such_file", detail=error.strerror or "")
    except ValueError:
        return Failed(reason="outside_folder")


def _web(url: str) -> WebAddress | Failed:
    """Check that a URL can be asked for."""
    try:
        parsed = URL(url)
    except (ValueError, IndexError):  # the latter for brackets before the user's @
        return Failed(reason="malformed_url")
    host = parsed.raw_host or ""
    if not host or (":" not in host and not re.fullmatch(r"(?!.*\.\.)(?!\.)[A-Za-z0-9_.-]+", host)):
        return Failed(reason="malformed_url", detail="no such host name is possible")
    if any(len(label) > 63 for label in host.split(".")) or len(host) > 253:
        return Failed(reason="malformed_url", detail="host name too long")
    if ":" in (parsed.user or ""):
        return Failed(reason="malformed_url", detail="no user of HTTP has a colon in the name")
    return WebAddress(parsed.with_fragment(None))


class PrivateAddressError(OSError):
    """The address is not one of the public internet."""

    def __init__(self) -> None:
        # One text for all: the connector joins several different errors into a plain OSError.
        super().__init__(errno.EACCES, "not an address of the public internet")


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the public internet: not loopback, private, link-local or metadata."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        else:
            for network, shift in _IPV6_PREFIXES_WITH_IPV4.items():
                if ip in network:
                    ip = ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)
                    break
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local:  # the private addresses of before 2004
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and ip != _AZURE_METADATA


def public_socket(addr_info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]) -> socket.socket:
    """Make the socket for a connection, if the address is public. The last place before connecting: no name tricks.

    Raises:
        PrivateAddressError: it is not.
    """
    family, kind, protocol, _, address = addr_info
    if not is_public(address[0]):
        raise PrivateAddressError
    return socket.socket(family, kind, protocol)


def address_key(address: Address | Failed) -> str:
    """Equal for equal addresses; empty for a url that is none."""
    return "" if isinstance(address, Failed) else address.key


def origin(url: URL) -> tuple[str, int]:
    """Host and port."""
    return url.raw_host or "", url.port or 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
