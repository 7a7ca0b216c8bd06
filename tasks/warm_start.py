"""Before training, if it shall start from the champion's weights: fetch them."""

import logging
from dataclasses import replace
from pathlib import Path

from prefect import task

from model.errors import UserError
from model.settings import TrainConfig
from tasks.evaluate import held_out
from tasks.manifest import read_manifest, write_manifest
from tasks.read import Dataset
from tasks.step import RETRIED
from tasks.tracking import TrackedRun, registry_of
from tasks.tracking.registry import CHAMPION

logger = logging.getLogger(__name__)


def seen_before(dataset: Dataset, warm_start: str) -> str:
    """What the weights that training begins with have learned of the products held out: a warning, or empty.

    Raises:
        UserError: all that the model would be scored on.
    """
    if not warm_start:
        return ""
    scored = held_out(dataset, dataset.id, "", [Path(warm_start)])
    if scored.table.empty:
        raise UserError(
            f"train.warm_start: the model in {warm_start} was trained on all {scored.excluded:,} {scored.split} "
            "products, so nothing is left to score the new one on: train without warm_start"
        )
    validation = held_out(dataset, dataset.id, "validation", [Path(warm_start)])
    if not validation.excluded:
        return ""
    return (
        f"train.warm_start: the model in {warm_start} was trained on {validation.excluded:,} of the validation "
        "products, which choose the epoch"
    )


@task(name="fetch the champion's weights", **RETRIED)
def fetch_warm_start(run_dir: Path, config: TrainConfig) -> TrainConfig:
    """Replace `train.warm_start=champion` by the folder of its model: the same one whenever the run goes on.

    Raises:
        UserError: its model cannot be had.
        RunError: the registry does not answer.
    """
    if config.warm_start != CHAMPION:
        return config
    tracked = TrackedRun(run_dir)
    registry = registry_of(run_dir, tracked.config)
    facts = read_manifest(run_dir, "warm_start")
    if facts is None:
        champion = registry.champion()
        facts = {"model_uri": champion["model_uri"] if champion else ""}
        write_manifest(run_dir, "warm_start", files=[], facts=facts)
    if not facts["model_uri"]:
        logger.info("train.warm_start: there is no champion yet, so the training starts from nothing")
        return replace(config, warm_start="")
    tracked.log_tags({"warm_start": facts["model_uri"]})
    return replace(config, warm_start=str(registry.fetch(facts["model_uri"], tracked.workdir / "models")))
