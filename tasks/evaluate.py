"""Step 8: describe the held-out pictures once, after the best epoch is chosen, and score the descriptions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task

from model.errors import UserError
from model.files import atomic_path, read_json, write_json
from model.search import SearchConfig
from model.text import tokenize
from tasks.manifest import read_manifest, write_manifest
from tasks.progress import progress
from tasks.read import Dataset
from tasks.scoring.config import ScoreConfig
from tasks.scoring.evaluation import evaluate_model
from tasks.scoring.products import Products, read_products
from tasks.step import RETRIED
from tasks.tracking import TrackedRun

PREDICTIONS_FILE, REPORT_FILE = "predictions.parquet", "scores.json"


@task(name="evaluate", **RETRIED)
def evaluate(
    dataset: Dataset, run_dir: Path, model_dir: Path, *, search: SearchConfig, config: ScoreConfig, catalog: str
) -> dict[str, Any]:
    """Score the model on the test split, or on the validation split where there are no test rows.

    Writes predictions.parquet and scores.json into the run's folder and logs both. Returns the report.
    """
    facts = read_manifest(run_dir, "evaluate")
    if facts is None:
        products = read_products(dataset.folder, data=catalog)
        with progress(f"Describing the {products.split} split", len(products.table), unit="pictures") as bar:
            found = evaluate_model(
                model_dir,
                products,
                search=search,
                config=config,
                others=other_writers(config.writers, products),
                on_progress=lambda done, _: bar.advance(done - bar.done),
            )
        files = [run_dir / PREDICTIONS_FILE, run_dir / REPORT_FILE]
        with atomic_path(files[0]) as partial:
            found.predictions.to_parquet(partial)
        facts = found.report.to_json()
        write_json(files[1], facts)
        write_manifest(run_dir, "evaluate", files=files, facts=facts)
        tracked = TrackedRun(run_dir)
        tracked.log_metrics({f"{products.split}/{name}": value for name, value in found.report.scores.items()})
        tracked.log_files(files, "scores")
        tracked.log_table(files[0], "predictions.json")
    return facts


def other_writers(files: dict[str, str], products: Products) -> dict[str, dict[str, Sequence[str]]]:
    """What other writers said of the same products, in words: name -> record id -> words.

    Raises:
        UserError: a file cannot be read, or says nothing of a product.
    """
    writers: dict[str, dict[str, Sequence[str]]] = {}
    for name, path in files.items():
        try:
            texts = {str(record_id): str(text) for record_id, text in read_json(Path(path)).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"score.writers.{name} = {path} is no JSON object {{record id: text}}: {error}") from None
        missing = [record_id for record_id in products.table["record_id"] if record_id not in texts]
        if missing:
            raise UserError(
                f"score.writers.{name} = {path} says nothing of {len(missing)} products, such as {missing[0]}"
            )
        writers[name] = {record_id: tokenize(texts[record_id]) for record_id in products.table["record_id"]}
    return writers
