"""What runs under `up`: runs killed with their worker, a published catalogue, ten runs at once.

All on real servers, a real worker, and through Prefect's API as its pages use it.
"""

import hashlib
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from flows.prefect_api import ask
from flows.reasons import ARTIFACT_KEY
from model.files import read_json
from tasks.demo.server import serve_images
from tests.command import SMALL, command, environment, run, run_json
from tests.flows.nested import nested_settings
from tests.upkeep import kill_worker, logs, processes, retry, start_deployed, up, wait_for, wait_for_state

SLOWLY = [*SMALL, "--set", "fetch.chunk_rows=4", "--set", "fetch.concurrency=1", "--set", "fetch.backoff_s=0.05"]
RUNS_AT_ONCE = 10


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "shop"
    run("make-catalog", "--items", "40", "--out", folder, "--seed", "3")
    return folder


def weights(model_dir: str) -> str:
    return hashlib.sha256((Path(model_dir) / "weights.safetensors").read_bytes()).hexdigest()


def artifacts(api: str, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(api, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})
    return [one for one in found if one["flow_run_id"] == run_id and one["key"] == ARTIFACT_KEY]


@pytest.mark.acceptance
@pytest.mark.timeout(3000)
def test_a_deployed_run_killed_with_its_worker_twice_ends_as_an_undisturbed_one(shop: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "space"
    with serve_images(shop) as base, up(workdir) as there:
        api = f"{there['prefect_url']}/api"
        parameters = {
            "catalog": str(shop / "catalog.json"), "image_base_url": base, "settings": nested_settings(SLOWLY),
        }  # fmt: skip
        run_id = start_deployed(api, "full pipeline/full", parameters)

        wait_for("the second chunk", lambda: len(list(workdir.glob("datasets/*/chunks/*.parquet"))) >= 2)
        kill_worker(workdir)
        crashed = wait_for_state(api, run_id, "CRASHED")
        assert "Its process was killed in stage 'fetch'. Retry goes on" in crashed["state"]["message"]
        assert not processes(workdir, "prefect.engine"), "the flow run outlived its worker"
        [record] = run_json("runs", "--workdir", workdir)
        assert (record["state"], record["stage"]) == ("killed", "fetch")

        retry(api, run_id)
        wait_for("a checkpoint", lambda: list(workdir.glob("runs/*/training/checkpoint-*")))
        kill_worker(workdir)
        crashed = wait_for_state(api, run_id, "CRASHED")
        assert "in stage 'train'" in crashed["state"]["message"]

        resumed = start_deployed(api, "resume a run/resume", {})
        wait_for_state(api, resumed, "COMPLETED")
        done = wait_for_state(api, run_id, "COMPLETED")
        [record] = run_json("runs", "--workdir", workdir)
        assert record["state"] == "completed"
        assert re.fullmatch(r"catalog\.json: \d+ products", done["name"])
        names = {one["name"] for one in ask(api, "/task_runs/filter", {})}
        assert any(re.fullmatch(r"fetch chunk \d+ of \d+: \d+ pictures \(train\)", name) for name in names), names
        assert any(re.fullmatch(r"train: \d+ products", name) for name in names), names
        result = read_json(workdir / "runs" / run_id[:8] / "run.json")["result"]
        [tracked] = mlflow.MlflowClient(there["mlflow_url"]).search_runs(["1"])
        assert (tracked.info.run_id, tracked.info.status) == (result["mlflow"]["run_id"], "FINISHED")

        failed = start_deployed(api, "prepare data/prepare", {"catalog": str(tmp_path / "none.json")})
        wait_for_state(api, failed, "FAILED")
        why, *_ = wait_for("the reason", lambda: artifacts(api, failed))
        assert "none.json" in why["data"]
        assert "Nothing was done yet" in why["data"]
        undisturbed = run_json(
            "run",
            "--catalog",
            shop / "catalog.json",
            "--image-base-url",
            base,
            "--workdir",
            tmp_path / "alone",
            *SLOWLY,
        )
    # Without the servers now: what they wrote is still there to read.
    assert result["dataset_digest"] == undisturbed["dataset_digest"]
    assert weights(result["model_dir"]) == weights(undisturbed["model_dir"])
    client = mlflow.MlflowClient(f"sqlite:///{workdir / 'mlflow.db'}")
    assert {"figures", "scores"} <= {one.path for one in client.list_artifacts(result["mlflow"]["run_id"])}
    picture = next((shop / "images").rglob("*-0.jpg"))
    assert run_json("describe", picture, "--workdir", workdir)[0]["description"]


def retrainings(api: str) -> list[dict[str, Any]]:
    """The runs that events started, the first one first; the schedule's wait for Monday."""
    return sorted((one for one in _retrain(api) if not one["auto_scheduled"]), key=lambda one: str(one["created"]))


def planned_for_now(api: str) -> list[dict[str, Any]]:
    """The runs that a schedule starts at once; the weekly one's wait for Monday."""
    soon = datetime.now(UTC) + timedelta(minutes=3)
    return [
        one for one in _retrain(api)
        if one["auto_scheduled"] and datetime.fromisoformat(one["expected_start_time"]) < soon
    ]  # fmt: skip


def _retrain(api: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(api, "/flow_runs/filter", {"flows": {"name": {"any_": ["retrain"]}}})
    return found


def product_ids(result: dict[str, Any]) -> set[str]:
    return set(pd.read_parquet(Path(result["dataset_dir"]) / "captions.parquet")["record_id"])


@pytest.mark.acceptance
@pytest.mark.timeout(3000)
def test_a_published_catalogue_is_retrained_on_by_itself_and_the_same_again_is_nothing_new(
    shop: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "space"
    records = read_json(shop / "catalog.json")
    yesterday = tmp_path / "yesterday.json"
    yesterday.write_text(json.dumps(records[: -len(records) // 11]))  # today has a tenth more

    def result_of(run_id: str) -> dict[str, Any]:
        wait_for_state(api, run_id, "COMPLETED")
        found: dict[str, Any] = read_json(workdir / "runs" / run_id[:8] / "run.json")["result"]
        return found

    with serve_images(shop) as base, up(workdir) as there:
        api = f"{there['prefect_url']}/api"
        parameters = {"catalog": str(yesterday), "image_base_url": base, "settings": nested_settings(SMALL)}
        before = result_of(start_deployed(api, "full pipeline/full", parameters))
        publish = ["publish", str(shop / "catalog.json"), "--image-base-url", base, "--workdir", str(workdir)]
        run(*publish)
        [started] = wait_for("the retraining", lambda: retrainings(api))
        after = result_of(started["id"])
        old, new = product_ids(before), product_ids(after)
        assert after["pictures"]["reused"] == len(old & new) > 0
        assert after["pictures"]["fetched"] == len(new - old) > 0
        assert after["decision"].split(":")[0] in {"promoted", "kept"}
        assert after["comparison"]["cider_d"]["products"] > 0
        run(*publish)
        _, again = wait_for("the second event's run", lambda: found if len(found := retrainings(api)) > 1 else None)
        assert result_of(again["id"])["decision"].startswith("nothing new: run ")
        # And by the clock: as the weekly schedule does, but soon: Prefect plans once a minute, nothing for the past.
        schedule = {"schedule": {"interval": 3600, "anchor_date": f"{datetime.now(UTC) + timedelta(seconds=90)}"}}
        ask(api, f"/deployments/{again['deployment_id']}/schedules", [schedule])
        [planned] = wait_for("a planned run", lambda: planned_for_now(api))
        assert result_of(planned["id"])["decision"].startswith("nothing new: run ")
        tracked = mlflow.MlflowClient(there["mlflow_url"]).search_runs(["1"])
        assert {one.info.run_id for one in tracked} == {before["mlflow"]["run_id"], after["mlflow"]["run_id"]}


@pytest.mark.acceptance
@pytest.mark.timeout(3000)
def test_ten_runs_started_at_once_all_complete_and_none_corrupts_another(shop: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "space"
    seeds = range(RUNS_AT_ONCE)

    def start(seed: int) -> subprocess.CompletedProcess[str]:
        arguments: list[str | Path] = [
            "--catalog",
            shop / "catalog.json",
            "--image-base-url",
            shop,
            "--workdir",
            workdir,
        ]
        line = [*command("run", *arguments, *SMALL), "--set", f"train.seed={seed // 2}", "--json"]
        return subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)

    with up(workdir), ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        done = list(pool.map(start, seeds))
    assert [one.returncode for one in done] == [0] * RUNS_AT_ONCE, "\n".join(one.stderr[-500:] for one in done)
    waited = [one for one in done if re.search(r"waiting for pipeline of catalog\.json \(process \d+\)", one.stderr)]
    assert len(waited) == RUNS_AT_ONCE - 1
    assert "database is locked" not in logs(workdir) + "".join(one.stderr for one in done)
    records = run_json("runs", "--workdir", workdir)
    assert [one["state"] for one in records] == ["completed"] * RUNS_AT_ONCE
    results = [read_json(workdir / "runs" / one["run"] / "run.json") for one in records]
    by_seed: dict[int, set[str]] = {}
    for one in results:
        seed = one["request"]["settings"]["train"]["seed"]
        by_seed.setdefault(seed, set()).add(weights(one["result"]["model_dir"]))
    assert [len(found) for found in by_seed.values()] == [1] * (RUNS_AT_ONCE // 2), "the same seed, other weights"
    assert len({one["result"]["dataset_digest"] for one in results}) == 1
