"""`up`: one command for both servers, a worker and the deployments; one at a time; nothing of it is left behind."""

import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from flows.children import Child
from flows.cli import main
from flows.prefect_api import ask
from flows.server import answers, free_port
from flows.up import switches
from model.errors import RunError
from tasks.lock import write_facts
from tasks.served import credentials, password_path, served, up_path
from tests.command import SMALL, environment, run, run_json
from tests.upkeep import logs, processes, up, up_command, wait_for


def test_up_is_healthy_says_so_when_started_twice_and_leaves_no_process_after_sigterm(tmp_path: Path) -> None:
    with up(tmp_path, "--timezone", "Europe/Berlin") as there:
        api = f"{there['prefect_url']}/api"
        assert answers(api)
        assert answers(there["mlflow_url"])
        assert {one["status"] for one in ask(api, "/work_pools/ec-descr-gen/workers/filter", {})} == {"ONLINE"}
        names = {one["name"] for one in ask(api, "/deployments/filter", {})}
        assert {"full", "prepare", "evaluate", "resume"} <= names
        twice = run("up", "--workdir", tmp_path, code=2)
        assert f"is running in {tmp_path}" in twice.stderr
        assert there["prefect_url"] in twice.stderr
        taken = run(
            "up", "--workdir", tmp_path / "other", "--prefect-port", there["prefect_url"].split(":")[-1], code=2
        )
        assert "is taken by another program" in taken.stderr
        assert run_json("runs", "--workdir", tmp_path) == []
        assert len(processes(tmp_path)) > 5
        # It keeps what runs were asked for, maybe with a password.
        assert (tmp_path / "prefect" / "prefect.db").stat().st_mode & 0o077 == 0


def test_ports_that_cannot_be_are_named_at_once(tmp_path: Path) -> None:
    same = run("up", "--workdir", tmp_path, "--prefect-port", "5017", "--mlflow-port", "5017", code=2)
    assert "--prefect-port and --mlflow-port are both 5017" in same.stderr
    assert "--mlflow-port is 0" in run("up", "--workdir", tmp_path, "--mlflow-port", "0", code=2).stderr


def test_an_unknown_time_zone_is_named(tmp_path: Path) -> None:
    assert "--timezone Berlin is unknown" in run("up", "--workdir", tmp_path, "--timezone", "Berlin", code=2).stderr


def test_servers_that_go_as_one_of_them_failed_are_not_named_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bool] = []

    def fail(workdir: Path, facts: dict[str, Any], *_: Any, **__: Any) -> None:
        write_facts(up_path(workdir), facts)
        named.append(served(workdir) is not None)
        raise RunError("the worker ended 6 times")

    monkeypatch.setattr("flows.up._run", fail)
    monkeypatch.setattr("flows.up.adopt_orphans", lambda: None)
    monkeypatch.setattr("flows.up.kill_descendants", lambda: named.append(served(tmp_path) is not None))
    before = signal.getsignal(signal.SIGTERM)
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    assert main(["up", "--workdir", str(tmp_path), *ports]) == 1
    signal.signal(signal.SIGTERM, before)
    assert named == [True, False]


def test_deploying_that_never_ends_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.children.START_TIMEOUT_S", 0.2)
    log = tmp_path / "deployments.log"
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    child = Child(name="deploying", command=wait, environment=os.environ, log=log, healthy=lambda: True)
    child.start()
    try:
        with pytest.raises(RunError, match=f"deploying did not end within 0 s: see {log}"):
            child.finish()
    finally:
        child.stop()


@pytest.mark.acceptance
def test_up_killed_with_sigkill_takes_all_its_children_with_it(tmp_path: Path) -> None:
    with subprocess.Popen(up_command(tmp_path), env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), logs(tmp_path)
        assert len(processes(tmp_path)) > 5
        os.kill(process.pid, signal.SIGKILL)
    wait_for("the end of every child", lambda: not processes(tmp_path), timeout_s=60)


@pytest.mark.acceptance
def test_what_was_switched_off_on_prefects_pages_stays_off_when_up_starts_again(tmp_path: Path) -> None:
    pool = "/work_pools/ec-descr-gen"
    with up(tmp_path) as there:
        api = f"{there['prefect_url']}/api"
        assert set(switches(api)) == {"schedule of retrain", "retrain__automation_1"}
        assert all(on for _, _, on in switches(api).values())
        for path, change, _ in switches(api).values():
            ask(api, path, change, method="PATCH")
        ask(api, pool, {"is_paused": True}, method="PATCH")
    with up(tmp_path) as there:
        api = f"{there['prefect_url']}/api"
        assert [on for _, _, on in switches(api).values()] == [False, False]
        assert ask(api, pool)["is_paused"]


@pytest.mark.acceptance
def test_with_auth_both_servers_want_the_password_and_the_commands_know_it(tmp_path: Path) -> None:
    with up(tmp_path, "--auth") as there:
        for url in (
            f"{there['prefect_url']}/api/flow_runs/count",
            f"{there['mlflow_url']}/api/2.0/mlflow/experiments/get",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, data=b"{}" if "flow_runs" in url else None)
            refused.value.close()
            assert refused.value.code == 401
        shop = tmp_path / "shop"
        run("make-catalog", "--items", "40", "--out", shop, "--seed", "3")
        result = run_json(
            "run", "--catalog", shop / "catalog.json", "--image-base-url", shop, "--workdir", tmp_path, *SMALL
        )
        assert result["mlflow"]["tracking_uri"] == there["mlflow_url"]
        assert result["model_uri"].startswith("models:/")
    password = credentials(tmp_path)["MLFLOW_TRACKING_PASSWORD"]
    assert stat.S_IMODE(password_path(tmp_path).stat().st_mode) == 0o600
    readable = [path for path in tmp_path.rglob("*") if path.is_file() and path != password_path(tmp_path)]
    assert not [path for path in readable if password.encode() in path.read_bytes()]
