"""The commands that run the pipeline and tell of it. Each returns its result and the function that shows it."""

import argparse
import logging
from dataclasses import asdict, replace
from pathlib import Path

from flows import show
from flows.champion import champions_settings
from flows.environment import variables
from flows.how_far import how_far
from flows.launch import launch, resume_run
from flows.reasons import resume_command
from flows.settings import Settings, compose, explanations, suggest
from flows.show import Shown
from model.errors import UserError
from tasks.catalog.source import check_catalog
from tasks.catalog.urls import is_web
from tasks.pictures.address import check_base
from tasks.runs import Request, all_runs, find_run, latest_tracking

logger = logging.getLogger(__name__)
MODELS_OWN = {"image", "vocabulary", "encoder", "decoder", "train", "search"}


def run(options: argparse.Namespace) -> Shown:
    """`run`: the full pipeline."""
    return launch(request_of("pipeline", options), options.workdir), show.pipeline_table


def prepare(options: argparse.Namespace) -> Shown:
    """`prepare`: the data stages."""
    return launch(request_of("prepare", options), options.workdir), show.pipeline_table


def retrain(options: argparse.Namespace) -> Shown:
    """`retrain`: the full pipeline on a new catalogue, then champion and new model side by side."""
    return launch(request_of("retraining", options), options.workdir), show.retraining_table


def rollback(options: argparse.Namespace) -> Shown:
    """`rollback`: the champion alias back to the version before."""
    from tasks.tracking.registry import Registry

    tracking = latest_tracking(all_runs(options.workdir))
    if tracking is None:
        raise UserError(f"there is no champion in {options.workdir}: run the pipeline first, or give --workdir")
    registry = Registry(tracking, options.workdir)
    lost, found = registry.rollback()
    result = {"model_uri": f"models:/{registry.name}/{found}", "version": found, "before": lost}
    return result, lambda _: show.message(f"version {found} of {registry.name} is the champion again; {lost} was")


def evaluate(options: argparse.Namespace) -> Shown:
    """`evaluate`: score a model on a catalogue."""
    more = {
        "model": options.model if options.model.startswith("models:/") else str(Path(options.model).resolve()),
        "split": options.split,
        "beam_size": "" if options.beam_size is None else str(options.beam_size),
    }
    request = replace(request_of("evaluation", options), options=more)
    given = [assignment.partition("=")[0].strip() for assignment in options.assignments or []]
    named = {key.partition(".")[0] for key in given if key != "train.device"}
    if idle := sorted(named & MODELS_OWN):
        logger.warning("%s: evaluate takes these from the model", ", ".join(f"{section}.*" for section in idle))
    return launch(request, options.workdir), show.evaluation_table


def request_of(flow: str, options: argparse.Namespace) -> Request:
    """What the options ask for, checked as far as it can be without reading the catalogue.

    Where no preset is given nor the default, the options change the settings of the champion.

    Raises:
        UserError: the catalogue is no file, the base is no place of pictures, or a setting is wrong.
    """
    catalog, base = source_of(options)
    champions = champions_settings(options.workdir) if options.preset is None else None
    settings = compose(preset=options.preset, file=options.config, assignments=options.assignments, base=champions)
    settings = with_whole_paths(settings)
    return Request(flow=flow, catalog=str(catalog), image_base_url=base, settings=settings.nested())


def with_whole_paths(settings: Settings) -> Settings:
    """Files that settings name, wherever the run goes on or the next retraining starts."""

    def whole(value: str) -> str:
        is_path = value not in {"", "imagenet", "none", "champion"} and Path(value).exists()
        return str(Path(value).resolve()) if is_path else value

    writers = {name: whole(file) for name, file in settings.score.writers.items()}
    return replace(
        settings,
        encoder=replace(settings.encoder, weights=whole(settings.encoder.weights)),
        train=replace(settings.train, warm_start=whole(settings.train.warm_start)),
        score=replace(settings.score, writers=writers),
    )


def source_of(options: argparse.Namespace) -> tuple[Path, str]:
    """The catalogue and what its relative urls resolve against: a URL, a folder, or empty.

    Raises:
        UserError: the catalogue is no file, or the base is no URL, and no folder that can be read.
    """
    catalog = Path(options.catalog)
    check_catalog(catalog)
    base: str = options.image_base_url
    if base:
        check_base(base)
    return catalog.resolve(), str(Path(base).resolve()) if base and not is_web(base) else base


def resume(options: argparse.Namespace) -> Shown:
    """`resume`: continue a run."""
    from flows.demo import belongs_to_demo, resume_demo

    record = find_run(options.workdir, options.run)
    if belongs_to_demo(record, options.workdir):
        return resume_demo(record, options.workdir)
    tables = {"evaluation": show.evaluation_table, "retraining": show.retraining_table}
    return resume_run(record, options.workdir), tables.get(record.request.flow, show.pipeline_table)


def runs(options: argparse.Namespace) -> Shown:
    """`runs`: every run of the working directory."""
    found = [
        {
            "run": record.run_id,
            "flow": record.request.flow,
            "state": record.state,
            "stage": record.stage,
            "progress": how_far(options.workdir, record),
            "started_at": record.started_at,
            "catalog": record.request.catalog,
            "dataset_id": record.dataset_id,
            "reason": record.reason,
            "resume": resume_command(record.run_id, options.workdir) if record.unfinished else "",
        }
        for record in all_runs(options.workdir)
    ]
    return found, show.runs_table


def config_show(options: argparse.Namespace) -> Shown:
    """`config show`: every setting, and the environment variables that count."""
    settings = compose(preset=options.preset, file=options.config, assignments=options.assignments)
    return [asdict(found) for found in (*explanations(settings), *variables())], show.settings_table


def config_explain(options: argparse.Namespace) -> Shown:
    """`config explain KEY`: one setting, the settings of a section, or an environment variable."""
    settings = compose(preset=options.preset, file=options.config, assignments=options.assignments)
    key = options.key
    known = (*explanations(settings), *variables())
    found = [asdict(one) for one in known if one.key == key or one.key.startswith(f"{key}.")]
    if not found:
        raise UserError(f"unknown setting '{key}'{suggest(key)}")
    return found, show.settings_table
