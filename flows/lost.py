"""Runs whose process is gone without a word: Prefect still calls them running, and offers Retry only when it knows."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.prefect_api import ask, crash
from flows.reasons import how_to_go_on
from tasks.runs import RunRecord, all_runs, load_run

# A run that has just begun may not have opened its record yet.
SETTLED_S = 60.0
IN_PROGRESS = ["RUNNING", "CANCELLING"]
logger = logging.getLogger(__name__)


def crash_killed_runs(api: str, workdir: Path) -> None:
    """Tell Prefect of the working directory's runs that were killed.

    Raises:
        RunError: Prefect's server does not answer.
    """
    killed = {record.flow_run_id: record for record in all_runs(workdir) if record.state == "killed"}
    if not killed:
        return
    for run in _flow_runs(api, {"id": {"any_": list(killed)}, "state": {"type": {"any_": IN_PROGRESS}}}):
        since = datetime.fromisoformat(run["state"]["timestamp"])
        if (datetime.now(UTC) - since).total_seconds() > SETTLED_S:
            _crash(api, run, killed[run["id"]], workdir)


def crash_runs_of_the_pool(api: str, pool: str, workdir: Path) -> None:
    """Before a worker starts, when none of its pool is alive: nothing that it had begun is.

    A run of the pool that failed may go on in a terminal meanwhile: its record says so, and it is left alone.

    Raises:
        RunError: Prefect's server does not answer.
    """
    begun = {"state": {"type": {"any_": [*IN_PROGRESS, "PENDING"]}}}
    for run in _flow_runs(api, begun, {"name": {"any_": [pool]}}):
        record = load_run(workdir, run["id"][:8])
        if record is None or record.state not in {"waiting", "running"}:
            _crash(api, run, record, workdir)


def _flow_runs(api: str, flow_runs: dict[str, Any], work_pools: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    body = {"flow_runs": flow_runs, "limit": 200}
    if work_pools is not None:
        body["work_pools"] = work_pools
    found: list[dict[str, Any]] = ask(api, "/flow_runs/filter", body)
    return found


def _crash(api: str, run: dict[str, Any], record: RunRecord | None, workdir: Path) -> None:
    where = f" in stage '{record.stage}'" if record else ""
    # It ended in its record before it could tell Prefect.
    reason = f" It had ended with: {record.reason}." if record and record.state in {"failed", "refused"} else ""
    next_step = how_to_go_on(record, workdir, deployed=run["deployment_id"] is not None)
    crash(api, run["id"], f"Its process was killed{where}.{reason} {next_step}")
    logger.warning("run %s was killed%s", run["id"][:8], where)
