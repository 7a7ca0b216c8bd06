"""`up`: Prefect's server, MLflow's server, a worker and the deployments of prefect.yaml, until Ctrl-C.

Each child hangs on a pipe of this process (flows/keeper.py): when this process goes, however it goes, all of them do.
"""

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import time
import zoneinfo
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tzlocal import get_localzone_name

from flows import show
from flows.children import Child
from flows.keeper import adopt_orphans, kill_descendants
from flows.lost import crash_killed_runs, crash_runs_of_the_pool
from flows.prefect_api import ask
from flows.server import (
    LOOPBACK,
    PRIVATE,
    SERVER_LOG,
    answers,
    is_free,
    prefect_environment,
    server_command,
    starting_path,
)
from flows.show import Shown
from model.errors import RunError, UserError
from tasks.lock import hold, lock_facts, try_lock, write_facts
from tasks.served import credentials, make_password, password_path, served, up_path

POOL = "ec-descr-gen"
ROOT = Path(__file__).resolve().parents[1]
KEPT = [sys.executable, "-m", "flows.keeper", sys.executable]
LOOK_FOR_KILLED_RUNS_EVERY_S = 30.0
logger = logging.getLogger(__name__)


def up(options: argparse.Namespace) -> Shown:
    """Start everything, say where it is, keep it running until Ctrl-C or SIGTERM, stop everything.

    Raises:
        UserError: it is up already; a port is taken, 0 or given twice; there is no such time zone.
        RunError: something did not start.
    """
    workdir: Path = options.workdir.resolve()
    zone = time_zone(options.timezone)
    with ExitStack() as stack:
        if not stack.enter_context(try_lock(up_path(workdir), {})):
            raise UserError(_already(workdir))
        if options.prefect_port == options.mlflow_port:
            raise UserError(f"--prefect-port and --mlflow-port are both {options.mlflow_port}: give each its own")
        for name, port in (("--prefect-port", options.prefect_port), ("--mlflow-port", options.mlflow_port)):
            if not port:
                raise UserError(f"{name} is 0: choose a port, as the pages are to be found again")
            if not is_free(port):
                raise UserError(f"{name} {port} is taken by another program: choose a free port")
        facts = {
            "prefect_url": f"http://{LOOPBACK}:{options.prefect_port}",
            "mlflow_url": f"http://{LOOPBACK}:{options.mlflow_port}",
            "auth": options.auth,
        }
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        adopt_orphans()
        stack.callback(kill_descendants)
        try:
            _run(workdir, facts, zone, stack, as_json=options.json)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            logger.info("stopping; unfinished runs can be resumed")
        finally:
            write_facts(up_path(workdir), {})  # nobody is to ask servers that are going
    return None, lambda _: None


def time_zone(name: str) -> str:
    """The time zone of the schedules: the one given, else the machine's.

    Raises:
        UserError: there is no such time zone.
    """
    zone = name or get_localzone_name() or "UTC"
    if zone not in zoneinfo.available_timezones():
        raise UserError(f"--timezone {zone} is unknown: give one such as Europe/Berlin")
    return zone


def _already(workdir: Path) -> str:
    there = served(workdir)
    if there is None:
        return f"`up` is starting or stopping in {workdir} (process {(lock_facts(up_path(workdir)) or {}).get('pid')})"
    return f"`up` is running in {workdir} (process {there.pid}): Prefect {there.prefect_url}, MLflow {there.mlflow_url}"


def _run(workdir: Path, facts: dict[str, Any], zone: str, stack: ExitStack, *, as_json: bool) -> None:
    api = f"{facts['prefect_url']}/api"
    environment = child_environment(workdir, facts)
    if facts["auth"]:
        make_password(workdir)
        environment |= credentials(workdir)
        os.environ.update(credentials(workdir))
    prefect = prefect_server(workdir, facts["prefect_url"], environment)
    mlflow = mlflow_server(workdir, facts["mlflow_url"], environment, auth=facts["auth"])

    def before_the_worker() -> None:
        prefect.start_again_if_ended()  # both may have ended together, or it once more
        prefect.wait()
        crash_runs_of_the_pool(api, POOL, workdir)

    worker = Child(
        name="the worker",
        command=[*KEPT, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process",
                 "--name", POOL, "--limit", "1", "--install-policy", "never"],
        environment=environment | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"},
        log=workdir / "logs" / "worker.log",
        healthy=lambda: _worker_is_online(api),
        before=before_the_worker,
    )  # fmt: skip
    prefect_command = '"$0" -m prefect --no-prompt'
    # Not --overwrite: a pool that was paused stays so.
    pool = f"{prefect_command} work-pool inspect {POOL} || {prefect_command} work-pool create {POOL} --type process"
    deploy = f"{prefect_command} deploy --all --prefect-file prefect.yaml"
    deployments = Child(
        name="deploying prefect.yaml",
        command=[
            *KEPT[:-1],
            "sh",
            "-c",
            f"{{ {pool}; }} && exec {deploy}",
            sys.executable,
        ],
        environment=environment | {"EC_DESCR_GEN_TIMEZONE": zone, "PWD": str(ROOT)},  # both stand in prefect.yaml
        log=workdir / "logs" / "deployments.log",
        healthy=lambda: True,
        folder=ROOT,
    )
    lasting = [prefect, mlflow, worker]
    for child in (*lasting, deployments):
        stack.callback(child.stop)  # the worker before the servers that it reports to
    logger.info("starting Prefect's and MLflow's servers (the first time, half a minute)")
    mlflow.start()
    with hold(starting_path(workdir)):
        prefect.start()
        prefect.wait()
    logger.info("deploying")
    off = {name for name, (_, _, on) in switches(api).items() if not on}
    deployments.start()
    deployments.finish()
    for name, (path, change, _) in switches(api).items():
        if name in off:
            ask(api, path, change, method="PATCH")
    worker.start()
    mlflow.wait()
    worker.wait()
    write_facts(up_path(workdir), facts)
    _say(workdir, facts, zone, as_json=as_json)
    looked = time.monotonic()
    while True:
        time.sleep(1)
        for child in lasting:
            child.start_again_if_ended()
        if time.monotonic() - looked > LOOK_FOR_KILLED_RUNS_EVERY_S:
            looked = time.monotonic()
            try:
                crash_killed_runs(api, workdir)
            except (RunError, OSError) as error:  # Prefect's server is being started again; a record cannot be read
                logger.warning("%s", error)


def switches(api: str) -> dict[str, tuple[str, dict[str, bool], bool]]:
    """What can be switched off on Prefect's pages, and deploying again would switch on: schedules and automations.

    Returns:
        By a name that deploying keeps: the address, the change that switches it off, whether it is on.
    """
    schedules = {
        f"schedule of {deployment['name']}": (
            f"/deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": False}, schedule["active"]
        )
        for deployment in ask(api, "/deployments/filter", {})
        for schedule in deployment["schedules"]
    }  # fmt: skip
    automations = {
        one["name"]: (f"/automations/{one['id']}", {"enabled": False}, one["enabled"])
        for one in ask(api, "/automations/filter", {})
    }
    return schedules | automations


def child_environment(workdir: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """What every child sees."""
    return {
        **os.environ,
        **prefect_environment(workdir),
        "PREFECT_API_URL": f"{facts['prefect_url']}/api",
        "PREFECT_UI_URL": facts["prefect_url"],
        "EC_DESCR_GEN_WORKDIR": str(workdir),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def prefect_server(workdir: Path, url: str, environment: Mapping[str, str]) -> Child:
    """Prefect's server with its pages, its database below the working directory."""
    more = {"PREFECT_UI_API_URL": f"{url}/api", **SERVER_LOG}
    if "PREFECT_API_AUTH_STRING" in environment:
        more["PREFECT_SERVER_API_AUTH_STRING"] = environment["PREFECT_API_AUTH_STRING"]
    return Child(
        name="Prefect's server",
        command=server_command(int(url.rpartition(":")[2])),
        environment={**environment, **more},
        log=workdir / "logs" / "prefect.log",
        healthy=lambda: answers(f"{url}/api"),
        umask=PRIVATE,
    )


def mlflow_server(workdir: Path, url: str, environment: Mapping[str, str], *, auth: bool) -> Child:
    """MLflow's server over the working directory's own store; runs' files go through it."""
    command = [
        *KEPT, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", url.rpartition(":")[2],
        "--backend-store-uri", f"sqlite:///{workdir / 'mlflow.db'}",
        "--artifacts-destination", str(workdir / "mlartifacts"),
        "--workers", "1", "--uvicorn-opts", "--log-level warning",
    ]  # fmt: skip
    more = {}
    if auth:
        command += ["--app-name", "basic-auth"]
        settings = workdir / "mlflow-auth.ini"
        settings.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{workdir / 'mlflow-users.db'}\n"
        )
        more = {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_AUTH_ADMIN_USERNAME": environment["MLFLOW_TRACKING_USERNAME"],
            "MLFLOW_AUTH_ADMIN_PASSWORD": environment["MLFLOW_TRACKING_PASSWORD"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        }
    return Child(
        name="MLflow's server",
        command=command,
        environment={**environment, **more},
        log=workdir / "logs" / "mlflow.log",
        healthy=lambda: answers(url),
    )


def _worker_is_online(api: str) -> bool:
    try:
        workers = ask(api, f"/work_pools/{POOL}/workers/filter", {})
    except RunError:
        return False
    return any(one["status"] == "ONLINE" for one in workers)


def _say(workdir: Path, facts: Mapping[str, Any], zone: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**facts, "workdir": str(workdir), "timezone": zone}), flush=True)
        return
    lines = [
        f"Prefect  {facts['prefect_url']}/deployments   start a run here: Quick run or Custom run of `full`",
        f"MLflow   {facts['mlflow_url']}   runs, scores, models",
        f"Schedules are in the time zone {zone}.",
        f"Both ask for a password: user admin, password in {password_path(workdir)}" if facts["auth"] else "",
        "In another terminal, these use the same servers: ec-descr-gen run, resume, runs, publish.",
        "Ctrl-C stops everything.",
    ]
    for line in filter(None, lines):
        show.message(line)
    sys.stdout.flush()
