"""The same small run on more processes and behind bigger servers: the same bytes, the same model."""

import time
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest
import safetensors.torch
import torch
import torchvision

from flows.server import LOOPBACK, free_port
from tests.command import SMALL, run, run_json, run_until, started_server
from tests.flows import services
from tests.tasks.mlflow_server import MLFLOW, running


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "shop"
    run("make-catalog", "--items", "40", "--out", folder, "--seed", "3")
    return folder


def request(command: str, shop: Path, workdir: Path, *settings: str) -> list[str | Path]:
    source: list[str | Path] = ["--catalog", shop / "catalog.json", "--image-base-url", shop, "--workdir", workdir]
    return [command, *source, *SMALL, *(f"--set={setting}" for setting in settings)]


@pytest.mark.acceptance
@pytest.mark.timeout(900)
def test_chunks_on_a_dask_cluster_give_the_same_dataset(shop: Path, tmp_path: Path) -> None:
    here = run_json(*request("prepare", shop, tmp_path / "here", "fetch.chunk_rows=4"))
    with services.dask_cluster(tmp_path) as address:
        before = services.transitions(address)
        there = run_json(
            *request("prepare", shop, tmp_path / "there", "fetch.chunk_rows=4", f"fetch.runner=dask://{address}")
        )
        assert all(new > old for new, old in zip(services.transitions(address), before, strict=True))
    own = run_json(*request("prepare", shop, tmp_path / "own", "fetch.chunk_rows=4", "fetch.runner=dask"))
    for found in (there, own):
        assert found["dataset_id"] == here["dataset_id"], "the runner is no part of it"
        assert found["dataset_digest"] == here["dataset_digest"]
        assert found["pictures"] == here["pictures"]


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings under which the number of processes changes nothing but rounding: no dropout, fixed batch norms."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    safetensors.torch.save_file(torchvision.models.resnet18(zero_init_residual=True).state_dict(), path)
    return [f"encoder.weights={path}", "decoder.dropout=0", "train.precision=fp32", "train.epochs=3"]


@pytest.mark.acceptance
@pytest.mark.timeout(1800)
def test_two_processes_train_the_model_of_one_and_go_on_after_a_kill(
    shop: Path, pretrained: list[str], tmp_path: Path
) -> None:
    one = run_json(*request("run", shop, tmp_path, *pretrained))
    together = request("run", shop, tmp_path, *pretrained, "train.processes=2")
    [first] = tmp_path.glob("runs/*")
    run_until(lambda: len(list(tmp_path.glob("runs/*/training/checkpoint-*"))) > 1, *together)
    [killed] = set(tmp_path.glob("runs/*")) - {first}
    end = time.monotonic() + 60
    while processes_of(killed):
        assert time.monotonic() < end, f"left behind by the kill: {processes_of(killed)}"
        time.sleep(0.1)
    two = run_json("resume", "--workdir", tmp_path)
    assert not processes_of(killed)

    assert two["dataset_digest"] == one["dataset_digest"]
    assert two["scores"]["validation"] == pytest.approx(one["scores"]["validation"], abs=1e-6)
    expected, found = weights(one), weights(two)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-3, msg=name)
    client = mlflow.MlflowClient(two["mlflow"]["tracking_uri"])
    steps = [metric.step for metric in client.get_metric_history(two["mlflow"]["run_id"], "train/loss")]
    assert steps == [1, 2, 3], "every epoch is reported once"


def processes_of(folder: Path) -> list[int]:
    """Processes that were started for the training in a run's folder."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [one.info["pid"] for one in found if any(str(folder) in part for part in one.info["cmdline"] or [])]


def weights(result: dict[str, Any]) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(Path(result["model_dir"]) / "weights.safetensors")


@pytest.mark.acceptance
@pytest.mark.timeout(1800)
def test_a_run_with_postgresql_behind_both_servers_and_an_object_store_behind_mlflow(
    shop: Path, tmp_path: Path
) -> None:
    port = free_port()
    with (
        services.postgresql("prefect", "mlflow") as database,
        services.object_store(tmp_path, "models") as store,
        started_server(
            tmp_path, PREFECT_SERVER_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://{database}/prefect"
        ),
        running(
            [
                MLFLOW, "server", "--backend-store-uri", f"postgresql+psycopg://{database}/mlflow",
                "--artifacts-destination", "s3://models/artifacts", "--workers", "1",
                "--host", LOOPBACK, "--port", str(port),
            ],
            f"http://{LOOPBACK}:{port}", "/health", tmp_path / "mlflow.log",
            variables={"MLFLOW_S3_ENDPOINT_URL": store, **services.AWS},
        ) as tracking,
    ):  # fmt: skip
        workdir = tmp_path / "space"
        result = run_json(*request("run", shop, workdir, f"tracking.uri={tracking}"))
        assert result["model_uri"] == "models:/ec-descr-gen/1"
        assert not (workdir / "mlflow.db").exists()
        assert not list(tmp_path.rglob("prefect.db"))
        assert mlflow.MlflowClient(tracking).get_run(result["mlflow"]["run_id"]).info.status == "FINISHED"
        assert "weights.safetensors" in services.stored(store, "models")
        picture = next((shop / "images").rglob("*-0.jpg"))
        by_registry = run_json("describe", picture, "--model", "models:/ec-descr-gen@champion", "--workdir", workdir)
        assert by_registry == run_json("describe", picture, "--model", result["model_dir"], "--workdir", workdir)
