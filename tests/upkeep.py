"""`ec-descr-gen up` as tests use it: started, asked, and proven gone."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from flows.prefect_api import ask
from flows.server import free_port
from tests.command import command, environment

DEADLINE_S = 600.0
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@contextmanager
def up(workdir: Path, *options: str) -> Iterator[dict[str, Any]]:
    """Everything up in a working directory; what it says of itself. Stopped by SIGTERM, and nothing may be left.

    Started from a folder that is not the project's, as people do.
    """
    with subprocess.Popen(
        up_command(workdir, *options), env=environment(), stdout=subprocess.PIPE, cwd=tempfile.gettempdir()
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said, f"`up` ended with {process.wait()}: {logs(workdir)}"
            yield json.loads(said)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=120)
            assert not processes(workdir)
    assert code == 0


def up_command(workdir: Path, *options: str) -> list[str]:
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    return command("up", "--workdir", workdir, "--json", *ports, *options)


def logs(workdir: Path) -> str:
    return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in (workdir / "logs").glob("*.log"))


def processes(workdir: Path, *words: str) -> list[psutil.Process]:
    """Every process that `up` of this working directory started, however deep, whose command has all the words."""
    found = []
    for process in psutil.process_iter():
        try:
            variables, line = process.environ(), process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if variables.get("EC_DESCR_GEN_WORKDIR") == str(workdir) and set(words) <= set(line):
            found.append(process)
    return found


def kill_worker(workdir: Path) -> None:
    [worker] = [one for one in processes(workdir, "worker", "start") if "flows.keeper" not in one.cmdline()]
    os.kill(worker.pid, signal.SIGKILL)


def start_deployed(api: str, deployment: str, parameters: dict[str, Any]) -> str:
    """Trigger a deployment; the id of its run. `deployment`: flow name / deployment name."""
    found = ask(api, f"/deployments/name/{deployment.replace(' ', '%20')}")
    return str(ask(api, f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])


def retry(api: str, run_id: str) -> None:
    """What the button Retry of a run's page does."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
    answer = ask(api, f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})
    assert answer["status"] == "ACCEPT", answer


def wait_for(what: str, reached: Callable[[], Any], *, timeout_s: float = DEADLINE_S) -> Any:
    end = time.monotonic() + timeout_s
    while not (found := reached()):
        assert time.monotonic() < end, f"{what} did not happen in {timeout_s:.0f} s"
        time.sleep(0.02)
    return found


def wait_for_state(api: str, run_id: str, *states: str) -> dict[str, Any]:
    """The flow run, once it is in one of the states. A final state that is none of them is a failure."""
    end = time.monotonic() + DEADLINE_S
    while True:
        run: dict[str, Any] = ask(api, f"/flow_runs/{run_id}")
        if run["state_type"] in states:
            return run
        assert run["state_type"] not in FINAL, run["state"]
        assert time.monotonic() < end, run["state"]
        time.sleep(0.5)
