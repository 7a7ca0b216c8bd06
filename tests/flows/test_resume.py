"""Killed with SIGKILL in the middle of the download and of the training, a run goes on and ends with the same bytes."""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest

from flows.resume import _own_environment, resume
from flows.settings import Settings
from model.errors import UserError
from model.files import read_json, write_json
from tasks.demo.server import serve_images
from tasks.runs import Request, recorded
from tests.command import SMALL, run, run_json, run_until

SLOWLY = [
    "--set",
    "fetch.chunk_rows=4",
    "--set",
    "fetch.concurrency=1",
    "--set",
    "fetch.backoff_s=0.05",
    "--set",
    "train.epochs=3",
]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    run("make-catalog", "--items", "40", "--out", folder / "shop", "--seed", "3")
    return folder / "shop"


@pytest.fixture(scope="session")
def undisturbed(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = run_json(*request(shop, str(shop), tmp_path_factory.mktemp("undisturbed")))
    return found


def request(shop: Path, base: str, workdir: Path) -> list[str | Path]:
    catalog = shop / "catalog.json"
    return ["run", "--catalog", catalog, "--image-base-url", base, "--workdir", workdir, *SMALL, *SLOWLY]


def weights(result: dict[str, Any]) -> str:
    return hashlib.sha256((Path(result["model_dir"]) / "weights.safetensors").read_bytes()).hexdigest()


def files(folder: Path, pattern: str) -> Callable[[], list[Path]]:
    return lambda: list(folder.glob(pattern))


@pytest.mark.timeout(900)
def test_a_run_killed_in_the_download_and_in_the_training_ends_as_an_undisturbed_one(
    shop: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    chunks = files(tmp_path, "datasets/*/chunks/*.parquet")
    checkpoints = files(tmp_path, "runs/*/training/checkpoint-*")
    with serve_images(shop) as base:
        run_until(lambda: len(chunks()) >= 2, *request(shop, base, tmp_path))
        [record] = run_json("runs", "--workdir", tmp_path)
        assert (record["state"], record["stage"]) == ("killed", "fetch")
        there = {path: path.stat().st_mtime_ns for path in chunks()}
        assert there, "nothing was fetched before the kill"
        assert not files(tmp_path, "datasets/*/train.h5")()

        run_until(lambda: bool(checkpoints()), "resume", "--workdir", tmp_path)
        [again] = run_json("runs", "--workdir", tmp_path)
        assert (again["run"], again["state"], again["stage"]) == (record["run"], "killed", "train")

        result = run_json("resume", record["run"], "--workdir", tmp_path)

    assert result["dataset_digest"] == undisturbed["dataset_digest"]
    assert weights(result) == weights(undisturbed)
    assert result["scores"] == undisturbed["scores"]
    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    [one] = client.search_runs([client.get_run(result["mlflow"]["run_id"]).info.experiment_id])
    assert one.info.status == "FINISHED"
    assert [metric.step for metric in client.get_metric_history(one.info.run_id, "train/loss")] == [1, 2, 3]
    assert [found["state"] for found in run_json("runs", "--workdir", tmp_path)] == ["completed"]


def test_the_same_command_again_continues_what_failed_and_asks_only_for_what_is_missing(
    shop: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    with serve_images(shop) as base:
        pass  # the address of a server that is gone
    failed = run(*request(shop, base, tmp_path), code=1)
    assert "Traceback" not in failed.stderr
    assert "for reasons that may pass (" in failed.stderr
    assert "check the network and the hosts, then resume" in failed.stderr
    port = int(base.rstrip("/").split(":")[-1])
    with serve_images(shop, port):
        result = run_json(*request(shop, base, tmp_path))
    assert result["dataset_digest"] == undisturbed["dataset_digest"]
    assert len(run_json("runs", "--workdir", tmp_path)) == 1, "the failed run was not continued"
    manifest = read_json(Path(result["dataset_dir"]) / "manifests" / "pack.json")
    assert manifest["facts"]["fetched"] > 0


def test_the_same_command_starts_a_new_run_where_prefect_does_not_know_the_failed_one(
    shop: Path, tmp_path: Path
) -> None:
    """As where its database was not restored, or another server is named."""
    with serve_images(shop) as base:
        pass  # the address of a server that is gone
    command = ["prepare", *request(shop, base, tmp_path)[1:]]
    run(*command, code=1)
    [path] = tmp_path.glob("runs/*/run.json")
    record = read_json(path)
    unknown = f"{record['run_id']}-0000-4000-8000-000000000000"
    write_json(path, record | {"flow_run_id": unknown})
    refused = run("resume", "--workdir", tmp_path, code=2)
    assert f"Prefect does not know the run {record['run_id']} any more" in refused.stderr
    with serve_images(shop, int(base.rstrip("/").split(":")[-1])):
        assert run_json(*command)["pictures"]["fetched"] > 0
    assert [one["state"] for one in run_json("runs", "--workdir", tmp_path)] == ["completed", "failed"]


def test_the_deployment_that_resumes_ends_as_the_command_does_and_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setattr("flows.resume.get_run_logger", lambda: logging.getLogger("a flow run"))
    with pytest.raises(UserError, match=f"nothing to resume in {tmp_path}"):
        resume.fn(workdir=str(tmp_path))
    unknown = "00000001-0000-4000-8000-000000000000"
    request = Request(flow="prepare", catalog="c.json", image_base_url="", settings=Settings().nested())
    with suppress(OSError), recorded(tmp_path, unknown, request):
        raise OSError("no network")
    with pytest.raises(UserError, match=r"^Prefect does not know the run 00000001 any more: start a new"):
        resume.fn(workdir=str(tmp_path))
    ours = {"PREFECT__FLOW_RUN_ID": "of the deployment's run", "PREFECT_API_URL": "its server"}
    assert _own_environment(ours) == {"PREFECT_API_URL": "its server"}


def test_a_catalogue_that_changed_since_its_run_failed_gets_a_run_of_its_own(shop: Path, tmp_path: Path) -> None:
    """As in a shop whose nightly job names the same file every time."""
    catalog = tmp_path / "catalog.json"
    records = read_json(shop / "catalog.json")
    write_json(catalog, records)
    with serve_images(shop) as base:
        pass  # the address of a server that is gone
    command: list[str | Path] = [
        "prepare",
        "--catalog",
        catalog,
        "--image-base-url",
        base,
        "--workdir",
        tmp_path / "w",
        *SMALL,
        *SLOWLY,
    ]
    run(*command, code=1)
    write_json(catalog, records[:-1])
    with serve_images(shop, int(base.rstrip("/").split(":")[-1])):
        result = run_json(*command)
    assert result["records"]["read"] == len(records) - 1
    states = [record["state"] for record in run_json("runs", "--workdir", tmp_path / "w")]
    assert states == ["completed", "failed"]
