"""What the records of runs say together."""

import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.errors import UserError
from model.files import read_json
from tasks.lock import lock_facts, try_lock
from tasks.runs import (
    ContentChangedError,
    Request,
    all_runs,
    find_run,
    find_same,
    latest_tracking,
    recorded,
    tracking_of_models,
)
from tasks.tracking.config import TrackingConfig
from tests.command import run


def make_run(workdir: Path, run_id: str, flow: str, *, experiment: str, fail: bool = False) -> None:
    settings = {"tracking": {"experiment": experiment}}
    with recorded(workdir, run_id, Request(flow=flow, catalog="c.json", image_base_url="", settings=settings)):
        if fail:
            raise OSError("no such server")


def test_the_latest_run_that_tracks_says_where_not_a_later_preparation(tmp_path: Path) -> None:
    assert latest_tracking(all_runs(tmp_path)) is None
    make_run(tmp_path, "00000001", "pipeline", experiment="before")
    make_run(tmp_path, "00000002", "pipeline", experiment="shop")
    make_run(tmp_path, "00000003", "prepare", experiment="elsewhere")
    tracking = latest_tracking(all_runs(tmp_path))
    assert tracking is not None
    assert tracking.experiment == "shop"


def test_an_evaluation_and_a_failed_run_elsewhere_do_not_lead_away_from_the_champion(tmp_path: Path) -> None:
    make_run(tmp_path, "00000001", "pipeline", experiment="shop")
    make_run(tmp_path, "00000002", "evaluation", experiment="looked at once")
    with pytest.raises(OSError, match="no such server"):
        make_run(tmp_path, "00000003", "pipeline", experiment="mistyped", fail=True)
    tracking = latest_tracking(all_runs(tmp_path))
    assert tracking is not None
    assert tracking.experiment == "shop"


def test_a_retraining_says_where_its_champion_is_as_a_pipeline_does_and_before_an_evaluation(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such server"):
        make_run(tmp_path, "00000001", "retraining", experiment="shop", fail=True)
    make_run(tmp_path, "00000002", "evaluation", experiment="looked at once")
    assert latest_tracking(all_runs(tmp_path)) == TrackingConfig(experiment="shop")
    make_run(tmp_path, "00000003", "retraining", experiment="another shop")
    make_run(tmp_path, "00000004", "evaluation", experiment="looked at once")
    assert latest_tracking(all_runs(tmp_path)) == TrackingConfig(experiment="another shop")


def test_a_run_of_another_release_still_says_where_its_champion_is(tmp_path: Path) -> None:
    settings = {"tracking": {"experiment": "shop", "a setting that is no more": 1}}
    with recorded(tmp_path, "00000001", Request(flow="pipeline", catalog="c", image_base_url="", settings=settings)):
        pass
    assert latest_tracking(all_runs(tmp_path)) == TrackingConfig(experiment="shop")


def test_a_setting_that_names_no_place_leads_nowhere_else(tmp_path: Path) -> None:
    make_run(tmp_path, "00000001", "pipeline", experiment="shop")
    slow = TrackingConfig(timeout_s=60)
    assert tracking_of_models(tmp_path, slow) == TrackingConfig(experiment="shop", timeout_s=60)
    assert tracking_of_models(tmp_path, TrackingConfig()) == TrackingConfig(experiment="shop")
    for elsewhere in (TrackingConfig(uri="http://127.0.0.1:5000"), TrackingConfig(model_name="another")):
        assert tracking_of_models(tmp_path, elsewhere) == elsewhere


SHOP = Request(flow="pipeline", catalog="c.json", image_base_url="", settings={"train": {"epochs": 3}})


def stopped(workdir: Path, run_id: str, error: BaseException, request: Request = SHOP, *, dataset_id: str = "d") -> str:
    """The state of a run that an error stopped, in a dataset or before it had one."""

    def begin() -> None:
        with recorded(workdir, run_id, request) as run:
            run.note(dataset_id=dataset_id)
            raise error

    with pytest.raises(type(error)):
        begin()
    return next(record.state for record in all_runs(workdir) if record.run_id == run_id[:8])


def test_the_latest_run_that_can_go_on_is_resumed_or_the_one_that_is_named(tmp_path: Path) -> None:
    stopped(tmp_path, "00000001-of-prefect", OSError())
    stopped(tmp_path, "00000002-of-prefect", OSError())
    with recorded(tmp_path, "00000003-of-prefect", SHOP):
        pass
    assert find_run(tmp_path, None).run_id == "00000002"
    assert find_run(tmp_path, "00000001").run_id == "00000001"
    assert find_run(tmp_path, "00000001-of-prefect").run_id == "00000001", "as Prefect's pages name it"
    with pytest.raises(UserError, match="run 00000003 is completed: only a failed or killed run can be resumed"):
        find_run(tmp_path, "00000003")


def test_the_same_command_goes_on_with_its_latest_run_alone_and_only_if_that_is_unfinished(tmp_path: Path) -> None:
    other = Request(flow="pipeline", catalog="c.json", image_base_url="", settings={"train": {"epochs": 4}})
    stopped(tmp_path, "00000001", OSError())
    stopped(tmp_path, "00000002", OSError(), other)
    same = find_same(tmp_path, SHOP)
    assert same is not None
    assert same.run_id == "00000001"
    with recorded(tmp_path, "00000003", SHOP):
        pass
    assert find_same(tmp_path, SHOP) is None, "what failed before has been done since"


def test_how_a_run_was_stopped_says_whether_it_can_go_on(tmp_path: Path) -> None:
    from prefect.exceptions import TerminationSignal

    assert stopped(tmp_path, "00000001", UserError("no such column"), dataset_id="") == "refused"
    assert stopped(tmp_path, "00000002", UserError("no room for the pictures")) == "failed"
    assert stopped(tmp_path, "00000003", OSError("no network"), dataset_id="") == "failed"
    assert stopped(tmp_path, "00000004", TerminationSignal(signal=15)) == "killed"
    reasons = [record.reason for record in reversed(all_runs(tmp_path))]
    assert reasons == [
        "no such column", "no room for the pictures", "OSError('no network')", "stopped with SIGTERM",
    ]  # fmt: skip


def test_a_run_that_goes_on_keeps_what_it_was_asked_when_it_began_and_forgets_why_it_stopped(tmp_path: Path) -> None:
    stopped(tmp_path, "00000001", OSError("no network"))
    [before] = all_runs(tmp_path)
    with recorded(tmp_path, "00000001", Request(flow="pipeline", catalog="e", image_base_url="", settings={})) as run:
        [now] = all_runs(tmp_path)
        assert (now.state, now.reason) == ("running", "")
        assert (run.record.request, now.request, now.started_at) == (SHOP, SHOP, before.started_at)
    assert all_runs(tmp_path)[0].state == "completed"


def test_a_run_does_not_go_on_with_other_products_or_pictures_than_it_began_with(tmp_path: Path) -> None:
    for _ in range(2):
        with recorded(tmp_path, "00000001", SHOP) as run:
            run.bind_dataset("d")
            run.bind_pictures("0123")
    with recorded(tmp_path, "00000001", SHOP) as run:
        with pytest.raises(ContentChangedError, match=r"the content of c\.json changed since run 00000001 began"):
            run.bind_dataset("e")
        with pytest.raises(ContentChangedError, match="the pictures of dataset d were fetched again since run"):
            run.bind_pictures("4567")
        assert (run.record.dataset_id, run.record.dataset_digest) == ("d", "0123")


def test_a_record_whose_addresses_may_hold_a_password_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_run(tmp_path, "00000001", "pipeline", experiment="shop")
    assert (tmp_path / "runs" / "00000001" / "run.json").stat().st_mode & 0o777 == 0o600


def changed(record: dict[str, Any], **values: Any) -> str:
    return json.dumps(record | values)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda _: "\0\0\0",
        lambda _: "{}",
        lambda _: "[]",
        lambda _: '{"request": {}}',
        lambda record: changed(record, started_at=None),
        lambda record: changed(record, state="odd"),
        lambda record: changed(record, request=record["request"] | {"settings": []}),
        lambda record: changed(record, run_id="00000001"),  # a copy of another run's folder
    ],
)
def test_a_damaged_record_hides_its_own_run_alone_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[dict[str, Any]], str]
) -> None:
    make_run(tmp_path, "00000001", "pipeline", experiment="shop")
    make_run(tmp_path, "00000002", "pipeline", experiment="shop")
    damaged = tmp_path / "runs" / "00000002" / "run.json"
    damaged.write_text(damage(read_json(damaged)))
    assert [record.run_id for record in all_runs(tmp_path)] == ["00000001"]
    assert str(damaged) in caplog.text


def test_a_lock_holds_also_where_its_note_finds_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tasks.lock.write_facts", full)
    with try_lock(tmp_path / "lock", {}) as got, try_lock(tmp_path / "lock", {}) as again:
        assert (got, again) == (True, False)


def test_a_lock_that_nobody_holds_is_got_however_often_others_look_who_holds_it(tmp_path: Path) -> None:
    path, ended = tmp_path / "lock", threading.Event()

    def look() -> None:
        while not ended.is_set():
            lock_facts(path)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(1000):
            with try_lock(path, {}) as got:
                assert got
    finally:
        ended.set()
        for looker in lookers:
            looker.join()


def test_where_only_data_was_prepared_rollback_finds_no_champion_and_makes_no_store(tmp_path: Path) -> None:
    make_run(tmp_path, "00000001", "prepare", experiment="shop")
    line = run("rollback", "--workdir", tmp_path, code=2).stderr
    assert f"there is no champion in {tmp_path}" in line
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "lock"}
