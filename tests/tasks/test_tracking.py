"""A run in a real MLflow store: continued, kept through outages, never lost."""

import json
import logging
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from PIL import Image

from model.errors import UserError
from model.files import read_json, write_json
from model.report import EpochReport, Sample
from model.settings import TrainConfig
from tasks.lock import try_lock
from tasks.served import make_password, password_path, up_path
from tasks.tracking import TrackedRun, TrackingConfig, start_run
from tasks.tracking.config import shown_uri
from tasks.tracking.facts import environment_tags, git_tags
from tasks.tracking.journal import Journal
from tasks.tracking.registry import Registry
from tasks.tracking.run import flatten
from tasks.tracking.store import make_client, process_wide
from tasks.tracking.upload import main as upload
from tasks.train import log_epoch
from tests.tasks.mlflow_server import free_port

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
QUIET = TrackingConfig(system_metrics=False, timeout_s=2)


@pytest.fixture
def workdir(empty_store: Path, tmp_path: Path) -> Path:
    shutil.copy(empty_store, tmp_path)
    return tmp_path


def start(workdir: Path, name: str, config: TrackingConfig = QUIET, **parameters: Any) -> TrackedRun:
    return start_run(
        config,
        run_dir=workdir / "runs" / name,
        name=f"run {name}",
        parameters={"train": {"epochs": 3}, **parameters},
        tags={"dataset.id": "d1", "kind": "any name will do", "self": "this too", "empty": ""},
    )


def stored(run: TrackedRun) -> Any:
    client = mlflow.MlflowClient(tracking_uri=run.tracking_uri)
    assert run.run_id is not None
    return client.get_run(run.run_id)


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.tracking.run.RETRY_AFTER_S", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


def test_parameters_tags_and_metrics_are_read_back(workdir: Path) -> None:
    run = start(workdir, "r1", image={"size_px": 96})
    for epoch in (1, 2, 3):
        run.log_metrics({"train/loss": 3.0 / epoch, "validation/bertscore_f1": None}, step=epoch)
    run.log_metrics({"test/bleu_4": 0.5})
    for name, context in (("train.h5", "training"), ("test.h5", "test")):
        run.log_dataset(name=f"demo {context}", digest="0123", source=name, context=context, profile={"rows": 4})
    run.log_note("**note**")
    assert run.end()
    found = stored(run)
    assert found.info.run_name == "run r1"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"train.epochs": "3", "image.size_px": "96"}
    assert found.data.tags["dataset.id"] == "d1"
    assert found.data.tags["kind"] == "any name will do"
    assert found.data.tags["mlflow.note.content"] == "**note**"
    run.log_note("**note**", picture="figures/some 1.png")
    shown = stored(run).data.tags["mlflow.note.content"]
    address = f"get-artifact?path=figures%2Fsome+1.png&run_uuid={run.run_id}"
    assert shown == f"**note**\n\n![figures/some 1.png]({address})"
    assert "empty" not in found.data.tags
    assert found.data.metrics == {"train/loss": 1.0, "test/bleu_4": 0.5}
    read = {one.dataset.name: (one.dataset, one.tags[0].value) for one in found.inputs.dataset_inputs}
    assert {name: context for name, (_, context) in read.items()} == {"demo training": "training", "demo test": "test"}
    dataset, _ = read["demo test"]
    assert (dataset.digest, json.loads(dataset.source), json.loads(dataset.profile)) == (
        "0123",
        {"uri": "test.h5"},
        {"rows": 4},
    )
    # What belongs to no epoch stands at 0.
    assert run.history() == {"train/loss": [(1, 3.0), (2, 1.5), (3, 1.0)], "test/bleu_4": [(0, 0.5)]}


def test_an_epochs_numbers_stand_at_its_step_each_under_its_own_name(
    workdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(workdir, "r1")
    learned = EpochReport(
        epoch=2, train_loss=3.0, reward=None, validation_loss=4.0, learning_rates={"encoder": 1e-4, "decoder": 4e-4},
        pictures_per_s=50.0, scores={"bleu_4": 0.1, "cider_d": 0.7}, is_best=True, seconds=9.0,
        samples=[Sample(record_id="1", description="a red hat", reference="a blue hat")],
    )  # fmt: skip
    config = TrainConfig(epochs=7, monitor="cider_d")
    with caplog.at_level(logging.INFO):
        log_epoch(run, learned, config)
        log_epoch(run, replace(learned, epoch=3, train_loss=None, reward=0.9, is_best=False), config)
    both = {
        "validation/loss": 4.0, "learning_rate/encoder": 1e-4, "learning_rate/decoder": 4e-4, "pictures_per_s": 50.0,
        "epoch_seconds": 9.0, "validation/bleu_4": 0.1, "validation/cider_d": 0.7,
    }  # fmt: skip
    assert run.history() == {name: [(2, value), (3, value)] for name, value in both.items()} | {
        "train/loss": [(2, 3.0)],
        "train/cider_d_sampled": [(3, 0.9)],
    }
    first, sample, second, _ = (record.getMessage() for record in caplog.records if record.name == "tasks.train")
    scores = "validation loss 4.000; BLEU-4 0.100, CIDEr-D 0.700"
    assert first == f"epoch 2 of at most 7: training loss 3.000, {scores}  best so far"
    assert sample == "  it writes: a red hat"
    assert second == f"epoch 3 of at most 7: sampled CIDEr-D 0.900, {scores}"


def test_a_number_that_is_told_anew_replaces_the_one_before_and_the_epochs_stay_in_order(workdir: Path) -> None:
    run = start(workdir, "r1")
    for step, value in ((2, 2.0), (1, 1.0), (2, 3.0), (2, 3.0)):
        run.log_metrics({"train/loss": value}, step=step)
    assert run.history() == {"train/loss": [(1, 1.0), (2, 3.0)]}
    told = mlflow.MlflowClient(tracking_uri=run.tracking_uri).get_metric_history(str(run.run_id), "train/loss")
    assert sorted((point.step, point.value) for point in told) == [(1, 1.0), (2, 2.0), (2, 3.0)]


def test_more_and_longer_parameters_than_mlflow_takes_at_once_are_all_there(workdir: Path) -> None:
    run = start(workdir, "r1", many={str(number): "x" * (7000 if number == 200 else 1) for number in range(201)})
    run.log_metrics({f"many/{number}": 1.0 for number in range(1001)})
    assert run.end()
    start(workdir, "r1", many={str(number): "x" * (7000 if number == 200 else 1) for number in range(201)})
    found = stored(run).data
    assert len([name for name in found.params if name.startswith("many.")]) == 201
    assert found.params["many.200"] == "x" * 6000
    assert len(found.metrics) == 1001
    assert not [name for name in found.tags if name.startswith("resumed with")], "nothing has changed"


def test_the_end_of_a_run_is_sent_at_once_though_the_store_was_away_a_moment_ago(workdir: Path) -> None:
    run = start(workdir, "r1")
    run._next_try = float("inf")
    run.log_metrics({"train/loss": 1.0}, step=1)
    assert stored(run).data.metrics == {}
    assert run.end()
    assert (stored(run).data.metrics, stored(run).info.status) == ({"train/loss": 1.0}, "FINISHED")


def test_a_start_that_mlflow_refuses_holds_all_back_and_stops_nothing(
    workdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(workdir / "mlflow.db") as database:
        database.execute("create trigger no_runs before insert on runs begin select raise(abort, 'no runs'); end")
    run = start(workdir, "r1")
    run.log_metrics({"train/loss": 1.0}, step=1)
    assert not run.end()
    assert {entry.kind for entry in run.journal.pending()} >= {"start", "params", "metrics", "end"}
    assert "did not take start" in caplog.text


def test_a_server_that_is_away_is_asked_once_in_a_while_and_not_for_every_number(
    workdir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = start(workdir, "r1", TrackingConfig(uri=f"http://127.0.0.1:{free_port()}", system_metrics=False, timeout_s=2))
    for step in range(5):
        run.log_metrics({"train/loss": 1.0}, step=step)
    assert caplog.text.count("did not take") == 1


def test_a_new_run_in_an_experiment_that_was_deleted_brings_it_back(workdir: Path) -> None:
    first = start(workdir, "r1")
    client = mlflow.MlflowClient(tracking_uri=first.tracking_uri)
    experiment_id = stored(first).info.experiment_id
    client.delete_experiment(experiment_id)
    second = start(workdir, "r2")
    assert stored(second).info.experiment_id == experiment_id
    assert client.get_experiment(experiment_id).lifecycle_stage == "active"
    assert second.run_id != first.run_id


def test_the_use_of_the_machine_is_logged_while_a_block_runs_and_goes_on_after_a_resume(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")

    def points(run: TrackedRun) -> list[int]:
        client = mlflow.MlflowClient(tracking_uri=run.tracking_uri)
        name = "system/cpu_utilization_percentage"
        return [point.step for point in client.get_metric_history(str(run.run_id), name)]

    quiet = start(workdir, "quiet")
    run = start(workdir, "r1", TrackingConfig())
    for _ in range(2):
        before = len(points(run))
        with quiet.system_metrics(), TrackedRun(run.run_dir).system_metrics():
            end = time.monotonic() + 30
            while len(points(run)) == before:
                assert time.monotonic() < end, "nothing is logged"
                time.sleep(0.05)
    assert points(run) == list(range(len(points(run))))
    assert not points(quiet)


def test_what_mlflow_refuses_is_said_and_holds_nothing_else_up(workdir: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = start(workdir, "r1")
    with caplog.at_level("WARNING"):
        run.log_metrics({"no name, that": 1.0})
    assert "did not take metrics (Invalid value" in caplog.text
    run.log_metrics({"train/loss": 2.0}, step=1)
    assert not run.end(), "one thing is left"
    found = stored(run)
    assert found.data.metrics == {"train/loss": 2.0}
    assert found.info.status == "FINISHED"
    assert caplog.text.count("did not take") == 1


def test_a_second_start_in_the_same_folder_continues_the_run(workdir: Path) -> None:
    first = start(workdir, "r1")
    first.log_metrics({"train/loss": 2.0}, step=1)
    first.end("FAILED")
    assert stored(first).info.status == "FAILED"
    again = start(workdir, "r1", train={"epochs": 5})
    again.log_metrics({"train/loss": 2.0}, step=1)
    again.log_metrics({"train/loss": 1.0}, step=2)
    assert again.run_id == first.run_id
    assert stored(again).info.status == "RUNNING"
    assert again.end()
    found = stored(again)
    assert found.data.params == {"train.epochs": "3"}
    assert found.data.tags["resumed with train.epochs"] == "5"
    history = mlflow.MlflowClient(tracking_uri=again.tracking_uri).get_metric_history(str(again.run_id), "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0)]


def test_a_run_that_was_deleted_on_its_page_is_back_when_it_is_resumed(workdir: Path) -> None:
    first = start(workdir, "r1")
    assert first.run_id is not None
    mlflow.MlflowClient(tracking_uri=first.tracking_uri).delete_run(first.run_id)
    run = start(workdir, "r1")
    run.log_metrics({"train/loss": 1.0}, step=2)
    assert run.end()
    assert stored(run).info.lifecycle_stage == "active"
    assert stored(run).data.metrics["train/loss"] == 1.0


def test_a_run_whose_experiment_was_deleted_gets_its_model_registered_when_it_is_resumed(workdir: Path) -> None:
    first = start(workdir, "r1")
    assert first.run_id is not None
    client = mlflow.MlflowClient(tracking_uri=first.tracking_uri)
    experiment_id = client.get_run(first.run_id).info.experiment_id
    client.delete_experiment(experiment_id)
    assert start(workdir, "r1").end()
    assert client.get_experiment(experiment_id).lifecycle_stage == "active"
    client.create_logged_model(experiment_id, name="describer", source_run_id=first.run_id)


def test_a_run_that_its_store_has_lost_is_told_again_when_it_is_resumed(
    workdir: Path, empty_store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = start(workdir, "r1")
    first.log_metrics({"train/loss": 2.0}, step=1)
    moved = tmp_path / "with a new store"
    shutil.copytree(workdir / "runs", moved / "runs")
    shutil.copy(empty_store, moved / "mlflow.db")
    run = start(moved, "r1")
    run.log_metrics({"train/loss": 1.0}, step=2)
    assert run.end()
    assert "does not know this run any more" in caplog.text
    assert run.run_id != first.run_id
    found = stored(run)
    assert (found.info.status, found.data.params["train.epochs"]) == ("FINISHED", "3")
    history = mlflow.MlflowClient(tracking_uri=run.tracking_uri).get_metric_history(str(run.run_id), "train/loss")
    assert [point.value for point in history] == [2.0, 1.0]


@pytest.mark.parametrize("left", ["", '{"kind": "sta'])
def test_a_run_killed_before_its_first_entry_stood_whole_is_started_when_it_is_resumed(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    def killed(journal: Journal, kind: str, /, **values: Any) -> None:
        del kind, values
        if left:
            journal.path.write_text(left)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            start(workdir, "r1")
    run = start(workdir, "r1")
    assert run.end()
    assert stored(run).data.params["train.epochs"] == "3"


def test_a_kill_between_making_the_run_and_keeping_its_id_leaves_one_run(workdir: Path) -> None:
    run = start(workdir, "r1")
    (run.folder / "mlflow_run.json").unlink()
    (run.folder / "sent").unlink()
    later = TrackedRun(run.run_dir)
    assert later.flush()
    client = mlflow.MlflowClient(tracking_uri=run.tracking_uri)
    experiment = client.get_experiment_by_name("ec-descr-gen")
    assert experiment is not None
    names = [found.info.run_name for found in client.search_runs([experiment.experiment_id])]
    assert names.count("run r1") == 1


@pytest.mark.parametrize("name", ["a@b", "a?b", "a#b", "a/b", "a\nb", "..", "ä" * 101, " "])
def test_a_models_name_that_no_address_or_folder_can_hold_is_refused_at_once(name: str) -> None:
    with pytest.raises(UserError, match=r"^tracking\.model_name is "):
        TrackingConfig(model_name=name)
    assert TrackingConfig(model_name="Kleider (neu) 100 %").model_name


@pytest.mark.parametrize("name", ["..", "../../x", "shop/./a", "", "ö" * 101])
def test_an_experiment_that_would_lead_out_of_its_folder_is_refused_at_once(name: str) -> None:
    with pytest.raises(UserError, match=r"^tracking\.experiment is "):
        TrackingConfig(experiment=name)


@pytest.mark.parametrize(
    "uri",
    [
        "http://u:secret@[bad",
        "http://u:secret@h:abc",
        "http://:5000",
        "postgres://u:secret@h/db",
        "foo://bar",
        "/nowhere/x",
    ],
)
def test_an_address_that_is_none_is_refused_before_a_run_is_started_and_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    asked: dict[str, Callable[[], object]] = {
        r"tracking\.uri is": lambda: TrackingConfig(uri=uri),
        "MLFLOW_TRACKING_URI is": lambda: start(tmp_path, "r1"),
        "MLFLOW_TRACKING_URI is '": lambda: Registry(QUIET, tmp_path),
    }
    for beginning, ask in asked.items():
        with pytest.raises(UserError, match=f"^{beginning}.*: must be an address ") as refused:
            ask()
        assert "secret" not in str(refused.value)
    assert not [*tmp_path.iterdir()], "the same command with a right address finds no run that keeps the wrong one"


def test_an_upload_to_an_address_that_is_none_changes_nothing(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(workdir, "r1")
    assert upload([str(run.run_dir), "--tracking-uri", "http://[bad"]) == 2
    assert "must be an address like" in capsys.readouterr().err
    assert TrackedRun(run.run_dir).run_id == run.run_id


@pytest.mark.usefixtures("_no_pause")
def test_an_upload_from_inside_the_runs_folder_goes_to_the_same_store(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(workdir, "r1")
    run.journal.append("note", markdown="kept", picture="")
    assert run.journal.pending()
    monkeypatch.chdir(run.run_dir / "tracking")
    assert upload([".."]) == 0
    assert not (run.run_dir / "mlflow.db").exists()
    assert not TrackedRun(run.run_dir).journal.pending()
    assert stored(run).data.tags["mlflow.note.content"] == "kept"


@pytest.mark.usefixtures("_no_pause")
def test_a_store_that_comes_back_empty_while_a_run_goes_on_is_told_all_of_it(workdir: Path, empty_store: Path) -> None:
    run = start(workdir, "r1")
    run.log_metrics({"loss": 2.0}, step=1)
    shutil.copy(empty_store, workdir)
    again = TrackedRun(run.run_dir)  # as the upload has it, a process of its own
    again.log_metrics({"loss": 1.0}, step=2)
    again.end()
    assert not again.journal.pending()
    assert stored(again).data.metrics["loss"] == 1.0
    assert stored(again).info.status == "FINISHED"


@pytest.mark.parametrize("name", ["MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
def test_a_variable_of_mlflows_that_is_no_number_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "20s")
    with pytest.raises(UserError, match=f"the variable {name} is no number"):
        make_client("http://127.0.0.1:1", workdir=tmp_path, timeout_s=1)


def test_an_upload_to_a_database_without_its_driver_is_one_clear_line(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(workdir, "r1")
    assert upload([str(run.run_dir), "--tracking-uri", "mysql://u:secret@127.0.0.1:1/db"]) == 2
    said = capsys.readouterr().err
    assert "needs the Python module MySQLdb" in said
    assert "secret" not in said


def test_a_database_without_its_driver_is_the_users_to_mend(tmp_path: Path) -> None:
    config = TrackingConfig(uri="mysql://u:secret@127.0.0.1:1/db")
    with pytest.raises(UserError, match=r"mysql://127.0.0.1:1/db needs the Python module MySQLdb, which is not inst"):
        start(tmp_path, "r1", config)


@pytest.mark.parametrize("password", ["se/cret", "se?cret", "se#cret", "se@cret", "secret"])
def test_no_databases_password_is_shown_whatever_stands_in_it(password: str) -> None:
    assert shown_uri(f"postgresql+psycopg://ann:{password}@db.example:5432/mlflow?sslkey=x") == (
        "postgresql+psycopg://db.example:5432/mlflow"
    )


def test_a_working_directory_with_an_apostrophe_is_tracked_like_others(empty_store: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "jane's"
    workdir.mkdir()
    shutil.copy(empty_store, workdir / "mlflow.db")
    run = start(workdir, "r1")
    assert stored(run).data.params["train.epochs"] == "3"


def test_files_pictures_and_tables_are_artifacts_of_the_run(workdir: Path) -> None:
    run = start(workdir, "r1")
    (run.run_dir / "report.md").write_text("hello")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(run.run_dir / "p.png")
    pd.DataFrame({"record_id": ["1"], "description": ["a dress"]}).to_parquet(run.run_dir / "t.parquet")
    (run.run_dir / "curves").mkdir()
    (run.run_dir / "curves" / "loss.svg").write_text("<svg/>")
    (run.run_dir / "gone.txt").write_text("cleaned away before it was sent")
    run._next_try = float("inf")
    run.log_files([run.run_dir / name for name in ("report.md", "curves", "gone.txt")], "reports")
    (run.run_dir / "gone.txt").unlink()
    run._next_try = 0.0
    run.log_picture(run.run_dir / "p.png", key="validation products", step=5)
    for _ in range(2):  # as after a kill between sending it and the manifest
        run.log_table(run.run_dir / "t.parquet", "predictions.json")
    assert run.end()
    client = mlflow.MlflowClient(tracking_uri=run.tracking_uri)
    names = {item.path for item in client.list_artifacts(str(run.run_id))}
    assert names == {"reports", "images", "logs", "predictions.json"}
    artifacts = workdir / "mlartifacts" / "ec-descr-gen" / str(run.run_id) / "artifacts"
    assert {path.name for path in (artifacts / "reports").iterdir()} == {"report.md", "loss.svg"}
    assert (artifacts / "reports" / "report.md").read_text() == "hello"
    assert any(path.name.startswith("validation products+step+5+") for path in (artifacts / "images").iterdir())
    table = {"columns": ["record_id", "description"], "data": [["1", "a dress"]]}
    assert read_json(artifacts / "predictions.json") == table
    named = stored(run).data.tags["mlflow.loggedArtifacts"]  # by which MLflow's pages find tables
    assert json.loads(named) == [{"path": "predictions.json", "type": "table"}]


def test_a_picture_that_is_told_again_after_a_resume_is_shown_once(workdir: Path) -> None:
    run = start(workdir, "r1")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(run.run_dir / "p.png")
    for step in (1, 11, 1, 1):
        run.log_picture(run.run_dir / "p.png", key="pictures/validation products", step=step)
    assert run.end()
    names = mlflow.MlflowClient(tracking_uri=run.tracking_uri).list_artifacts(str(run.run_id), "images")
    shown = sorted(name.path.split("+")[2] for name in names if name.path.endswith(".png"))
    assert (shown, len(names)) == (["1", "11"], 4)


def test_what_was_said_during_the_run_is_an_artifact_of_it_also_after_a_resume(workdir: Path) -> None:
    run = start(workdir, "r1")
    logging.getLogger("model.loop").info("epoch 1 ended")
    run.end("FAILED")
    logging.getLogger("tasks.train").info("between two runs")
    start(workdir, "r1")
    logging.getLogger("tasks.train").info("epoch 2 ended")
    assert run.end()
    said = (workdir / "mlartifacts" / "ec-descr-gen" / str(run.run_id) / "artifacts" / "logs" / "run.log").read_text()
    assert [line.split(" INFO ")[1] for line in said.splitlines()] == ["epoch 1 ended", "epoch 2 ended"]


@pytest.mark.usefixtures("_no_pause")
def test_an_unreachable_server_costs_nothing_but_the_sending(
    workdir: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    away = TrackingConfig(uri=f"http://127.0.0.1:{free_port()}", system_metrics=False, timeout_s=2)
    run = start(workdir, "r1", away)
    run.log_metrics({"train/loss": 1.5}, step=1)
    (run.run_dir / "plot.svg").write_text("<svg/>")
    run.log_files([run.run_dir / "plot.svg"], "figures")
    with run.system_metrics():
        pass
    write_json(run.folder / "registered.json", {"version": "1"})  # of an earlier epoch, when the server was there
    assert run.register_model(run.run_dir, step=1, card="card") is None
    assert run.run_id is None
    assert not run.end()
    assert "-m tasks.tracking.upload" in caplog.text
    assert str(run.run_dir) in caplog.text
    assert run.history() == {"train/loss": [(1, 1.5)]}
    # The server is back: here, the same workdir's own store.
    _drop_model_entry(run)
    own = f"sqlite:///{workdir / 'mlflow.db'}"
    assert upload([str(run.run_dir), "--tracking-uri", own]) == 0
    assert ", 0 left" in capsys.readouterr().out
    found = stored(TrackedRun(run.run_dir))
    assert found.data.metrics == {"train/loss": 1.5}
    assert found.info.status == "FINISHED"
    # Its times are those of what happened, not of the sending.
    happened = {entry.kind: entry.time_ms for entry in run.journal.entries()}
    assert (found.info.start_time, found.info.end_time) == (happened["start"], happened["end"])
    [point] = mlflow.MlflowClient(own).get_metric_history(found.info.run_id, "train/loss")
    assert point.timestamp == happened["metrics"]


def _drop_model_entry(run: TrackedRun) -> None:
    """The folder registered above is no model; here only the sending of all else is looked at."""
    for entry in run.journal.pending():
        if entry.kind == "model":
            run.journal.mark_sent(entry)


LIMIT_BYTES = 16_000_000


@contextmanager
def largest_file(limit_bytes: int) -> Iterator[None]:
    """The system refuses to write files larger than this, as a store without room does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_no_pause")
def test_a_full_artifact_store_keeps_the_files_and_takes_the_numbers(
    workdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(workdir, "r1")

    (run.run_dir / "large.bin").write_bytes(bytes(LIMIT_BYTES + 1))
    with largest_file(LIMIT_BYTES):
        run.log_files([run.run_dir / "large.bin"])
        run.log_metrics({"test/bleu_4": 0.2})
        assert not run.end()
    assert "File too large" in caplog.text
    assert stored(run).data.metrics == {"test/bleu_4": 0.2}
    assert stored(run).info.status == "FINISHED"
    assert [entry.kind for entry in run.journal.pending()] == ["artifact", "artifact"], "the file and the log"
    assert upload([str(run.run_dir)]) == 0
    client = mlflow.MlflowClient(tracking_uri=run.tracking_uri)
    assert [item.path for item in client.list_artifacts(str(run.run_id))] == ["large.bin", "logs"]


@pytest.mark.usefixtures("_no_pause")
def test_a_run_goes_on_in_the_own_store_when_ups_server_has_gone(workdir: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    with try_lock(up_path(workdir), {"prefect_url": "", "mlflow_url": gone, "auth": False}):
        run = start(workdir, "r1")
    assert run.run_id is None
    run.log_metrics({"train/loss": 1.0}, step=1)
    assert stored(run).data.metrics == {"train/loss": 1.0}
    assert run.end()


def test_a_start_that_is_refused_for_good_sends_nothing_without_it(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("no such name", INVALID_PARAMETER_VALUE)

    monkeypatch.setattr("mlflow.MlflowClient.create_run", refuse)
    run = start(workdir, "r1")
    assert not run.end()
    assert [entry.kind for entry in run.journal.pending()][:2] == ["start", "params"]


def test_the_password_of_ups_server_is_sent_to_no_other(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    make_password(workdir)
    here = "http://127.0.0.1:1"
    with try_lock(up_path(workdir), {"prefect_url": "", "mlflow_url": here, "auth": True}):
        make_client("http://127.0.0.1:2", workdir=workdir, timeout_s=1)
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == ""
        make_client(here, workdir=workdir, timeout_s=1)
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == password_path(workdir).read_text().strip()


@pytest.mark.parametrize("before", [None, "http://127.0.0.1:1"])
def test_an_address_of_the_whole_process_is_only_that_for_a_while(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    for name in names:
        monkeypatch.setenv(name, before or "")
        if before is None:
            monkeypatch.delenv(name)
    with process_wide("http://127.0.0.1:2"):
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == "http://127.0.0.1:2"
    assert [os.environ.get(name) for name in names] == [before, before], "a later run may have another"


@pytest.mark.usefixtures("_no_pause")
def test_an_upload_of_several_runs_tells_of_what_is_left_of_any(workdir: Path) -> None:
    away = start(workdir, "r1", replace(QUIET, uri=f"http://127.0.0.1:{free_port()}"))
    sent = start(workdir, "r2")
    assert upload([str(away.run_dir), str(sent.run_dir)]) == 1
    assert upload([str(sent.run_dir)]) == 0


@pytest.mark.usefixtures("_no_pause")
def test_a_run_that_one_server_has_is_sent_whole_to_another(
    empty_store: Path, workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(workdir, "r1")
    run.log_metrics({"train/loss": 1.5}, step=1)
    assert run.end()
    away = f"http://bob:hunter2@127.0.0.1:{free_port()}"
    assert upload([str(run.run_dir), "--tracking-uri", away]) == 1
    assert "hunter2" not in "".join(capsys.readouterr())
    assert [path.name for path in run.folder.iterdir() if b"hunter2" in path.read_bytes()] == ["settings.json"]
    assert (run.folder / "settings.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "other").mkdir()
    shutil.copy(empty_store, tmp_path / "other" / "mlflow.db")
    assert upload([str(run.run_dir), "--tracking-uri", f"sqlite:///{tmp_path / 'other' / 'mlflow.db'}"]) == 0
    found = stored(TrackedRun(run.run_dir))
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"train/loss": 1.5})


def test_upload_refuses_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert upload([str(tmp_path)]) == 2
    assert "holds no tracked run" in capsys.readouterr().err


def test_a_line_that_a_kill_cut_short_is_no_entry_and_hurts_no_later_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("metrics", step=1, metrics={"a": 1.0})
    with journal.path.open("a") as file:
        file.write('{"kind": "metrics", "time')
    journal.append("metrics", step=2, metrics={"a": 2.0})
    assert [entry.values["step"] for entry in journal.entries()] == [1, 2]
    journal.mark_sent(journal.entries()[0])
    assert [entry.values["step"] for entry in journal.pending()] == [2]


def test_a_run_follows_its_working_directory_to_another_place(workdir: Path) -> None:
    first = start(workdir / "before", "r1")
    assert (first.folder / "settings.json").stat().st_mode & 0o777 == 0o600
    (first.run_dir / "a.txt").write_text("a")
    first._next_try = float("inf")  # the store is away just then
    first.log_files([first.run_dir / "a.txt"])
    (workdir / "before").rename(workdir / "after")
    run = TrackedRun(workdir / "after" / "runs" / "r1")
    assert run.tracking_uri == f"sqlite:///{workdir / 'after' / 'mlflow.db'}"
    assert run.end()
    assert not (workdir / "before").exists()
    assert [one.name for one in (workdir / "after" / "mlartifacts").rglob("a.txt")] == ["a.txt"]
    assert stored(run).info.status == "FINISHED"


def test_tags_tell_commit_versions_and_device() -> None:
    tags = environment_tags()
    assert {"version.torch", "version.mlflow", "device", "mlflow.source.name"} <= tags.keys()
    assert git_tags(Path("/")) == {}


def test_a_password_in_the_stores_address_is_no_parameter(workdir: Path) -> None:
    run = start(workdir, "r1", tracking={"uri": "http://bob:hunter2@127.0.0.1:9"})
    assert stored(run).data.params["tracking.uri"] == "http://127.0.0.1:9"


def test_nested_settings_are_written_with_points() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": None, "e": {}}) == {"a.b.c": "1", "d": "None", "e": "{}"}


def test_the_workdirs_own_store_is_used_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert TrackingConfig().tracking_uri(tmp_path) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert TrackingConfig().tracking_uri(tmp_path) == "http://127.0.0.1:5000"
    assert TrackingConfig(uri="http://x").tracking_uri(tmp_path) == "http://x"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uri", "file:///tmp/x"),
        ("experiment", " "),
        ("model_name", "a/b"),
        ("model_name", "O'Neill"),
        ("model_name", "shop\\"),
        ("timeout_s", 0),
    ],
)
def test_a_wrong_setting_is_named_with_its_bound(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"tracking\.{field} is .*: must be "):
        TrackingConfig(**{field: value})  # type: ignore[arg-type]
