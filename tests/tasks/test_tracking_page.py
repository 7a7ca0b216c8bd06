"""The run page as a person sees it, in a real browser over the real MLflow server."""

import os
from pathlib import Path

import pandas as pd
import pytest

from flows.settings import Settings
from model.describer import Describer
from model.directory import read_config
from model.picture import ImageConfig
from model.settings import SearchConfig
from tasks.figures.curves import draw_curves
from tasks.figures.epochs import PANELS_IN_A_NOTE, Seen, draw_epoch
from tasks.scoring.config import ScoreConfig
from tasks.scoring.evaluation import evaluate_model
from tasks.scoring.pages import model_card, run_note
from tasks.scoring.products import Pictures, read_products
from tasks.tracking import TrackedRun, TrackingConfig, start_run
from tasks.tracking.facts import environment_tags
from tasks.train import NOTE_PICTURE
from tests.browser import Page, browser, missing
from tests.tasks.mlflow_server import server
from tests.tasks.shapes import SIZE_PX, make_dataset, train_model

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(bool(missing()), reason=missing())]
SEARCH = SearchConfig(beam_size=2, max_words=12)
# Kept for a person to look at where the variable names a folder.
SCREENSHOTS = "EC_DESCR_GEN_SCREENSHOTS"


def tracked(workdir: Path) -> TrackedRun:
    """A run with all that a pipeline run logs."""
    dataset = make_dataset(workdir / "dataset")
    trained = train_model(dataset, workdir / "training", epochs=20)
    run = start_run(
        TrackingConfig(system_metrics=False),
        run_dir=workdir / "runs" / "r1",
        name="shapes",
        parameters=Settings().nested(),  # all of them, as a real run has: MLflow shows them above each picture
        tags=environment_tags(),
    )
    for report in trained.history:
        numbers = {"train/loss": report.train_loss, "validation/loss": report.validation_loss}
        run.log_metrics(numbers | {f"validation/{n}": v for n, v in report.scores.items()}, step=report.epoch)
    figures = run.run_dir / "figures"
    run.log_files(draw_curves(run.history(), figures, best_epoch=trained.best_epoch, chosen_by="BLEU-4"), "figures")
    shown = read_products(dataset, data="shapes", split="validation")
    pictures = Pictures(shown, ImageConfig(size_px=SIZE_PX)).read(range(4))
    found = Describer.load(trained.model_dir, device="cpu").describe(pictures, SEARCH)
    seen = [
        Seen(picture=picture, words=one.words, attention=one.attention, reference=str(group[0]))
        for picture, one, group in zip(pictures, found, shown.table["references"], strict=False)
    ]
    run.log_picture(
        draw_epoch(seen, figures / "epoch", title="Validation products"), key="pictures/validation products", step=0
    )
    few = draw_epoch(seen[:3], run.run_dir / NOTE_PICTURE, title="Some", panels_a_row=PANELS_IN_A_NOTE)
    run.log_files([few], "figures")
    evaluated = evaluate_model(
        trained.model_dir, read_products(dataset, data="shapes"), search=SEARCH, config=ScoreConfig(bertscore="never")
    )
    run.log_metrics({f"test/{name}": value for name, value in evaluated.report.scores.items()})
    predictions: pd.DataFrame = evaluated.predictions
    predictions.to_parquet(run.run_dir / "predictions.parquet")
    run.log_table(run.run_dir / "predictions.parquet", "predictions.json")
    note = run_note(evaluated.report, predictions, title="Coloured shapes", facts={"epochs": 20}, links={})
    run.log_note(note, picture=NOTE_PICTURE)
    card = model_card(evaluated.report, name="shop", config=read_config(trained.model_dir), facts={"dataset": "shapes"})
    assert run.register_model(trained.model_dir, step=trained.best_epoch, card=card) is not None
    assert run.end()
    return run


def click(page: Page, words: str) -> None:
    """Click what shows exactly these words."""
    found = "[...document.querySelectorAll('*')].filter(e => e.childElementCount == 0 && e.innerText == WORDS)"
    page.run(f"{found.replace('WORDS', repr(words))}.forEach(e => e.click())")


def keep(page: Page, name: str) -> None:
    folder = os.environ.get(SCREENSHOTS)
    if folder:
        page.screenshot(Path(folder) / f"{name}.png")


@pytest.mark.timeout(900)
def test_the_run_page_shows_note_charts_and_pictures(tmp_path: Path) -> None:
    run = tracked(tmp_path)
    with server(tmp_path) as address, browser(1500, 1600) as page:
        base = f"{address}/#/experiments/1/runs/{run.run_id}"
        page.open(base)
        page.wait(lambda page: "BLEU-4" in page.text() and "Show more" in page.text(), timeout_s=120)
        # MLflow opens a panel of its own beside the run.
        page.run("document.querySelectorAll('button[aria-label*=\"lose\"]').forEach(e => e.click())")
        folded = page.text()
        assert "16 test products, free-running, beam 2" in folded
        click(page, "Show more")
        page.wait(lambda page: "Show less" in page.text())
        text = page.text()
        for words in ("95 % interval", "one sentence for all", "pictures shuffled", "Best", "Worst", "reference: "):
            assert words in text, words
        assert "ec-descr-gen" in text
        noted = (
            "return [...document.images].filter(e => e.src.includes('figures%2F')).map(e => [e.naturalWidth, WIDTH])"
        )
        room = "e.closest('div').parentElement.clientWidth"
        [[width, column]] = page.wait(lambda page: [one for one in page.run(noted.replace("WIDTH", room)) if one[0]])
        assert 500 < width <= column, "the picture is there, and no wider than its column"
        keep(page, "overview")

        page.open(f"{base}/model-metrics")
        page.wait(lambda page: "validation products" in page.text(), timeout_s=120)
        # The page shows a reduced copy; a click opens the picture itself.
        pictures = "return [...document.images].filter(e => e.naturalWidth > 100).length"
        page.wait(lambda page: page.run(pictures), timeout_s=120)
        page.wait(lambda page: page.run("return document.querySelectorAll('.main-svg').length"), timeout_s=120)
        keep(page, "metrics")

        page.open(f"{base}/artifacts/predictions.json")
        page.wait(lambda page: "description" in page.text() and "test-0" in page.text(), timeout_s=120)
        keep(page, "predictions")

        page.open(f"{address}/#/models/ec-descr-gen/versions/1")
        page.wait(lambda page: "champion" in page.text() and "Limits" in page.text(), timeout_s=120)
        keep(page, "model")
