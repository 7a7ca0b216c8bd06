"""The children of `up`, as real processes: watched, started again, and ended with all that they started."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import children, keeper
from flows.children import Child
from model.errors import RunError

KEEPER = [sys.executable, "-m", "flows.keeper"]
HASTY = [sys.executable, "-c", "import sys; from flows import keeper; keeper.GRACE_S = 0.5; keeper.keep(sys.argv[1:])"]


def child(folder: Path, *command: str, **more: Any) -> Child:
    given: dict[str, Any] = {"name": "the worker", "environment": os.environ, "healthy": lambda: False}
    return Child(command=command, log=folder / "worker.log", **given | more)


@pytest.mark.parametrize(("command", "says"), [("true", "ended"), ("cat", "did not begin to work within 1 s")])
def test_a_child_that_ends_or_hangs_before_it_works_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, says: str
) -> None:
    monkeypatch.setattr(children, "START_TIMEOUT_S", 20.0 if says == "ended" else 1.0)
    one = child(tmp_path, command)
    one.start()
    with pytest.raises(RunError, match=f"^the worker {says}: see {one.log}$"):
        one.wait()
    assert says != "ended" or time.monotonic() - one.started < children.START_TIMEOUT_S, "at once"
    one.stop()


def test_deploying_that_fails_is_told_with_its_log(tmp_path: Path) -> None:
    for command in ("true", "false"):
        one = child(tmp_path, command, name="deploying")
        one.start()
        if command == "true":
            one.finish()
        else:
            with pytest.raises(RunError, match=f"^deploying failed: see {one.log}$"):
                one.finish()
        one.stop()


def test_a_child_that_ends_is_started_again_later_each_time_and_given_up_when_it_ends_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    begun: list[int] = []
    one = child(tmp_path, "false", before=lambda: begun.append(len(pauses)))

    def end_again() -> None:
        assert one.process is not None
        one.process.wait()
        with monkeypatch.context() as moment:
            moment.setattr(time, "sleep", pauses.append)
            one.start_again_if_ended()

    one.start()
    for _ in range(children.MAX_RESTARTS):
        end_again()
    with pytest.raises(RunError, match=f"^the worker ended 6 times: see {one.log}$"):
        end_again()
    assert pauses == [1, 3, 7, 15, 30]
    assert begun == [0, 1, 2, 3, 4, 5], "what goes before it goes before each start"
    one.started -= children.STABLE_S + 1  # it had run well for long
    end_again()
    assert (pauses[5:], len(begun)) == ([0], 7)
    one.stop()


def test_a_child_that_runs_is_left_alone(tmp_path: Path) -> None:
    one = child(tmp_path, "cat")
    one.start()
    process = one.process
    one.start_again_if_ended()
    assert one.process is process
    one.stop()


def test_a_long_log_is_set_aside_and_a_short_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "MAX_LOG_BYTES", 9)
    one = child(tmp_path, "echo", "said")
    for _ in range(3):
        one.start()
        one.finish()
        one.stop()
    assert one.log.read_text() == "said\n"
    assert (tmp_path / "worker.before.log").read_text() == "said\nsaid\n"


@contextmanager
def kept(*command: str, keeper: Sequence[str] = KEEPER) -> Iterator[subprocess.Popen[str]]:
    """A command under the keeper, whose standard input is the test's pipe."""
    with subprocess.Popen(
        [*keeper, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def started(process: subprocess.Popen[str]) -> psutil.Process:
    """The process whose id the command has written."""
    assert process.stdout is not None
    return psutil.Process(int(process.stdout.readline()))


def gone(process: psutil.Process) -> bool:
    """Whether it runs no more, though nobody may have asked yet how it ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def let_go(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(timeout=60)


def test_what_a_command_leaves_behind_ends_with_it_and_its_exit_code_is_told() -> None:
    orphan = "(setsid sleep 600 & echo $!; exec >&-); "
    with kept("sh", "-c", f"{orphan} exit 3") as process:
        left = started(process)
        assert process.wait(timeout=60) == 3
        assert gone(left)
    with kept("sh", "-c", "kill -9 $$") as process:
        assert process.wait(timeout=60) == 128 + 9, "as a shell tells of it"


def test_a_command_ends_with_all_that_it_started_when_its_keepers_parent_goes() -> None:
    with kept("sh", "-c", "setsid sleep 600 & echo $!; wait") as process:
        left = started(process)
        assert process.poll() is None
        told = time.monotonic()
        assert let_go(process) == 0
        assert time.monotonic() - told < keeper.GRACE_S, "it heeds SIGTERM, which its keeper ignores"
        assert gone(left)


def test_a_command_that_heeds_nobody_is_killed_after_a_while() -> None:
    with kept("sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait; sleep 600", keeper=HASTY) as process:
        left = started(process)
        assert let_go(process) == 0
        assert gone(left)


WORKER = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""
FLOW_RUN = """
import os, signal, sys, time
def told(*_):
    open(sys.argv[1], "w").write("stopped with SIGTERM")
    sys.exit()
signal.signal(signal.SIGTERM, told)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_what_a_worker_runs_is_told_to_end_and_has_time_to_say_so(tmp_path: Path) -> None:
    """A worker waits for its flow runs and tells them nothing."""
    with kept(sys.executable, "-c", WORKER, FLOW_RUN, str(tmp_path / "told")) as process:
        started(process)
        assert let_go(process) == 0
    assert (tmp_path / "told").read_text() == "stopped with SIGTERM"
