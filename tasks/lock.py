"""One pipeline run at a time in a working directory.

The lock is the operating system's lock on an open file: it goes when its process goes, however it ends.
"""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import UserError

WAIT_S = 1.0
REMIND_S = 60.0
logger = logging.getLogger(__name__)
_held: set[Path] = set()


@contextmanager
def workdir_lock(workdir: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of `workdir` for the block; wait while another process holds it.

    A process that holds the lock already passes: the command line takes it before Prefect's server starts,
    the flow takes it for runs that a worker started.

    Raises:
        UserError: the directory cannot be made or written.
    """
    path = workdir.resolve() / "lock"
    if path in _held:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"cannot write to the working directory {workdir}: {error.strerror}; choose another with --workdir"
        ) from None
    with os.fdopen(descriptor, "r+") as file:
        _wait(file.fileno(), path)
        _held.add(path)
        try:
            file.truncate(0)
            json.dump({"pid": os.getpid(), "purpose": purpose}, file)
            file.flush()
            yield
            file.truncate(0)
        finally:
            _held.discard(path)


def _wait(descriptor: int, path: Path) -> None:
    reminded = 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - reminded > REMIND_S:
                logger.info("waiting for %s in %s", _read(path)[1], path.parent)
                reminded = time.monotonic()
            time.sleep(WAIT_S)
        else:
            return


def _read(path: Path) -> tuple[int, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, "another run"
    return int(known["pid"]), f"{known['purpose']} (process {known['pid']})"


def lock_holder(workdir: Path) -> int:
    """The process that holds the lock of `workdir` now; 0 if none does."""
    path = workdir.resolve() / "lock"
    if path in _held:
        return os.getpid()
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path)[0]
    return 0
