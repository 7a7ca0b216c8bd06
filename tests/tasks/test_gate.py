"""The gate, against values worked out by hand: how many products, how sure, and which of the two is the champion."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.files import write_json
from model.settings import SearchConfig
from tasks.evaluate import COMPARISON_NOTE, held_out, side_by_side
from tasks.read import Dataset
from tasks.scoring.bootstrap import Comparison
from tasks.scoring.config import ScoreConfig
from tasks.scoring.gate import GateConfig, in_words, passes
from tasks.scoring.products import read_products
from tasks.tracking import TrackingConfig, start_run
from tests.tasks.shapes import make_dataset, train_model

BETTER = Comparison(
    metric="cider_d", first=1.1, second=1.234, difference=0.134, low=0.05, high=0.2, confidence=0.998,
    second_is_better=True, products=20,
)  # fmt: skip


@pytest.mark.parametrize(
    ("products", "second_is_better", "passed"), [(20, True, True), (19, True, False), (20, False, False)]
)
def test_the_new_model_passes_if_it_is_better_beyond_chance_on_at_least_20_products(
    products: int, second_is_better: bool, passed: bool
) -> None:
    # The difference is above 0 in each case: that alone is no reason.
    assert passes(replace(BETTER, products=products, second_is_better=second_is_better)) is passed


def test_a_decision_says_the_new_models_score_first_and_how_sure_it_is_beside_how_sure_it_had_to_be() -> None:
    words = "cider_d 1.234 against 1.100 (+0.134), better in 99.8% of resamples of 20 products; 99.0% are asked for"
    assert in_words(BETTER, GateConfig()) == words
    few = in_words(replace(BETTER, products=19), GateConfig())
    assert few == f"{words.replace('20', '19')}, but fewer than 20 products tell nothing"


@pytest.mark.parametrize(("confidence", "allowed"), [(0.5, True), (0.49, False), (1.0, False)])
def test_a_gate_asks_for_at_least_half_of_the_resamples_and_never_for_all(confidence: float, allowed: bool) -> None:
    if allowed:
        assert GateConfig(confidence=confidence).confidence == confidence
    else:
        with pytest.raises(ValueError, match=r"gate\.confidence is .*: must be at least 0\.5 and below 1"):
            GateConfig(confidence=confidence)


def test_the_champion_is_the_first_of_the_two_and_the_level_asked_for_decides(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "dataset", held_out=8)
    poor, good = (train_model(folder, tmp_path / f"after {epochs}", epochs=epochs).model_dir for epochs in (1, 24))
    run = start_run(
        TrackingConfig(system_metrics=False), run_dir=tmp_path / "runs" / "r1", name="r1", parameters={}, tags={}
    )
    products = held_out(Dataset(id="shapes", folder=folder, facts={}), "shapes", "", [good, poor])
    score = ScoreConfig(bertscore="never", intervals=0)

    def compared(new: Path, champion: Path, level: float) -> Comparison:
        search = SearchConfig(beam_size=1, max_words=12)
        found = side_by_side(
            products, run.run_dir, new, champion, search=search, config=score, level=level, device="cpu"
        )["cider_d"]
        kept = json.loads((run.run_dir / "comparison.json").read_text())["cider_d"]
        assert kept == found.to_json()
        return found

    up, down = compared(good, poor, 0.95), compared(poor, good, 0.0)
    assert up.first < up.second
    assert (up.first, up.second) == (down.second, down.first)
    assert up.second_is_better
    assert down.difference < 0
    assert down.second_is_better, "as level 0 was asked for"
    note = (run.run_dir / COMPARISON_NOTE).read_text(encoding="utf-8")
    assert note.startswith("| score | champion | this model | ")
    assert f"| CIDEr-D | {down.first:.3f} | {down.second:.3f} |" in note
    run.end()


def test_two_models_are_compared_without_what_either_was_trained_on(tmp_path: Path) -> None:
    dataset = Dataset(id="shapes", folder=make_dataset(tmp_path / "dataset", held_out=4), facts={})
    pictures = read_products(dataset.folder, data="shapes", split="test").table.set_index("record_id")["picture"]
    for name, seen in (("new", "test-000"), ("champion", "test-002")):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "config.json", {"schema_version": 1, "training_pictures": [pictures[seen]]})
    products = held_out(dataset, "shapes", "", [tmp_path / "new", tmp_path / "champion"])
    assert (products.table["record_id"].tolist(), products.excluded) == (["test-001", "test-003"], 2)
