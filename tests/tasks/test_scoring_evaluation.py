"""A trained model on packed products: what is left out, what is reported, what the pages say."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from model.describer import Describer
from model.directory import add_facts, read_config
from model.errors import UserError
from model.files import write_json
from model.metrics import bleu
from model.picture import ImageConfig
from model.report import TrainResult
from model.settings import SearchConfig
from model.store import PictureStore
from model.text import HASH_CHARACTERS
from model.validation import forced_words, teach
from tasks.figures.best_and_worst import draw_best_and_worst
from tasks.figures.sheets import Card, draw_predictions
from tasks.scoring.config import ScoreConfig
from tasks.scoring.evaluation import Evaluation, compare_models, evaluate_model, search_in_words
from tasks.scoring.pages import NOTE_CHARACTERS, comparison_note, model_card, run_note
from tasks.scoring.products import Pictures, read_products, trained_on
from tasks.scoring.teacher_forcing import teacher_forced_bleu_4
from tests.tasks.shapes import SIZE_PX, make_dataset, train_model

SEARCH = SearchConfig(beam_size=2, max_words=12)
CONFIG = ScoreConfig(bertscore="never", intervals=100)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("shapes") / "dataset")


@pytest.fixture(scope="session")
def trained(dataset: Path) -> TrainResult:
    return train_model(dataset, dataset.parent / "run", epochs=24)


@pytest.fixture(scope="session")
def evaluated(dataset: Path, trained: TrainResult) -> Evaluation:
    return evaluate_model(trained.model_dir, read_products(dataset, data="shapes"), search=SEARCH, config=CONFIG)


def test_a_product_whose_description_was_rewritten_since_training_is_known_by_its_picture(
    dataset: Path, trained: TrainResult
) -> None:
    products = read_products(dataset, data="shapes", split="train")
    tokens = pd.Series([[["a", "new", "text", str(row)]] for row in range(len(products.table))], dtype=object)
    rewritten = products.table.assign(tokens=tokens)
    unseen = replace(products, table=rewritten).without(trained_on(trained.model_dir))
    assert (unseen.excluded, len(unseen.table)) == (72, 0)


def test_scores_on_products_that_chose_the_epoch_say_so_everywhere(dataset: Path, trained: TrainResult) -> None:
    def sentences(split: str) -> list[str]:
        products = read_products(dataset, data="shapes", split=split)
        found = evaluate_model(trained.model_dir, products, search=SEARCH, config=CONFIG)
        card = model_card(found.report, name="m", config=read_config(trained.model_dir), facts={})
        return [found.report.sentence, run_note(found.report, found.predictions, title="t", facts={}, links={}), card]

    assert all("which chose the epoch" in text for text in sentences("validation"))
    assert not any("chose the epoch" in text for text in sentences("test"))


def test_products_that_chose_the_epoch_are_known_in_another_dataset_too(
    dataset: Path, trained: TrainResult, tmp_path: Path
) -> None:
    grown = shutil.copytree(dataset, tmp_path / "the catalogue of next month")
    for split, chose in {"validation": True, "all": True, "test": False}.items():
        products = read_products(grown, data="shapes", split=split)
        assert products.chose_epoch_of(trained.model_dir) is chose, split
        others = replace(products, table=products.table.assign(picture="another"))
        assert not others.chose_epoch_of(trained.model_dir)


def test_a_model_of_an_earlier_release_knows_them_by_the_datasets_name(
    dataset: Path, trained: TrainResult, tmp_path: Path
) -> None:
    old = shutil.copytree(trained.model_dir, tmp_path / "old")
    write_json(old / "config.json", {"schema_version": 1, "dataset_id": dataset.name})
    assert read_products(dataset, data="shapes", split="validation").chose_epoch_of(old)
    assert not read_products(dataset, data="shapes").chose_epoch_of(old)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (SearchConfig(beam_size=1), "greedy, at most 50 words"),
        (
            SearchConfig(length_penalty=0.8, min_words=8, no_repeat_ngram=3, mirrored=True),
            "beam 5, at most 50 words, at least 8, length penalty 0.8, no 3 words twice, mirrored too",
        ),
        (SearchConfig(mirrored=True, enlarged=True), "beam 5, at most 50 words, mirrored and enlarged too"),
    ],
)
def test_all_that_changes_what_is_found_stands_with_the_scores(search: SearchConfig, said: str) -> None:
    assert search_in_words(search) == said


def test_validation_scores_are_those_that_training_reported(dataset: Path, trained: TrainResult) -> None:
    products = read_products(dataset, data="shapes", split="validation")
    greedy = SearchConfig(beam_size=1, max_words=12)
    found = evaluate_model(trained.model_dir, products, search=greedy, config=CONFIG).report.scores
    for name in ("bleu_1", "bleu_4", "cider_d", "bleu_4_teacher_forced"):
        assert found[name] == pytest.approx(trained.scores[name], abs=1e-6), name


def test_the_test_split_is_the_default_then_validation_then_all(dataset: Path, tmp_path: Path) -> None:
    assert read_products(dataset, data="shapes").split == "test"
    captions = pd.read_parquet(dataset / "captions.parquet")
    for gone, expected in ((["test"], "validation"), (["test", "validation"], "all")):
        captions[~captions["split"].isin(gone)].to_parquet(tmp_path / "captions.parquet")
        assert read_products(tmp_path, data="shapes").split == expected


def test_an_unknown_or_empty_split_is_a_clear_mistake(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no split 'tset': choose train, validation, test or all"):
        read_products(dataset, data="shapes", split="tset")
    captions = pd.read_parquet(dataset / "captions.parquet")
    captions[captions["split"] == "train"].to_parquet(tmp_path / "captions.parquet")
    with pytest.raises(UserError, match="the test split of shapes has no product; it has: train"):
        read_products(tmp_path, data="shapes", split="test")


def test_products_that_the_model_was_trained_on_are_left_out_and_counted(dataset: Path, trained: TrainResult) -> None:
    everything = read_products(dataset, data="shapes", split="all")
    unseen = everything.without(trained_on(trained.model_dir))
    assert unseen.excluded == 72
    assert set(unseen.table["split"]) == {"validation", "test"}
    report = evaluate_model(trained.model_dir, unseen, search=SEARCH, config=CONFIG).report
    assert report.products == 32
    assert "72 left out, as the model was trained on them" in report.sentence
    only_seen = read_products(dataset, data="shapes", split="train").without(trained_on(trained.model_dir))
    with pytest.raises(UserError, match="nothing to score: the model was trained on all 72 products"):
        evaluate_model(trained.model_dir, only_seen, search=SEARCH, config=CONFIG)


def test_predictions_stand_beside_their_references_the_best_first(evaluated: Evaluation) -> None:
    table = evaluated.predictions
    assert len(table) == 16
    assert table["cider_d"].is_monotonic_decreasing
    assert table["cider_d"].mean() == pytest.approx(evaluated.report.scores["cider_d"])
    assert table["record_id"].str.startswith("test-").all()
    assert all(" ".join(words) == text for words, text in zip(table["words"], table["description"], strict=True))
    assert table["confidence"].between(0, 1).all()


def test_what_stands_in_training_is_counted_and_the_one_sentence_for_all_is_from_there(
    dataset: Path, trained: TrainResult, evaluated: Evaluation
) -> None:
    written = [" ".join(words) for words in evaluated.predictions["words"]]
    for training in ([["nobody", "writes", "so"]], [evaluated.predictions["words"][0]]):
        products = replace(read_products(dataset, data="shapes"), training=training)
        report = evaluate_model(trained.model_dir, products, search=SEARCH, config=CONFIG).report
        assert report.constant_sentence == " ".join(training[0])
        assert report.scores["in_training"] == written.count(" ".join(training[0])) / 16


def test_descriptions_that_the_limit_of_words_cut_are_counted(dataset: Path, trained: TrainResult) -> None:
    short = SearchConfig(beam_size=1, max_words=2)
    found = evaluate_model(trained.model_dir, read_products(dataset, data="shapes"), search=short, config=CONFIG)
    assert found.report.scores["ended"] == found.predictions["ended"].mean() == 0.0


def test_the_model_sees_so_its_sentences_fit_their_own_pictures_better(evaluated: Evaluation) -> None:
    report = evaluated.report
    assert report.scores["cider_d"] > report.baselines["shuffled"]["cider_d"]
    assert report.scores["attribute_f1"] > report.baselines["shuffled"]["attribute_f1"]


def test_others_are_scored_beside_the_model(dataset: Path, trained: TrainResult) -> None:
    products = read_products(dataset, data="shapes")
    perfect = {
        record_id: words[0] for record_id, words in zip(products.table["record_id"], products.references, strict=True)
    }
    report = evaluate_model(
        trained.model_dir, products, search=SEARCH, config=CONFIG, others={"ceiling": perfect}
    ).report
    assert report.baselines["ceiling"]["bleu_4"] == pytest.approx(1.0)


def test_two_models_are_compared_on_the_same_products(dataset: Path, evaluated: Evaluation, tmp_path: Path) -> None:
    worse = train_model(dataset, tmp_path / "run", epochs=1, seed=5)
    other = evaluate_model(worse.model_dir, read_products(dataset, data="shapes"), search=SEARCH, config=CONFIG)
    found = compare_models(other, evaluated, CONFIG)
    assert found["cider_d"].second_is_better
    assert found["cider_d"].products == 16
    note = comparison_note(found, first="champion", second="challenger", decoding="beam 2")
    assert "| CIDEr-D |" in note
    assert "the same 16 products; both free-running, beam 2" in note


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ({"size_px": 64, "resize": "squash"}, r"have 32 px \(squash\), .* trained on 64 px .*image\.size_px=64"),
        ({"size_px": 32, "resize": "crop"}, r"have 32 px \(squash\), .* 32 px \(crop\): .*image\.resize=crop"),
    ],
)
def test_pictures_that_are_resized_otherwise_are_refused_with_the_setting_to_change(
    dataset: Path, trained: TrainResult, tmp_path: Path, image: dict[str, object], says: str
) -> None:
    shutil.copytree(trained.model_dir, tmp_path / "model")
    add_facts(tmp_path / "model", image=image)
    with pytest.raises(UserError, match=says):
        evaluate_model(tmp_path / "model", read_products(dataset, data="shapes"), search=SEARCH, config=CONFIG)


def test_the_best_and_the_worst_are_drawn_beside_their_pictures(
    dataset: Path, evaluated: Evaluation, tmp_path: Path
) -> None:
    products = read_products(dataset, data="shapes")
    image = ImageConfig(size_px=SIZE_PX)
    drawn = draw_best_and_worst(evaluated.predictions, products, image, tmp_path)
    assert [path.name for path in drawn] == ["best descriptions.png", "worst descriptions.png"]
    assert draw_best_and_worst(evaluated.predictions.head(1), products, image, tmp_path / "one") == []


def test_the_note_shows_scores_conditions_baselines_and_examples(evaluated: Evaluation) -> None:
    note = run_note(
        evaluated.report, evaluated.predictions, title="shapes", facts={"epochs": 8}, links={"x": "http://y"}
    )
    first = note.splitlines()[0]
    assert f"BLEU-4 {evaluated.report.scores['bleu_4']:.3f}" in first
    assert "16 test products, free-running, beam 2, at most 12 words" in first
    for words in ("**the model**", "95 % interval", "one sentence for all", "pictures shuffled", "Teacher-forced"):
        assert words in note
    assert note.count("reference: ") == 6


def test_a_note_that_mlflow_would_cut_ends_after_a_whole_line_and_says_where_the_rest_is(evaluated: Evaluation) -> None:
    def note(words: int) -> list[str]:
        table = evaluated.predictions.assign(reference="navy " * words)
        return run_note(evaluated.report, table, title="shapes", facts={}, links={}).splitlines()

    whole, cut = note(1), note(600)
    assert sum(map(len, cut)) + len(cut) - 1 <= NOTE_CHARACTERS
    assert cut[-1].endswith(whole[-1])
    assert "`predictions.json`" in cut[-1]
    references = [line for line in cut if line.startswith("  reference: ")]
    assert [line.count("navy (CIDEr-D") for line in references] == [1, 1]
    assert cut[:10] == whole[:10]


def test_what_a_catalogue_is_called_and_why_a_score_is_missing_are_shown_as_they_are(evaluated: Evaluation) -> None:
    report = replace(
        evaluated.report,
        conditions=replace(evaluated.report.conditions, data="<img src=x>*.csv"),
        not_computed={"meteor": "<urllib3 [object]>"},
        notes={"bertscore": "my_*model*"},
    )
    note = run_note(report, evaluated.predictions, title="t", facts={}, links={})
    for words in (r"&lt;img src=x&gt;\*.csv", r"&lt;urllib3 \[object\]&gt;", r"my\_\*model\*"):
        assert words in note


def test_the_card_names_data_scores_limits_and_licence(evaluated: Evaluation, trained: TrainResult) -> None:
    from model.directory import read_config

    card = model_card(evaluated.report, name="shop", config=read_config(trained.model_dir), facts={"dataset": "shapes"})
    for words in ("resnet18", "- dataset: shapes", "Licence", "## Limits", "free-running", "mlflow models serve"):
        assert words in card


def test_the_best_stand_from_the_best_on_and_the_worst_from_the_worst_on_each_with_its_own_picture(
    dataset: Path, tmp_path: Path
) -> None:
    products = read_products(dataset, data="shapes")
    ranked = [f"test-{number:03}" for number in (7, 2, 11, 4, 0)]
    written = pd.DataFrame(
        {
            "record_id": ranked,
            "description": [f"written {one}" for one in ranked],
            "reference": [f"reference {one}" for one in ranked],
            "cider_d": [5.0, 4.0, 3.0, 2.0, 1.0],
        }
    )
    drawn = draw_best_and_worst(written, products, ImageConfig(size_px=SIZE_PX), tmp_path)
    store = PictureStore(dataset / "test.h5")
    for name, path, chosen in (("best", drawn[0], {7: 5, 2: 4}), ("worst", drawn[1], {0: 1, 4: 2})):
        cards = [
            Card(
                picture=store.read([list(store.record_ids).index(f"test-{number:03}")])[0],
                written=f"written test-{number:03}",
                reference=f"reference test-{number:03}",
                score=f"CIDEr-D {score}.00",
            )
            for number, score in chosen.items()
        ]
        title = f"The {name} 2 of 5 test descriptions, by CIDEr-D"
        (by_hand,) = draw_predictions(cards, tmp_path / "by hand" / name, title=title, good=name == "best")
        assert path.name == f"{name} descriptions.png"
        assert path.read_bytes() == by_hand.read_bytes()


def test_teacher_forced_every_reference_of_every_product_is_fed_in_and_compared_with_all_of_its_product(
    dataset: Path, trained: TrainResult
) -> None:
    products = read_products(dataset, data="shapes", split="train")  # 72: three batches
    describer = Describer.load(trained.model_dir, device="cpu")
    read = Pictures(products, describer.image).read
    references = [
        [*group, ["one", *group[0][1:3], "drawn", "on", "white"][: 3 + row % 4]]
        for row, group in enumerate(products.references)
    ]
    groups, hypotheses = [], []
    for row, group in enumerate(references):
        grid = describer.captioner.grid(torch.from_numpy(read([row])))
        for words in group:
            with torch.no_grad():
                taught, _ = teach(describer.captioner, grid, [0], [describer.vocabulary.encode(words, 7)])
            hypotheses += forced_words(taught, 1, describer.vocabulary)
            groups.append(group)
    expected = bleu(groups, hypotheses)["bleu_4"]
    assert 0.1 < expected < 0.99
    assert teacher_forced_bleu_4(describer, references, read, max_words=7) == pytest.approx(expected)


def test_what_a_report_is_told_about_its_products_and_its_search_is_the_products_and_the_searchs_own(
    dataset: Path, trained: TrainResult
) -> None:
    products = replace(read_products(dataset, data="shapes"), excluded=5)
    steps: list[int] = []
    found = evaluate_model(trained.model_dir, products, search=SEARCH, config=CONFIG, on_progress=steps.append)
    assert found.report.conditions.excluded == 5
    assert steps == [16]
    describer = Describer.load(trained.model_dir, device="cpu")
    read = Pictures(products, describer.image).read
    forced = teacher_forced_bleu_4(describer, products.references, read, max_words=SEARCH.max_words)
    assert found.report.scores["bleu_4_teacher_forced"] == pytest.approx(forced)
    table = found.predictions
    described = describer.describe(read(range(16)), SEARCH)
    assert found.report.scores["ended"] == sum(one.ended for one in described) / 16 > 0
    of_each = dict(zip(products.table["record_id"], described, strict=True))
    assert table["confidence"].tolist() == pytest.approx([of_each[one].confidence for one in table["record_id"]])
    by_id = dict(zip(products.table["record_id"], found.each.means["rouge_l"], strict=True))
    assert table["rouge_l"].tolist() == [by_id[one] for one in table["record_id"]]


def test_a_datasets_training_texts_are_all_descriptions_of_its_training_products_and_of_no_others(
    tmp_path: Path,
) -> None:
    texts = {"1": [["a", "dress"], ["red"]], "2": [["a", "coat"]], "3": [["a", "hat"]], "4": [["wool"]]}
    split = {"1": "train", "2": "validation", "3": "test", "4": "train"}
    rows = [
        {"record_id": one, "split": split[one], "tokens": words, "references": [" ".join(each) for each in words]}
        for one, words in texts.items()
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "captions.parquet")
    pd.DataFrame({"record_id": ["3", "3"], "digest": ["a" * 64, "b" * 64], "store": ["", "test.h5"]}).to_parquet(
        tmp_path / "outcomes.parquet"
    )
    for wanted in ("test", "all"):
        assert read_products(tmp_path, data="d", split=wanted).training == [["a", "dress"], ["red"], ["wool"]]
    products = read_products(tmp_path, data="d", split="test")
    assert products.pictures == ["b" * HASH_CHARACTERS], "of the picture that was packed"
    assert read_products(tmp_path, data="d", split="train").references == [texts["1"], texts["4"]]


def test_a_model_knows_both_the_descriptions_and_the_pictures_that_it_was_trained_on(
    trained: TrainResult, tmp_path: Path
) -> None:
    model = shutil.copytree(trained.model_dir, tmp_path / "model")
    add_facts(model, training_descriptions=["d1"], training_pictures=["p1", "p2"])
    assert trained_on(model) == {"d1", "p1", "p2"}
