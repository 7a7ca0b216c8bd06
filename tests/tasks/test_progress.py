"""Progress says how much is done and how long is left, in plain lines where there is no terminal."""

import logging
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tasks import progress as module
from tasks.progress import changing_progress, format_seconds, progress


def test_a_log_tells_the_end_of_a_step_and_where_it_can_how_long_is_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "LINE_INTERVAL_S", 0.0)
    with progress("Packing", 4, unit="pictures") as bar:
        bar.started -= 60
        bar.advance(1, "20/s")
        bar.advance(3)
        bar.advance(0)
    assert caplog.messages[:2] == [
        "Packing: 1 of 4 pictures, 3 min 00 s left (20/s)",
        "Packing: 4 of 4 pictures (20/s)",
    ]


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):  # the second time is a step of its own
        with progress("Packing", 4, unit="pictures") as bar:
            bar.last_line -= module.LINE_INTERVAL_S
            for _ in range(4):
                bar.advance()
            bar.advance(0)
    assert [line.partition(" pictures")[0] for line in caplog.messages] == ["Packing: 1 of 4", "Packing: 4 of 4"] * 2


def test_a_step_of_unknown_length_tells_what_is_done(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "LINE_INTERVAL_S", 0.0)
    with progress("Reading", None, unit="records") as bar:
        bar.advance(50_000)
    assert caplog.messages == ["Reading: 50,000 records"]


def test_chunks_side_by_side_share_one_bar() -> None:
    with progress("Fetching", 4, unit="pictures") as whole:
        with progress("Fetching", 2, unit="pictures") as part:
            part.advance(2)
        assert part is whole
        assert whole.done == 2


def test_an_engine_that_names_its_steps_gets_a_bar_for_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with changing_progress("steps") as show:
        show("epoch 1", 1, 2, "")
        show("epoch 1", 2, 2, "loss 3")
        with progress("epoch 1", 9, unit="steps") as other:
            assert other.done == 2
        show("epoch 2", 2, 2, "loss 2")
        with progress("epoch 1", 9, unit="steps") as other:
            assert other.done == 0, "the bar of a step that is over is closed"
    assert caplog.messages == ["epoch 1: 2 of 2 steps (loss 3)", "epoch 2: 2 of 2 steps (loss 2)"]


def test_a_bar_is_shown_in_prefect_as_it_stands_at_the_end_and_a_prefect_that_is_gone_stops_no_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tasks import shown

    told: list[tuple[float, str]] = []

    def update(_: UUID, percent: float, description: str) -> None:
        told.append((percent, description))

    def gone(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("no such server")

    def step() -> None:
        with progress("Fetching", 4, unit="pictures") as bar, shown.shown_progress(bar, key="fetching"):
            bar.started -= 60
            bar.advance(1)

    monkeypatch.setattr(shown, "create_progress_artifact", lambda *_, **__: uuid4())
    monkeypatch.setattr(shown, "update_progress_artifact", update)
    step()
    assert told == [(25.0, "Fetching: 1 of 4 pictures, 3 min 00 s left")]
    monkeypatch.setattr(shown, "update_progress_artifact", gone)
    step()
    monkeypatch.setattr(shown, "create_progress_artifact", gone)
    step()
    monkeypatch.setattr(shown, "create_markdown_artifact", gone)
    shown.show_page("a page", key="page", description="of a run")
    assert len(told) == 1


def test_seconds_read_as_people_say_them() -> None:
    assert [format_seconds(value) for value in (3.2, 60, 245, 3600, 7800)] == [
        "3 s", "1 min 00 s", "4 min 05 s", "1 h 00 min", "2 h 10 min"
    ]  # fmt: skip
