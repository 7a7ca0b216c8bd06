"""`clean`: removes datasets that nothing needs any more, and the checkpoints of finished runs."""

import argparse
import errno
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows import show
from flows.show import Shown
from model.errors import UserError
from model.files import CHECKPOINT_PREFIX
from tasks.lock import workdir_lock
from tasks.runs import RunRecord, all_runs, latest_tracking, run_folder
from tasks.tracking.run import TrackedRun, is_tracked

# What is here is being removed: a rename puts it here, so that a kill leaves no half dataset among the whole ones.
REMOVED = "removed"
logger = logging.getLogger(__name__)


def clean(options: argparse.Namespace) -> Shown:
    """Keep the datasets that an unfinished run or the champion needs and the latest N of the others.

    With `--unfinished` failed, killed and refused runs, and those whose record cannot be read, are given up: their
    folders go, and they need nothing any more.

    Raises:
        UserError: N is negative, or there is no such working directory.
        RunError: MLflow cannot be asked for the champion.
    """
    workdir: Path = options.workdir
    if options.keep < 0:
        raise UserError(f"--keep is {options.keep}: must be at least 0")
    if not workdir.is_dir():
        raise UserError(f"there is no working directory {workdir}: name one with --workdir")
    with workdir_lock(workdir, "cleaning"):
        folders = {path.parent for path in (workdir / "runs").glob("*/run.json")}
        runs = all_runs(workdir)
        unreadable = sorted(folders - {run_folder(workdir, record.run_id) for record in runs})
        given_up = [one for one in runs if one.unfinished or one.state == "refused"] if options.unfinished else []
        runs = [record for record in runs if record not in given_up]
        needed = {
            record.dataset_id: f"run {record.run_id} is unfinished" for record in runs if record.state != "completed"
        }
        needed |= dict.fromkeys(champions_dataset(workdir, runs), "the champion was trained on it")
        datasets = by_last_use(workdir, runs)
        free = [dataset for dataset in datasets if dataset.name not in needed]
        kept = {one.name: needed.get(one.name, f"one of the latest {options.keep}") for one in datasets}
        going = free[options.keep :]
        going += finished_checkpoints(workdir, runs)
        going += [run_folder(workdir, record.run_id) for record in given_up]
        going += unreadable if options.unfinished else []
        removed: list[dict[str, Any]] = [{"path": str(path), "bytes": size_bytes(path)} for path in going]
        for record in given_up:
            if record.state == "killed" and is_tracked(folder := run_folder(workdir, record.run_id)):
                TrackedRun(folder).end("KILLED")  # else its page in MLflow says RUNNING for ever
        for path in going:
            kept.pop(path.name, None)
            move = workdir / REMOVED / "-".join(path.relative_to(workdir).parts)
            move.parent.mkdir(exist_ok=True)
            shutil.rmtree(move, ignore_errors=True)
            try:
                path.rename(move)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.rmtree(path)  # of a folder that a link puts on another disk
        shutil.rmtree(workdir / REMOVED, ignore_errors=True)
    freed_bytes = sum(one["bytes"] for one in removed)
    return {"removed": removed, "kept": kept, "freed_bytes": freed_bytes}, _table


def champions_dataset(workdir: Path, runs: list[RunRecord]) -> list[str]:
    """The dataset that the champion was trained on: a retraining takes its pictures from there."""
    tracking = latest_tracking(runs)
    if tracking is None:  # nothing was ever registered, and asking would make a store
        return []
    from tasks.tracking.registry import Registry

    champion = Registry(tracking, workdir).champion()
    return [champion["tags"]["dataset_id"]] if champion is not None and "dataset_id" in champion["tags"] else []


def by_last_use(workdir: Path, runs: list[RunRecord]) -> list[Path]:
    """The folders of datasets, the one that was used last first."""
    used = {record.dataset_id: record.updated_at for record in reversed(runs)}
    folders = [path for path in (workdir / "datasets").glob("*") if path.is_dir()]
    return sorted(folders, key=lambda path: (used.get(path.name, ""), path.stat().st_mtime), reverse=True)


def finished_checkpoints(workdir: Path, runs: list[RunRecord]) -> list[Path]:
    """Checkpoints from which nothing will ever go on."""
    return [
        path
        for record in runs
        if record.state == "completed"
        for path in sorted((run_folder(workdir, record.run_id) / "training").glob(f"{CHECKPOINT_PREFIX}*"))
    ]


def size_bytes(folder: Path) -> int:
    """What a folder's files take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _table(result: Mapping[str, Any]) -> None:
    for one in result["removed"]:
        show.message(f"removed {one['path']} ({one['bytes'] / 1e6:,.1f} MB)")
    for name, reason in result["kept"].items():
        show.message(f"kept dataset {name}: {reason}")
    show.message(f"{result['freed_bytes'] / 1e6:,.1f} MB freed")
