"""The demo's copy says what can be seen, in many ways."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from model.metrics import bleu
from model.text import normalise, split_of, tokenize
from tasks.demo import phrases
from tasks.demo.copywriting import write_description
from tasks.demo.judge import judge, score_answers
from tasks.demo.plan import Planned, plan_products
from tasks.demo.products import COLOURS, PATTERNS, SLOTS, TYPES, Product, draw_product
from tasks.scoring.baselines import constant_sentence

SPLIT_SEED = 0


@pytest.fixture(scope="session")
def planned() -> list[Planned]:
    return plan_products(3600, 0, SPLIT_SEED)[0]


def tokens(texts: Sequence[str]) -> list[list[str]]:
    return [tokenize(text) for text in texts]


def bleu_4(references: list[list[str]], hypotheses: list[list[str]]) -> float:
    return bleu([[reference] for reference in references], hypotheses)["bleu_4"]


def test_every_wording_names_its_type_and_colour_and_no_other(planned: list[Planned]) -> None:
    for one in planned:
        product = one.product
        answer = {"type": product.type, "colour": product.colour, "second_colour": product.second_colour}
        for text in (one.description, one.second_wording):
            assert judge(text, answer) == (True, True), text


def test_the_copy_is_varied_and_about_the_product(planned: list[Planned]) -> None:
    first = tokens([one.description for one in planned])
    second = tokens([one.second_wording for one in planned])
    splits = [split_of(normalise(one.description), SPLIT_SEED) for one in planned]
    test = [words for words, split in zip(first, splits, strict=True) if split == "test"]
    training = [words for words, split in zip(first, splits, strict=True) if split == "train"]

    assert 15 <= sum(map(len, first)) / len(first) <= 25
    assert max(map(len, first)) < 50
    seen = set(map(tuple, training))
    assert sum(tuple(words) not in seen for words in test) >= 0.9 * len(test)
    ceiling = bleu_4(first, second)
    constant = constant_sentence(training, seed=0)
    assert 0.15 < ceiling < 0.35
    assert bleu_4(test, [constant] * len(test)) < 0.1
    # Who knows other products' details but not this one's says something else.
    assert bleu_4(first, second[1:] + second[:1]) < 0.3 * ceiling


def test_two_wordings_of_a_product_are_independent(planned: list[Planned]) -> None:
    equal = sum(normalise(one.description) == normalise(one.second_wording) for one in planned)
    assert equal < 0.05 * len(planned)
    assert len({normalise(one.description) for one in planned}) == len(planned)


def test_each_detail_can_be_said() -> None:
    for kind, slots in SLOTS.items():
        for slot, values in slots.items():
            # A value that is the absence of the others may go unsaid.
            said = [value for value in values if _can_be_said(kind, slot, value)]
            assert len(said) >= len(values) - 1, (kind, slot)


def _can_be_said(kind: str, slot: str, value: str) -> bool:
    pairs = {(slot, value), *((f"{shape} {slot}", value) for shape in SLOTS["hat"]["shape"] if kind == "hat")}
    return any(pair in phrases.NOUN_PHRASES or pair in phrases.HEADS for pair in pairs)


def test_no_word_belongs_to_two_types_or_two_colours() -> None:
    for table, names in ((phrases.TYPE_WORDS, TYPES), (phrases.COLOUR_WORDS, tuple(COLOURS))):
        words = [word for ways in table.values() for word in ways]
        assert len(set(words)) == len(words)
        assert tuple(table) == names


@pytest.mark.parametrize("kind", TYPES)
def test_sentences_are_written_as_people_write_them(kind: str) -> None:
    for number in range(200):
        rng = random.Random(f"{kind}/{number}")
        text = write_description(draw_product(rng, kind, rng.choice(list(COLOURS))), rng)
        assert text[0].isupper()
        assert text.endswith(".")
        assert "{" not in text
        assert "  " not in text
        assert " ," not in text
        words = text.lower().replace(",", "").split()
        assert all(one != other for one, other in pairwise(words)), text
        for article, word in pairwise(words):
            if article in ("a", "an"):
                assert (word[0] in "aeio") == (article == "an"), text


def test_a_description_is_judged_by_all_that_it_names() -> None:
    answer = {"type": "coat", "colour": "navy", "second_colour": "white"}
    assert judge("A navy coat with white checks.", answer) == (True, True)
    assert judge("A midnight parka.", answer) == (True, True)
    assert judge("A white coat.", answer) == (True, False)
    assert judge("A navy and red coat.", answer) == (True, False)
    assert judge("A navy coat, half a dress.", answer) == (False, True)
    assert judge("Something navy.", answer) == (False, True)
    assert judge("", answer) == (False, False)


def test_scores_stand_apart_for_pairs_never_seen() -> None:
    def record(kind: str, *, held_out: bool) -> dict[str, object]:
        text = f"A navy {kind} with a long row of buttons."
        return {
            "type": kind,
            "colour": "navy",
            "second_colour": None,
            "held_out": held_out,
            "description": text,
            "second_wording": text,
        }

    answers = {"records": {"1": record("coat", held_out=False), "2": record("dress", held_out=True)}}
    scores = score_answers({"1": "A navy coat with a belt.", "2": "A navy coat with a belt."}, answers)
    assert scores["seen"] == {"count": 1, "type": 1.0, "colour": 1.0, "both": 1.0}
    assert scores["held_out"] == {"count": 1, "type": 0.0, "colour": 1.0, "both": 0.0}
    assert scores["all"]["both"] == 0.5
    assert scores["ceiling_bleu_4"] == pytest.approx(1.0)
    assert scores["bleu_4"] < 0.7


def test_patterned_products_have_a_second_colour_and_plain_ones_none() -> None:
    for kind in TYPES:
        for pattern in PATTERNS[kind]:
            assert pattern in phrases.PATTERN_HEADS
    for number in range(300):
        rng = random.Random(number)
        product: Product = draw_product(rng, rng.choice(TYPES), rng.choice(list(COLOURS)))
        assert (product.second_colour is None) == (product.pattern == "solid")
        assert product.second_colour != product.colour
