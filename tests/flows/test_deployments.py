"""prefect.yaml, deployed to a real server and read back: Prefect drops what it does not know in silence."""

import json
import subprocess
import sys
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
import yaml

from flows.lost import crash_killed_runs, crash_runs_of_the_pool
from flows.prefect_api import ask, crash
from flows.settings import SECTIONS
from model.errors import UserError
from model.files import read_json, write_json
from tasks.runs import Request, recorded
from tests.command import SMALL, environment, run
from tests.flows.nested import nested_settings
from tests.upkeep import wait_for

ROOT = Path(__file__).parents[2]
POOL, WORKDIR, ZONE = "ec-descr-gen", "/srv/ec-descr-gen/workspace", "Asia/Tokyo"


def prefect(*arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"PWD": str(ROOT), "EC_DESCR_GEN_WORKDIR": WORKDIR, "EC_DESCR_GEN_TIMEZONE": ZONE}
    return subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=ROOT, env=environment() | variables, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def deployments(prefect_server: str) -> dict[str, dict[str, Any]]:
    """What the server made of prefect.yaml, by name."""
    prefect("work-pool", "create", "--type", "process", POOL)
    prefect("deploy", "--all", "--prefect-file", "prefect.yaml")
    return {one["name"]: one for one in ask(prefect_server, "/deployments/filter", {})}


@pytest.fixture(scope="session")
def deployment(deployments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return deployments["full"]


def test_every_deployment_is_told_where_to_work_and_reads_well(deployments: dict[str, dict[str, Any]]) -> None:
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert set(deployments) == {one["name"] for one in written}
    for one in written:
        found = deployments[one["name"]]
        assert found["entrypoint"] == one["entrypoint"]
        assert found["work_pool_name"] == POOL
        assert found["tags"] == one["tags"]
        assert found["parameters"] == one["parameters"] | {"workdir": WORKDIR}
        assert set(found["parameters"]) <= set(found["parameter_openapi_schema"]["properties"])
        assert len(found["description"]) > 50
        for name, form in found["parameter_openapi_schema"]["properties"].items():
            assert form.get("description") or "$ref" in str(form), f"{one['name']}: {name} has no description"
        [step] = found["pull_steps"]
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)


def test_the_full_pipeline_is_deployed_with_a_form_of_every_setting(deployment: dict[str, Any]) -> None:
    assert deployment["entrypoint"] == "flows/pipeline.py:pipeline"
    assert deployment["work_pool_name"] == POOL
    assert "Retry" in deployment["description"]
    schema = deployment["parameter_openapi_schema"]
    assert set(schema["properties"]) == {"catalog", "image_base_url", "workdir", "settings"}
    assert set(schema["definitions"]["Settings"]["properties"]) == set(SECTIONS)
    epochs = schema["definitions"]["TrainConfig"]["properties"]["epochs"]
    assert epochs["description"]
    assert epochs["default"] == 31


def test_the_retraining_starts_with_a_published_catalogue_and_each_week_in_the_zone_that_was_given(
    deployments: dict[str, dict[str, Any]], prefect_server: str
) -> None:
    found = deployments["retrain"]
    [weekly] = found["schedules"]
    assert (weekly["schedule"]["cron"], weekly["schedule"]["timezone"], weekly["active"]) == ("0 4 * * 1", ZONE, True)
    automations = ask(prefect_server, "/automations/filter", {})
    [automation] = [one for one in automations if any(a.get("deployment_id") == found["id"] for a in one["actions"])]
    assert automation["enabled"]
    assert automation["trigger"]["expect"] == ["catalog.updated"]
    assert automation["trigger"]["match"] == {"prefect.resource.id": "ec-descr-gen.catalog"}
    [action] = automation["actions"]
    assert {name: value for name, value in action["parameters"].items() if name != "workdir"} == {
        "catalog": "{{ event.payload.path }}",
        "image_base_url": "{{ event.payload.image_base_url }}",
    }


def test_prefect_plans_the_retrainings_of_the_weeks_to_come(
    deployments: dict[str, dict[str, Any]], prefect_server: str
) -> None:
    """A schedule that stands at the server is not yet a run: with SQLAlchemy 2.1 the service that plans them failed."""
    question = {"flow_runs": {"deployment_id": {"any_": [deployments["retrain"]["id"]]}}}
    runs = wait_for("a planned run", lambda: ask(prefect_server, "/flow_runs/filter", question))
    starts = {datetime.fromisoformat(run["expected_start_time"]).astimezone(ZoneInfo(ZONE)) for run in runs}
    assert {(start.weekday(), start.hour, start.minute) for start in starts} == {(0, 4, 0)}
    assert all(run["auto_scheduled"] and run["state_type"] == "SCHEDULED" for run in runs)


class Listener(BaseHTTPRequestHandler):
    """Keeps what it is sent, as a chat's webhook would."""

    heard: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def saved_webhook(prefect_server: str, url: str) -> str:
    """The id of a notification block, as Prefect's pages save one."""
    kind = ask(prefect_server, "/block_types/slug/custom-webhook")
    [schema, *_] = ask(
        prefect_server, "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
    )
    body = {
        "name": "tell", "block_type_id": kind["id"], "block_schema_id": schema["id"],
        "data": {"name": "tell", "url": url, "json_data": {"text": "{{subject}}: {{body}}"}},
    }  # fmt: skip
    return str(ask(prefect_server, "/block_documents/", body)["id"])


def test_the_automation_tells_a_person_of_a_run_that_stops_and_where_it_says_how_it_goes_on(
    prefect_server: str, tmp_path: Path
) -> None:
    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        block = saved_webhook(prefect_server, f"http://127.0.0.1:{server.server_port}")
        automation = tmp_path / "automations.yaml"
        written = (ROOT / "automations.yaml").read_text(encoding="utf-8")
        automation.write_text(written.replace("00000000-0000-0000-0000-000000000000", block), encoding="utf-8")
        prefect("automation", "create", "--from-file", str(automation))
        flow = ask(prefect_server, "/flows/", {"name": "full pipeline"})["id"]
        crashed, failed = (begun(prefect_server, "/flow_runs/", flow_id=flow, name="shop.csv") for _ in range(2))
        crash(prefect_server, crashed, "Its process was killed.")
        state = {"type": "FAILED", "name": "Failed", "message": "no such catalogue"}
        ask(prefect_server, f"/flow_runs/{failed}/set_state", {"state": state, "force": True})
        wait_for("two messages", lambda: len(Listener.heard) == 2, timeout_s=60)
        server.shutdown()
    page = f"{prefect_server.removesuffix('/api')}/runs/flow-run"
    # How it goes on depends on the run: a refused one has done nothing, and of the command line's Prefect retries none.
    where = "Its page, where the message or the Artifacts say how it goes on"
    assert sorted(json.loads(told)["text"] for told in Listener.heard) == [
        f"full pipeline: shop.csv crashed: Its process was killed.\n{where}: {page}/{crashed}",
        f"full pipeline: shop.csv failed: no such catalogue\n{where}: {page}/{failed}",
    ]


def begun(prefect_server: str, path: str, **more: str) -> str:
    """The id of a new flow run that Prefect takes for running."""
    body = {"state": {"type": "PENDING"}, "parameters": {"catalog": "c.json"}, **more}
    run_id = str(ask(prefect_server, path, body)["id"])
    ask(prefect_server, f"/flow_runs/{run_id}/set_state", {"state": {"type": "RUNNING"}, "force": True})
    return run_id


def test_before_a_worker_starts_the_pools_runs_are_crashed_but_for_one_that_goes_on_in_a_terminal(
    deployments: dict[str, dict[str, Any]], prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = f"/deployments/{deployments['prepare']['id']}/create_flow_run"
    lives, killed, refused = (begun(prefect_server, create) for _ in range(3))
    pending = ask(prefect_server, create, {"state": {"type": "PENDING"}, "parameters": {"catalog": "c.json"}})["id"]
    typed = begun(prefect_server, "/flow_runs/", flow_id=deployments["prepare"]["flow_id"])
    request = Request(flow="prepare", catalog="c.json", image_base_url="", settings={})

    def state(run_id: str) -> tuple[str, str]:
        found = ask(prefect_server, f"/flow_runs/{run_id}")["state"]
        return found["type"], found["message"] or ""

    with pytest.raises(UserError), recorded(tmp_path, refused, request):
        raise UserError("no such catalogue")
    with recorded(tmp_path, lives, request):
        crash_runs_of_the_pool(prefect_server, POOL, tmp_path)
        assert state(lives)[0] == "RUNNING"
    # It has no record: `resume` would not find it.
    assert state(killed) == ("CRASHED", "Its process was killed. It had not begun: Retry begins it.")
    assert state(pending)[0] == "CRASHED", "its worker had not come to it"
    # Before anything was done: there is nothing that `resume` could go on with.
    assert state(refused)[1] == (
        "Its process was killed in stage 'read'. It had ended with: no such catalogue. "
        "Nothing was done yet: mend that, then start it again."
    )
    crash_runs_of_the_pool(prefect_server, POOL, tmp_path)
    assert state(lives)[0] == "CRASHED"
    # Of the command line, without a deployment: Prefect refuses its Retry.
    with recorded(tmp_path, typed, request) as run:
        record = read_json(run.folder / "run.json")
    write_json(run.folder / "run.json", record)
    crash_killed_runs(prefect_server, tmp_path)
    assert state(typed)[0] == "RUNNING", "it has just begun, and may not have opened its record"
    monkeypatch.setattr("flows.lost.SETTLED_S", 0.0)
    crash_killed_runs(prefect_server, tmp_path)
    command = f"ec-descr-gen resume {typed[:8]} --workdir {tmp_path}"
    told = f"Its process was killed in stage 'read'. It goes on where it stopped with: {command}"
    assert state(typed) == ("CRASHED", told)


@pytest.mark.acceptance
def test_a_worker_runs_the_deployed_pipeline(deployment: dict[str, Any], prefect_server: str, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    run("make-catalog", "--items", "40", "--out", shop, "--seed", "3")
    parameters = {
        "catalog": str(shop / "catalog.json"),
        "image_base_url": str(shop),
        "workdir": str(tmp_path / "space"),
        "settings": nested_settings(SMALL),
    }
    prefect("deployment", "run", "full pipeline/full", "--params", json.dumps(parameters))
    prefect("worker", "start", "--pool", POOL, "--run-once")
    runs = ask(prefect_server, "/flow_runs/filter", {})
    [found] = [one for one in runs if one["deployment_id"] == deployment["id"]]
    assert found["state_type"] == "COMPLETED", found["state"]
    assert (tmp_path / "space" / "mlflow.db").is_file()
