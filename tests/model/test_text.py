"""The text rule and the split rule."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.text import _ASCII_WORD, _unicode_word, normalise, split_of, tokenize

ASCII = st.text(st.characters(codec="ascii"), max_size=60)
NEAR_WORDS = st.text("aZ09.,' -_’ß", max_size=20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Subtly futuristic, and EDGY!", ["subtly", "futuristic", "and", "edgy"]),
        ("women's t-shirt", ["women's", "t", "shirt"]),
        ("Women’s", ["women's"]),
        ("3.5 mm, 1,000 pieces. 2. end", ["3.5", "mm", "1,000", "pieces", "2", "end"]),
        ("snake_case 'quoted' rock 'n' roll", ["snake", "case", "quoted", "rock", "n", "roll"]),
        ("ﬁne Straße ＦＵＬＬ", ["fine", "strasse", "full"]),
        ("Платье-футляр из хлопка; ёлка", ["платье", "футляр", "из", "хлопка", "ёлка"]),
        ("हिन्दी में कपड़े", ["हिन्दी", "में", unicodedata.normalize("NFKC", "कपड़े")]),
        ("棉质连衣裙 ワンピース", ["棉", "质", "连", "衣", "裙", "ワンピース"]),
        ("ふじさん", ["ふ", "じ", "さ", "ん"]),
        ("\u01f0", ["\u01f0"]),  # folding takes it apart
        ("𠀀𠀁 𝐁𝐨𝐥𝐝 🧥", ["𠀀", "𠀁", "bold"]),
        (" …!? ", []),
        ("", []),
    ],
)
def test_words_of_any_language_come_out_folded_and_without_punctuation(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


@given(ASCII | st.text("aZ09.,' -_", max_size=20))
def test_the_fast_ways_for_ascii_agree_with_the_rule_for_all_scripts(text: str) -> None:
    assert tokenize(text) == _ASCII_WORD.findall(text.lower()) == _unicode_word(0xFFFF).findall(text.lower())


@given(st.text(max_size=60) | NEAR_WORDS)
def test_a_normalised_text_is_its_own_normal_form(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert tokenize(once) == tokenize(text)
    assert "\n" not in once


@given(st.text(max_size=60))
def test_letter_case_composition_and_spaces_do_not_make_another_text(text: str) -> None:
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(unicodedata.normalize("NFC", text))
    assert normalise(f"  {text}\n!") == normalise(text)


@given(st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=60))
def test_words_of_the_first_plane_are_the_same_by_either_pattern(text: str) -> None:
    assert _unicode_word(0xFFFF).findall(text) == _unicode_word(0x10FFFF).findall(text)


def test_splits_fall_in_the_proportion_14_1_3() -> None:
    counts = Counter(split_of(f"text {number}", 0) for number in range(18_000))
    assert counts["train"] == pytest.approx(14_000, abs=200)
    assert counts["validation"] == pytest.approx(1_000, abs=100)
    assert counts["test"] == pytest.approx(3_000, abs=160)


def test_a_split_is_a_matter_of_text_and_seed_alone_and_stays_so() -> None:
    # Fixed for good: a change here would train on what was tested on before.
    assert [split_of(text, 0) for text in ("a red dress", "hat", "coat", "платье")] == [
        "train",
        "test",
        "test",
        "train",
    ]
    assert any(split_of(f"text {number}", 0) != split_of(f"text {number}", 1) for number in range(20))
