"""prefect.yaml, deployed to a real server and read back: Prefect drops what it does not know in silence."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from flows.settings import SECTIONS
from tests.command import SMALL, environment, run
from tests.flows.nested import nested_settings

ROOT = Path(__file__).parents[2]
POOL = "ec-descr-gen"


def prefect(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=ROOT, env={**environment(), "PWD": str(ROOT)}, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip


def ask(address: str | urllib.request.Request) -> Any:
    with urllib.request.urlopen(address) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def deployment(prefect_server: str) -> dict[str, Any]:
    prefect("work-pool", "create", "--type", "process", POOL)
    prefect("deploy", "--all", "--prefect-file", "prefect.yaml")
    found: dict[str, Any] = ask(f"{prefect_server}/deployments/name/full%20pipeline/full")
    return found


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
    [step] = deployment["pull_steps"]
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)


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
    request = urllib.request.Request(f"{prefect_server}/flow_runs/filter", b"{}", {"Content-Type": "application/json"})
    [found] = [one for one in ask(request) if one["deployment_id"] == deployment["id"]]
    assert found["state_type"] == "COMPLETED", found["state"]
    assert (tmp_path / "space" / "mlflow.db").is_file()
