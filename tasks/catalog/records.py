"""Typed records out of what a catalogue holds: FACAD's shape and the plain one."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isnan
from typing import Any, Literal, NamedTuple

from tasks.catalog.html_text import strip_html
from tasks.catalog.source import Fault
from tasks.catalog.urls import PLAIN_URL, is_relative, url_fault, without_secrets

FIELDS = (
    "id",
    "images",
    "image_url",
    "description",
    "descriptions",
    "detail_info",
    "title",
    "category",
    "attr",
    "split",
)
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
_PLACE = re.compile(r"[0-9]{1,9}")
_WORD = re.compile(r"[^\W_]")
Descriptions = Literal["needed", "missing", "any"]
HAS_DESCRIPTION = "has a description"
_NEXT_URL = re.compile(r"[\s,;|]+(?=https?://)")  # of several in a cell, as shops' exports have them
ABSENT = frozenset({"null", "nan", "n/a", "none", "na", "nil", "#n/a", "\\n"})  # what programs write for no text
QUERIES = 10_000  # so many urls show whether queries tell pictures apart
NO_ATTRIBUTE = "nah"  # FACAD's word for it


class Record(NamedTuple):
    """One product. Texts that are absent are empty."""

    record_id: str
    url: str
    references: list[str]
    title: str
    category: str
    attr: list[str]
    split: str


class Extractor:
    """Turns a record as the catalogue has it into a `Record`, or into the `Fault` that keeps it out.

    Args:
        columns: the catalogue's names of our fields, where they differ.
        cut_query: leave out of a url what follows its question mark.
        has_base: whether relative urls can be resolved.
        descriptions: "needed": a record without one is a fault. "missing": one that has a description of its own is;
            what `detail_info` says is no such. "any": none is.
    """

    def __init__(
        self, columns: Mapping[str, str], *, cut_query: bool, has_base: bool, descriptions: Descriptions
    ) -> None:
        names = {field: columns.get(field, field) for field in FIELDS}
        self.id, self.images, self.image_url = names["id"], names["images"], names["image_url"]
        self.description, self.descriptions = names["description"], names["descriptions"]
        self.detail_info, self.title, self.category = names["detail_info"], names["title"], names["category"]
        self.attr, self.split = names["attr"], names["split"]
        self.cut_query, self.has_base, self.wanted = cut_query, has_base, descriptions
        self.queries: dict[str, str] = {}  # the first of each url
        self.looked_at = self.told_apart = 0  # urls with a query; those that it alone told from an earlier one

    def __call__(self, raw: Any) -> Record | Fault:  # noqa: PLR0911, PLR0912
        """One record."""
        if type(raw) is not dict:
            return raw if isinstance(raw, Fault) else Fault("no object", f"a {type(raw).__name__}")
        get = raw.get
        record_id = record_id_of(get(self.id))
        if not record_id:
            return Fault("no id", f"{self.id} is {_show(get(self.id))}: neither text nor a whole number")

        own = self._own_references(raw)
        if own and self.wanted == "missing":
            return Fault(HAS_DESCRIPTION, "")

        url = _first_picture(get(self.image_url))
        if not isinstance(url, str) or not url.strip() or url.strip().lower() in ABSENT:
            url = _first_picture(get(self.images)) or url
        if not isinstance(url, str) or not (url := url.strip()):
            return Fault("no picture url", _show(without_secrets(written(url))) if url else "")
        if self.cut_query:
            url, _, query = url.partition("?")
            if query and self.looked_at < QUERIES:
                self.looked_at += 1
                self.told_apart += self.queries.setdefault(url, query) != query
        if not url or url.lower() in ABSENT:
            return Fault("no picture url", "")
        if url.startswith("//"):
            url = "https:" + url
        if not PLAIN_URL.fullmatch(url):
            url = _NEXT_URL.split(url, maxsplit=1)[0]
            if fault := url_fault(url):
                return Fault("malformed url", f"{_show(without_secrets(url))} {fault}")
            if not self.has_base and is_relative(url):
                return Fault("relative url", f"{_show(without_secrets(url))} needs --image-base-url")

        references = own or self._detail(raw)
        if not references and self.wanted == "needed":
            return Fault("no description", "")

        split: str = ""
        if self.wanted == "needed" and (named := _text(get(self.split))):  # drafts are written whatever split is named
            split = SPLIT_NAMES.get(str(named).strip().lower(), "")
            if not split:
                return Fault("unknown split", f"{_show(named)} is none of {', '.join(SPLIT_NAMES)}")
        record = Record(
            record_id,
            url,
            references,
            _text(get(self.title)),
            _text(get(self.category)),
            _words(get(self.attr)),
            split,
        )
        if "\0" in "".join((record_id, record.title, record.category, *references, *record.attr)):
            return Fault("NUL character", "in a text")
        return record

    @property
    def conflated(self) -> float:
        """The share of the urls with a query, which was cut, that it alone told from an earlier one."""
        return self.told_apart / max(1, self.looked_at)

    def _own_references(self, raw: dict[str, Any]) -> list[str]:
        several, one = raw.get(self.descriptions), raw.get(self.description)
        for each in (several, one):  # whichever is the list, as shops call it one or the other
            if isinstance(each, list) and (texts := [text for value in each if (text := _description(value))]):
                return texts
        text = _description(one) or _description(several)
        return [text] if text else []

    def _detail(self, raw: dict[str, Any]) -> list[str]:
        """What stands for a description that is missing (FACAD): the second line of `detail_info`."""
        detail = raw.get(self.detail_info)
        if isinstance(detail, str):
            lines = detail.split("\n", 2)
            if len(lines) > 1 and (text := _description(lines[1])):
                return [text]
        return []


def record_id_of(value: Any) -> str:
    """A record's id as text: of text or a whole number; else empty."""
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float | Decimal) and -(2**53) < value < 2**53 and value % 1 == 0:
        return str(int(value))
    return ""


def _description(value: Any) -> str:
    """What a reader sees of a description; empty if it is none or has no word."""
    if not isinstance(value, str):
        return ""
    if "\n" not in value:  # WooCommerce's CSV has a backslash and an n for each line break
        value = value.replace("\\n", "\n")
    text = strip_html(value).strip()
    return text if _WORD.search(text) and (len(text) > 4 or text.lower() not in ABSENT) else ""


def _first_picture(images: Any) -> Any:
    """The first colour's lowest key that has a url (FACAD), a shop system's `src`, or the first of a list of urls."""
    if type(images) is not list:
        return images
    first = next((one for one in images if one), None)  # some have gaps: [null, {"src": …}]
    if type(first) is not dict:
        return first
    if url := first.get("0") or first.get("src"):
        return url
    urls = {int(key): url for key, url in first.items() if url and _PLACE.fullmatch(key)}
    return urls[min(urls)] if urls else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    absent = value is None or isinstance(value, list | dict) or (isinstance(value, float) and isnan(value))
    return "" if absent else str(value)


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    elif isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return []
    value = [each[1] if type(each) is tuple else each for each in value]  # of a Parquet map
    return [word for each in value if each != NO_ATTRIBUTE and type(each) is str and (word := each.strip())]


def written(value: Any, how: Callable[[Any], str] = str) -> str:
    """A value of the catalogue as text, for a report."""
    try:
        return how(value)
    except RecursionError:
        return f"a {type(value).__name__} of many levels"


def _show(value: Any) -> str:
    text = written(value, repr)
    return text if len(text) <= 80 else text[:77] + "..."
