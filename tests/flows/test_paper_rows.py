"""The paper preset at its real size: 15,000 and 3,000 rows although half of all links are dead, in bounded memory."""

import json
import random
import subprocess
import threading
import time
from pathlib import Path

import h5py
import psutil
import pytest

from tests.command import command, environment
from tests.flows.plain_shop import write_catalog
from tests.tasks.faulty_server import FaultyServer

RECORDS = 42_000
MEMORY_BYTES = 1_500_000_000


@pytest.mark.acceptance
@pytest.mark.timeout(3000)
def test_with_half_the_links_dead_the_paper_preset_has_exactly_its_rows(tmp_path: Path) -> None:
    draw = random.Random(7)
    dead = [draw.random() < 0.5 for _ in range(RECORDS)]
    catalog = write_catalog(tmp_path / "catalog.jsonl", RECORDS, kind=lambda number: "404" if dead[number] else "ok")
    with FaultyServer() as server:
        request = command(
            "prepare", "--preset", "paper", "--catalog", catalog, "--image-base-url", server.base,
            "--workdir", tmp_path / "space", "--json",
        )  # fmt: skip
        with subprocess.Popen(request, env=environment(), stdout=subprocess.PIPE, text=True) as process:
            peak = watched_memory(process.pid)
            result = json.loads(process.communicate()[0])
    assert process.returncode == 0
    folder = Path(result["dataset_dir"])
    with h5py.File(folder / "train.h5") as train, h5py.File(folder / "test.h5") as test:
        assert (train["images"].shape, test["images"].shape) == ((15_000, 3, 256, 256), (3_000, 3, 256, 256))
        ids = [*train["record_id"].asstr()[()], *test["record_id"].asstr()[()]]
    assert len(set(ids)) == 18_000
    assert not any(dead[int(record_id)] for record_id in ids)
    assert result["records"]["sampled"] == {"test": 3_000, "validation": 1_000, "train": 14_000}
    print(f"\n{result['pictures']}, peak memory {max(peak) / 1e6:.0f} MB")
    assert max(peak) < MEMORY_BYTES


def watched_memory(pid: int) -> list[int]:
    """Resident memory of a process in bytes, mapped files included, four times a second until it ends."""
    seen = [0]
    process = psutil.Process(pid)

    def watch() -> None:
        while True:
            try:
                seen.append(process.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.25)

    threading.Thread(target=watch, daemon=True).start()
    return seen
