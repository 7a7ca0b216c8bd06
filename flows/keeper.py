"""`python -m flows.keeper COMMAND …`: runs a command so that nothing of it outlives whoever asked for it.

It ends when its standard input closes, which the system does for a parent that was killed. Then the command and its
children get SIGTERM and some time, and what is left, however deep, is killed. When the command ends by itself, what
it started ends too. On Linux orphans come back to this process, so none of them escapes.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import psutil

GRACE_S = 20.0  # a flow run reports its end to Prefect and MLflow
KILL_S = 20.0  # and then what is left of it is killed
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants() -> None:
    """Kill whatever still descends from this process."""
    while True:
        found = [one for one in psutil.Process().children(recursive=True) if _lives(one)]
        if not found:
            return
        for one in found:
            _send(one, signal.SIGKILL)
        psutil.wait_procs(found, timeout=1)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def keep(command: Sequence[str]) -> int:
    """Run the command; returns its exit code, or 0 if it was told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent's end is the only word that counts
    adopt_orphans()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_listen_again)  # noqa: PLW1509, S603
    told = threading.Event()

    def watch() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would be held when the interpreter ends
            pass
        told.set()

    threading.Thread(target=watch, daemon=True).start()
    while process.poll() is None and not told.wait(timeout=0.2):
        pass
    if process.poll() is None:
        top = psutil.Process(process.pid)
        # A worker waits for its flow runs and does not tell them to end; what they started ends with them.
        for one in (*top.children(), top):
            _send(one, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_S)
    kill_descendants()
    code = process.wait()
    if told.is_set():
        return 0
    return 128 - code if code < 0 else code  # as a shell tells of a signal


def end(keeper: "subprocess.Popen[bytes]") -> None:
    """End a process that runs `keep`, from the parent that holds its standard input; returns when it is gone."""
    assert keeper.stdin is not None
    keeper.stdin.close()
    try:
        keeper.wait(timeout=GRACE_S + KILL_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


def _listen_again() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
