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
            _crash(api, run["id"], killed[run["id"]], workdir)


def crash_runs_of_the_pool(api: str, pool: str, workdir: Path) -> None:
    """Before a worker starts, when none of its pool is alive: nothing that it had begun is.

    Raises:
        RunError: Prefect's server does not answer.
    """
    begun = {"state": {"type": {"any_": [*IN_PROGRESS, "PENDING"]}}}
    for run in _flow_runs(api, begun, {"name": {"any_": [pool]}}):
        _crash(api, run["id"], load_run(workdir, run["id"][:8]), workdir)


def _flow_runs(api: str, flow_runs: dict[str, Any], work_pools: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    body = {"flow_runs": flow_runs, "limit": 200}
    if work_pools is not None:
        body["work_pools"] = work_pools
    found: list[dict[str, Any]] = ask(api, "/flow_runs/filter", body)
    return found


def _crash(api: str, flow_run_id: str, record: RunRecord | None, workdir: Path) -> None:
    where = f" in stage '{record.stage}'" if record else ""
    message = f"Its process was killed{where}. {how_to_go_on(flow_run_id[:8], workdir)}"
    crash(api, flow_run_id, message)
    logger.warning("run %s was killed%s", flow_run_id[:8], where)
