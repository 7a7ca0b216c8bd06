"""Locks that go when their process goes, however it ends: the operating system's lock on an open file.

One pipeline run at a time in a working directory: `workdir_lock`. The file says who holds it.
"""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from model.errors import UserError

WAIT_S = 1.0
REMIND_S = 60.0
LOOK_S = 0.001
logger = logging.getLogger(__name__)
_held: set[Path] = set()


@contextmanager
def workdir_lock(workdir: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of `workdir` for the block; wait while another process holds it, and say for whom.

    A process that holds the lock already passes: the command line takes it before Prefect's server starts,
    the flow takes it for runs that a worker started.

    Raises:
        UserError: the directory cannot be made or written.
    """
    path = workdir.resolve() / "lock"
    if path in _held:
        yield
        return
    reminded = 0.0
    while True:
        with try_lock(path, {"purpose": purpose}) as got:
            if got:
                _held.add(path)
                try:
                    yield
                finally:
                    _held.discard(path)
                return
        if not reminded or time.monotonic() - reminded > REMIND_S:
            holder = lock_facts(path) or {}
            who = f"{holder['purpose']} (process {holder['pid']})" if holder else "another run"
            logger.info("waiting for %s in %s; this goes on by itself", who, path.parent)
            reminded = time.monotonic()
        time.sleep(WAIT_S)


@contextmanager
def try_lock(path: Path, facts: dict[str, Any]) -> Iterator[bool]:
    """Lock a file for the block, if nobody holds it, and write the facts and this process's id into it.

    Yields whether it was got. The file stays, empty, and nothing is to be read from its presence.

    Raises:
        UserError: the file cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"cannot write to the working directory {path.parent}: {error.strerror}; choose another with --workdir"
        ) from None
    with os.fdopen(descriptor, "r+") as file:
        if not _locked(descriptor):
            yield False
            return
        with suppress(OSError):  # a full disk: the lock counts, not the note
            write_facts(path, facts)
        try:
            yield True
        finally:
            file.truncate(0)


def _locked(descriptor: int) -> bool:
    """Lock an open file, unless somebody holds it. Those who only look who does (`lock_facts`) are gone in a moment."""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # beside those who look, not beside a holder
        except BlockingIOError:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(LOOK_S)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Lock a file for the block, once nobody else holds it: a wait of moments, so nothing is said."""
    while True:
        with try_lock(path, {}) as got:
            if got:
                yield
                return
        time.sleep(0.05)


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """What the holder of a lock says of itself; to be called by the holder alone."""
    path.write_text(json.dumps({"pid": os.getpid(), **facts}), encoding="utf-8")


def lock_facts(path: Path) -> dict[str, Any] | None:
    """What the holder of a lock wrote into it, its `pid` among it; None if nobody holds it."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                facts: dict[str, Any] = json.load(file)
            except ValueError:  # it is just being written
                return {}
            return facts
    return None
