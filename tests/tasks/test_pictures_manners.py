"""Manners, outages, safety: how the engine treats hosts, and what it lets nobody do."""

import asyncio
import base64
import errno
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import h5py
import psutil
import pyarrow.parquet as pq
import pytest
from yarl import URL

from model.errors import RunError, UserError
from model.picture import ImageConfig
from model.store import PictureStore, write_store
from tasks.pictures.address import check_base, is_public, resolve
from tasks.pictures.chunk_files import existing_chunks, remove_chunks
from tasks.pictures.chunks import fetch_chunk
from tasks.pictures.client import LARGE_AT_ONCE, Client
from tasks.pictures.fetcher import Fetcher, shared_fetcher
from tasks.pictures.hosts import Host
from tasks.pictures.outcome import Failed
from tasks.pictures.reuse import find_reusable
from tasks.pictures.selection import next_chunks
from tasks.pictures.settings import FetchConfig
from tasks.pictures.stream import stream_pictures
from tests.tasks.faulty_server import FaultyServer, jpeg
from tests.tasks.pictures_dataset import Dataset

CONFIG = FetchConfig(chunk_rows=20, attempts=2, backoff_s=0.01, breaker_failures=5, breaker_s=0.2)
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def numbered(count: int, kind: str = "ok") -> dict[str, list[str]]:
    return {"train": [f"/{kind}/{number}" for number in range(count)]}


# Outages.


def test_an_outage_stops_the_run_keeps_what_came_and_is_never_baked_into_the_data(
    server: FaultyServer, tmp_path: Path
) -> None:
    undisturbed = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(numbered(50)).fetch().pack()
    dataset = Dataset(tmp_path / "b", base=server.base, config=CONFIG).write_sample(numbered(50))
    first, second, _ = next_chunks(
        dataset.folder, base_url=server.base, image=dataset.image, config=CONFIG, find_repeats=None
    )
    fetch_chunk(dataset.folder, first, base_url=server.base, image=dataset.image, config=CONFIG)
    server.down = True
    too_many = r"\d+ of 20 pictures .*\(.*reset \d+.*\), more than fetch\.max_failure_rate = 0\.1"
    with pytest.raises(RunError, match=too_many):
        fetch_chunk(dataset.folder, second, base_url=server.base, image=dataset.image, config=CONFIG)
    with pytest.raises(RunError, match="resume"):
        dataset.fetch()
    server.down = False
    time.sleep(0.3)  # requests that were given up may still arrive
    server.asked.clear()
    assert dataset.fetch().pack().digest == undisturbed.digest
    assert server.asked.total() == 30


def test_an_outage_that_begins_with_a_chunk_s_last_pictures_is_not_baked_in_either(
    server: FaultyServer, tmp_path: Path
) -> None:
    # 3 of 50 rows is below max_failure_rate; but the host, which gave pictures before, gives none now.
    urls = {"train": [*numbered(47)["train"], "/503-twice/47", "/503-twice/48", "/503-twice/49"]}
    dataset = Dataset(tmp_path, base=server.base, config=replace(CONFIG, chunk_rows=50)).write_sample(urls)
    settings = {"base_url": server.base, "image": dataset.image, "config": dataset.config}
    (chunk,) = next_chunks(dataset.folder, find_repeats=None, **settings)  # type: ignore[arg-type]
    assert fetch_chunk(dataset.folder, chunk, **settings).passing == {"http_5xx": 3}  # type: ignore[arg-type]
    server.down = True
    with pytest.raises(RunError, match=r"127\.0\.0\.1 gave pictures before and gives none now: this looks like"):
        dataset.fetch()
    server.down = False
    assert dataset.fetch().pack().rows["train"] == 50


def test_what_was_down_a_moment_ago_is_asked_for_before_it_is_given_up(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=65, breaker_failures=3, breaker_s=30, allow_private_hosts=True)
    with FaultyServer() as small, shared_fetcher(config, server.base):
        urls = {"train": [*numbered(60)["train"], *(f"http://localhost:{small.port}/ok/{n}" for n in range(5))]}
        dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
        small.down = True
        dataset.fetch_each(dataset.next_chunks())
        assert sum(dataset.summaries[0].passing.values()) == 5
        small.down = False
        assert dataset.fetch().pack().rows["train"] == 65


@pytest.mark.timeout(60)
def test_of_two_ports_of_a_host_one_speaks_not_for_the_other(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=70, breaker_s=30, allow_private_hosts=True)
    urls = {"train": [*numbered(63)["train"], *(f"{NOBODY}/{n}.jpg" for n in range(7))]}  # NOBODY: another port of it
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls).fetch()
    assert dataset.pack().rows["train"] == 63
    assert server.asked.total() == 64, "the host that is alive was asked once more, as a witness"


def test_a_host_some_of_whose_earlier_pictures_have_gone_is_alive_all_the_same(
    server: FaultyServer, tmp_path: Path
) -> None:
    Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(numbered(6)).fetch().pack()
    server.gone = {f"/ok/{number}" for number in range(3)}
    urls = {"train": [*numbered(8)["train"], "/500/1"]}  # two of them are new
    dataset = Dataset(tmp_path / "b", base=server.base, config=CONFIG, earlier=[tmp_path / "a"])
    assert dataset.write_sample(urls).fetch().reasons == [""] * 8 + ["http_5xx"]


def test_a_host_whose_first_pictures_have_gone_since_is_alive_by_its_others(
    server: FaultyServer, tmp_path: Path
) -> None:
    urls = {"train": [*numbered(8)["train"], "/500/1"]}
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls)
    dataset.fetch_each(dataset.next_chunks())
    server.gone = {f"/ok/{number}" for number in range(3)}
    assert dataset.fetch().reasons == [""] * 8 + ["http_5xx"]


def test_what_came_now_proves_more_than_what_an_earlier_dataset_had(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=150)
    earlier = Dataset(tmp_path / "a", base=server.base, config=config).write_sample(numbered(120)).fetch()
    earlier.pack()
    server.gone = {f"/ok/{number}" for number in range(120)}
    urls = {"train": [*numbered(122)["train"], "/500/1"]}
    dataset = Dataset(tmp_path / "b", base=server.base, config=config, earlier=[earlier.folder])
    assert dataset.write_sample(urls).fetch().reasons == [""] * 122 + ["http_5xx"]


def test_pictures_of_any_chunk_prove_that_their_host_is_alive(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=2)
    urls = {"train": ["/ok/0", "/ok/1", "/500/2"]}
    assert Dataset(tmp_path, base=server.base, config=config).write_sample(urls).fetch().reasons == [
        "", "", "http_5xx",
    ]  # fmt: skip


def test_a_witness_is_asked_although_its_host_is_being_left_alone(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(
        CONFIG, chunk_rows=66, attempts=1, breaker_failures=3, breaker_s=30, concurrency_per_host=1, backoff_s=1e-6
    )
    urls = {"train": [*numbered(60)["train"], *numbered(6, "500")["train"]]}
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    dataset.fetch_each(dataset.next_chunks())
    with shared_fetcher(config, server.base):  # a later run, for which the host has not answered yet
        assert dataset.fetch().reasons == [""] * 60 + ["http_5xx"] * 6


def test_an_outage_names_the_host_that_is_silent_and_no_other(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=50, allow_private_hosts=True)
    with FaultyServer() as shop:
        there = f"http://localhost:{shop.port}"
        urls = {"train": [*numbered(40)["train"], "/500/1", f"{there}/ok/1", f"{there}/500/2"]}
        dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
        dataset.fetch_each(dataset.next_chunks())
        shop.down = True
        with pytest.raises(RunError, match=r"^localhost gave pictures before and gives none now"):
            dataset.fetch()


def test_an_answer_that_nobody_foresaw_costs_its_own_picture_alone(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(*_: object) -> None:
        raise KeyError("in reading the answer")

    monkeypatch.setattr("tasks.pictures.client._redirected", stumble)
    urls = {"train": [*numbered(20)["train"], "/redirect/1"]}
    dataset = Dataset(tmp_path, base=server.base, config=replace(CONFIG, chunk_rows=21)).write_sample(urls).fetch()
    assert dataset.reasons == [""] * 20 + ["unforeseen"]
    assert "an answer that nobody foresaw (KeyError)" in caplog.text
    assert "Traceback" not in caplog.text


def test_an_odd_answer_costs_no_other_picture_of_those_to_be_described(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise KeyError("in reading the answer")

    monkeypatch.setattr("tasks.pictures.client._redirected", stumble)
    urls = [f"{server.base}/ok/1", f"{server.base}/redirect/1", f"http://a%3Ab:c@127.0.0.1:{server.port}/ok/2"]
    addresses = [resolve(url) for url in urls]
    batches = stream_pictures(addresses, image=ImageConfig(size_px=16), config=CONFIG, named=[server.base], batch=2)
    found = {place: got.reason if isinstance(got, Failed) else "" for batch in batches for place, got in batch}
    assert found == {0: "", 1: "unforeseen", 2: "malformed_url"}


def test_a_few_urls_of_a_shop_that_has_closed_are_given_up_and_replaced(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": [*numbered(18)["train"], f"{NOBODY}/a.jpg", f"{NOBODY}/b.jpg", "/ok/20", "/ok/21"]}
    config = replace(CONFIG, allow_private_hosts=True)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls, {"train": 20}).fetch()
    packed = dataset.pack(exact=True)
    assert packed.rows["train"] == 20
    assert packed.failures == {"connect": 2}


def test_pictures_taken_from_an_earlier_dataset_prove_too_that_their_host_is_alive(
    server: FaultyServer, tmp_path: Path
) -> None:
    urls = {"train": [*numbered(18)["train"], "/500/18", f"{NOBODY}/b.jpg"]}
    config = replace(CONFIG, allow_private_hosts=True)
    earlier = Dataset(tmp_path / "a", base=server.base, config=config).write_sample(urls).fetch()
    earlier.pack()
    again = Dataset(tmp_path / "b", base=server.base, config=config, earlier=[earlier.folder]).write_sample(urls)
    packed = again.fetch().pack()
    assert (packed.reused, packed.failures) == (18, {"http_5xx": 1, "connect": 1})


def test_without_any_proof_of_life_nothing_is_given_up(tmp_path: Path) -> None:
    urls = {"train": [f"{NOBODY}/{number}.jpg" for number in range(3)]}
    config = replace(CONFIG, allow_private_hosts=True, max_failure_rate=1)
    dataset = Dataset(tmp_path, config=config).write_sample(urls)
    with pytest.raises(RunError, match="no host gives a picture"):
        dataset.fetch()


def test_names_that_nobody_answers_for_keep_no_other_host_waiting(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def slowly(host: str, *more: object, **named: object) -> object:
        if host.endswith(".gone.invalid"):
            time.sleep(1)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1" if host.endswith(".shop.invalid") else host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    urls = [f"http://{n}.gone.invalid/a.jpg" for n in range(60)]
    urls += [f"http://{n}.shop.invalid:{server.port}/ok/{n}" for n in range(20)]
    config = replace(
        CONFIG, attempts=1, chunk_rows=80, connect_timeout_s=1.5, max_failure_rate=1, allow_private_hosts=True
    )
    dataset = Dataset(tmp_path, config=config).write_sample({"train": urls})
    dataset.fetch_each(dataset.next_chunks())
    assert dataset.reasons == ["dns"] * 60 + [""] * 20


# Manners.


def test_requests_in_flight_to_a_host_are_bounded_across_chunks_that_run_side_by_side(tmp_path: Path) -> None:
    config = replace(CONFIG, concurrency_per_host=3)
    with FaultyServer(latency_s=0.02) as server:
        dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(60))
        settings = {"base_url": server.base, "image": dataset.image, "config": config}
        chunks = next_chunks(dataset.folder, find_repeats=None, **settings)  # type: ignore[arg-type]
        threads = [
            threading.Thread(target=fetch_chunk, args=(dataset.folder, chunk), kwargs=settings) for chunk in chunks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(threads) == 3
        assert server.most_in_flight == 3
        assert dataset.fetch().pack().rows["train"] == 60


def test_requests_in_flight_in_all_are_bounded_whatever_the_hosts(tmp_path: Path) -> None:
    config = replace(CONFIG, concurrency=4, concurrency_per_host=3, chunk_rows=90, allow_private_hosts=True)
    with FaultyServer(latency_s=0.05) as server:  # one under two names, as its count then is of one moment
        bases = (server.base, server.base.replace("127.0.0.1", "localhost"))
        urls = [f"{base}/ok/{number}" for number in range(24) for base in bases]
        dataset = Dataset(tmp_path, config=config).write_sample({"train": urls})
        dataset.fetch()
        assert server.most_in_flight == 4
    assert dataset.reasons == [""] * 48


def test_connections_are_used_again_and_a_name_is_looked_up_once(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, looked_up = socket.getaddrinfo, []

    def counted(host: str, *more: object, **named: object) -> object:
        looked_up.append(host)
        return resolve("127.0.0.1", *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    config = replace(CONFIG, concurrency_per_host=2, chunk_rows=30, allow_private_hosts=True)
    base = f"http://pictures.invalid:{server.port}"
    assert Dataset(tmp_path, base=base, config=config).write_sample(numbered(30)).fetch().reasons == [""] * 30
    assert looked_up.count("pictures.invalid") == 1
    assert server.connections <= 2


def test_each_attempt_waits_about_twice_as_long_and_never_just_as_long(server: FaultyServer, tmp_path: Path) -> None:
    async def pauses(attempt: int) -> set[float]:
        client = Client(replace(CONFIG, backoff_s=1, backoff_max_s=3), [])
        await client.close()
        return {client._pause_s(attempt) for _ in range(100)}

    for attempt, mean in {1: 1, 2: 2, 3: 3, 99: 3}.items():
        found = asyncio.run(pauses(attempt))
        assert 0.5 * mean <= min(found) < 0.8 * mean
        assert 1.2 * mean < max(found) <= 1.5 * mean
    config = replace(CONFIG, attempts=4, backoff_s=0.1, max_failure_rate=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(1, "cut"))
    started = time.monotonic()
    dataset.fetch_each(dataset.next_chunks())
    assert time.monotonic() - started >= 0.05 + 0.1 + 0.2


def test_a_host_that_takes_the_connection_and_no_more_is_waited_for_as_long_as_connecting_may_take(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # which says nothing of TLS
        started = time.monotonic()
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/a.jpg"
        config = replace(CONFIG, attempts=1, connect_timeout_s=0.2, allow_private_hosts=True, max_failure_rate=1)
        dataset = Dataset(tmp_path, config=config).write_sample({"train": [url]})
        dataset.fetch_each(dataset.next_chunks())
    assert dataset.reasons == ["timeout_connect"]
    assert time.monotonic() - started < 10


def test_a_retry_after_that_is_a_date_is_obeyed(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, max_failure_rate=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample({"train": ["/429-date/1"]})
    started = time.monotonic()
    dataset.fetch_each(dataset.next_chunks())
    assert time.monotonic() - started >= 1  # the date, two seconds on, is of whole seconds
    assert server.asked.total() == 2


def test_retry_after_is_obeyed_by_all_requests_to_the_host(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": ["/429-long/1", *numbered(3)["train"]]}
    config = replace(CONFIG, concurrency=1, max_failure_rate=1)
    started = time.monotonic()
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    [chunk] = dataset.next_chunks()
    dataset.fetch_each([chunk])
    assert time.monotonic() - started >= 1
    assert dataset.reasons == ["http_429", "", "", ""]


def test_retry_after_is_obeyed_by_requests_that_wait_for_their_turn_already(
    server: FaultyServer, tmp_path: Path
) -> None:
    config = replace(CONFIG, attempts=1, concurrency_per_host=2, max_failure_rate=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(6, "429-long"))
    [chunk] = dataset.next_chunks()
    started = time.monotonic()
    dataset.fetch_each([chunk])
    assert time.monotonic() - started >= 2  # two at a time, three times, a second's pause between
    assert server.asked.total() == 6


def test_a_retry_after_longer_than_the_bound_is_not_waited_for(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, attempts=10, retry_after_max_s=0.1, max_failure_rate=1)
    Dataset(tmp_path, base=server.base, config=config).write_sample({"train": ["/429-long/1", "/ok/1"]}).fetch()
    assert server.asked["/429-long/1"] == 2  # once, and once more at the last asking


def test_a_dead_host_is_left_alone_after_a_few_failures(tmp_path: Path, server: FaultyServer) -> None:
    server.down = False
    urls = {"train": [f"{NOBODY}/{number}.jpg" for number in range(60)]}
    config = replace(CONFIG, allow_private_hosts=True, chunk_rows=60, concurrency_per_host=2, breaker_s=60)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    [chunk] = dataset.next_chunks()
    with shared_fetcher(config, server.base):  # as in a run, where a chunk is tried again
        with pytest.raises(RunError, match=r"circuit_open after connect \d+"):
            dataset.fetch_each([chunk])
        assert dataset.reasons.count("circuit_open") > 50
        outcomes = [one for file in existing_chunks(tmp_path, dataset.image) for one in file.read_outcomes()[0]]
        told = {(one.reason, one.attempts > 0) for one in outcomes}
        assert told == {("connect", True), ("circuit_open", False)}, "why it failed, not that its host is left alone"
        with pytest.raises(RunError, match=r"may pass \(circuit_open after connect 60\)"):
            dataset.fetch_each([chunk])


def test_a_host_that_answers_nobody_is_not_asked_by_those_that_wait_for_their_turn(
    server: FaultyServer, tmp_path: Path
) -> None:
    config = replace(CONFIG, attempts=1, read_timeout_s=0.2, chunk_rows=60, concurrency_per_host=2, breaker_s=60)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(60, "silent"))
    with pytest.raises(RunError, match="circuit_open"):
        dataset.fetch()
    assert server.asked.total() <= config.breaker_failures + config.concurrency_per_host
    outcomes = [one for file in existing_chunks(tmp_path, dataset.image) for one in file.read_outcomes()[0]]
    assert sum(outcome.attempts for outcome in outcomes) == server.asked.total()


def test_a_host_that_asks_for_a_longer_pause_than_may_be_waited_for_is_asked_no_more(
    server: FaultyServer, tmp_path: Path
) -> None:
    config = replace(CONFIG, retry_after_max_s=0.1, concurrency_per_host=2, max_failure_rate=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(20, "429-long"))
    [chunk] = dataset.next_chunks()
    dataset.fetch_each([chunk])
    assert server.asked.total() <= config.concurrency_per_host
    assert dataset.reasons == ["http_429"] * 20


@pytest.mark.parametrize("kind", ["429", "500"])
def test_a_host_that_only_ever_refuses_is_left_alone_after_a_few_failures(
    kind: str, server: FaultyServer, tmp_path: Path
) -> None:
    config = replace(CONFIG, concurrency_per_host=2, chunk_rows=100, max_failure_rate=1, breaker_s=60)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(100, kind))
    [chunk] = dataset.next_chunks()
    dataset.fetch_each([chunk])
    assert server.asked.total() <= config.breaker_failures + config.concurrency_per_host


def test_an_overloaded_host_gets_longer_and_longer_pauses(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": ["/ok/0", *numbered(9, "500")["train"]]}
    config = replace(CONFIG, attempts=1, concurrency_per_host=1, backoff_s=0.02, max_failure_rate=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    [chunk] = dataset.next_chunks()
    started = time.monotonic()
    dataset.fetch_each([chunk])
    assert time.monotonic() - started >= 0.02 * (2**8 - 1)
    assert server.asked.total() == 10


def test_a_chunk_of_which_too_much_fails_asks_for_no_more(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": ["/ok/0", *numbered(200, "500")["train"]]}
    config = replace(CONFIG, attempts=1, concurrency_per_host=1, backoff_s=1e-6, chunk_rows=201)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    with pytest.raises(RunError, match=r"fetch\.max_failure_rate = 0\.1 allows"):
        dataset.fetch()
    assert server.asked.total() <= 0.1 * 201 + 4


@pytest.mark.parametrize(("failing", "stops"), [(1, False), (2, True)])
def test_the_rate_of_a_small_chunk_counts_too(failing: int, stops: bool, server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": [*numbered(10 - failing)["train"], *numbered(failing, "500")["train"]]}
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls)
    with pytest.raises(RunError, match=r"2 of 10 pictures \(20%\)") if stops else nullcontext():
        dataset.fetch()


def test_a_host_that_answered_before_is_given_time_to_come_back(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=60, attempts=6, concurrency_per_host=4, breaker_s=0.5, max_failure_rate=0)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(60))
    server.latency_s = 0.01

    def restart() -> None:
        while server.asked.total() < 10:
            time.sleep(0.005)
        server.restart(away_s=0.3)

    thread = threading.Thread(target=restart)
    thread.start()
    dataset.fetch()
    thread.join()
    assert dataset.reasons == [""] * 60


def test_hosts_that_redirect_to_one_do_not_lend_it_their_places(tmp_path: Path) -> None:
    with FaultyServer(latency_s=0.02) as cdn, FaultyServer() as one, FaultyServer() as other:
        for shop in (one, other):
            shop.leads_to = cdn.base
        config = replace(CONFIG, concurrency_per_host=3, allow_private_hosts=True, chunk_rows=60)
        urls = [f"{shop.base}/moved/{number}" for number in range(30) for shop in (one, other)]
        dataset = Dataset(tmp_path, config=config).write_sample({"train": urls}).fetch()
        assert dataset.reasons == [""] * 60
        assert cdn.most_in_flight == 3


def test_what_a_host_asked_for_holds_for_the_chunks_that_follow(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": ["/429-long/1", "/ok/2"]}
    config = replace(CONFIG, chunk_rows=1, attempts=1, concurrency=1, max_failure_rate=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    started = time.monotonic()
    with shared_fetcher(config, server.base):
        dataset.fetch_each(dataset.next_chunks())
    assert time.monotonic() - started >= 1


def test_who_asks_to_be_left_alone_is_given_up_in_a_later_run_only(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=30, allow_private_hosts=True)
    some = numbered(58)["train"]
    with FaultyServer() as shop:
        urls = {"train": [*some[:29], f"{shop.base}/429-hour/0", *some[29:], f"{shop.base}/429-hour/1"]}
        dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
        with (
            shared_fetcher(config, server.base),
            pytest.raises(RunError, match=r"asked to be left alone .* resume later"),
        ):
            dataset.fetch()
        assert shop.asked.total() == 1
        with shared_fetcher(config, server.base):
            packed = dataset.fetch().pack()
        assert shop.asked.total() == 2
    assert (packed.rows["train"], packed.failures) == (58, {"http_429": 2})


def test_waiting_for_a_place_for_large_files_is_not_the_host_s_time(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pictures.client.LARGE_BYTES", 10)
    config = replace(CONFIG, attempts=1, total_timeout_s=0.2, max_failure_rate=0)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(3))
    with shared_fetcher(config, server.base) as fetcher:
        places = fetcher.client._large

        async def hold_all(held_s: float) -> None:
            async with AsyncExitStack() as held:
                for _ in range(LARGE_AT_ONCE):
                    await held.enter_async_context(places)
                taken.set()
                await asyncio.sleep(held_s)

        taken = threading.Event()
        thread = threading.Thread(target=fetcher.run, args=(hold_all(0.5),))
        thread.start()
        taken.wait()
        dataset.fetch()
        thread.join()
    assert dataset.reasons == [""] * 3


def test_a_full_disk_under_a_picture_is_one_clear_line(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr("tasks.pictures.chunk_files.write_at", full)
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(numbered(5))
    with pytest.raises(RunError, match="is full: free some space, then resume"):
        dataset.fetch()


def test_nothing_is_asked_for_that_the_disk_has_no_room_for(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(numbered(5))
    chunks, needed = dataset.next_chunks(), 5 * 3 * 16 * 16
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("tasks.pictures.chunks.shutil.disk_usage", lambda _: usage._replace(free=needed - 1))
    with pytest.raises(RunError, match="is full: free some space, then resume"):
        dataset.fetch_each(chunks)
    assert not server.asked
    monkeypatch.setattr("tasks.pictures.chunks.shutil.disk_usage", lambda _: usage._replace(free=needed))
    dataset.fetch_each(chunks)
    assert dataset.reasons == [""] * 5


def test_a_chunk_asked_for_again_counts_what_came_now_and_leaves_no_file_open(
    server: FaultyServer, tmp_path: Path
) -> None:
    urls = {"train": [*numbered(3)["train"], "/503-twice/3"]}
    config = replace(CONFIG, attempts=1)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    with shared_fetcher(config, server.base):
        dataset.fetch_each(dataset.next_chunks())
        before = psutil.Process().num_fds()
        while chunks := dataset.next_chunks():
            dataset.fetch_each(chunks)
        assert psutil.Process().num_fds() <= before
    first, *_, last = dataset.summaries
    assert (first.fetched, first.reused, first.passing) == (3, 0, {"http_5xx": 1})
    assert (last.fetched, last.reused, last.failed) == (0, 3, {"http_5xx": 1})
    assert first.bytes == sum(len(jpeg(number)) for number in range(3))
    assert last.bytes == 0


def test_a_host_that_is_named_later_is_asked_after_all(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": [f"{server.base}/ok/{number}" for number in range(3)]}
    assert Dataset(tmp_path).write_sample(urls).fetch().reasons == ["private_address"] * 3
    assert Dataset(tmp_path, base=server.base).fetch().reasons == [""] * 3


def test_an_overloaded_host_may_say_so_for_ever() -> None:
    host = Host(replace(CONFIG, backoff_s=1e-9, backoff_max_s=1e-9))
    host.note(None)
    for _ in range(1100):
        host.paused_until = 0.0
        host.note(Failed(reason="http_429"))
    assert host.pause_s < 1


def test_the_user_agent_says_who_asks_and_whom_to_reach(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, contact="https://shop.example/crawler")
    Dataset(tmp_path, base=server.base, config=config).write_sample(numbered(1)).fetch()
    assert "User-Agent: ec-descr-gen/0.1.0 (+https://shop.example/crawler)\r\n" in server.headers[0]
    assert "Accept-Encoding: identity\r\n" in server.headers[0]


# Safety.


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fec0::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "4000::1", "fe80::1%1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_public_internet_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_addresses_of_the_public_internet_are_known(address: str) -> None:
    assert is_public(address)


def test_by_default_no_request_goes_to_loopback(server: FaultyServer, tmp_path: Path) -> None:
    urls = {
        "train": [f"{server.base}/ok/1", f"http://localhost:{server.port}/ok/2", f"http://127.1:{server.port}/ok/3"]
    }
    dataset = Dataset(tmp_path, config=CONFIG).write_sample(urls).fetch()
    assert dataset.reasons[:2] == ["private_address", "private_address"]
    assert set(dataset.reasons) <= {"private_address", "malformed_url"}
    assert not server.asked
    # Opened, the same dataset asks again.
    opened = Dataset(tmp_path, config=replace(CONFIG, allow_private_hosts=True)).fetch()
    assert opened.reasons[:2] == ["", ""]


def test_only_the_base_s_own_host_and_port_are_trusted(server: FaultyServer, tmp_path: Path) -> None:
    with FaultyServer() as other:
        urls = {"train": ["/ok/1", f"{server.base}/ok/2", f"{other.base}/ok/3", f"http://localhost:{server.port}/ok/4"]}
        dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls).fetch()
        assert dataset.reasons == ["", "", "private_address", "private_address"]
        assert not other.asked


def test_no_credential_of_a_url_reaches_a_file_a_log_or_an_error(
    server: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    host = f"ann:secretpassword@127.0.0.1:{server.port}"
    urls = {"train": [f"http://{host}/{kind}/1?token=secrettoken" for kind in ("ok", "404", "redirect", "500", "cut")]}
    urls["train"] += ["http://ann:secretpassword@two words/", "ftp://ann:secretpassword@h/a", "a.jpg?token=secrettoken"]
    config = replace(CONFIG, allow_private_hosts=True, max_failure_rate=0)
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample(urls)
    with pytest.raises(RunError) as stopped:
        dataset.fetch()
    assert "secret" not in str(stopped.value)
    dataset.config = replace(config, max_failure_rate=1)
    dataset.fetch().pack()
    assert "secret" not in str(pq.read_table(tmp_path / "outcomes.parquet").to_pylist())
    assert "secret" not in caplog.text
    sent = base64.b64encode(b"ann:secretpassword").decode()
    assert all(f"Authorization: Basic {sent}" in head for head in server.headers if "/404/1" in head)
    assert server.asked["/ok/1?token=secrettoken"] >= 1


# Folders and reuse.


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "shop" / "pictures"
    (folder / "deep").mkdir(parents=True)
    for number in range(4):
        (folder / "deep" / f"{number}.jpg").write_bytes(jpeg(number))
    (tmp_path / "shop" / "secret.jpg").write_bytes(jpeg(9))
    (folder / "link.jpg").symlink_to(tmp_path / "shop" / "secret.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def test_a_folder_as_base_gives_the_same_bytes_as_a_server(
    server: FaultyServer, pictures: Path, tmp_path: Path
) -> None:
    by_disk = {"train": [f"deep/{number}.jpg" for number in range(4)]}
    from_disk = Dataset(tmp_path / "a", base=str(pictures), config=CONFIG).write_sample(by_disk).fetch().pack()
    from_server = Dataset(tmp_path / "b", base=server.base, config=CONFIG).write_sample(numbered(4)).fetch().pack()
    assert from_disk.digest == from_server.digest


def test_nothing_outside_the_folder_is_read(pictures: Path, tmp_path: Path) -> None:
    urls = {
        "train": ["deep/0.jpg", "../secret.jpg", "deep/../../secret.jpg", "link.jpg", "no.jpg", "empty.jpg", "deep"]
    }
    dataset = Dataset(tmp_path / "d", base=str(pictures), config=CONFIG).write_sample(urls).fetch()
    assert dataset.reasons == [
        "", "outside_folder", "outside_folder", "outside_folder", "no_such_file", "empty", "no_such_file"
    ]  # fmt: skip


def test_a_base_that_is_no_folder_is_the_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--image-base-url .*nowhere is neither a URL nor a folder"):
        Dataset(tmp_path, base=str(tmp_path / "nowhere"), config=CONFIG).write_sample(numbered(1)).fetch()


@pytest.mark.parametrize(
    ("base", "fault"),
    [
        ("http://h:99999/", "no such host or port is possible"),
        ("http://h:0/", "no such port is possible"),
        ("http://[bad/", "no such host or port is possible"),
        ("HTTPS://a..b/", "no such host name is possible"),
        ("http:///shop", "no such host name is possible"),
        ("ftp://h/", "a URL begins with http:// or https://"),
        ("file", "it is a file"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_base_that_can_lead_to_no_picture_is_named_with_its_fault(
    base: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    with pytest.raises(UserError) as refused:
        check_base(base)
    assert str(refused.value).startswith(f"--image-base-url {base} is neither a URL nor a folder that can be read (")
    assert f"({fault})" in str(refused.value)


def test_a_base_that_may_not_be_opened_is_refused_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for base in (str(tmp_path), "http://127.0.0.1:8000", "http://[::1]/", "https://me:swordfish@cdn.example/shop?a=b"):
        check_base(base)
    monkeypatch.setattr("os.access", lambda *_: False)  # as for any user but root
    with pytest.raises(UserError, match=r"\(Permission denied\)"):
        check_base(str(tmp_path))
    for base in ("http://me:swordfish@h:99999/", "http://me:swordfish#1@h/", "http://a[::1]@/swordfish"):
        with pytest.raises(UserError) as refused:
            check_base(base)
        assert "swordfish" not in str(refused.value)


def test_a_named_url_that_is_none_spoils_nothing_for_the_others() -> None:
    async def trusted() -> bool:
        client = Client(CONFIG, ["http://[bad", "http://h:99999/", "http://127.0.0.1:8000/a.jpg"])
        await client.close()
        return client._trusts(URL("http://127.0.0.1:8000/b.jpg"))

    assert asyncio.run(trusted())


@pytest.mark.parametrize("earlier_is_packed", [True, False])
def test_a_new_dataset_takes_what_an_earlier_one_has(
    server: FaultyServer, earlier_is_packed: bool, tmp_path: Path
) -> None:
    earlier = Dataset(tmp_path / "a", base=server.base, config=CONFIG)
    earlier.write_sample(
        {"train": [f"/ok/{number}" for number in range(7)], "test": ["/ok/7", "/ok/8", "/ok/9"]}
    ).fetch()
    first = earlier.pack() if earlier_is_packed else earlier.pack(clean=False)
    server.asked.clear()
    again = Dataset(tmp_path / "b", base=server.base, config=CONFIG, earlier=[earlier.folder])
    packed = again.write_sample(numbered(12)).fetch().pack()
    assert (packed.reused, packed.fetched) == (10, 2)
    assert sorted(server.asked) == ["/ok/10", "/ok/11"]
    fresh = Dataset(tmp_path / "c", base=server.base, config=CONFIG).write_sample(numbered(12)).fetch().pack()
    assert packed.digest == fresh.digest != first.digest


@pytest.mark.parametrize("earlier_is_packed", [True, False])
def test_another_size_rule_decoder_or_url_is_fetched(
    server: FaultyServer, earlier_is_packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(numbered(3)).fetch()
    if earlier_is_packed:
        earlier.pack()
    for name, image in {"size": ImageConfig(size_px=17), "rule": ImageConfig(size_px=16, resize="pad")}.items():
        other = Dataset(tmp_path / name, base=server.base, config=CONFIG, image=image, earlier=[earlier.folder])
        assert other.write_sample(numbered(3)).fetch().pack().reused == 0
    other = Dataset(tmp_path / "url", base=server.base, config=CONFIG, earlier=[earlier.folder])
    assert other.write_sample(numbered(3, "chunked")).fetch().pack().reused == 0
    monkeypatch.setattr("tasks.pictures.chunk_files.DECODER", "of another release")
    other = Dataset(tmp_path / "decoder", base=server.base, config=CONFIG, earlier=[earlier.folder])
    assert other.write_sample(numbered(3)).fetch().pack().reused == 0


@pytest.mark.parametrize("content", [b"", b"PAR1", bytes(4000)])
@pytest.mark.parametrize("earlier_is_packed", [True, False])
def test_a_damaged_table_of_an_earlier_dataset_is_named_once_and_the_other_datasets_are_used(
    server: FaultyServer, earlier_is_packed: bool, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, whole = (
        Dataset(tmp_path / name, base=server.base, config=CONFIG).write_sample(numbered(30)).fetch() for name in "ab"
    )
    whole.pack()
    if earlier_is_packed:
        damaged.pack()
        table = damaged.folder / "outcomes.parquet"
    else:
        table = next(existing_chunks(damaged.folder, damaged.image)).outcomes
    table.write_bytes(content)
    again = Dataset(tmp_path / "c", base=server.base, config=CONFIG, earlier=[damaged.folder, whole.folder])
    assert again.write_sample(numbered(30)).fetch().pack().reused == 30
    [line] = [record.getMessage() for record in caplog.records if record.name == "tasks.pictures.reuse"]
    assert line.startswith(f"{table} cannot be read, so its pictures are not taken again: ")


@pytest.mark.parametrize("damage", ["pixels", "structure", "shorter", "gone"])
def test_a_damaged_earlier_dataset_is_fetched_anew(server: FaultyServer, damage: str, tmp_path: Path) -> None:
    earlier = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(numbered(3)).fetch()
    first = earlier.pack()
    store = earlier.folder / "train.h5"
    content = bytearray(store.read_bytes())
    if damage == "pixels":
        with h5py.File(store, "r+") as file:
            file["images"][0] = 0
    elif damage == "structure":
        store.write_bytes(content[:1000] + bytes(len(content) - 1000))
    elif damage == "shorter":
        whole = PictureStore(store)
        rows = list(zip(whole.record_ids, whole.splits, whole.read(slice(0, 3)), strict=True))[:2]
        write_store(store, rows, replace(whole.info, rows=2))
    else:
        store.unlink()
    again = Dataset(tmp_path / "b", base=server.base, config=CONFIG, earlier=[earlier.folder])
    packed = again.write_sample(numbered(3)).fetch().pack()
    assert packed.digest == first.digest
    assert packed.reused == (2 if damage in {"pixels", "shorter"} else 0)


@pytest.mark.parametrize("lack", ["never came", "was lost"])
def test_a_picture_that_one_earlier_dataset_lacks_is_taken_from_another(
    server: FaultyServer, lack: str, tmp_path: Path
) -> None:
    there = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(numbered(3)).fetch()
    there.pack()
    server.gone = set(numbered(3)["train"]) if lack == "never came" else set()
    lacking = Dataset(tmp_path / "b", base=server.base, config=CONFIG).write_sample(numbered(3)).fetch()
    if lack == "was lost":
        next(existing_chunks(lacking.folder, lacking.image)).pixels.unlink()
    again = Dataset(tmp_path / "c", base=server.base, config=CONFIG, earlier=[lacking.folder, there.folder])
    assert again.write_sample(numbered(3)).fetch().pack().reused == 3


def test_pictures_are_taken_from_packed_and_unpacked_datasets_at_once(server: FaultyServer, tmp_path: Path) -> None:
    some = numbered(6)["train"]
    packed = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample({"train": some[:3]}).fetch()
    packed.pack()
    unpacked = Dataset(tmp_path / "b", base=server.base, config=CONFIG).write_sample({"train": some[3:]}).fetch()
    again = Dataset(tmp_path / "c", base=server.base, config=CONFIG, earlier=[packed.folder, unpacked.folder])
    assert again.write_sample({"train": some}).fetch().pack().reused == 6


@pytest.mark.parametrize("earlier_is_packed", [True, False])
def test_an_earlier_dataset_that_is_removed_meanwhile_costs_its_pictures_alone(
    server: FaultyServer, earlier_is_packed: bool, tmp_path: Path
) -> None:
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(numbered(1)).fetch()
    [outcome] = next(existing_chunks(tmp_path, dataset.image)).read_outcomes()[0]
    if earlier_is_packed:
        dataset.pack()
    [found] = find_reusable([tmp_path], {outcome.url_key}, dataset.image).values()
    assert found.read() is not None
    before = psutil.Process().num_fds()
    assert found.read() is not None
    assert psutil.Process().num_fds() <= before
    shutil.rmtree(tmp_path)
    if isinstance(found.source, PictureStore):
        found.source.close()
    assert found.read() is None


def test_with_the_right_base_what_failed_under_a_wrong_one_is_asked_again(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": [f"{number}" for number in range(5)]}
    wrong = Dataset(tmp_path, base=f"{server.base}/404", config=CONFIG).write_sample(urls).fetch()
    assert wrong.reasons == ["http_404"] * 5
    right = Dataset(tmp_path, base=f"{server.base}/ok", config=CONFIG).fetch()
    assert right.pack().rows["train"] == 5


def test_a_changed_picture_in_a_folder_is_not_taken_from_an_earlier_dataset(pictures: Path, tmp_path: Path) -> None:
    urls = {"train": ["deep/0.jpg", "deep/1.jpg"]}
    earlier = Dataset(tmp_path / "a", base=str(pictures), config=CONFIG).write_sample(urls).fetch()
    earlier.pack()
    (pictures / "deep" / "0.jpg").write_bytes(jpeg(55))
    again = Dataset(tmp_path / "b", base=str(pictures), config=CONFIG, earlier=[earlier.folder]).write_sample(urls)
    packed = again.fetch().pack()
    assert (packed.reused, packed.fetched) == (1, 1)


def test_after_removing_the_chunks_everything_is_asked_for_again(server: FaultyServer, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(numbered(3)).fetch()
    remove_chunks(tmp_path)
    dataset.fetch()
    assert set(server.asked.values()) == {2}


def test_what_is_being_decoded_when_a_request_is_given_up_is_waited_for() -> None:
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        may_end.wait(10)
        ended.set()

    async def give_up(fetcher: Fetcher) -> bool:
        task = asyncio.create_task(fetcher.decode(work))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        await asyncio.sleep(0.05)
        early = task.done()
        may_end.set()
        await asyncio.wait([task])
        return not early and task.cancelled() and ended.is_set()

    with shared_fetcher(CONFIG) as fetcher:
        assert fetcher.run(give_up(fetcher))


def test_urls_that_are_none_raise_no_doubt_about_an_earlier_dataset(
    server: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="tasks")  # whatever a command that ran in this process has switched on
    earlier = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(numbered(2)).fetch()
    earlier.pack()
    Dataset(tmp_path / "b", config=CONFIG, earlier=[earlier.folder]).write_sample({"train": ["http://", ""]}).fetch()
    assert not caplog.records
