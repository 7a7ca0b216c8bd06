"""Scores any model on any catalogue, beside the champion."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from prefect.runtime import flow_run

from flows.named import check_to_score
from flows.prepare import data_stages
from flows.reasons import TOLD, catalogue_name
from flows.settings import Settings
from model.configuration import check
from model.directory import read_config
from model.errors import RunError, UserError
from model.picture import ImageConfig
from model.settings import SearchConfig
from tasks.evaluate import PREDICTIONS_FILE, compare_with_champion, evaluate
from tasks.manifest import read_manifest, write_manifest
from tasks.runs import OpenRun, Request, recorded, tracking_of_models
from tasks.scoring.pages import run_note
from tasks.scoring.products import check_split
from tasks.scoring.report import ScoreReport
from tasks.tracking import registry_of, start_run
from tasks.tracking.facts import environment_tags
from tasks.tracking.registry import Registry

logger = logging.getLogger(__name__)


@flow(name="evaluate a model", flow_run_name=catalogue_name, persist_result=False, **TOLD)
def evaluation(
    model: str,
    catalog: str,
    image_base_url: str = "",
    workdir: str = "workspace",
    split: str = "",
    beam_size: str = "",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Prepare a catalogue as the model wants its pictures, score the model on it, compare with the champion.

    Args:
        model: models:/NAME/VERSION, models:/NAME@ALIAS, or a model directory.
        catalog: The catalogue's file, where the worker runs: JSON, JSON Lines, CSV or Parquet; may be gzipped.
        image_base_url: What relative picture urls resolve against: a URL or a folder.
        workdir: Where datasets, runs and MLflow's store are kept.
        split: train, validation, test or all; empty: test, else validation, else all.
        beam_size: Beams of the search; empty: the model's own.
        settings: The configuration; `image` and `sample.split_seed` are the model's own, whatever they say.
    """
    settings = settings or Settings()
    request = Request(
        flow="evaluation",
        catalog=catalog,
        image_base_url=image_base_url,
        settings=settings.nested(),
        options={"model": model, "split": split, "beam_size": beam_size},
    )
    with recorded(Path(workdir), flow_run.id, request) as run:
        result = _score(run, settings)
        run.note(result=result)
    return result


def the_same_again(run: OpenRun, registry: Registry, model: str) -> str:
    """The model's version: a run that is resumed goes on with it, whatever its alias names by then."""
    if not model.startswith("models:/"):
        return model
    facts = read_manifest(run.folder, "model")
    if facts is None:
        facts = {"model_uri": registry.numbered(model)}
        write_manifest(run.folder, "model", files=[], facts=facts)
    return str(facts["model_uri"])


def as_the_models_own(settings: Settings, config: Mapping[str, Any]) -> Settings:
    """What a model's `config.json` decides of the data: the same pictures, the same products in its training split."""
    sample = replace(settings.sample, split_seed=config.get("split_seed", settings.sample.split_seed))
    return replace(settings, image=ImageConfig(**config["image"]), sample=sample)


def _score(run: OpenRun, settings: Settings) -> dict[str, Any]:
    request = run.record.request
    model, split, beam_size = (request.options[name] for name in ("model", "split", "beam_size"))
    check_split(split)
    check(not beam_size or beam_size.isdecimal(), "beam_size", beam_size, "a whole number above 0")
    check_to_score(settings)
    tracking = tracking_of_models(run.workdir, settings.tracking)
    registry = registry_of(run.folder, tracking)
    model = the_same_again(run, registry, model)
    model_dir = registry.fetch(model, run.workdir / "models") if model.startswith("models:/") else Path(model)
    config = read_config(model_dir)
    search = SearchConfig(**config.get("search", {}))
    if beam_size:
        search = replace(search, beam_size=int(beam_size))
    settings = as_the_models_own(settings, config)
    name = Path(request.catalog).name
    tracked = start_run(
        tracking,
        run_dir=run.folder,
        name=f"evaluation on {Path(request.catalog).stem} {run.record.run_id}",
        parameters={"model": model, "catalog_file": request.catalog, **request.settings},
        tags=environment_tags() | {"kind": "evaluation"},
    )
    with tracked.ended():
        dataset, result = data_stages(run, settings)
        run.note(stage="evaluate")
        common: dict[str, Any] = {
            "search": search, "config": settings.score, "catalog": name, "split": split,
            "device": settings.train.device,
        }  # fmt: skip
        report = evaluate(dataset, run.folder, model_dir, without=[model_dir], **common)
        comparison = {}
        try:
            champion = registry.champion()
            if champion is not None:
                champion_dir = registry.fetch(champion["model_uri"], run.workdir / "models")
                if read_config(champion_dir) != config:
                    comparison = compare_with_champion(dataset, run.folder, model_dir, champion_dir, **common)
        # Its pictures are resized otherwise, or it was trained on all the products; or the registry does not answer.
        except (UserError, RunError) as error:
            logger.warning("not compared with the champion: %s", error)
        scores = ScoreReport.from_json(report)
        predictions = pd.read_parquet(run.folder / PREDICTIONS_FILE)
        tracked.log_note(
            run_note(scores, predictions, title=f"{model} on {name}", facts={"dataset": dataset.id}, links={})
        )
    return {
        **result,
        "mlflow": {"tracking_uri": tracked.shown_uri, "run_id": tracked.run_id},
        "model_dir": str(model_dir),
        "split": scores.conditions.split,
        "chose_epoch": scores.conditions.chose_epoch,
        "excluded": scores.conditions.excluded,
        "products": scores.products,
        "scores": report["scores"],
        "baselines": report["baselines"],
        "comparison": comparison,
    }
