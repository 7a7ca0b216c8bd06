"""`clean` removes what nothing needs, says what it freed, and a kill in between leaves nothing half."""

import shutil
import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest

from flows.cleaning import by_last_use, clean, size_bytes
from flows.cli import make_parser
from model.errors import UserError
from model.files import read_json, write_json
from tasks import lock
from tasks.lock import hold, try_lock
from tasks.runs import Request, all_runs, recorded
from tasks.tracking import TrackingConfig, start_run
from tests.command import run, run_json

SETTINGS: dict[str, Any] = {"tracking": {}}


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Six datasets, each of a finished run, the latest last; the second's run failed since."""
    for number in range(6):
        make_run(tmp_path, number)
    return tmp_path


def make_run(workdir: Path, number: int, *, fail: bool = False) -> None:
    request = Request(flow="prepare", catalog=f"{number}.json", image_base_url="", settings=SETTINGS)
    folder = workdir / "datasets" / f"d{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.h5").write_bytes(bytes(1000 * (number + 1)))
    with recorded(workdir, f"{number:08}-run", request) as run:
        run.note(dataset_id=f"d{number}")
        checkpoint = run.folder / "training" / "checkpoint-0001"
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "state.json").write_text("{}")
        if fail:
            raise OSError("no network")


def datasets(workdir: Path) -> set[str]:
    return {path.name for path in (workdir / "datasets").iterdir()}


def test_the_latest_stay_and_what_an_unfinished_run_needs(workdir: Path) -> None:
    with pytest.raises(OSError, match="no network"):
        make_run(workdir, 1, fail=True)
    before = size_bytes(workdir / "datasets")
    result = run_json("clean", "--keep", "2", "--workdir", workdir)
    assert datasets(workdir) == {"d1", "d4", "d5"} == set(result["kept"])
    assert result["kept"]["d1"] == "run 00000001 is unfinished"
    checkpoints_bytes = 5 * len("{}")
    assert result["freed_bytes"] == before - size_bytes(workdir / "datasets") + checkpoints_bytes
    assert [path.parts[-3] for path in workdir.glob("runs/*/training/checkpoint-*")] == ["00000001"]
    assert {path.name for path in workdir.iterdir()} == {"datasets", "runs", "lock"}
    again = run_json("clean", "--keep", "2", "--workdir", workdir)
    assert (again["removed"], again["freed_bytes"]) == ([], 0)


def test_a_run_that_is_given_up_goes_with_what_it_alone_needed(workdir: Path) -> None:
    with pytest.raises(OSError, match="no network"):
        make_run(workdir, 1, fail=True)
    request = Request(flow="prepare", catalog="c.json", image_base_url="", settings={})
    with pytest.raises(UserError, match="a mistake"), recorded(workdir, "00000009", request):
        raise UserError("a mistake")
    run_json("clean", "--keep", "9", "--workdir", workdir)
    assert (workdir / "runs" / "00000009").is_dir()
    result = run_json("clean", "--keep", "2", "--unfinished", "--workdir", workdir)
    assert datasets(workdir) == {"d4", "d5"} == set(result["kept"])
    assert not (workdir / "runs" / "00000001").exists()
    assert not (workdir / "runs" / "00000009").exists()
    assert "nothing to resume" in run("resume", "--workdir", workdir, code=2).stderr


def cleaned(workdir: Path, *options: str) -> dict[str, Any]:
    """What `clean` says, in this process."""
    given = make_parser().parse_args(["clean", "--workdir", str(workdir), *options])
    found: dict[str, Any] = clean(given)[0]
    return found


def test_what_a_run_that_waits_to_go_on_needs_stays(workdir: Path) -> None:
    folder = workdir / "runs" / "00000001"
    write_json(folder / "run.json", read_json(folder / "run.json") | {"state": "waiting"})
    with hold(folder / "lock"):  # its process lives
        assert cleaned(workdir, "--keep", "0", "--unfinished")["kept"] == {"d1": "run 00000001 is unfinished"}
    assert datasets(workdir) == {"d1"}


def test_the_dataset_of_the_champion_stays(workdir: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, workdir)
    request = Request(flow="pipeline", catalog="c.json", image_base_url="", settings=SETTINGS)
    with recorded(workdir, "00000006", request):
        pass
    uri = f"sqlite:///{workdir / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri, registry_uri=uri)
    client.create_registered_model("ec-descr-gen")
    client.create_model_version("ec-descr-gen", str(workdir), tags={"dataset_id": "d2"})
    client.set_registered_model_alias("ec-descr-gen", "champion", "1")
    kept = cleaned(workdir, "--keep", "1")["kept"]
    assert kept == {"d2": "the champion was trained on it", "d5": "one of the latest 1"}
    assert datasets(workdir) == {"d2", "d5"}


@pytest.mark.timeout(30)
def test_nothing_is_removed_while_a_run_is_in_progress(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_S", 0.01)
    cleaning = threading.Thread(target=cleaned, args=(workdir, "--keep", "0"))
    with try_lock(workdir / "lock", {"purpose": "a run"}):
        cleaning.start()
        cleaning.join(0.3)
        assert len(datasets(workdir)) == 6
    cleaning.join()
    assert datasets(workdir) == set()


def test_a_killed_run_that_is_given_up_does_not_stay_running_in_mlflow(workdir: Path) -> None:
    folder = workdir / "runs" / "00000001"
    tracked = start_run(TrackingConfig(), run_dir=folder, name="r", parameters={}, tags={})
    client, run_id = mlflow.MlflowClient(tracked.tracking_uri), str(tracked.run_id)
    write_json(folder / "run.json", read_json(folder / "run.json") | {"state": "running"})
    assert client.get_run(run_id).info.status == "RUNNING"
    other = workdir / "runs" / "00000002"
    failed = start_run(TrackingConfig(), run_dir=other, name="r", parameters={}, tags={})
    failed.end("FAILED")
    failed_id = str(failed.run_id)
    write_json(other / "run.json", read_json(other / "run.json") | {"state": "failed"})
    run_json("clean", "--unfinished", "--workdir", workdir)
    assert not folder.exists()
    assert client.get_run(run_id).info.status == "KILLED"
    assert client.get_run(failed_id).info.status == "FAILED"


def test_a_run_whose_record_cannot_be_read_goes_with_the_unfinished_and_is_named(workdir: Path) -> None:
    damaged = workdir / "runs" / "00000001"
    (damaged / "run.json").write_text("{")

    def removed(*options: str) -> set[str]:
        return {one["path"] for one in cleaned(workdir, "--keep", "9", *options)["removed"]}

    assert str(damaged) not in removed()
    assert damaged.is_dir()
    assert removed("--unfinished") == {str(damaged)}
    assert {path.name for path in (workdir / "runs").iterdir()} == {f"{n:08}" for n in (0, 2, 3, 4, 5)}


def test_what_a_killed_clean_has_set_aside_goes_with_the_next(workdir: Path) -> None:
    (workdir / "removed").mkdir()
    shutil.move(workdir / "datasets" / "d0", workdir / "removed" / "datasets-d0")
    assert run_json("clean", "--keep", "9", "--workdir", workdir)["kept"].keys() == {f"d{n}" for n in range(1, 6)}
    assert not (workdir / "removed").exists()


def test_the_order_is_that_of_the_last_use(workdir: Path) -> None:
    path = workdir / "runs" / "00000000" / "run.json"
    write_json(path, read_json(path) | {"updated_at": "2999-01-01T00:00:00+00:00"})
    assert [one.name for one in by_last_use(workdir, all_runs(workdir))] == ["d0", "d5", "d4", "d3", "d2", "d1"]
    with recorded(workdir, "00000006", Request(flow="prepare", catalog="", image_base_url="", settings={})) as again:
        again.note(dataset_id="d1")
    assert [one.name for one in by_last_use(workdir, all_runs(workdir))] == ["d0", "d1", "d5", "d4", "d3", "d2"]


def test_a_wrong_number_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    assert "--keep is -1" in run("clean", "--keep", "-1", "--workdir", tmp_path, code=2).stderr
    assert "there is no working directory" in run("clean", "--workdir", tmp_path / "none", code=2).stderr
