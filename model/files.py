"""Files that appear whole or not at all."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL_SUFFIX = ".partial"
CHECKPOINT_PREFIX = "checkpoint-"  # before the epoch and the step that training goes on with
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; sync and rename it when the block ends without an error.

    Two processes may do this at once: each has its own partial file, and the last rename wins.

    Raises:
        OSError: the folder cannot be made or written. Nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def write_at(descriptor: int, data: memoryview, position: int) -> None:
    """Write bytes into a place of an open file, all of them."""
    while data:
        count = os.pwrite(descriptor, data, position)
        data, position = data[count:], position + count


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder. Call it while nothing is being written there."""
    for path in folder.glob(f".*{PARTIAL_SUFFIX}"):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text atomically; `private`, as where an address may hold a password, for its owner alone."""
    with atomic_path(path) as partial:
        partial.touch(mode=0o600 if private else 0o666)
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, private: bool = False) -> None:
    """Write JSON atomically, indented, keys in the order given; `private` as for `write_text`."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n", private=private)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
