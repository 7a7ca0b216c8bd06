"""Step 9: log the best model and register it: champion if there is none, else challenger; write the run's note."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task

from model.directory import read_config
from tasks.evaluate import PREDICTIONS_FILE
from tasks.read import Dataset
from tasks.scoring.pages import model_card, run_note
from tasks.scoring.report import ScoreReport
from tasks.step import RETRIED
from tasks.tracking import TrackedRun
from tasks.tracking.facts import prefect_tags
from tasks.train import NOTE_PICTURE


@task(name="register model", **RETRIED)
def register(dataset: Dataset, run_dir: Path, training: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """Register the model. Returns model_uri, version, alias, decision; nothing while the store cannot be reached."""
    tracked = TrackedRun(run_dir)
    model_dir = Path(training["model_dir"])
    scores = ScoreReport.from_json(report)
    facts = {"dataset": dataset.id, "epochs": f"{training['epochs']}, best {training['best_epoch']}"}
    write_note(tracked, scores, facts)
    found = tracked.register_model(
        model_dir,
        step=training["best_epoch"],
        card=model_card(scores, name=tracked.config.model_name, config=read_config(model_dir), facts=facts),
        dataset_id=dataset.id,
        bleu_4=f"{scores.scores['bleu_4']:.4f}",
    )
    return found or {}


def write_note(tracked: TrackedRun, scores: ScoreReport, facts: Mapping[str, str]) -> None:
    """What the run's page in MLflow shows first; written again, it replaces the one before."""
    prefect = prefect_tags().get("prefect.url")
    note = run_note(
        scores,
        pd.read_parquet(tracked.run_dir / PREDICTIONS_FILE),
        title=f"Show, Attend and Tell on {scores.conditions.data}",
        facts=facts,
        links={"Prefect run": prefect} if prefect else {},
    )
    tracked.log_note(note, picture=NOTE_PICTURE)
