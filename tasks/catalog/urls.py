"""Urls of pictures: what counts as one, when two are the same, where a relative one leads."""

import re
from pathlib import Path
from urllib.parse import quote, urljoin

# Nearly every url of a catalogue, told in one step; others go through `url_fault`.
PLAIN_URL = re.compile(r"https?://[a-z0-9.\-]+/[A-Za-z0-9/._~%+\-]*")
_ABSOLUTE = re.compile(r"https?://[^\s/?#@]+(?:[/?#].*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_USER = re.compile(r"//[^/]*@")
_HOST = re.compile(r"^(?:https?:)?//[^/?#]*", re.IGNORECASE)


def url_fault(url: str) -> str:
    """Why a text is no picture's url, absolute or relative; empty if it is one."""
    if _CONTROL.search(url):
        return "holds control characters or backslashes"
    if _SCHEME.match(url):
        if _ABSOLUTE.fullmatch(url):
            return ""
        if not url.lower().startswith("http"):
            return "is neither http nor https"
        return "names a user" if _USER.search(url) else "has no host"
    if ".." in url.split("/"):
        return "leads out of its folder"
    return "is no path" if " " in url and "." not in url.rpartition("/")[2] else ""


def is_web(text: str) -> bool:
    """Whether a text, such as the value of --image-base-url, means a URL; else it is a file or a folder."""
    return text.lower().startswith(("http://", "https://"))


def is_relative(url: str) -> bool:
    """Whether a well-formed url needs a base."""
    return _SCHEME.match(url) is None


def normalise_url(url: str) -> str:
    """The url as it is compared: scheme and host in lower case, no fragment.

    A query stays: where it says nothing of the picture, `catalog.cut_query` has cut it already. A relative url may be
    a file's name, in which # is a letter like others.
    """
    if is_relative(url):
        return url
    url = url.partition("#")[0]
    host = _HOST.match(url)
    return url if host is None else host[0].lower() + url[host.end() :]


def without_secrets(url: str) -> str:
    """The url as it may be shown: no user, no password, no query, no fragment; a path stays as it is."""
    return _USER.sub("//", _without_query(url))


def shown_base(base: str) -> str:
    """What relative urls resolve against, as it may be shown: a folder's name may hold # and ?, and no secret."""
    return without_secrets(base) if is_web(base) else base


def _without_query(url: str) -> str:
    """The url without query and fragment."""
    return url.partition("#")[0].partition("?")[0]


def resolve_url(url: str, base: str) -> str | Path:
    """Where a picture is: an http(s) url to fetch, or a file below the folder `base`.

    Args:
        url: as in the catalogue, absolute or relative.
        base: a url or a folder; may be empty if the url is absolute.

    Raises:
        ValueError: the url is relative and there is no base, or it leads out of the folder.
    """
    if not is_relative(url):
        return url
    if not base:
        raise ValueError(f"{url!r} is relative and no --image-base-url is given")
    if is_web(base):
        folder_url = _without_query(base)  # urljoin would take the folder's name for a query's end
        return urljoin(folder_url.rstrip("/") + "/", quote(url.lstrip("/"), safe="/%?=&;,+~@!$'()*"))
    folder = Path(base).resolve()
    path = (folder / url.lstrip("/")).resolve()
    if not path.is_relative_to(folder):
        raise ValueError(f"{url!r} leads out of {base}")
    return path
