"""Fetches and packs a dataset, and kills itself with SIGKILL at a named place: run as a process by the tests."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import tests.tasks.pictures_dataset as steps
from tasks.pictures import chunk_files, chunks, pack
from tasks.pictures.settings import FetchConfig

CHUNK_ROWS = 20
CONFIG = FetchConfig(chunk_rows=CHUNK_ROWS, backoff_s=0.01)
TARGETS = {"train": 50, "validation": 10, "test": 12}
# A third of the links is dead, so the reserve is drawn; some come only when asked again.
URLS = {
    split: [f"/{('ok', '404', '503-twice')[order % 3]}/{start + order}" for order in range(2 * TARGETS[split])]
    for split, start in (("train", 1000), ("validation", 2000), ("test", 3000))
}
GOOD_IN_SAMPLE = sum("404" not in url for split, urls in URLS.items() for url in urls[: TARGETS[split]])
# In the order of a run.
PLACES = (
    "in the middle of a chunk",
    "between writing the pixels and renaming them",
    "between the pixels and the outcomes of a chunk",
    "while the reserve is drawn",
    "while packing",
    "between packing and cleaning",
    "while cleaning",
)


def dataset(folder: Path, base: str) -> steps.Dataset:
    """The dataset that is fetched, with its sample."""
    return steps.Dataset(folder, base=base, config=CONFIG).write_sample(URLS, TARGETS)


def kill_at_call(owner: Any, name: str, number: int, *, matching: str = "") -> None:
    """Kill this process, as `kill -9` does, when a function of the engine is called for the number-th time."""
    original, calls = getattr(owner, name), 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += matching in str(args[0])
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def arm(place: str) -> None:
    """Put the kill at its place."""
    match place:
        case "in the middle of a chunk":
            kill_at_call(chunks, "write_picture", CHUNK_ROWS + 7)
        case "between writing the pixels and renaming them":
            kill_at_call(Path, "replace", 2, matching=".pixels")
        case "between the pixels and the outcomes of a chunk":
            kill_at_call(Path, "replace", 2, matching=".parquet")
        case "while the reserve is drawn":
            kill_at_call(chunks, "write_picture", GOOD_IN_SAMPLE + 3)
        case "while packing":
            kill_at_call(pack, "update_digest", 13)
        case "between packing and cleaning":
            kill_at_call(steps, "remove_chunks", 1)
        case "while cleaning":
            kill_at_call(Path, "unlink", 3, matching=str(Path(chunk_files.chunks_folder(Path()))))


if __name__ == "__main__":
    arm(sys.argv[3])
    dataset(Path(sys.argv[1]), sys.argv[2]).fetch().pack()
