"""A disk that fills up while pictures are fetched stops the run with one line, and loses nothing."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.pictures.settings import CHUNKS_AT_ONCE
from tests.command import command, environment, run_json
from tests.flows.plain_shop import write_catalog
from tests.flows.test_download import CHUNK_ROWS, chunks_are_there, prepare, wait_for
from tests.tasks.faulty_server import FaultyServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here (not root)")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("with_its_own_server", [True, False])
def test_a_full_disk_stops_the_run_plainly_and_with_room_again_it_goes_on(
    with_its_own_server: bool, small_disk: Path, tmp_path: Path
) -> None:
    catalog = write_catalog(tmp_path / "catalog.jsonl", 60)
    with FaultyServer() as server:
        digest = run_json(*prepare(catalog, server, tmp_path / "undisturbed"))["dataset_digest"]
    space = environment()
    if with_its_own_server:  # whose database stands on the same disk
        del space["PREFECT_API_URL"]
    with FaultyServer(latency_s=0.3) as server:
        request = command(*prepare(catalog, server, small_disk / "space"))
        with subprocess.Popen(request, env=space, stderr=subprocess.PIPE, text=True) as process:
            wait_for(chunks_are_there(small_disk / "space"))
            with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
                while ballast.write(bytes(100_000)) == 100_000:
                    pass
            told = process.communicate(timeout=300)[1]
        assert process.returncode == 1, told
        assert "Traceback" not in told
        assert any(line.endswith("is full: free some space, then resume") for line in told.splitlines())
        (small_disk / "ballast").unlink()
        before = dict(server.asked)
        again = command("resume", "--workdir", small_disk / "space", "--json")
        resumed = subprocess.run(again, env=space, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
        assert json.loads(resumed.stdout)["dataset_digest"] == digest
        assert server.asked.total() <= len(server.asked) + CHUNKS_AT_ONCE * CHUNK_ROWS
        assert len(before) < len(server.asked)
