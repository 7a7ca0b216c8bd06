"""Descriptions as shops store them may be HTML; the model learns from what a reader sees."""

import re
from html.parser import HTMLParser

_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|<!--|&(?:[a-zA-Z][a-zA-Z0-9]*|#[0-9]+|#[xX][0-9a-fA-F]+);")
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "code", "em", "font", "i", "mark"}
    | {"s", "small", "span", "strike", "strong", "sub", "sup", "u", "wbr"}
)
_UNSEEN = frozenset(("script", "style", "template", "noscript"))


def strip_html(text: str) -> str:
    """The text without tags, comments, scripts and styles, entities resolved; a text without markup as it is."""
    if ("<" not in text and "&" not in text) or not _MARKUP.search(text):
        return text
    reader = _Text()
    reader.feed(text)
    reader.close()
    return re.sub(r"[ \t\xa0]+", " ", "".join(reader.parts)).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.unseen += tag in _UNSEEN
        self._space(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._space(tag)

    def handle_endtag(self, tag: str) -> None:
        self.unseen = max(0, self.unseen - (tag in _UNSEEN))
        self._space(tag)

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(data)

    def _space(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(" ")
