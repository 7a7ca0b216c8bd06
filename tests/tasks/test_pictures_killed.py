"""Killed anywhere and resumed, a dataset has the bytes that it would have had undisturbed."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.faulty_server import FaultyServer
from tests.tasks.killed_fetch import CHUNK_ROWS, PLACES, TARGETS, dataset

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Counter[str]]:
    """The digest of a run that nobody disturbs, and how often it asks for each picture."""
    with FaultyServer() as server:
        packed = dataset(tmp_path_factory.mktemp("undisturbed"), server.base).fetch().pack()
        assert packed.rows == TARGETS
        return packed.digest, Counter(server.asked)


def start(folder: Path, base: str, place: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "tests.tasks.killed_fetch", str(folder), base, place]
    return subprocess.Popen(command, cwd=PROJECT, env=environment)


def asked_twice(before: Counter[str], after: Counter[str]) -> int:
    """Pictures asked for before and after the kill, those that fail twice and then come left out."""
    return sum(path in before for path in after if path.startswith(("/ok/", "/404/")))


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_a_place_and_resumed_the_bytes_are_the_same(
    place: str, tmp_path: Path, undisturbed: tuple[str, Counter[str]]
) -> None:
    digest, _ = undisturbed
    with FaultyServer() as server:
        killed = start(tmp_path, server.base, place)
        assert killed.wait(60) == -9
        before = Counter(server.asked)
        assert before, "killed before it began"
        server.asked.clear()
        resumed = dataset(tmp_path, server.base)
        if place in {"while packing", "between packing and cleaning"}:
            assert not resumed.fetch().summaries, "nothing is left to fetch"
        if place == "between packing and cleaning":
            assert (tmp_path / "train.h5").is_file()
            assert (tmp_path / "test.h5").is_file()
        # What was being removed had been packed: a flow's manifest says so, here the rest is fetched anew.
        if place == "while cleaning":
            assert (tmp_path / "outcomes.parquet").is_file()
        packed = resumed.fetch().pack()
        twice = asked_twice(before, Counter(server.asked))
    assert packed.digest == digest
    if place != "while cleaning":
        assert twice <= CHUNK_ROWS
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "outcomes.parquet", "sample.parquet", "test.h5", "train.h5"
    ]  # fmt: skip


@pytest.mark.acceptance
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_a_random_moment_and_resumed_the_bytes_are_the_same(
    seed: int, tmp_path: Path, undisturbed: tuple[str, Counter[str]]
) -> None:
    digest, asked = undisturbed
    # Slow enough that the moment falls inside the run, and known by what the server has been asked, not by the clock.
    moment = random.Random(seed).randrange(1, asked.total())
    with FaultyServer(latency_s=0.05) as server:
        killed = start(tmp_path, server.base, "nowhere")
        while server.asked.total() < moment and killed.poll() is None:
            time.sleep(0.002)
        killed.kill()
        killed.wait()
        before = Counter(server.asked)
        server.asked.clear()
        packed = dataset(tmp_path, server.base).fetch().pack()
        assert packed.digest == digest
        assert asked_twice(before, Counter(server.asked)) <= CHUNK_ROWS
