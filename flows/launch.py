"""Runs a flow from the command line: under the lock, with a Prefect server, new or continued."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pydantic

from flows.server import PrefectServer
from model.errors import RunError, UserError, first_line
from tasks.lock import workdir_lock
from tasks.runs import ContentChangedError, Request, RunRecord, find_run, find_same


class UnknownRunError(UserError):
    """Prefect does not know a run, as its database was lost or another server is asked."""


START_BYTES = 20_000_000  # Prefect's and MLflow's databases, empty, take 7 MB
FULL_BYTES = 1_000_000  # too little for a table, a manifest or a page of Prefect's database
logger = logging.getLogger(__name__)


def launch(request: Request, workdir: Path) -> dict[str, Any]:
    """Run what was asked for; an unfinished run of the same request is continued instead.

    Not if its file has changed, nor if Prefect does not know it any more.

    Raises:
        UserError, RunError: see the steps.
    """
    with workdir_lock(workdir, f"{request.flow} of {Path(request.catalog).name}"):
        record = find_same(workdir, request)
        if record is not None:
            try:
                return resume_run(record, workdir)
            except (ContentChangedError, UnknownRunError) as error:
                logger.info("%s; that is done now", error)
        flow, parameters = _start(request, workdir)
        with full_disk_explained(workdir):
            result: dict[str, Any] = flow(**parameters)
        return result


def resume_run(record: RunRecord, workdir: Path) -> dict[str, Any]:
    """Continue a failed or killed run as the same Prefect flow run and the same MLflow run.

    A run that was killed still says Running in Prefect, which retries finished runs only: it is put right first.

    Raises:
        UserError, RunError: see the steps; UserError too if Prefect does not know the run any more.
    """
    with workdir_lock(workdir, f"run {record.run_id}"):
        record = find_run(workdir, record.run_id)  # while we waited, another process may have finished or begun it
        logger.info(
            "continuing run %s, which %s in stage '%s'",
            record.run_id,
            "was killed" if record.state == "killed" else "failed",
            record.stage,
        )
        flow, parameters = _start(record.request, workdir)
        with full_disk_explained(workdir):
            return _retry(UUID(record.flow_run_id), flow, parameters)


def check_room_to_start(workdir: Path) -> None:
    """Whether the disk has room to begin at all; what the pictures need is asked for when they are known.

    Raises:
        UserError: it has not.
    """
    free = shutil.disk_usage(workdir).free
    if free < START_BYTES:
        raise UserError(
            f"{workdir} has {free / 1e6:.0f} MB free, and a run needs {START_BYTES / 1e6:.0f} MB before its first "
            "picture: free some space, or choose another folder with --workdir"
        )


@contextmanager
def full_disk_explained(workdir: Path) -> Iterator[None]:
    """Say plainly that the disk is full, whatever failed for it first: a step, the run's record, Prefect's database.

    Raises:
        RunError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError | RunError) or shutil.disk_usage(workdir).free > FULL_BYTES:
            raise
        raise RunError(f"the disk of {workdir} is full: free some space, then resume") from error


def _start(request: Request, workdir: Path) -> tuple[Any, dict[str, Any]]:
    """The flow and its parameters, with Prefect's server ready for it: it starts while the flow is imported."""
    check_room_to_start(workdir)
    server = PrefectServer(workdir).start()
    flow_and_parameters = _flow_of(request, workdir)
    server.wait()
    return flow_and_parameters


def _flow_of(request: Request, workdir: Path) -> tuple[Any, dict[str, Any]]:
    from pydantic_settings import SettingsError  # Prefect's own; imported with it

    try:
        from flows.evaluation import evaluation
    except pydantic.ValidationError as error:  # Prefect reads its settings when it is first imported
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise UserError(
            f"Prefect's {error.title} do not take {fault['input']!r} for {name} ({fault['msg']}): mend the variable "
            "PREFECT_… that says so"
        ) from None
    except SettingsError as error:
        raise UserError(f"{first_line(error)}: mend the file here that Prefect takes its settings from") from None
    from flows.pipeline import pipeline
    from flows.prepare import prepare
    from flows.quiet import expected_errors_without_traceback
    from flows.retraining import retraining
    from flows.settings import Settings

    expected_errors_without_traceback()
    flows = {"pipeline": pipeline, "prepare": prepare, "evaluation": evaluation, "retraining": retraining}
    return flows[request.flow], {
        "catalog": request.catalog,
        "image_base_url": request.image_base_url,
        "workdir": str(workdir.resolve()),
        "settings": Settings.from_nested(request.settings),
        **request.options,
    }


def _retry(flow_run_id: UUID, flow: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.flow_engine import run_flow
    from prefect.states import Crashed, Pending

    with get_client(sync_client=True) as client:
        try:
            flow_run = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            raise UnknownRunError(
                f"Prefect does not know the run {str(flow_run_id)[:8]} any more: start a new one with the same "
                "command; pictures that are there are taken again"
            ) from None
        if flow_run.state is not None and not flow_run.state.is_final():
            client.set_flow_run_state(flow_run_id, Crashed(message="Its process was killed."), force=True)
        # Not Scheduled: a worker would start a deployed run beside us.
        client.set_flow_run_state(flow_run_id, Pending(message="Resumed from the command line."), force=True)
        flow_run = client.read_flow_run(flow_run_id)
    result = run_flow(flow=flow, flow_run=flow_run, parameters=parameters)
    if not isinstance(result, dict):
        raise RunError(f"the run {str(flow_run_id)[:8]} ended without a result")
    return result
