"""A whole run while MLflow's server is away: nothing of its work is lost, and one printed command sends it later."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import mlflow
import pytest

from tests.command import SMALL, environment, run, run_json
from tests.tasks.mlflow_server import free_port, server

pytestmark = pytest.mark.acceptance


@pytest.mark.timeout(900)
def test_a_run_without_its_tracking_server_keeps_all_and_prints_the_command_that_sends_it(tmp_path: Path) -> None:
    shop, space, port = tmp_path / "shop", tmp_path / "space", free_port()
    run("make-catalog", "--items", "40", "--out", shop, "--seed", "3")
    done = run(
        "run", "--catalog", shop / "catalog.json", "--image-base-url", shop, "--workdir", space, "--json", *SMALL,
        "--set", f"tracking.uri=http://127.0.0.1:{port}", "--set", "tracking.timeout_s=2",
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    assert result["scores"]["test"]["bleu_4"] >= 0
    assert "model_uri" not in result
    [folder] = (space / "runs").iterdir()
    assert (folder / "predictions.parquet").is_file()
    picture = next((shop / "images").rglob("*-0.jpg"))
    [row] = run_json("describe", picture, "--model", result["model_dir"], "--workdir", space)
    assert row["description"]
    alone = run(
        "evaluate", "--model", result["model_dir"], "--catalog", shop / "catalog.json", "--image-base-url", shop,
        "--workdir", space, "--json", *SMALL,
    )  # fmt: skip
    assert json.loads(alone.stdout)["scores"]["bleu_4"] == result["scores"]["test"]["bleu_4"]
    assert "not compared with the champion: MLflow's registry" in alone.stderr
    refused = run("describe", picture, "--workdir", space, code=1)
    assert "did not answer" in refused.stderr

    [command] = set(re.findall(r"send it later with: (.*)", done.stderr))
    with server(tmp_path, port=port) as address:
        sent = subprocess.run(shlex.split(command), capture_output=True, text=True, env=environment(), check=False)
        assert sent.returncode == 0, sent.stderr
        assert ", 0 left" in sent.stdout
        client = mlflow.MlflowClient(address)
        [experiment] = [one for one in client.search_experiments() if one.name == "ec-descr-gen"]
        [found] = client.search_runs([experiment.experiment_id])
        assert found.info.status == "FINISHED"
        assert found.data.metrics["test/bleu_4"] == pytest.approx(result["scores"]["test"]["bleu_4"])
        assert len(client.get_metric_history(found.info.run_id, "train/loss")) == 2
        assert client.get_model_version_by_alias("ec-descr-gen", "champion").run_id == found.info.run_id
