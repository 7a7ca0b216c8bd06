"""Which drafts a person must read, and how drafts are written out."""

import random

import pytest

from tasks.scoring.review import least_confidence, readable, review_reasons


def reasons(text: str, **product: object) -> list[str]:
    return review_reasons(text.split(), confidence=0.5, ended=True, **product)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "title", "attributes", "contradicts"),
    [
        ("a red dress with buttons", "navy shirt dress", [], True),
        ("a blue dress with buttons", "navy shirt dress", [], True),
        ("a midnight dress with buttons", "navy shirt dress", [], False),
        ("a navy dress", "shirt dress", ["Navy Blue", "cotton"], False),
        ("a green and navy striped top", "striped top", ["navy", "white"], True),
        ("a navy and white striped top", "striped top", ["navy", "white"], False),
        ("a teal skirt", "green skirt", [], False),
        ("a red skirt", "pleated skirt", ["cotton"], False),
        ("a pleated skirt", "red skirt", [], False),
    ],
)
def test_a_colour_that_the_product_rules_out_needs_review(
    text: str, title: str, attributes: list[str], contradicts: bool
) -> None:
    assert bool(reasons(text, title=title, attributes=attributes)) is contradicts


def test_the_reason_names_both_colours() -> None:
    assert reasons("a red dress", title="navy dress") == ["says red, the product is navy"]


def test_an_unsure_cut_or_empty_draft_needs_review() -> None:
    assert review_reasons(["a"], confidence=0.1, ended=True, least_confidence=0.2) == ["confidence 0.10 is below 0.20"]
    assert review_reasons(["a"], confidence=0.9, ended=False) == ["cut at the longest length"]
    assert review_reasons([], confidence=1.0, ended=True) == ["nothing was written"]


def test_the_bound_of_confidence_separates_poor_descriptions_from_good_ones() -> None:
    draw = random.Random(1)
    scores = [draw.random() for _ in range(200)]
    confidences = [0.2 + 0.6 * score for score in scores]
    bound = least_confidence(confidences, scores, share=0.2)
    caught = {place for place, value in enumerate(confidences) if value < bound}
    assert caught == set(sorted(range(200), key=lambda place: scores[place])[:40])
    assert least_confidence([0.5] * 50, scores[:50]) == 0.0
    assert least_confidence([], []) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a red dress", "A red dress."), ("", ""), ("платье из хлопка", "Платье из хлопка."), ("Done!", "Done!")],
)
def test_a_draft_is_readable(text: str, expected: str) -> None:
    assert readable(text) == expected
