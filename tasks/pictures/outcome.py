"""What becomes of a URL: a picture, or a failure with a reason that is final or may pass."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from model.errors import UserError

CIRCUIT_OPEN = "circuit_open"  # not asked for, as its host is left alone
NOT_ASKED = "not_asked"  # as too much of its chunk fails
# A picture that fails for one of these may be had later: it is asked for again, and no other takes its place meanwhile.
# One that fails for any other reason is not to be had: the next record of the reserve takes its place.
PASSING_REASONS = frozenset(
    {
        "dns", "connect", "proxy", "tls", "reset", "bad_response",
        "timeout_connect", "timeout_read", "timeout_total",
        "http_429", "http_5xx", CIRCUIT_OPEN, NOT_ASKED, "unreadable_file", "unforeseen",
    }
)  # fmt: skip
_OWN_NAMES = {401, 403, 404, 410, 451}


@dataclass(frozen=True, kw_only=True)
class Failed:
    """No picture, and why: `reason` is one word, which also says whether to ask again; `detail` names no URL."""

    reason: str
    detail: str = ""
    http_status: int = 0
    retry_after_s: float | None = None

    @property
    def passing(self) -> bool:
        """Whether asking later may help."""
        return self.reason in PASSING_REASONS


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The bytes of a file that came whole."""

    data: bytes
    http_status: int = 200


def failed_status(status: int, retry_after_s: float | None = None) -> Failed:
    """The failure that an HTTP status other than 200 is."""
    if status in {408, 425, 429}:
        reason = "http_429"
    elif status == 407:  # says nothing of the picture
        reason = "proxy"
    elif status >= 500:
        reason = "http_5xx"
    elif status in _OWN_NAMES:
        reason = f"http_{status}"
    else:
        reason = "http_4xx" if 400 <= status < 500 else "http_other"
    return Failed(reason=reason, http_status=status, retry_after_s=retry_after_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one record's picture.

    Attributes:
        record_id: of the catalogue.
        split: train, validation or test.
        order: the record's place in its split, from 0.
        url: without user, password and query.
        url_key: digest of the whole URL: equal keys are equal URLs.
        status: fetched, reused (from an earlier dataset) or failed.
        reason: why it failed; empty otherwise.
        detail: more about the reason.
        settled: a failure that nothing is hoped for any more: it was final, or outlasted the last asking.
        http_status: the last one; 0 without one.
        bytes: of the file.
        width, height: of the picture before resizing, upright, in px.
        digest: SHA-256 of the pixels, uint8 (C, S, S).
        attempts: times that it was asked for.
        seconds: from the first attempt to the picture.
    """

    record_id: str
    split: str
    order: int
    url: str
    url_key: str
    status: str
    reason: str = ""
    detail: str = ""
    settled: bool = True
    http_status: int = 0
    bytes: int = 0
    width: int = 0
    height: int = 0
    digest: str = ""
    attempts: int = 0
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether there is a picture."""
        return self.status != "failed"

    def as_row(self) -> dict[str, Any]:
        """Its row of SCHEMA. `dataclasses.asdict` takes ten times as long, as it copies deeply."""
        return {name: getattr(self, name) for name in self.__slots__}


SCHEMA = pa.schema(
    [
        (name, {str: pa.string(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}[kind])
        for name, kind in Outcome.__annotations__.items()
    ]
)


def in_words(reasons: Iterable[str]) -> str:
    """The most frequent reasons, as `http_404 12, dns 1`."""
    return ", ".join(f"{reason} {count:,}" for reason, count in Counter(reasons).most_common(3))


def nothing_had(whose: str, failures: Sequence[Outcome]) -> UserError:
    """What to say where there is not one picture, and asking again would bring none."""
    reasons = [outcome.reason for outcome in failures]
    private = ", or set fetch.allow_private_hosts=true" if "private_address" in reasons else ""
    return UserError(
        f"no picture {whose} can be had ({in_words(reasons)}), such as {failures[0].url or failures[0].record_id}: "
        f"look at the catalogue's urls, and at --image-base-url{private}"
    )
