"""What the records of runs say together."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.files import read_json
from tasks.lock import try_lock
from tasks.runs import Request, all_runs, latest_tracking, recorded, tracking_of_models
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
    elsewhere = TrackingConfig(uri="http://127.0.0.1:5000")
    assert tracking_of_models(tmp_path, elsewhere) == elsewhere


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


def test_where_only_data_was_prepared_rollback_finds_no_champion_and_makes_no_store(tmp_path: Path) -> None:
    make_run(tmp_path, "00000001", "prepare", experiment="shop")
    line = run("rollback", "--workdir", tmp_path, code=2).stderr
    assert f"there is no champion in {tmp_path}" in line
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "lock"}
