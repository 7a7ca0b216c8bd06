"""Plots and pictures: drawn from the numbers given, the same bytes each time, legible sizes."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.report import EpochReport
from model.settings import SearchConfig, TrainConfig
from model.store import PictureStore
from tasks.figures import style
from tasks.figures.attention import draw_attention, heat, overlay
from tasks.figures.curves import draw_curves
from tasks.figures.epochs import Seen, draw_epoch
from tasks.figures.sheets import Card, draw_batch, draw_predictions
from tasks.figures.style import COLOURS
from tasks.figures.training_batch import draw_training_batch
from tasks.read import Dataset
from tasks.train import Shown, epoch_line
from tests.tasks.shapes import draw, make_dataset

SVG = "{http://www.w3.org/2000/svg}"


def history(epochs: int) -> dict[str, list[tuple[int, float]]]:
    scores = [*(f"bleu_{n}" for n in range(1, 5)), "cider_d", "bertscore_f1"]
    names = ["train/loss", "validation/loss", *(f"validation/{score}" for score in scores)]
    return {name: [(epoch, 1.0 / epoch) for epoch in range(1, epochs + 1)] for name in names}


def peaked(words: int, grid: int) -> NDArray[np.float32]:
    """(T, grid, grid), each map with its peak at another place."""
    maps = np.full((words, grid, grid), 0.1 / grid**2, dtype=np.float32)
    for word in range(words):
        maps[word, word % grid, (word * 3) % grid] += 0.9
    return np.asarray(maps / maps.sum(axis=(1, 2), keepdims=True), dtype=np.float32)


def test_the_four_plots_are_drawn_as_png_and_svg_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    first = draw_curves(history(12), tmp_path / "a", best_epoch=7, chosen_by="BLEU-4")
    second = draw_curves(history(12), tmp_path / "b", best_epoch=7, chosen_by="BLEU-4")
    assert [path.name for path in first] == [
        "loss.png", "loss.svg", "bleu.png", "bleu.svg", "cider_d.png", "cider_d.svg", "bertscore.png", "bertscore.svg"
    ]  # fmt: skip
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_plot_marks_the_chosen_epoch_and_shows_each_line_in_its_own_colour(tmp_path: Path) -> None:
    draw_curves(history(12), tmp_path, best_epoch=7, chosen_by="CIDEr-D")
    text = (tmp_path / "bleu.svg").read_text()
    ET.fromstring(text)
    assert "chosen: epoch 7" in text
    assert "(by CIDEr-D)" in text
    for colour in COLOURS[:4]:
        assert colour.lower() in text.lower()
    without = draw_curves(history(12), tmp_path / "none", best_epoch=None, chosen_by="BLEU-4")
    assert "chosen" not in without[3].read_text()


@pytest.mark.parametrize(("monitor", "shown"), [("bleu_4", "BLEU-4 0.189"), ("cider_d", "BLEU-4 0.189, CIDEr-D 1.500")])
def test_an_epochs_line_shows_the_score_that_says_which_is_best(monitor: str, shown: str) -> None:
    report = EpochReport(
        epoch=8,
        train_loss=0.859,
        reward=None,
        validation_loss=0.972,
        learning_rates={},
        pictures_per_s=100.0,
        scores={"bleu_4": 0.189, "cider_d": 1.5},
        samples=[],
        is_best=True,
        seconds=60.0,
    )
    line = epoch_line(report, TrainConfig(epochs=9, monitor=monitor))
    assert line == f"epoch 8 of at most 9: training loss 0.859, validation loss 0.972; {shown}  best so far"


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    numbers = history(3)
    del numbers["validation/bertscore_f1"]
    assert "bertscore.png" not in {
        path.name for path in draw_curves(numbers, tmp_path, best_epoch=1, chosen_by="BLEU-4")
    }
    assert draw_curves({}, tmp_path, best_epoch=None, chosen_by="BLEU-4") == []


@pytest.mark.parametrize("epochs", [1, 2, 3, 100])
def test_epochs_are_whole_numbers_however_few_there_are(tmp_path: Path, epochs: int) -> None:
    draw_curves(history(epochs), tmp_path, best_epoch=1, chosen_by="BLEU-4")
    axis = (tmp_path / "loss.svg").read_text().split('id="matplotlib.axis_1"')[1].split('id="matplotlib.axis_2"')[0]
    *ticks, label = re.findall(r"<!-- (.+) -->", axis)
    assert label == "epoch"
    assert ticks
    assert all(tick.isdecimal() for tick in ticks), ticks


def test_attention_is_brightest_where_the_model_looked_and_has_no_cells() -> None:
    attention = np.zeros((14, 14), dtype=np.float32)
    attention[3, 10] = 1.0
    smooth = heat(attention, 224)
    row, column = np.unravel_index(smooth.argmax(), smooth.shape)
    assert abs(row - 3.5 * 16) <= 1
    assert abs(column - 10.5 * 16) <= 1
    assert smooth.max() == pytest.approx(1.0)
    assert smooth.min() == 0.0
    assert np.abs(np.diff(smooth, axis=0)).max() < 0.12


def test_even_attention_colours_nothing() -> None:
    assert heat(np.full((14, 14), 1 / 196, dtype=np.float32), 64).max() == pytest.approx(0.0, abs=1e-6)
    picture = draw("red", "circle", random.Random(1))
    coloured = overlay(picture, np.full((4, 4), 1 / 16, dtype=np.float32))
    assert np.ptp(coloured.astype(int), axis=2).max() <= 1  # grey everywhere


@pytest.mark.parametrize("count", [0, 1, 5, 6, 50, 70])
def test_attention_panels_are_drawn_for_any_number_of_words(tmp_path: Path, count: int) -> None:
    picture = draw("blue", "cross", random.Random(1))
    words = [f"word{number}" for number in range(count)]
    (path,) = draw_attention(picture, words, peaked(count, 4), tmp_path / "attention.png")
    with Image.open(path) as image:
        assert image.width >= 400


@pytest.mark.parametrize(("count", "told"), [(59, False), (60, True)])
def test_words_that_have_no_panel_are_counted(tmp_path: Path, count: int, told: bool) -> None:
    words = [f"word{number}" for number in range(count)]
    draw_attention(draw("blue", "cross", random.Random(1)), words, peaked(count, 4), tmp_path / "attention", svg=True)
    text = (tmp_path / "attention.svg").read_text()
    assert ("(the first 59 of 60 words have a panel)" in text) == told
    assert text.count("<image") == 60


def test_a_long_word_does_not_run_into_its_neighbour_and_the_line_above_has_it_whole(tmp_path: Path) -> None:
    words = ["donaudampfschifffahrtsgesellschaftskapitän", "hose"]
    draw_attention(draw("blue", "cross", random.Random(1)), words, peaked(2, 4), tmp_path / "attention.png", svg=True)
    told = re.findall(r"<!-- (.+) -->", (tmp_path / "attention.svg").read_text())
    assert "donaudampfsc…" in told
    assert "".join(told).count(words[0]) == 1
    with Image.open(tmp_path / "attention.png") as image:
        assert np.asarray(image.convert("L"))[:, -3:].min() == 255, "something is cut off at the right edge"


@pytest.fixture
def fresh_fonts() -> Iterator[None]:
    """Fonts are looked for, and missing letters told, as in a process that begins."""
    style.fonts.cache_clear()
    style.say_letters_are_missing.cache_clear()
    yield
    style.fonts.cache_clear()
    style.say_letters_are_missing.cache_clear()


@pytest.mark.usefixtures("fresh_fonts")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("others", [(), ("STIXGeneral",)])
def test_letters_that_the_first_font_lacks_come_from_another_or_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, others: tuple[str, ...]
) -> None:
    monkeypatch.setattr(style, "OTHER_FONTS", others)
    picture, words = draw("red", "square", random.Random(1)), ["\U0001d400", "\U0001d401"]  # STIX has both
    draw_attention(picture, words, peaked(2, 4), tmp_path / "attention")
    seen = Seen(picture=picture, words=words, attention=peaked(2, 4), reference="\U0001d400")
    draw_epoch([seen], tmp_path / "epoch", title="Epoch 1")
    told = [record.message for record in caplog.records]
    assert len(told) == (0 if others else 1)
    assert all("figures show boxes" in line for line in told)


def test_texts_written_without_spaces_and_in_wide_letters_keep_within_their_room() -> None:
    text = "この赤い長袖シャツは綿百パーセントで作られた" * 9
    assert max(map(len, style.fill(text, 48).splitlines())) == 24
    assert style.shorten(text, 170) == text[:84] + "…"
    assert style.cut("エレガントコレクション", 12) == "エレガント…"
    assert style.shorten("a red  dress with long sleeves", 15) == "a red dress …"
    assert style.shorten("a red dress", 15) == "a red dress"


def test_validation_products_are_drawn_beside_their_words(tmp_path: Path) -> None:
    chance = random.Random(1)
    products = [
        Seen(
            picture=draw("red", "square", chance),
            words=["one", "unusually-long-compound-word", *["word"] * count],
            attention=peaked(count + 2, 4),
            reference="the reference " * 30,
        )
        for count in (0, 9, 30)
    ]
    products.append(
        Seen(picture=draw("red", "square", chance), words=[], attention=peaked(0, 4), reference="нет описания")
    )
    path = draw_epoch(products, tmp_path / "epoch", title="Validation products after epoch 3")
    first = path.read_bytes()
    with Image.open(path) as image:
        assert image.width > 1000
        assert image.height > 4 * 130
    assert draw_epoch(products, tmp_path / "epoch", title="Validation products after epoch 3").read_bytes() == first
    with Image.open(draw_epoch(products, tmp_path / "few", title="Few", panels_a_row=5)) as narrow:
        assert narrow.width < 700, "MLflow's column for a note is no wider"
        assert narrow.height > image.height


def test_sheets_hold_every_card(tmp_path: Path) -> None:
    chance = random.Random(1)
    cards = [
        Card(picture=draw("red", "square", chance), written="a red square " * 20, reference="$x$ & <y>", score="0.1")
        for _ in range(5)
    ]
    (path,) = draw_predictions(cards, tmp_path / "best", title="Best")
    with Image.open(path) as image:
        assert image.height > 3 * 200
    (path,) = draw_batch(np.stack([card.picture for card in cards]), ["a $ caption"] * 5, tmp_path / "b", title="Batch")
    assert path.is_file()


def test_the_title_of_a_batch_of_one_is_not_cut_off(tmp_path: Path) -> None:
    pictures = np.full((1, 3, 64, 64), 255, np.uint8)
    (path,) = draw_batch(pictures, ["a"], tmp_path / "b", title="One training batch as the model sees it (epoch 12)")
    with Image.open(path) as image:
        assert np.asarray(image.convert("L"))[:, -3:].min() == 255


def test_the_products_shown_as_training_goes_on_are_the_first_of_validation_with_their_own_references(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(tmp_path / "dataset", train_count=3, held_out=20)
    shown = Shown(Dataset(id="shapes", folder=dataset, facts={}), SearchConfig(), device="cpu")
    captions = pd.read_parquet(dataset / "captions.parquet")
    own = captions[captions["split"] == "validation"].head(16)
    assert shown.references == [group[0] for group in own["references"]]
    store = PictureStore(dataset / "train.h5")
    rows = [list(store.record_ids).index(record_id) for record_id in own["record_id"]]
    assert np.array_equal(shown.pictures, store.read(rows))


@pytest.mark.parametrize("batch_size", [8, 64])  # and more than there are
def test_the_training_batch_is_shown_as_the_model_sees_it(tmp_path: Path, batch_size: int) -> None:
    dataset = make_dataset(tmp_path / "dataset", train_count=30, held_out=2)
    (path,) = draw_training_batch(
        dataset / "train.h5",
        dataset / "captions.parquet",
        dataset / "vocabulary.json",
        TrainConfig(batch_size=batch_size, rotation_degrees=10.0),
        tmp_path / "batch",
    )
    with Image.open(path) as image:
        assert image.width > 800
