"""Which drafts a person must read, from which bounds on, and how drafts are written out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from model.describer import Describer, Description
from model.directory import load_model, read_config
from model.settings import SearchConfig
from model.store import PictureStore
from tasks.drafts.calibrate import bounds_of, calibrate, least_colour_certainty, least_confidence
from tasks.drafts.colours import COLOURS
from tasks.drafts.review import Bounds, readable, review_reasons
from tasks.scoring.products import read_products
from tests.tasks.shapes import make_dataset, train_model

BOUNDS = Bounds(least_confidence=0.2, least_colour_certainty=0.6)


def written(
    text: str, *, confidence: float = 0.5, ended: bool = True, certainty: Mapping[str, float] | None = None
) -> Description:
    return Description(
        text=text,
        words=text.split(),
        log_probability=-1.0,
        confidence=confidence,
        ended=ended,
        attention=np.zeros((0, 1, 1), np.float32),
        certainty=certainty or {},
    )


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
        ("a white skirt", "beige skirt", ["white", "beige"], True),
        ("a white and sand skirt", "beige skirt", ["white", "beige"], False),
        ("a black denim jacket", "jacket", ["black", "cotton"], False),
        ("a shirt with stone buttons", "blue shirt", [], False),
        ("a black jacket", "denim jacket", [], True),
        ("a red denim jacket", "jacket", ["black", "cotton"], True),
    ],
)
def test_a_colour_that_the_product_rules_out_needs_review(
    text: str, title: str, attributes: list[str], contradicts: bool
) -> None:
    assert bool(review_reasons(written(text), BOUNDS, title=title, attributes=attributes)) is contradicts


def test_the_reason_names_both_colours() -> None:
    red = written("a red dress")
    assert review_reasons(red, BOUNDS, title="navy dress") == ["says red, the title says navy"]
    assert review_reasons(red, BOUNDS, attributes=["navy", "cotton"]) == ["says red, the product is navy"]


def test_an_unsure_cut_or_empty_draft_needs_review() -> None:
    assert review_reasons(written("a", confidence=0.1), BOUNDS) == ["confidence 0.1000 is below 0.2000"]
    near = Bounds(least_confidence=0.1213)
    assert review_reasons(written("a", confidence=0.1208), near) == ["confidence 0.1208 is below 0.1213"]
    assert review_reasons(written("a", ended=False), BOUNDS) == ["cut at the longest length"]
    assert review_reasons(written(""), BOUNDS) == ["nothing was written"]


def test_an_uncertain_colour_needs_review_unless_the_product_confirms_it() -> None:
    unsure = written("a red and white dress", certainty={"red": 0.95, "white": 0.4})
    assert review_reasons(unsure, BOUNDS, title="summer dress") == ["unsure of white: 40%"]
    assert review_reasons(unsure, BOUNDS, title="summer dress", attributes=["red", "white"]) == []
    assert review_reasons(unsure, BOUNDS, title="red dress") == ["unsure of white: 40%"]
    assert review_reasons(unsure, BOUNDS, title="white dress") == []


def test_nine_in_ten_validation_descriptions_reach_the_bound_of_confidence() -> None:
    confidences = [place / 100 for place in range(100)]
    bound = least_confidence(confidences)
    assert sum(value < bound for value in confidences) == 10
    assert least_confidence([]) == 0.0


def test_nine_in_ten_wrong_colours_lie_below_the_bound_of_certainty() -> None:
    wrong = [written("a red hat", certainty={"red": place / 20}) for place in range(20)]
    right = [written("a blue hat", certainty={"blue": 0.99})] * 50
    silent = [written("a hat")] * 5
    references = [[["a", "blue", "hat"]]] * 70 + [[["a", "green", "hat"]]] * 5
    bound = least_colour_certainty([*wrong, *right, *silent], references)
    assert sum(one.certainty["red"] < bound for one in wrong) == 18
    assert least_colour_certainty(right, references[:50]) == 0.5
    assert least_colour_certainty(wrong[:4], references[:4]) == 0.5, "too few are wrong to tell"
    both = [written("a red and black hat", certainty={"red": 0.3, "black": 0.9})] * 5
    assert least_colour_certainty(both, references[:5]) == 0.3, "the least certain of its colours"
    assert least_colour_certainty(wrong, [[["a", "hat"]]] * 20) == 0.5, "who knows what colour it is?"


def test_the_bounds_stand_in_the_model_directory_which_stays_whole(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "dataset")
    model_dir = train_model(dataset, tmp_path / "run", epochs=6).model_dir
    assert bounds_of(read_config(model_dir)) == Bounds()
    products = read_products(dataset, data="shapes", split="validation")
    search = SearchConfig(beam_size=2, max_words=12)
    seen: list[int] = []
    bounds = calibrate(model_dir, products, search=search, on_progress=seen.append)
    assert seen[-1] == 16
    assert bounds.least_confidence > 0
    assert bounds_of(load_model(model_dir)[2]) == bounds
    assert calibrate(model_dir, products, search=search) == bounds, "a second time gives the same"

    pictures = PictureStore(dataset / "train.h5").read(slice(72, 88))
    found = Describer.load(model_dir, device="cpu").describe(pictures, search, rivals=COLOURS)
    assert sum(one.confidence < bounds.least_confidence for one in found) <= 2, "no more than a tenth"
    for one in found:
        assert set(one.certainty) == {word for word in one.words if word in {"red", "blue", "green", "black", "white"}}
        assert all(0 < share <= 1 for share in one.certainty.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a red dress", "A red dress."), ("", ""), ("платье из хлопка", "Платье из хлопка."), ("Done!", "Done!")],
)
def test_a_draft_is_readable(text: str, expected: str) -> None:
    assert readable(text) == expected
