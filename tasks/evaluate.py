"""Step 8: describe the held-out pictures once, after the best epoch is chosen, and score the descriptions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import task

from model.directory import read_config
from model.errors import UserError
from model.files import atomic_path, read_json, write_json, write_text
from model.picture import ImageConfig
from model.settings import SearchConfig
from model.text import tokenize
from tasks.figures.best_and_worst import draw_best_and_worst
from tasks.manifest import read_manifest, write_manifest
from tasks.progress import progress
from tasks.read import Dataset
from tasks.scoring.bootstrap import LEVEL, Comparison
from tasks.scoring.config import ScoreConfig
from tasks.scoring.evaluation import Evaluation, compare_models, evaluate_model, search_in_words
from tasks.scoring.pages import comparison_note
from tasks.scoring.products import Products, read_products, trained_on
from tasks.step import RETRIED
from tasks.tracking import TrackedRun

PREDICTIONS_FILE, REPORT_FILE, COMPARISON_FILE = "predictions.parquet", "scores.json", "comparison.json"
COMPARISON_NOTE = "comparison.md"


@task(name="evaluate", **RETRIED)
def evaluate(
    dataset: Dataset,
    run_dir: Path,
    model_dir: Path,
    *,
    search: SearchConfig,
    config: ScoreConfig,
    catalog: str,
    split: str = "",
    without: Sequence[Path] = (),
    device: str = "auto",
) -> dict[str, Any]:
    """Score the model on a split: by default test, else validation, else all.

    Writes predictions.parquet and scores.json into the run's folder and logs both. Returns the report.

    Args:
        dataset: packed.
        run_dir: of the run.
        model_dir: the model.
        search: how descriptions are searched for.
        config: which scores.
        catalog: how to name the data in the report.
        split: train, validation, test, all, or empty.
        without: model directories whose training products are left out and counted.
        device: where the model runs.

    Raises:
        UserError: there is no such split, or nothing is left to score.
    """
    facts = read_manifest(run_dir, "evaluate")
    if facts is None:
        products = held_out(dataset, catalog, split, without)
        with progress(f"Describing the {products.split} split", len(products.table), unit="pictures") as bar:
            found = evaluate_model(
                model_dir,
                products,
                search=search,
                config=config,
                others=other_writers(config.writers, products),
                device=device,
                on_progress=bar.reach,
            )
        files = [run_dir / PREDICTIONS_FILE, run_dir / REPORT_FILE]
        with atomic_path(files[0]) as partial:
            found.predictions.to_parquet(partial)
        facts = found.report.to_json()
        write_json(files[1], facts)
        tracked = TrackedRun(run_dir)
        # Not among the scores of the epochs, which are greedy.
        place = products.split if products.split != "validation" else "validation of the best model"
        tracked.log_metrics({f"{place}/{name}": value for name, value in found.report.scores.items()})
        tracked.log_files(files, "scores")
        tracked.log_table(files[0], "predictions.json")
        image = ImageConfig(**read_config(model_dir)["image"])
        for sheet in draw_best_and_worst(found.predictions, products, image, run_dir / "figures"):
            tracked.log_picture(sheet, key=f"pictures/{sheet.stem}", step=0)
        write_manifest(run_dir, "evaluate", files=files, facts=facts)
    return facts


def held_out(dataset: Dataset, catalog: str, split: str, without: Sequence[Path]) -> Products:
    """The products of a split that none of the models was trained on."""
    trained = set[str]().union(*(trained_on(model_dir) for model_dir in without))
    return read_products(dataset.folder, data=catalog, split=split).without(trained)


@task(name="compare with the champion", **RETRIED)
def compare_with_champion(
    dataset: Dataset,
    run_dir: Path,
    model_dir: Path,
    champion_dir: Path,
    *,
    search: SearchConfig,
    config: ScoreConfig,
    catalog: str,
    split: str = "",
    device: str = "auto",
) -> dict[str, Any]:
    """Score a model and the champion on the same products, none that either was trained on; paired bootstrap.

    Returns score -> champion's value (first), the model's (second), difference, interval, confidence, products.
    """
    facts = read_manifest(run_dir, "compare")
    if facts is None:
        products = held_out(dataset, catalog, split, [model_dir, champion_dir])
        found = side_by_side(products, run_dir, model_dir, champion_dir, search=search, config=config, device=device)
        facts = {name: comparison.to_json() for name, comparison in found.items()}
        write_manifest(run_dir, "compare", files=[run_dir / COMPARISON_FILE, run_dir / COMPARISON_NOTE], facts=facts)
    return facts


def side_by_side(
    products: Products,
    run_dir: Path,
    model_dir: Path,
    champion_dir: Path,
    *,
    search: SearchConfig,
    config: ScoreConfig,
    level: float = LEVEL,
    device: str = "auto",
) -> dict[str, Comparison]:
    """Let the champion and a model describe the same products. Writes comparison.json and comparison.md; logs both."""
    plain = replace(config, meteor=False)  # not a score that models are compared by

    def described(folder: Path, name: str) -> Evaluation:
        with progress(f"Describing by {name}", len(products.table), unit="pictures") as bar:
            return evaluate_model(folder, products, search=search, config=plain, device=device, on_progress=bar.reach)

    champion, model = described(champion_dir, "the champion"), described(model_dir, "the new model")
    compared = compare_models(champion, model, config, level=level)
    files = [run_dir / COMPARISON_FILE, run_dir / COMPARISON_NOTE]
    write_json(files[0], {name: comparison.to_json() for name, comparison in compared.items()})
    decoding = search_in_words(search)
    write_text(files[1], comparison_note(compared, first="champion", second="this model", decoding=decoding))
    TrackedRun(run_dir).log_files(files, "scores")
    return compared


def check_writers(dataset: Dataset, config: ScoreConfig, *, catalog: str, without: Sequence[Path] = ()) -> None:
    """Check before hours of training that other writers describe what will be scored.

    Raises:
        UserError: a file cannot be read, or says nothing of a product.
    """
    if config.writers:
        other_writers(config.writers, held_out(dataset, catalog, "", without))


def read_writers(files: dict[str, str]) -> dict[str, dict[str, str]]:
    """The files of other writers: name -> record id -> text.

    Raises:
        UserError: a file cannot be read, or holds something else.
    """
    writers = {}
    for name, path in files.items():
        where = f"score.writers.{name} = {path}"
        try:
            texts = dict(read_json(Path(path)).items())
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise UserError(f"{where} is no JSON object {{record id: text}}: {error}") from None
        if odd := [record_id for record_id, text in texts.items() if not isinstance(text, str)]:
            raise UserError(f"{where} says of {odd[0]} what is no text: write {{record id: text}}")
        writers[name] = texts
    return writers


def other_writers(files: dict[str, str], products: Products) -> dict[str, dict[str, Sequence[str]]]:
    """What other writers said of the same products, in words: name -> record id -> words.

    Raises:
        UserError: a file cannot be read, or says nothing of a product.
    """
    writers: dict[str, dict[str, Sequence[str]]] = {}
    for name, texts in read_writers(files).items():
        missing = [record_id for record_id in products.table["record_id"] if record_id not in texts]
        if missing:
            raise UserError(
                f"score.writers.{name} = {files[name]} says nothing of {len(missing):,} products, such as "
                f"{missing[0]}: let it describe each product that is scored"
            )
        writers[name] = {record_id: tokenize(texts[record_id]) for record_id in products.table["record_id"]}
    return writers
