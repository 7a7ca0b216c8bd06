"""One run at a time in a working directory: who waits, for whom, and what a lock's file says."""

import fcntl
import logging
import os
import threading
from pathlib import Path

import pytest

from tasks import lock
from tasks.lock import lock_facts, try_lock, workdir_lock


@pytest.mark.timeout(20)
def test_a_run_waits_for_another_says_once_for_whom_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(lock, "WAIT_S", 0.01)
    with workdir_lock(tmp_path, "an earlier run"):
        pass  # what this process held once, it holds no more
    went_on = threading.Event()

    def run() -> None:
        with workdir_lock(tmp_path, "this run"):
            went_on.set()

    with try_lock(tmp_path / "lock", {"purpose": "pipeline of a.json"}) as got:
        assert got
        waiting = threading.Thread(target=run)
        waiting.start()
        assert not went_on.wait(0.2)
    assert went_on.wait(10)
    waiting.join()
    holder = f"pipeline of a.json (process {os.getpid()})"
    assert caplog.messages == [f"waiting for {holder} in {tmp_path}; this goes on by itself"]


@pytest.mark.timeout(20)
def test_who_holds_the_lock_already_passes_however_the_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with workdir_lock(tmp_path, "the command"):
        with workdir_lock(Path(), "its flow"):
            pass
        facts = lock_facts(tmp_path / "lock")
    assert facts == {"pid": os.getpid(), "purpose": "the command"}


def test_a_lock_s_file_speaks_while_it_is_held_and_to_several_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    assert lock_facts(path) is None
    with try_lock(path, {"purpose": "a run"}):
        assert lock_facts(path) == {"pid": os.getpid(), "purpose": "a run"}
        path.write_text("")  # as while the note is being written
        assert lock_facts(path) == {}
        path.write_text("a note longer than the next one")
    assert path.read_text() == ""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # another one that looks
        assert lock_facts(path) is None
