"""The gate, against values worked out by hand: how many products, how sure, and which of the two is the champion."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from model.describer import Describer
from model.directory import add_facts
from model.errors import RunError, UserError
from model.files import read_json, write_json
from model.settings import SearchConfig
from model.store import PictureStore
from model.text import tokenize
from tasks.evaluate import COMPARISON_NOTE, PREDICTIONS_FILE, REPORT_FILE, compare_with_champion, held_out, side_by_side
from tasks.manifest import read_manifest
from tasks.promote import promote
from tasks.read import Dataset
from tasks.register import register
from tasks.scoring.bootstrap import Comparison
from tasks.scoring.config import ScoreConfig
from tasks.scoring.evaluation import evaluate_model
from tasks.scoring.gate import GateConfig, in_words, passes
from tasks.scoring.products import read_products
from tasks.tracking import TrackedRun, TrackingConfig, start_run
from tasks.tracking.registry import Registry
from tasks.warm_start import seen_before
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


SEARCH = SearchConfig(beam_size=1, max_words=12)
SCORE = ScoreConfig(bertscore="never", intervals=0)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dataset`, two models (`poor` has seen the dataset once, `good` often), the good one's scores."""
    folder = tmp_path_factory.mktemp("gate")
    make_dataset(folder / "dataset", held_out=24)
    for name, epochs in (("poor", 1), ("good", 24)):
        trained = train_model(folder / "dataset", folder / f"training of {name}", epochs=epochs)
        shutil.copytree(trained.model_dir, folder / name)
    found = evaluate_model(
        folder / "good", read_products(folder / "dataset", data="shapes"), search=SEARCH, config=SCORE, device="cpu"
    )
    found.predictions.to_parquet(folder / PREDICTIONS_FILE)
    write_json(folder / REPORT_FILE, found.report.to_json())
    return folder


def test_the_champion_is_the_first_of_the_two_and_the_level_asked_for_decides(
    shapes: Path, empty_store: Path, tmp_path: Path
) -> None:
    good, poor = shapes / "good", shapes / "poor"
    shutil.copy(empty_store, tmp_path)
    run = start_run(
        TrackingConfig(system_metrics=False), run_dir=tmp_path / "runs" / "r1", name="r1", parameters={}, tags={}
    )
    products = held_out(Dataset(id="shapes", folder=shapes / "dataset", facts={}), "shapes", "", [good, poor])

    def compared(new: Path, champion: Path, level: float) -> Comparison:
        found = side_by_side(
            products, run.run_dir, new, champion, search=SEARCH, config=SCORE, level=level, device="cpu"
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


@dataclass(frozen=True)
class Contest:
    """A champion and the run of a new model, both registered in a store of their own."""

    dataset: Dataset
    champion_dir: Path
    model_dir: Path
    run: TrackedRun
    registry: Registry
    report: dict[str, Any]

    def decide(self, gate: GateConfig) -> dict[str, Any]:
        found: dict[str, Any] = promote.fn(
            self.dataset, self.run.run_dir, self.model_dir, "2", self.report,
            search=SEARCH, score=SCORE, gate=gate, catalog="shapes", device="cpu",
        )  # fmt: skip
        return found

    @property
    def champion(self) -> str:
        found = self.registry.champion()
        assert found is not None
        return str(found["version"])


@pytest.fixture
def contest(shapes: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contest:
    """The poor model is the champion, the good one the new model."""
    monkeypatch.setattr("tasks.promote.show_page", lambda *_, **__: None)  # it belongs to a flow run
    dataset = Dataset(id="shapes", folder=shutil.copytree(shapes / "dataset", tmp_path / "dataset"), facts={})
    config = TrackingConfig(system_metrics=False)
    shutil.copy(empty_store, tmp_path)
    for name in ("poor", "good"):
        model_dir = shutil.copytree(shapes / name, tmp_path / name)
        run = start_run(config, run_dir=tmp_path / "runs" / name, name=name, parameters={}, tags={})
    shutil.copy(shapes / PREDICTIONS_FILE, run.run_dir)
    report = read_json(shapes / REPORT_FILE)
    return Contest(dataset, tmp_path / "poor", model_dir, run, Registry(config, tmp_path), report)


def register_both(contest: Contest) -> None:
    for model_dir in (contest.champion_dir, contest.model_dir):
        run = TrackedRun(contest.run.run_dir.with_name(model_dir.name))
        assert run.register_model(model_dir, step=1, card="card") is not None


def pictures(dataset: Dataset, split: str) -> dict[str, str]:
    """Record id to the hash of its picture."""
    table = read_products(dataset.folder, data="shapes", split=split).table
    return dict(zip(table["record_id"], table["picture"], strict=True))


def test_a_better_model_takes_the_champions_place_and_all_that_is_logged_says_which_of_the_two_is_which(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, validation = pictures(contest.dataset, "test"), pictures(contest.dataset, "validation")
    # Each has learned from another of the products, and the champion's epoch was chosen on one of them.
    learned = [test["test-000"], validation["validation-001"]]
    add_facts(contest.champion_dir, training_pictures=learned, validation_pictures=[test["test-002"]])
    add_facts(contest.model_dir, training_pictures=[test["test-001"], validation["validation-000"]])
    register_both(contest)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as moment:
        moment.setattr(Registry, "promote", killed)
        with pytest.raises(KeyboardInterrupt):
            contest.decide(GateConfig())
    assert contest.champion == "1"
    kept = read_manifest(contest.run.run_dir, "promote")
    assert kept is not None, "the decision stands before the alias moves"
    found = contest.decide(GateConfig())
    assert (found["promoted"], found["alias"], contest.champion) == (True, "champion", "2")
    assert {name: found[name] for name in kept} == kept

    assert found["decision"].startswith("promoted: version 2 takes the place of version 1; cider_d ")
    assert "that chose" not in found["decision"], "not the new model's epoch"
    assert found["conditions"].startswith("test split of shapes, 22 products; 2 left out, as one of the two was")
    products = held_out(contest.dataset, "shapes", "", [contest.model_dir, contest.champion_dir])
    expected = side_by_side(
        products, contest.run.run_dir, contest.model_dir, contest.champion_dir,
        search=SEARCH, config=SCORE, level=0.99, device="cpu",
    )  # fmt: skip
    assert found["comparison"] == {name: one.to_json() for name, one in expected.items()}
    client = mlflow.MlflowClient(contest.run.tracking_uri)
    logged = client.get_run(str(contest.run.run_id)).data
    for name, one in expected.items():
        numbers = {"champion": one.first, "new": one.second, "difference": one.difference, "confidence": one.confidence}
        assert {what: logged.metrics[f"gate/{name}_{what}"] for what in numbers} == numbers
    assert (logged.tags["decision"], logged.tags["promoted"]) == (found["decision"], "true")
    tags = [client.get_model_version("ec-descr-gen", version).tags.get("decision") for version in ("1", "2")]
    assert tags == [None, found["decision"]]

    beside = compare_with_champion.fn(
        contest.dataset, contest.run.run_dir, contest.model_dir, contest.champion_dir,
        search=SEARCH, config=SCORE, catalog="shapes", split="validation", device="cpu",
    )["cider_d"]  # fmt: skip
    assert beside["first"] < beside["second"], "the champion is the first there too"
    assert beside["products"] == 22, "of the split asked for, without what either was trained on"


def test_a_registered_version_keeps_its_best_epoch_its_dataset_and_its_score(contest: Contest) -> None:
    training = {"model_dir": str(contest.model_dir), "epochs": 24, "best_epoch": 7}
    found = register.fn(contest.dataset, contest.run.run_dir, training, contest.report)
    client = mlflow.MlflowClient(contest.run.tracking_uri)
    version = client.get_model_version("ec-descr-gen", found["version"])
    bleu_4 = f"{contest.report['scores']['bleu_4']:.4f}"
    assert {"epoch": "7", "dataset_id": "shapes", "bleu_4": bleu_4}.items() <= version.tags.items()
    assert "- epochs: 24, best 7" in str(version.description)
    note = client.get_run(str(contest.run.run_id)).data.tags["mlflow.note.content"]
    assert "dataset: shapes · epochs: 24, best 7" in note


def test_the_gates_own_score_and_level_decide(contest: Contest) -> None:
    """The references are what the one or the other model wrote: the new one's of a few products more."""
    rows = PictureStore(contest.dataset.folder / "test.h5")
    one, other = (
        [found.text for found in Describer.load(folder, device="cpu").describe(rows.read(slice(None)), SEARCH)]
        for folder in (contest.champion_dir, contest.model_dir)
    )
    differ = [place for place in range(len(one)) if one[place] != other[place]]
    assert len(differ) >= 16
    texts = dict(zip(rows.record_ids, other, strict=True))
    texts |= {rows.record_ids[place]: one[place] for place in differ[: round(len(differ) * 0.43)]}
    captions = pd.read_parquet(contest.dataset.folder / "captions.parquet")
    captions["references"] = [
        [texts[one]] if one in texts else own
        for one, own in zip(captions["record_id"], captions["references"], strict=True)
    ]
    captions["tokens"] = pd.Series([[tokenize(text) for text in group] for group in captions["references"]])
    captions.to_parquet(contest.dataset.folder / "captions.parquet")
    register_both(contest)

    sure = contest.decide(GateConfig(score="rouge_l"))
    assert 0.5 < sure["comparison"]["rouge_l"]["confidence"] < 0.95
    assert sure["decision"].startswith("kept: version 1 stays the champion; rouge_l ")
    (contest.run.run_dir / "manifests" / "promote.json").unlink()
    easy = contest.decide(GateConfig(score="rouge_l", confidence=0.5))
    assert easy["decision"].startswith("promoted: version 2 takes the place of version 1; rouge_l ")
    assert easy["decision"].endswith("; 50.0% are asked for")
    assert contest.champion == "2"


def test_where_both_were_trained_on_all_products_the_champion_stays(contest: Contest) -> None:
    test = list(pictures(contest.dataset, "test").values())
    add_facts(contest.champion_dir, training_pictures=test[:12])
    add_facts(contest.model_dir, training_pictures=test[12:])
    register_both(contest)
    found = contest.decide(GateConfig(confidence=0.5))
    assert (
        found["decision"] == "kept: version 1 stays the champion; no product is left that neither model was trained on"
    )
    assert (found["promoted"], found["alias"], contest.champion) == (False, "challenger", "1")
    assert (
        mlflow.MlflowClient(contest.run.tracking_uri).get_run(str(contest.run.run_id)).data.tags["promoted"] == "false"
    )


def test_a_champion_that_came_while_the_two_were_compared_is_compared_with_too(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_both(contest)
    other = start_run(
        contest.run.config, run_dir=contest.run.run_dir.with_name("other"), name="other", parameters={}, tags={}
    )
    assert other.register_model(contest.model_dir, step=1, card="card") is not None

    def meanwhile(*given: Any, **more: Any) -> dict[str, Comparison]:
        contest.registry.promote("3")
        return side_by_side(*given, **more)

    monkeypatch.setattr("tasks.promote.side_by_side", meanwhile)
    found = contest.decide(GateConfig())
    assert found["decision"].startswith("kept: version 3 stays the champion; cider_d "), "the same model is no better"
    assert (found["champion"], contest.champion) == ("3", "3")


def test_a_score_that_decides_and_could_not_be_computed_decides_nothing(contest: Contest) -> None:
    register_both(contest)
    with pytest.raises(RunError, match=r"gate\.score=bertscore_f1 could not be computed, so nothing is decided"):
        contest.decide(GateConfig(score="bertscore_f1"))
    assert read_manifest(contest.run.run_dir, "promote") is None
    assert contest.champion == "1"


def test_what_the_weights_to_start_from_have_learned_of_the_held_out_products_is_said(
    shapes: Path, tmp_path: Path
) -> None:
    dataset = Dataset(id="shapes", folder=shapes / "dataset", facts={})
    model_dir = shutil.copytree(shapes / "good", tmp_path / "good")
    assert seen_before(dataset, "") == seen_before(dataset, str(model_dir)) == ""
    test, validation = (list(pictures(dataset, split).values()) for split in ("test", "validation"))
    add_facts(model_dir, training_pictures=[*test[1:], *validation[:3]])
    assert "was trained on 3 of the validation products, which choose the epoch" in seen_before(dataset, str(model_dir))
    add_facts(model_dir, training_pictures=test)
    with pytest.raises(UserError, match="was trained on all 24 test products, so nothing is left to score the new one"):
        seen_before(dataset, str(model_dir))
