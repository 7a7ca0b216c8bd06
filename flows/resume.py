"""Continues an unfinished run from Prefect's pages: what the command `resume` does, as a deployment."""

import subprocess
import sys
from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from flows.cli import WRONG_USE
from model.errors import RunError, UserError
from tasks.runs import find_run, load_run


@flow(name="resume a run", flow_run_name="resume {run}", persist_result=False)
def resume(run: str = "", workdir: str = "workspace") -> dict[str, Any]:
    """Continue the latest failed or killed run, or the named one, as the same Prefect run and the same MLflow run.

    Args:
        run: The run's id, as `ec-descr-gen runs` and the run's own page show it; empty: the latest.
        workdir: Where datasets, runs and MLflow's store are kept.
    """
    record = find_run(Path(workdir), run or None)
    get_run_logger().info("continuing run %s, %s in stage '%s'", record.run_id, record.state, record.stage)
    command = [sys.executable, "-m", "flows.cli", "resume", record.run_id, "--workdir", workdir]
    with subprocess.Popen(  # noqa: S603
        command, env=_own_environment(environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = ""
        try:
            for line in process.stderr:
                get_run_logger().info(line.rstrip())
        except BaseException:  # cancelled: the run stops too, and can be resumed again
            process.terminate()
            raise
        if process.wait() != 0:
            kind = UserError if process.returncode == WRONG_USE else RunError
            raise kind(line.strip().removeprefix("ec-descr-gen: "))
    done = load_run(Path(workdir), record.run_id)
    assert done is not None, f"run {record.run_id} has no record"
    return done.result or {}


def _own_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What tells this process that it is a flow run, and which, is not for the child."""
    return {name: value for name, value in ours.items() if not name.startswith("PREFECT__")}
