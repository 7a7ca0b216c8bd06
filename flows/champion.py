"""What the champion was made with: a retraining that is told nothing else takes the same settings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.settings import Settings
from model.errors import UserError
from tasks.catalog.reader import CatalogConfig
from tasks.runs import all_runs, latest_tracking, run_folder
from tasks.tracking.run import TrackedRun, is_tracked


def champions_settings(workdir: Path) -> Settings | None:
    """The settings of the run that made the champion; None without a champion, or where its run is not recorded.

    Without what was for that run alone: to fetch its pictures anew, and other writers, who knew its products.

    Raises:
        RunError: the registry does not answer.
        UserError: this release refuses one of them.
    """
    version, made = _champion(workdir)
    if made is None:
        return None
    try:
        settings = Settings.from_nested(made)
    except UserError as error:
        raise UserError(
            f"version {version}, the champion, was made by another release, with a setting that this one "
            f"refuses ({error}): `ec-descr-gen retrain --preset NAME` makes its successor without it"
        ) from None
    return replace(settings, fetch=replace(settings.fetch, refresh=False), score=replace(settings.score, writers={}))


def champions_catalog(workdir: Path) -> CatalogConfig | None:
    """How the catalogue was read that the champion learned from: what its columns are called. None as above.

    Raises:
        RunError, UserError: as above.
    """
    _, made = _champion(workdir)
    return None if made is None else Settings.from_nested({"catalog": made["catalog"]}).catalog


def _champion(workdir: Path) -> tuple[str, dict[str, Any] | None]:
    """The champion's version, and the settings of the run that made it, as they were written down."""
    runs = all_runs(workdir)
    # Not by what the run printed: MLflow may have been away then, or the run ended after its model was registered.
    made = {
        run_id: record.request.settings
        for record in runs
        if is_tracked(folder := run_folder(workdir, record.run_id)) and (run_id := TrackedRun(folder).run_id)
    }
    tracking = latest_tracking(runs)
    if not made or tracking is None:
        return "", None
    from tasks.tracking.registry import Registry

    champion = Registry(tracking, workdir).champion()
    if champion is None:
        return "", None
    return champion["version"], made.get(champion["run_id"])
