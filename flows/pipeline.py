"""The full pipeline: from a catalogue to a registered model with honest scores."""

import logging
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.named import check_to_train
from flows.prepare import data_stages
from flows.reasons import TOLD, catalogue_name, resume_command
from flows.settings import Settings
from model.directory import read_config
from model.errors import RunError
from model.warm_start import check_shape
from tasks.catalog.sampling import too_few_to_learn
from tasks.catalog.urls import shown_base
from tasks.dataset_files import DROPPED_FILE, OUTCOMES_FILE, REJECTED_FILE, TEST_STORE, TRAIN_STORE
from tasks.evaluate import check_writers, evaluate
from tasks.promote import promote
from tasks.read import Dataset
from tasks.register import register
from tasks.runs import OpenRun, Request, recorded
from tasks.tracking import start_run
from tasks.tracking.facts import environment_tags
from tasks.train import train
from tasks.warm_start import fetch_warm_start, seen_before

logger = logging.getLogger(__name__)


@flow(name="full pipeline", flow_run_name=catalogue_name, persist_result=False, **TOLD)
def pipeline(
    catalog: str, image_base_url: str = "", workdir: str = "workspace", settings: Settings | None = None
) -> dict[str, Any]:
    """Read, deduplicate, sample, fetch, pack, build the vocabulary, train, evaluate, register.

    Args:
        catalog: The catalogue's file, where the worker runs: JSON, JSON Lines, CSV or Parquet; may be gzipped.
        image_base_url: What relative picture urls resolve against: a URL or a folder.
        workdir: Where datasets, runs and MLflow's store are kept.
        settings: The configuration; what is not given has the default that `ec-descr-gen config show` names.
    """
    settings = settings or Settings()
    request = Request(flow="pipeline", catalog=catalog, image_base_url=image_base_url, settings=settings.nested())
    with recorded(Path(workdir), flow_run.id, request) as run:
        check_to_train(settings)
        result = all_stages(run, settings)
        run.note(result=result)
    return result


def all_stages(
    run: OpenRun, settings: Settings, *, dataset: Dataset | None = None, gate: bool = False
) -> dict[str, Any]:
    """Run every stage of a run under its MLflow run. Returns what `run` prints.

    Args:
        run: the run.
        settings: of every stage.
        dataset: the catalogue, if it is read already.
        gate: at the end, compare with the champion and promote the new model if it is better.

    Raises:
        UserError, RunError: see the steps.
    """
    request = run.record.request
    tracked = start_run(
        settings.tracking,
        run_dir=run.folder,
        name=f"{Path(request.catalog).stem} {run.record.run_id}",
        parameters={
            "catalog_file": request.catalog,
            "image_base_url": shown_base(request.image_base_url),
            **request.settings,
        },
        tags=environment_tags(),
    )
    with tracked.ended():
        # Before hours go into the pictures: the registry may not answer, or the champion be of another shape.
        learning = fetch_warm_start(run.folder, settings.train)
        if learning.warm_start:
            weights = Path(learning.warm_start)
            check_shape(weights, read_config(weights), settings.encoder, settings.decoder)
        dataset, result = data_stages(run, settings, dataset)
        tracked.log_tags({"dataset.id": dataset.id, "dataset.digest": result["dataset_digest"]})
        for split, file in (("training", TRAIN_STORE), ("test", TEST_STORE)):
            tracked.log_dataset(
                name=f"{Path(request.catalog).stem} {split}",
                digest=result["dataset_digest"],
                source=str(dataset.folder / file),
                context=split,
                profile=result["records"]["sampled"],
            )
        reports = ("report.md", "report.json", REJECTED_FILE, DROPPED_FILE)
        tracked.log_files([dataset.folder / name for name in reports], "catalogue")
        tracked.log_files([dataset.folder / OUTCOMES_FILE], "pictures")
        if warning := too_few_to_learn(result["records"]["sampled"]["train"]):
            logger.warning(warning)
            result["warnings"].append(warning)
        trained_before = [Path(learning.warm_start)] if learning.warm_start else []
        check_writers(dataset, settings.score, catalog=Path(request.catalog).name, without=trained_before)
        run.note(stage="train")
        if warning := seen_before(dataset, learning.warm_start):
            logger.warning(warning)
            result["warnings"].append(warning)
        training = train(
            dataset,
            run.folder,
            encoder=settings.encoder,
            decoder=settings.decoder,
            search=settings.search,
            config=learning,
            score=settings.score,
            split_seed=settings.sample.split_seed,
        )
        run.note(stage="evaluate")
        report = evaluate(
            dataset,
            run.folder,
            Path(training["model_dir"]),
            search=settings.search,
            config=settings.score,
            catalog=Path(request.catalog).name,
            without=trained_before,
            device=settings.train.device,
        )
        run.note(stage="register")
        registered = register(dataset, run.folder, training, report)
        if gate:
            registered |= _through_the_gate(run, settings, dataset, registered, training, report)
    return {
        **result,
        "mlflow": {"tracking_uri": tracked.shown_uri, "run_id": tracked.run_id},
        "model_dir": training["model_dir"],
        "epochs": training["epochs"],
        "best_epoch": training["best_epoch"],
        "scores": {"validation": training["scores"], report["conditions"]["split"]: report["scores"]},
        "baselines": report["baselines"],
        **registered,
    }


def _through_the_gate(
    run: OpenRun,
    settings: Settings,
    dataset: Dataset,
    registered: dict[str, Any],
    training: dict[str, Any],
    report: dict[str, Any],
) -> dict[str, Any]:
    if not registered:
        raise RunError(
            f"MLflow did not take the model, so nothing is decided: once it answers, "
            f"`{resume_command(run.record.run_id, run.workdir)}`"
        )
    run.note(stage="promote")
    return promote(
        dataset,
        run.folder,
        Path(training["model_dir"]),
        registered["version"],
        report,
        search=settings.search,
        score=settings.score,
        gate=settings.gate,
        catalog=Path(run.record.request.catalog).name,
        device=settings.train.device,
    )
