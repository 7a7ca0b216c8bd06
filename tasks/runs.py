"""What the working directory knows of each run: what was asked for, how far it came, and what it gave.

Prefect knows the same while its server lives; this record also tells after a `kill -9`, and without a server.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pydantic

from model.errors import RunError, UserError
from model.files import read_json, write_json
from tasks.lock import hold, lock_facts, workdir_lock
from tasks.tracking.config import TrackingConfig

logger = logging.getLogger(__name__)
PLACE = ("uri", "experiment", "model_name")  # settings of `tracking` that say where a model is
# refused: by a user's mistake, before anything was done that could go on.
State = Literal["waiting", "running", "completed", "failed", "killed", "refused"]


class ContentChangedError(UserError):
    """A run cannot go on: its catalogue's file, or the pictures, are no longer those that it began with."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run was asked to do. Two equal requests are the same work.

    Attributes:
        flow: "pipeline", "prepare", "evaluation" or "retraining".
        catalog: the catalogue's absolute path.
        image_base_url: what relative picture urls resolve against; empty without one.
        settings: nested plain values of the whole configuration.
        options: what else the flow takes.
    """

    flow: str
    catalog: str
    image_base_url: str
    settings: dict[str, Any]
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run. `run_id` is the beginning of Prefect's flow run id, so a retry of the flow run is the same run."""

    run_id: str
    flow_run_id: str
    request: Request
    state: State
    stage: str
    reason: str
    pid: int
    started_at: str
    updated_at: str
    dataset_id: str
    result: dict[str, Any] | None
    dataset_digest: str = ""

    @property
    def unfinished(self) -> bool:
        """It can be resumed."""
        return self.state in {"failed", "killed"}


_RECORDS = pydantic.TypeAdapter(RunRecord)


def run_folder(workdir: Path, run_id: str) -> Path:
    """Where a run keeps its checkpoints, model and results."""
    return workdir / "runs" / run_id


def _record_path(workdir: Path, run_id: str) -> Path:
    return run_folder(workdir, run_id) / "run.json"


def _lock_path(workdir: Path, run_id: str) -> Path:
    return run_folder(workdir, run_id) / "lock"


def load_run(workdir: Path, run_id: str) -> RunRecord | None:
    """The record of a run; None if there is none. One that says running without holding its lock was killed."""
    while (record := _stored(workdir, run_id)) is not None:
        if record.state not in {"waiting", "running"} or lock_facts(_lock_path(workdir, run_id)) is not None:
            return record
        if _stored(workdir, run_id) == record:  # it has not ended, nor begun again, while we looked
            return replace(record, state="killed")
    return None


def _stored(workdir: Path, run_id: str) -> RunRecord | None:
    path = _record_path(workdir, run_id)
    if not path.is_file():
        return None
    try:
        record = _RECORDS.validate_python(read_json(path))
        if record.run_id != run_id:  # a copy of another run's folder
            raise ValueError(record.run_id)
        return record
    except FileNotFoundError:  # given up meanwhile
        return None
    except ValueError:  # no JSON, or not what a record is
        logger.warning("%s is damaged, so this run is left out: clean --unfinished removes it", path)
        return None


def all_runs(workdir: Path) -> list[RunRecord]:
    """Every run of the working directory, the latest first."""
    names = [path.parent.name for path in (workdir / "runs").glob("*/run.json")]
    records = [record for name in names if (record := load_run(workdir, name)) is not None]
    return sorted(records, key=lambda record: record.started_at, reverse=True)


def find_run(workdir: Path, name: str | None) -> RunRecord:
    """The named run, or the latest unfinished one.

    Raises:
        UserError: there is no such run, or nothing is unfinished.
    """
    runs = all_runs(workdir)
    if name is None:
        for record in runs:
            if record.unfinished:
                return record
        raise UserError(f"nothing to resume in {workdir}: no run failed or was killed")
    chosen = [record for record in runs if name in {record.run_id, record.flow_run_id}]
    if not chosen:
        known = ", ".join(record.run_id for record in runs[:10]) or "none"
        raise UserError(f"no run '{name}' in {workdir}: there are {known}")
    if not chosen[0].unfinished:
        raise UserError(f"run {name} is {chosen[0].state}: only a failed or killed run can be resumed")
    return chosen[0]


def find_same(workdir: Path, request: Request) -> RunRecord | None:
    """The latest run of the same request, if it is unfinished."""
    plain = json.loads(json.dumps(asdict(request)))
    same = next((record for record in all_runs(workdir) if asdict(record.request) == plain), None)
    return same if same is not None and same.unfinished else None


def latest_tracking(runs: list[RunRecord]) -> TrackingConfig | None:
    """Where, and under which names, to look for the champion: as the latest run that made a model was tracked.

    Args:
        runs: of a working directory, the latest first.

    Returns:
        Of the runs that tracked (`prepare` does not) a completed one that made a model comes first, then one that
        was to make one. None before any tracked.
    """

    def rank(run: RunRecord) -> tuple[bool, bool]:
        makes_a_model = run.request.flow in {"pipeline", "retraining"}
        return makes_a_model and run.state == "completed", makes_a_model

    tracked = max((run for run in runs if run.request.flow != "prepare"), key=rank, default=None)
    if tracked is None:
        return None
    known = {part.name for part in fields(TrackingConfig)}  # another release may have had others
    given = tracked.request.settings.get("tracking", {})
    return TrackingConfig(**{name: value for name, value in given.items() if name in known})


def tracking_of_models(workdir: Path, given: TrackingConfig) -> TrackingConfig:
    """Where to look for models: where it is said, or, where nothing but the default is, as `latest_tracking` does."""
    default, latest = TrackingConfig(), latest_tracking(all_runs(workdir))
    if latest is None or any(getattr(given, name) != getattr(default, name) for name in PLACE):
        return given
    # Another setting, such as how long to wait, says nothing of where.
    return latest if given == default else replace(given, **{name: getattr(latest, name) for name in PLACE})


class OpenRun:
    """A run in progress: keeps its record up to date."""

    def __init__(self, workdir: Path, record: RunRecord) -> None:
        self.workdir, self.record = workdir, record

    @property
    def folder(self) -> Path:
        """Where the run keeps its checkpoints, model and results."""
        return run_folder(self.workdir, self.record.run_id)

    def note(self, **changes: Any) -> None:
        """Change fields of the record, on disk when this returns."""
        self.record = replace(self.record, updated_at=_now(), **changes)
        write_json(_record_path(self.workdir, self.record.run_id), asdict(self.record), private=True)

    def bind_dataset(self, dataset_id: str) -> None:
        """Note which dataset the run uses.

        Raises:
            ContentChangedError: it used another one before: the catalogue's content changed between kill and resume,
                and what was trained does not belong to the new content.
        """
        before = self.record.dataset_id
        if before and before != dataset_id:
            raise ContentChangedError(
                f"the content of {self.record.request.catalog} changed since run {self.record.run_id} began: "
                "start a new run of it"
            )
        self.note(dataset_id=dataset_id)

    def bind_pictures(self, digest: str) -> None:
        """Note the bytes of the dataset.

        Raises:
            ContentChangedError: the run had other ones before: another run fetched the pictures again meanwhile.
        """
        if self.record.dataset_digest not in {"", digest}:
            raise ContentChangedError(
                f"the pictures of dataset {self.record.dataset_id} were fetched again since run {self.record.run_id} "
                "began, and are not the same: start a new run of it"
            )
        self.note(dataset_digest=digest)


@contextmanager
def recorded(workdir: Path, flow_run_id: str, request: Request) -> Iterator[OpenRun]:
    """Hold the working directory's lock and keep the record of a run for the block.

    While another run is in progress this waits, and the record says so. Opened again with the same flow run id, it
    continues the record.

    Raises:
        UserError: the working directory cannot be made or written.
    """
    run_id = flow_run_id[:8]
    with hold(_lock_path(workdir, run_id)):
        record = _stored(workdir, run_id) or RunRecord(
            run_id=run_id,
            flow_run_id=flow_run_id,
            request=request,
            state="waiting",
            stage="read",
            reason="",
            pid=os.getpid(),
            started_at=_now(),
            updated_at=_now(),
            dataset_id="",
            result=None,
        )
        run = OpenRun(workdir, record)
        run.note(state="waiting", reason="", pid=os.getpid())
        try:
            with workdir_lock(workdir, f"run {run_id}, {request.flow} of {Path(request.catalog).name},"):
                run.note(state="running")
                yield run
        except BaseException as error:
            from prefect.exceptions import TerminationSignal  # seconds to import, but here in a flow it is there

            reason = str(error) if isinstance(error, UserError | RunError) else repr(error)
            if isinstance(error, KeyboardInterrupt):
                reason = "stopped with Ctrl-C"
            # SIGTERM, as of a worker that goes or a machine that stops. Whether the process still writes this or not
            # depends on who is faster with SIGKILL: the state is the same.
            terminated = isinstance(error, TerminationSignal)
            refused = isinstance(error, UserError) and not run.record.dataset_id
            run.note(
                state="killed" if terminated else "refused" if refused else "failed",
                reason="stopped with SIGTERM" if terminated else reason or type(error).__name__,
            )
            raise
        run.note(state="completed")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
