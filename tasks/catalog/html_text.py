"""Descriptions as shops store them may be HTML; the model learns from what a reader sees.

Expressions rather than `html.parser`, which takes minutes over 100 KB of unclosed comments: every expression here
passes over a text once, however broken it is.
"""

import html
import re

_MARKUP = re.compile(r"<[/!]?[a-zA-Z\-]|&(?:[a-zA-Z]|#[0-9xX])")
# Not seen: comments, and these elements. Without an end they reach to the end of the text, as in a browser.
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|template|noscript)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"""<([/!]?)([a-zA-Z][a-zA-Z0-9:\-]*)((?:[^<>"']|"[^"<]*"|'[^'<]*')*+|[^<>]*)>""")
_END = re.compile(r"</([a-zA-Z][a-zA-Z0-9:\-]*)")
# Shows that a text was HTML of HTML: an end tag, a tag without one, an entity.
_LEFT = re.compile(r"</[a-zA-Z]|<(?:br|hr|p|li)\b[^<>]*>|&(?:[a-zA-Z]+|#[0-9]+|#[xX][0-9a-fA-F]+);")
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "code", "em", "font", "i", "mark"}
    | {"s", "small", "span", "strike", "strong", "sub", "sup", "u", "wbr"}
)
_SPACES = re.compile(r"[ \t\xa0]+")


def strip_html(text: str) -> str:
    """The text without tags, comments, scripts and styles, entities resolved; a text without markup as it is."""
    if ("<" not in text and "&" not in text) or not _MARKUP.search(text):
        return text
    shown = _shown(text)
    # HTML of HTML, as some exports have it, shows its tags as words.
    return _shown(shown) if ("&lt;" in text or "&amp;" in text) and _LEFT.search(shown) else shown


def _shown(text: str) -> str:
    text = _UNSEEN.sub(" ", text)
    ended = {name.lower() for name in _END.findall(text)}

    def kept(tag: re.Match[str]) -> str:
        mark, name, rest = tag[1], tag[2].lower(), tag[3]
        if not mark and rest.strip(" \t\r\n/") and "=" not in rest and name not in ended:
            return tag[0]  # "size <M and > 3": words, no attributes, and nothing ends it
        # Words on both sides of a block are two words; a tag inside a line parts none.
        return "" if name in _INLINE else " "

    return _SPACES.sub(" ", html.unescape(_TAG.sub(kept, text))).strip()
