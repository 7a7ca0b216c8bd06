"""Retraining on a new catalogue: the full pipeline, then the champion and the new model side by side."""

import json
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.champion import champions_settings
from flows.named import check_to_train
from flows.pipeline import all_stages
from flows.prepare import find_dataset
from flows.reasons import TOLD, catalogue_name
from flows.settings import Settings
from model.directory import read_config
from model.errors import UserError
from model.picture import ImageConfig
from tasks.catalog.published import latest
from tasks.runs import OpenRun, Request, RunRecord, all_runs, recorded
from tasks.tracking import registry_of

# Settings that change neither the data of the same records nor the model that is made of them.
WITHOUT_EFFECT = ("catalog", "fetch")


@flow(name="retrain", flow_run_name=catalogue_name, persist_result=False, **TOLD)
def retraining(
    catalog: str = "", image_base_url: str = "", workdir: str = "workspace", settings: Settings | None = None
) -> dict[str, Any] | State[Any]:
    """Make a model of a new catalogue, compare it with the champion, promote it if it is better.

    A catalogue whose content a run with the same settings has had already is nothing new and takes seconds. Pictures
    that are there are taken again, and every product keeps its split. Where none was published yet, a run that the
    schedule began is complete: there is nothing to do, and nobody to mend it.

    Args:
        catalog: The catalogue's file, where the worker runs; empty: the one that was published last, with its base.
        image_base_url: What relative picture urls resolve against: a URL or a folder.
        workdir: Where datasets, runs and MLflow's store are kept.
        settings: The configuration; `gate` says when the new model is better. Left out: that of the champion's run.
    """
    if not catalog:
        try:
            path, image_base_url = latest(Path(workdir))
        except UserError as error:
            if not _begun_by_schedule():
                raise
            return Completed(message=f"nothing to do: {error}")
        catalog = str(path)
    settings = settings or champions_settings(Path(workdir)) or Settings()
    request = Request(flow="retraining", catalog=catalog, image_base_url=image_base_url, settings=settings.nested())
    with recorded(Path(workdir), flow_run.id, request) as run:
        # Resumed, it goes on as it began, whoever is the champion now.
        result = _retrain(run, Settings.from_nested(run.record.request.settings))
        run.note(result=result)
    return result


def _begun_by_schedule() -> bool:
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.auto_scheduled


def _retrain(run: OpenRun, settings: Settings) -> dict[str, Any]:
    check_to_train(settings)
    check_gate(settings)
    registry = registry_of(run.folder, settings.tracking)
    champion = registry.champion()  # a registry that does not answer is told now, not after hours of training
    dataset = find_dataset(run, settings)
    if champion is not None:
        known = same_content(run.workdir, dataset.id, run.record.request)
        if known is not None and not settings.fetch.refresh:
            return {
                "dataset_id": dataset.id,
                "dataset_dir": str(dataset.folder),
                "model_uri": champion["model_uri"],
                "decision": f"nothing new: run {known.run_id} has had this content with these settings; "
                f"version {champion['version']} stays the champion",
            }
        config = read_config(registry.fetch(champion["model_uri"], run.workdir / "models"))
        check_comparable(champion["model_uri"], ImageConfig(**config["image"]), settings)
    return all_stages(run, settings, dataset=dataset, gate=True)


def check_gate(settings: Settings) -> None:
    """Check that the score that decides will be computed.

    Raises:
        UserError: it will not.
    """
    if settings.gate.score == "bertscore_f1" and settings.score.bertscore == "never":
        raise UserError(
            "gate.score is bertscore_f1, which score.bertscore=never leaves out: set score.bertscore=end, or another "
            "gate.score"
        )


def same_content(workdir: Path, dataset_id: str, request: Request) -> RunRecord | None:
    """A finished run that made and registered a model of the same dataset with the same settings."""
    for record in all_runs(workdir):
        if (
            record.state == "completed"
            and record.dataset_id == dataset_id
            and {"epochs", "model_uri"} <= (record.result or {}).keys()
            and _effective(record.request) == _effective(request)
        ):
            return record
    return None


def _effective(request: Request) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(request.settings))
    plain.get("score", {}).pop("writers", None)  # they are scored beside the model, which does not change by it
    return {name: values for name, values in plain.items() if name not in WITHOUT_EFFECT}


def check_comparable(model_uri: str, image: ImageConfig, settings: Settings) -> None:
    """Check that champion and new model can look at the same pictures.

    Raises:
        UserError: they are resized otherwise.
    """
    if image != settings.image:
        raise UserError(
            f"the champion {model_uri} looks at pictures of image.size_px={image.size_px}, "
            f"image.resize={image.resize}; with {settings.image.size_px} and {settings.image.resize} the two cannot be "
            "compared: retrain with the champion's, or make models of the new kind under another tracking.model_name"
        )
