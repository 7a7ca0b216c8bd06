"""The one text rule and the one split rule.

References, hypotheses, vocabulary and de-duplication all see a text through `tokenize`, in any language: Unicode NFKC,
casefold, then words as in Unicode's default word boundaries (UAX #29), cut down to what descriptions need:

- a word is a run of letters, marks and digits; everything else separates;
- an apostrophe between letters and a point or comma between digits stay inside the word (women's, 3.5);
- Han and Hiragana, written without spaces, are words of one character each.
"""

import hashlib
import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

SPLITS = ("train", "validation", "test")
SPLIT_SHARES = (14, 1, 3)
HASH_CHARACTERS = 16  # of what a model keeps of each thing that it was trained on

_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+|(?<=[0-9])[.,][0-9][a-z0-9]*)*")
_POINT = re.compile(r"[0-9][.,][0-9]")
_ASCII_LOWER = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_UNSPACED = ("\u3041-\u309f", "\u3400-\u4dbf", "\u4e00-\u9fff", "\uf900-\ufaff", "\U00020000-\U0003ffff")


def is_utf8(name: str) -> bool:
    """Whether a name, as the system gives it, can be written in UTF-8: one of another encoding has surrogates in it."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def tokenize(text: str) -> list[str]:
    """The words of a text, in order; an empty list if it has none."""
    if text.isascii():
        if "'" in text or (("." in text or "," in text) and _POINT.search(text)):
            return _ASCII_WORD.findall(text.lower())
        return text.translate(_ASCII_LOWER).split()  # the same, twice as fast
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("\u2019", "'")
    return _unicode_word(0xFFFF if not folded or max(folded) <= "\uffff" else sys.maxunicode).findall(folded)


def normalise(text: str) -> str:
    """The text as it is compared: two texts are the same description when this is equal."""
    return " ".join(tokenize(text))


def text_hash(words: Sequence[str]) -> str:
    """What a model keeps of a description that it was trained on, as words: enough to know it again."""
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:HASH_CHARACTERS]


def split_of(normalised: str, seed: int) -> str:
    """The split of a description: a hash of the seed and its normalised text, in the proportion 14 : 1 : 3.

    No other record has a say in it, so a product that was tested on last month is never trained on in the next.
    """
    digest = hashlib.blake2b(f"{seed}\n{normalised}".encode(), digest_size=8).digest()
    slot = int.from_bytes(digest, "big") % sum(SPLIT_SHARES)
    if slot < SPLIT_SHARES[0]:
        return SPLITS[0]
    return SPLITS[1] if slot < SPLIT_SHARES[0] + SPLIT_SHARES[1] else SPLITS[2]


@cache
def _unicode_word(last: int) -> re.Pattern[str]:
    r"""Words of any script, up to a code point: characters beyond the first plane make matching three times slower.

    `\w` alone would cut words at combining marks, which carry the vowels of Indic scripts.
    """
    marks = "".join(chr(code) for code in range(last + 1) if unicodedata.category(chr(code)).startswith("M"))
    unspaced = "".join(block for block in _UNSPACED if ord(block[0]) <= last)
    run = rf"[^\W_{unspaced}]++(?:[{marks}]++[^\W_{unspaced}]*+)*+"
    return re.compile(rf"{run}(?:'{run}|(?<=\d)[.,](?=\d){run})*+|[{unspaced}][{marks}]*+")
