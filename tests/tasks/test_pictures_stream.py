"""Pictures for use at once: all of them come, not too many at a time, and a slow one holds up no other."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing

import numpy as np
import pytest

from model.picture import ImageConfig, decode
from tasks.pictures.address import Address, resolve
from tasks.pictures.fetcher import shared_fetcher
from tasks.pictures.outcome import Failed
from tasks.pictures.settings import FetchConfig
from tasks.pictures.stream import AHEAD_BATCHES, Pixels, stream_pictures
from tests.tasks.faulty_server import FaultyServer, jpeg

CONFIG = FetchConfig(attempts=1)
IMAGE = ImageConfig(size_px=16)
BATCH = 2
Batches = Generator[list[tuple[int, Pixels | Failed]]]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def addresses(server: FaultyServer, *paths: str) -> list[Address | Failed]:
    return [resolve(f"{server.base}/{path}") for path in paths]


def stream(wanted: list[Address | Failed], server: FaultyServer, config: FetchConfig = CONFIG) -> Batches:
    return stream_pictures(wanted, image=IMAGE, config=config, named=[server.base], batch=BATCH)


@pytest.mark.timeout(30)
def test_every_picture_comes_once_at_its_own_place(server: FaultyServer) -> None:
    count = 3 * AHEAD_BATCHES * BATCH + 1
    batches = list(stream(addresses(server, *(f"ok/{number}" for number in range(count))), server))
    assert all(len(batch) <= BATCH for batch in batches)
    found = [one for batch in batches for one in batch]
    assert sorted(place for place, _ in found) == list(range(count))
    for place, pixels in found:
        assert isinstance(pixels, np.ndarray)
        assert np.array_equal(pixels, decode(jpeg(place), IMAGE))


def test_no_more_pictures_are_asked_for_than_a_few_batches_ahead(server: FaultyServer) -> None:
    most = (1 + AHEAD_BATCHES) * BATCH  # the batch in use, and those ahead of it
    with closing(stream(addresses(server, *(f"ok/{number}" for number in range(100))), server)) as batches:
        next(batches)
        deadline = time.monotonic() + 10
        while server.asked.total() < most and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # a request too many would arrive now
        assert server.asked.total() == most


def test_who_stops_taking_pictures_has_no_more_asked_for(server: FaultyServer) -> None:
    config = FetchConfig(attempts=1, concurrency=1)
    server.latency_s = 0.05
    with shared_fetcher(config, server.base):  # it outlives the stream, as where another one runs beside it
        batches = stream(addresses(server, *(f"ok/{number}" for number in range(9))), server, config)
        next(batches)
        batches.close()
        time.sleep(0.1)  # what was sent already may still arrive
        asked = server.asked.total()
        time.sleep(0.3)
        assert server.asked.total() == asked < 9


def test_a_slow_picture_holds_up_no_other(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.pictures.stream.STRAGGLERS_S", 0.3)
    config = FetchConfig(attempts=1, read_timeout_s=2)
    found = list(stream(addresses(server, "stall/0", "ok/1"), server, config))
    assert [[place for place, _ in batch] for batch in found] == [[1], [0]]
    [(_, slow)] = found[1]
    assert isinstance(slow, Failed)
    assert slow.reason == "timeout_read"


def test_what_is_no_picture_says_why(server: FaultyServer) -> None:
    [[(_, found)]] = stream(addresses(server, "truncated/1"), server)
    assert isinstance(found, Failed)
    assert found.reason == "truncated"
    assert "not processed" in found.detail


@pytest.mark.timeout(30)
def test_a_defect_of_ours_is_raised_and_nobody_waits_for_ever(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("of our own making")

    monkeypatch.setattr("tasks.pictures.stream.decode", broken)
    with pytest.raises(ExceptionGroup) as raised:
        list(stream(addresses(server, "ok/1"), server))
    assert raised.group_contains(AssertionError, match="of our own making")
