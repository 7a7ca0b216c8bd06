"""The model in the registry: logged with its code, champion or challenger, loaded and served elsewhere."""

import base64
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from PIL import Image

from model.describer import Describer
from model.directory import add_facts, read_config
from model.errors import RunError, UserError
from model.settings import SearchConfig, TrainConfig
from model.store import PictureStore
from tasks.evaluate import evaluate
from tasks.lock import try_lock
from tasks.manifest import read_manifest, write_manifest
from tasks.promote import promote
from tasks.read import Dataset
from tasks.scoring.config import ScoreConfig
from tasks.scoring.gate import GateConfig
from tasks.served import up_path
from tasks.tracking import TrackedRun, TrackingConfig, start_run
from tasks.tracking.registry import Registry, requirements
from tasks.tracking.store import outage_line
from tasks.warm_start import fetch_warm_start
from tests.tasks.mlflow_server import MLFLOW, free_port, running, server
from tests.tasks.shapes import make_dataset, train_model

CONFIG = TrackingConfig(system_metrics=False, timeout_s=5)
SEARCH = SearchConfig(beam_size=2, max_words=12)
LOAD_AND_DESCRIBE = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(json.dumps(model.predict(json.load(sys.stdin), params={"beam_size": 2, "max_words": 12})))
"""


@dataclass(frozen=True)
class Made:
    """A workdir with a registered model, and what the model wrote before."""

    workdir: Path
    model_dir: Path
    run: TrackedRun
    registered: dict[str, Any]
    pictures: list[str]
    descriptions: list[str]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    workdir = tmp_path_factory.mktemp("registry")
    dataset = make_dataset(workdir / "dataset")
    model_dir = train_model(dataset, workdir / "training", epochs=6).model_dir
    pixels = PictureStore(dataset / "test.h5").read(slice(0, 4))
    files = []
    for number, picture in enumerate(pixels):
        files.append(workdir / f"{number}.png")
        Image.fromarray(picture.transpose(1, 2, 0)).save(files[-1])
    run = start(workdir, "r1")
    registered = run.register_model(model_dir, step=6, card="# the card", example=files[0], dataset_id="shapes")
    assert registered is not None
    assert run.end()
    return Made(
        workdir=workdir,
        model_dir=model_dir,
        run=run,
        registered=registered,
        pictures=[base64.b64encode(file.read_bytes()).decode() for file in files],
        descriptions=[found.text for found in Describer.load(model_dir, device="cpu").describe(pixels, SEARCH)],
    )


def start(workdir: Path, name: str, config: TrackingConfig = CONFIG) -> TrackedRun:
    run_dir = workdir / "runs" / name
    return start_run(config, run_dir=run_dir, name=name, parameters={"a": 1}, tags={})


def load_elsewhere(python: str, uri: str, model: str, pictures: Sequence[str], folder: Path) -> list[str]:
    """Descriptions by another process that has none of this project's packages at hand."""
    found = subprocess.run(
        [python, "-I", "-c", LOAD_AND_DESCRIBE, uri, model],
        input=json.dumps(list(pictures)),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=280,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    texts: list[str] = json.loads(found.stdout.splitlines()[-1])
    return texts


def test_the_first_model_is_champion_and_the_next_is_challenger(made: Made) -> None:
    assert made.registered["alias"] == "champion"
    assert made.registered["model_uri"] == "models:/ec-descr-gen/1"
    second = start(made.workdir, "r2").register_model(made.model_dir, step=1, card="card")
    assert second is not None
    assert (second["version"], second["alias"]) == ("2", "challenger")
    registry = Registry(CONFIG, made.workdir)
    assert aliases(registry) == {"champion": "1", "challenger": "2"}
    champion = registry.champion()
    assert champion is not None
    assert champion["version"] == "1"
    assert champion["tags"]["dataset_id"] == "shapes"


def aliases(registry: Registry) -> dict[str, str]:
    found = registry.client.get_registered_model(registry.name).aliases
    return {alias: str(version) for alias, version in found.items()}


def test_promotion_moves_the_alias_and_rollback_gives_it_back(made: Made, tmp_path: Path) -> None:
    registry = Registry(CONFIG, made.workdir)
    with pytest.raises(UserError, match="is the first champion: none came before it"):
        registry.rollback()
    third = start(made.workdir, "r3").register_model(made.model_dir, step=1, card="card")
    assert third is not None
    assert aliases(registry) == {"champion": "1", "challenger": third["version"]}
    registry.promote(third["version"])
    assert aliases(registry) == {"champion": third["version"]}, "what was promoted is no challenger any more"
    assert registry.rollback() == (third["version"], "1")
    fourth = start(made.workdir, "r3").register_model(made.model_dir, step=2, card="card")
    assert fourth is not None
    assert fourth["version"] != third["version"], "another epoch of the same run is another model"
    registry.promote(third["version"])
    assert aliases(registry) == {"champion": third["version"], "challenger": fourth["version"]}
    assert registry.rollback() == (third["version"], "1")
    empty = Registry(CONFIG, tmp_path)
    assert empty.champion() is None
    with pytest.raises(UserError, match="There is no champion"):
        empty.rollback()
    with pytest.raises(UserError, match="no version of ec-descr-gen is champion"):
        empty.fetch("models:/ec-descr-gen@champion", tmp_path)


GATED = TrackingConfig(system_metrics=False, timeout_s=5, model_name="gated")


@pytest.fixture(scope="session")
def rivals(made: Made) -> list[TrackedRun]:
    """Three runs of one registered model; the first one's version is the champion."""
    runs = [start(made.workdir, f"rival{number}", GATED) for number in (1, 2, 3)]
    for run in runs:
        assert run.register_model(made.model_dir, step=1, card="card") is not None
    return runs


def test_a_kept_decision_is_carried_out_only_over_the_champion_that_it_was_made_against(
    made: Made, rivals: list[TrackedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, registry = rivals[1].run_dir, Registry(GATED, made.workdir)
    monkeypatch.setattr("tasks.promote.show_page", lambda *_, **__: None)
    # Where the gate must not ask: the run was tracked elsewhere from its start.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    dataset = Dataset(id="shapes", folder=made.workdir / "dataset", facts={})
    score = ScoreConfig(bertscore="never", intervals=0)
    report = evaluate.fn(dataset, run_dir, made.model_dir, search=SEARCH, config=score, catalog="shapes", device="cpu")
    decided = {"champion": "1", "decision": "promoted: 2 over 1", "promoted": True, "comparison": {}, "conditions": ""}
    write_manifest(run_dir, "promote", files=[], facts=decided)

    def resumed() -> str:
        found = promote.fn(
            dataset, run_dir, made.model_dir, "2", report,
            search=SEARCH, score=score, gate=GateConfig(), catalog="shapes", device="cpu",
        )  # fmt: skip
        assert found["alias"] == ("champion" if champion_of(registry) == "2" else "challenger")
        return str(found["decision"])

    for _ in range(2):  # as after a kill between the alias's move and the end
        assert resumed() == "promoted: 2 over 1"
        assert champion_of(registry) == "2"
    registry.rollback()
    resumed()
    assert champion_of(registry) == "1", "a person's rollback stands, whatever is retried"
    registry.promote("3")
    assert resumed().startswith("kept: version 3 stays the champion; cider_d "), "the same model is no better"
    assert champion_of(registry) == "3"
    kept = read_manifest(run_dir, "promote")
    assert kept is not None
    assert kept["champion"] == "3"


def champion_of(registry: Registry) -> str | None:
    found = registry.champion()
    return found["version"] if found is not None else None


def test_versions_promoted_in_turn_are_rolled_back_to_the_first_and_no_further(
    made: Made, rivals: list[TrackedRun]
) -> None:
    assert len(rivals) == 3
    registry = Registry(GATED, made.workdir)
    for version in ("2", "3", "1", "3", "2"):
        registry.promote(version)
    assert [registry.rollback(), registry.rollback()] == [("2", "3"), ("3", "1")]
    with pytest.raises(UserError, match="is the first champion: none came before it"):
        registry.rollback()


def test_weights_to_start_from_come_from_the_registry_that_the_run_began_with(
    made: Made, rivals: list[TrackedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    found = fetch_warm_start.fn(rivals[0].run_dir, TrainConfig(warm_start="champion"))
    assert (Path(found.warm_start) / "weights.safetensors").is_file()
    assert Path(found.warm_start).is_relative_to(made.workdir / "models")


def test_a_store_that_is_none_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/damaged.db")
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0 and then nothing that it could be" * 40)
    with pytest.raises(RunError, match=r"^MLflow's registry at .* (did not answer|refused): [^\n]*$"):
        Registry(CONFIG, tmp_path).champion()


def test_an_outage_whose_first_line_only_announces_the_reason_is_told_with_it() -> None:
    error = OSError("these failed:\n##### File x #####\nNo such file: x")
    assert outage_line(error, "sqlite:///a") == "these failed: ##### File x ##### No such file: x"


def test_registering_the_same_epoch_again_makes_no_second_version(made: Made) -> None:
    before = len(mlflow.MlflowClient(tracking_uri=made.run.tracking_uri).search_model_versions(""))
    again = TrackedRun(made.run.run_dir).register_model(made.model_dir, step=6, card="# the card")
    assert again is not None
    assert (again["version"], again["alias"]) == (made.registered["version"], "champion")
    assert len(mlflow.MlflowClient(tracking_uri=made.run.tracking_uri).search_model_versions("")) == before


def test_a_card_longer_than_postgresql_takes_is_whole_beside_the_model_and_ends_after_a_line_on_its_page(
    made: Made,
) -> None:
    config, card = TrackingConfig(system_metrics=False, model_name="long card"), "a line of the card\n" * 400
    run = start(made.workdir, "r-card", config)
    assert run.register_model(made.model_dir, step=1, card=card) is not None
    client = mlflow.MlflowClient(tracking_uri=run.tracking_uri)
    version = client.get_model_version("long card", "1")
    shown = version.description or ""
    assert len(shown) <= 5000
    assert set(shown.splitlines()[:-1]) == {"a line of the card", ""}
    assert shown.endswith("`README.md`, logged with the model.")
    (logged,) = [one for one in client.search_logged_models(["1"]) if f"/{one.model_id}" in str(version.source)]
    assert (files_of(logged, made) / "artifacts" / "README.md").read_text() == card


def test_a_fetched_model_is_the_one_that_was_registered(made: Made, tmp_path: Path) -> None:
    registry = Registry(CONFIG, made.workdir)
    folder = registry.fetch("models:/ec-descr-gen@champion", tmp_path)
    for file in made.model_dir.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert registry.fetch("models:/ec-descr-gen/1", tmp_path) == folder
    for damage in (b"", b"tampered"):
        (folder / "weights.safetensors").write_bytes(damage)
        with pytest.raises(UserError, match=r"weights\.safetensors is missing or not what config\.json says"):
            Describer.load(folder, device="cpu")
        assert registry.fetch("models:/ec-descr-gen/1", tmp_path) == folder
        Describer.load(folder, device="cpu")
    for nobody in ("ec-descr-gen/99", f"ec-descr-gen/{'9' * 20}", "ec'descr/1", "ec-descr-gen/latest", "ec-descr-gen"):
        with pytest.raises(UserError, match=f"models:/{nobody}: there is no such version"):
            registry.fetch(f"models:/{nobody}", tmp_path)
    with pytest.raises(UserError, match="models:/ec'descr@champion: no version of"):
        registry.fetch("models:/ec'descr@champion", tmp_path)


def test_the_same_version_of_another_registry_is_another_model(made: Made, tmp_path: Path) -> None:
    there = tmp_path / "there"
    model_dir = shutil.copytree(made.model_dir, tmp_path / "other")
    add_facts(model_dir, note="another")
    other = start(there, "r1").register_model(model_dir, step=6, card="card")
    assert other is not None
    assert other["model_uri"] == made.registered["model_uri"]
    fetched = [
        Registry(CONFIG, workdir).fetch("models:/ec-descr-gen/1", tmp_path / "models")
        for workdir in (made.workdir, there)
    ]
    assert [read_config(folder).get("note") for folder in fetched] == [None, "another"]


@pytest.mark.usefixtures("_no_retries")
def test_a_server_that_goes_while_a_model_is_fetched_is_an_outage_and_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(TrackingConfig(uri=f"http://me:swordfish@127.0.0.1:{free_port()}"), tmp_path)
    monkeypatch.setattr(registry, "_version", lambda _: SimpleNamespace(name="ec-descr-gen", version="1", source="s"))
    with pytest.raises(RunError, match="models:/ec-descr-gen/1 can't be had from") as fetching:
        registry.fetch("models:/ec-descr-gen/1", tmp_path / "models")
    with pytest.raises(RunError, match="did not answer") as asking:
        registry.champion()
    for raised in (fetching, asking):  # a worker's run log has all of it
        assert "swordfish" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.usefixtures("_no_retries")
def test_a_password_in_the_registrys_address_is_not_shown(tmp_path: Path) -> None:
    config = TrackingConfig(uri=f"http://bob:hunter2@127.0.0.1:{free_port()}", timeout_s=1)
    with pytest.raises(RunError, match=r"registry at http://127\.0\.0\.1:\d+ did not answer") as raised:
        Registry(config, tmp_path).champion()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("silent", [False, True])
def test_a_database_that_does_not_answer_is_told_in_seconds_and_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "")  # so that the test takes back what is set meanwhile
    monkeypatch.delenv("PGCONNECT_TIMEOUT")
    began = time.monotonic()
    with socket.socket() as host:  # which takes a connection and says nothing, or else takes none
        host.bind(("127.0.0.1", 0))
        if silent:
            host.listen()
        config = TrackingConfig(
            uri=f"postgresql+psycopg://bob:hunter2@127.0.0.1:{host.getsockname()[1]}/mlflow", timeout_s=1
        )
        with pytest.raises(
            RunError, match=r"registry at postgresql\+psycopg://127\.0\.0\.1:\d+/mlflow did not answer"
        ) as raised:
            Registry(config, tmp_path).champion()
    assert "hunter2" not in str(raised.value)
    assert time.monotonic() - began < 60


@pytest.fixture
def _no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def files_of(logged: LoggedModel, made: Made) -> Path:
    """Where the files of a logged model are on disk."""
    return made.workdir / "mlartifacts" / str(logged.artifact_location).removeprefix("mlflow-artifacts:/")


def test_the_logged_model_keeps_epoch_metrics_signature_example_card_and_pinned_requirements(made: Made) -> None:
    client = mlflow.MlflowClient(tracking_uri=made.run.tracking_uri)
    version = client.get_model_version("ec-descr-gen", "1")
    assert version.description == "# the card"
    assert version.tags["epoch"] == "6"
    (logged,) = [one for one in client.search_logged_models(["1"]) if f"/{one.model_id}" in str(version.source)]
    assert (logged.params["a"], logged.source_run_id, version.run_id) == ("1", made.run.run_id, made.run.run_id)
    outputs = client.get_run(str(made.run.run_id)).outputs
    assert outputs is not None
    [output] = outputs.model_outputs
    assert (output.model_id, output.step) == (logged.model_id, 6)
    folder = files_of(logged, made)
    assert (folder / "artifacts" / "README.md").read_text() == "# the card"
    listed = (folder / "requirements.txt").read_text().splitlines()
    assert set(requirements()) <= set(listed)
    assert all("==" in line for line in listed)
    assert not [line for line in listed if line.startswith(("prefect", "bert"))]
    assert {path.name for path in (folder / "code").iterdir()} == {"model"}
    names = [file.name for file in folder.rglob("*")]
    assert not [name for name in names if name.endswith((".pkl", ".pt", ".pth"))]
    assert "beam_size" in (folder / "MLmodel").read_text()


def test_what_is_served_describes_pictures_with_what_it_is_asked_and_else_with_the_models_own_and_names_a_bad_one(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow about its own type hints
        from tasks.tracking import served_model

    there: Any = SimpleNamespace(artifacts={"model": str(made.model_dir)})
    served = served_model.Served()
    served.load_context(there)
    monkeypatch.setattr(served_model, "BATCH_SIZE", 3)
    asked = {"beam_size": 2, "max_words": 12}
    assert served.predict(there, made.pictures, asked) == made.descriptions
    assert served.predict(there, made.pictures, {"beam_size": 0, "max_words": 0}) == made.descriptions, "as it was made"
    short = served.predict(there, made.pictures, {"max_words": 2})
    assert max(len(text.split()) for text in short) == 2
    no_picture = base64.b64encode(b"no picture").decode()
    for inputs, reason in (
        (["%%%"], "input 0 is not base64"),
        ([made.pictures[0], no_picture], "input 1 is not a picture"),
    ):
        with pytest.raises(MlflowException, match=reason) as refused:
            served.predict(there, inputs)
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE", "which the server tells as 400"
    with pytest.raises(MlflowException, match=r"search\.beam_size is -3"):
        served.predict(there, made.pictures, {"beam_size": -3})
    monkeypatch.setattr(served_model, "MAX_PICTURE_BYTES", 9)
    with pytest.raises(MlflowException, match="input 0 has 10 bytes; at most 9 are taken"):
        served.predict(there, [no_picture])


def test_a_subprocess_loads_the_champion_from_a_real_server_and_writes_the_same(made: Made, tmp_path: Path) -> None:
    with server(made.workdir) as address:
        texts = load_elsewhere(sys.executable, address, "models:/ec-descr-gen@champion", made.pictures, tmp_path)
        client = mlflow.MlflowClient(tracking_uri=address)
        run = client.get_run(str(made.run.run_id))
        through_server = start_run(
            TrackingConfig(uri=address, system_metrics=False),
            run_dir=tmp_path / "runs" / "r9",
            name="through the server",
            parameters={"a": 1},
            tags={},
        )
        through_server.log_metrics({"test/bleu_4": 0.5})
        (tmp_path / "a.txt").write_text("a")
        through_server.log_files([tmp_path / "a.txt"])
        assert through_server.end()
        assert client.get_run(str(through_server.run_id)).data.metrics == {"test/bleu_4": 0.5}
    assert texts == made.descriptions
    assert run.info.status == "FINISHED"


def test_a_run_may_change_between_the_server_and_the_bare_store_and_the_workdir_may_move(tmp_path: Path) -> None:
    """Started directly, continued through `up`'s server, read directly from a folder of another name."""
    workdir = tmp_path / "before"
    run = start_run(CONFIG, run_dir=workdir / "runs" / "r1", name="one", parameters={}, tags={})
    (tmp_path / "a.txt").write_text("directly")
    run.log_files([tmp_path / "a.txt"])
    with server(workdir) as address, try_lock(up_path(workdir), up_facts(address)):
        served_run = TrackedRun(run.run_dir)
        assert served_run.tracking_uri == address
        (tmp_path / "b.txt").write_text("served")
        served_run.log_files([tmp_path / "b.txt"])
        assert served_run.end()
        other = TrackingConfig(system_metrics=False, experiment="made by the server")
        second = start_run(other, run_dir=workdir / "runs" / "r2", name="two", parameters={}, tags={})
        second.log_files([tmp_path / "b.txt"])
        assert second.end()
        first_id, second_id = str(run.run_id), str(second.run_id)
        assert artifacts_of(mlflow.MlflowClient(address), first_id) == {"a.txt": "directly", "b.txt": "served"}
    moved = workdir.rename(tmp_path / "after")
    client = mlflow.MlflowClient(TrackingConfig().tracking_uri(moved))
    assert artifacts_of(client, first_id) == {"a.txt": "directly", "b.txt": "served"}
    assert artifacts_of(client, second_id) == {"b.txt": "served"}


def up_facts(address: str) -> dict[str, Any]:
    return {"prefect_url": "", "mlflow_url": address, "auth": False}


def artifacts_of(client: mlflow.MlflowClient, run_id: str) -> dict[str, str]:
    """The text files of a run that stand in no folder, by name."""
    found = [one for one in client.list_artifacts(run_id) if not one.is_dir]
    return {one.path: Path(client.download_artifacts(run_id, one.path)).read_text() for one in found}


def test_an_unreachable_registry_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = TrackingConfig(uri=f"http://127.0.0.1:{free_port()}", timeout_s=2)
    with pytest.raises(RunError, match=r"registry at http://127\.0\.0\.1:\d+ did not answer: .* Start it, or set"):
        Registry(away, tmp_path).champion()


class Refuses(BaseHTTPRequestHandler):
    """Asks for a password, as a proxy before MLflow does."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"who are you?")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("_no_retries")
def test_a_registry_that_refuses_is_not_called_silent(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Refuses) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        config = TrackingConfig(uri=f"http://127.0.0.1:{there.server_port}", timeout_s=5)
        with pytest.raises(RunError, match=r"refused: .* 401 .*who are you\?.* Give MLFLOW_TRACKING_USERNAME"):
            Registry(config, tmp_path).champion()
        there.shutdown()


def post(address: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.acceptance
def test_a_served_champion_answers_pictures_with_descriptions_and_rubbish_with_a_reason(made: Made) -> None:
    port = free_port()
    command = [
        MLFLOW, "models", "serve", "-m", "models:/ec-descr-gen@champion",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    address, log = f"http://127.0.0.1:{port}", made.workdir / "serve.log"
    with running(command, address, "/ping", log, variables={"MLFLOW_TRACKING_URI": made.run.tracking_uri}):
        body = {"inputs": made.pictures, "params": {"beam_size": 2, "max_words": 12}}
        status, answer = post(address, json.dumps(body).encode())
        assert (status, answer) == (200, {"predictions": made.descriptions})
        _, greedy = post(address, json.dumps({"inputs": made.pictures, "params": {"max_words": 2}}).encode())
        assert all(len(text.split()) <= 2 for text in greedy["predictions"])
        no_picture = base64.b64encode(b"no picture").decode()
        for inputs, reason in (
            (["%%%"], "input 0 is not base64"),
            ([made.pictures[0], no_picture], "input 1 is not a picture"),
        ):
            status, answer = post(address, json.dumps({"inputs": inputs}).encode())
            assert status == 400, answer
            assert reason in answer
        status, answer = post(address, json.dumps({"inputs": made.pictures, "params": {"beam_size": -3}}).encode())
        assert status == 400, answer
        assert "search.beam_size is -3" in answer
        for rubbish in (b"rubbish", b"{}", b'{"inputs": 5}'):
            status, answer = post(address, rubbish)
            assert 400 <= status < 500, (rubbish, answer)


@pytest.mark.acceptance
@pytest.mark.timeout(1500)
def test_the_model_loads_where_only_its_listed_requirements_are_installed(made: Made, tmp_path: Path) -> None:
    registry = Registry(CONFIG, made.workdir)
    (logged,) = [one for one in registry.client.search_logged_models(["1"]) if one.source_run_id == made.run.run_id]
    folder = files_of(logged, made)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "clean")], check=True, timeout=120)
    python = str(tmp_path / "clean" / "bin" / "python")
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--python", python, "--requirement", str(folder / "requirements.txt")]
    subprocess.run(install, check=True, timeout=1200)
    with server(made.workdir) as address:
        texts = load_elsewhere(python, address, "models:/ec-descr-gen/1", made.pictures, tmp_path)
    assert texts == made.descriptions
