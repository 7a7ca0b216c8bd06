"""Where the bounds of a request lie: the last that is taken and the first that is not."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from model.errors import RunError
from tasks.pictures.chunk_files import existing_chunks
from tasks.pictures.client import LARGE_AT_ONCE
from tasks.pictures.fetcher import shared_fetcher
from tasks.pictures.hosts import Host
from tasks.pictures.outcome import Failed, failed_status
from tasks.pictures.settings import FetchConfig
from tests.tasks.faulty_server import FaultyServer, jpeg
from tests.tasks.pictures_dataset import Dataset

CONFIG = FetchConfig(attempts=1, backoff_s=0.01, max_failure_rate=1)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def asked_once(folder: Path, base: str, config: FetchConfig, *urls: str) -> list[str]:
    """Why each url failed when it was first asked for; empty where its picture came."""
    dataset = Dataset(folder, base=base, config=config).write_sample({"train": urls})
    dataset.fetch_each(dataset.next_chunks())
    return dataset.reasons


@pytest.mark.parametrize(("spare", "reason"), [(0, ""), (-1, "too_large")])
def test_a_file_of_max_bytes_is_taken_and_a_longer_one_is_not(
    spare: int, reason: str, server: FaultyServer, tmp_path: Path
) -> None:
    config = replace(CONFIG, max_bytes=len(jpeg(1)) + spare)
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    kinds = ["/ok/1", "/chunked/1"]
    assert asked_once(tmp_path / "a", server.base, config, *kinds) == [reason] * 2
    assert asked_once(tmp_path / "b", str(tmp_path), config, "1.jpg") == [reason]


def test_an_unpacked_file_of_max_bytes_is_taken(server: FaultyServer, tmp_path: Path) -> None:
    packed = [f"/{kind}/2" for kind in ("gzip", "deflate")]
    reasons = asked_once(tmp_path, server.base, replace(CONFIG, max_bytes=len(jpeg(2)) + 40), *packed)
    assert reasons == ["", ""]


def test_so_many_redirects_are_followed_and_no_more(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, max_redirects=2)
    urls = ["/redirect/1?left=2", "/redirect/2?left=3", *(f"/redirect-as/{n}" for n in (301, 302, 303, 307, 308))]
    assert asked_once(tmp_path, server.base, config, *urls) == ["", "too_many_redirects", *[""] * 5]
    assert server.asked["/ok/2"] == 0


def test_all_redirects_of_an_attempt_have_its_time_together(tmp_path: Path) -> None:
    config = replace(CONFIG, total_timeout_s=0.5)
    with FaultyServer(latency_s=0.2) as server:  # four requests, each of them in time
        assert asked_once(tmp_path, server.base, config, "/redirect/1") == ["timeout_total"]


@pytest.mark.timeout(30)
def test_small_files_wait_for_no_place_of_the_large_ones(server: FaultyServer, tmp_path: Path) -> None:
    with shared_fetcher(CONFIG, server.base) as fetcher:
        for _ in range(LARGE_AT_ONCE):
            fetcher.run(fetcher.client._large.acquire())
        assert asked_once(tmp_path, server.base, CONFIG, "/ok/1") == [""]


@pytest.mark.timeout(30)
def test_a_large_file_has_no_more_time_than_another(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pictures.client.LARGE_BYTES", 1)
    config = replace(CONFIG, total_timeout_s=0.6)
    assert asked_once(tmp_path, server.base, config, "/slow-body/1") == ["timeout_total"]


def test_a_retry_after_that_says_nothing_is_a_refusal_like_others(server: FaultyServer, tmp_path: Path) -> None:
    said = ("soon", "Mon, 01 Jan 2024 00:00:00 -0000", "Mon, 01 Jan 2024 00:00:00 GMT", "-5", "")
    config = replace(CONFIG, attempts=2)
    urls = [f"/429-after/{number}?{value}" for number, value in enumerate(said)]
    assert asked_once(tmp_path, server.base, config, *urls) == ["http_429"] * len(said)
    assert server.asked.total() == 2 * len(said)


def test_the_longest_retry_after_that_is_waited_for_is_waited_for(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, attempts=2, retry_after_max_s=1)
    assert asked_once(tmp_path, server.base, config, "/429-after/1?1") == ["http_429"]
    assert server.asked.total() == 2


def test_who_leads_to_a_host_that_wants_to_be_left_alone_is_not_asked_in_vain(
    server: FaultyServer, tmp_path: Path
) -> None:
    with FaultyServer() as shop:
        shop.leads_to = f"{server.base}/429-hour/1?"
        config = replace(CONFIG, attempts=3, allow_private_hosts=True)
        urls = {"train": ["/moved/1", "/moved/2"]}
        dataset = Dataset(tmp_path, base=shop.base, config=replace(config, concurrency=1)).write_sample(urls)
        dataset.fetch_each(dataset.next_chunks())
        assert (shop.asked.total(), server.asked.total()) == (2, 1)
    [file] = existing_chunks(tmp_path, dataset.image)
    assert [(one.reason, one.attempts) for one in file.read_outcomes()[0]] == [("http_429", 1)] * 2


def test_no_later_answer_shortens_what_a_host_asked_for() -> None:
    def refused(after_s: float | None) -> Failed:
        return Failed(reason="http_429", retry_after_s=after_s)

    host = Host(replace(CONFIG, retry_after_max_s=100))
    host.note(refused(50))
    for later in (refused(1), refused(None), None):
        host.note(later)
    assert 49 < host.pause_s <= 50
    assert host.refusal() is None
    host.note(refused(5000))
    for later in (refused(200), None):
        host.note(later)
    host.reopen()
    refusal = host.refusal()
    assert refusal is not None
    assert refusal.reason == "http_429"
    assert host.closed_until - host.paused_until > 4000


def test_an_overloaded_host_is_asked_more_slowly_from_the_first_refusal_until_it_answers() -> None:
    host = Host(replace(CONFIG, backoff_s=10, backoff_max_s=1000, breaker_failures=1000))
    pauses = []
    for answer in (*[Failed(reason="http_429")] * 3, None, Failed(reason="http_5xx"), Failed(reason="reset")):
        host.paused_until = 0.0
        host.note(answer)
        pauses.append(round(max(host.pause_s, 0)))
    assert pauses == [10, 20, 40, 0, 10, 0]
    host.paused_until = 0.0
    for _ in range(3):  # two were in flight when the pause began
        host.note(Failed(reason="http_429"))
    assert round(host.pause_s) == 20


def test_of_a_host_that_is_left_alone_one_request_finds_out_whether_it_is_back() -> None:
    host = Host(replace(CONFIG, breaker_failures=2, breaker_s=1000))
    for _ in range(2):
        host.note(Failed(reason="connect"))
    assert host.refusal() is not None
    host.closed_until = 0.0  # the time is over
    assert [host.refusal() is None for _ in range(3)] == [True, False, False]
    host.note(None)
    assert host.refusal() is None


def test_a_host_that_answered_before_is_given_time_once_and_then_left_alone() -> None:
    host = Host(replace(CONFIG, breaker_failures=2, breaker_s=1000))
    host.note(None)
    for closed in (False, True):
        host.paused_until = 0.0
        for _ in range(2):
            host.note(Failed(reason="connect"))
        assert (host.pause_s > 999) is not closed
        assert (host.refusal() is not None) is closed


def test_what_was_in_flight_when_a_pause_began_closes_no_host() -> None:
    host = Host(replace(CONFIG, breaker_failures=2, breaker_s=1000, backoff_s=10))
    for _ in range(2):
        host.note(Failed(reason="http_429"))
    assert host.closed_until == 0.0
    host.paused_until = 0.0
    host.note(Failed(reason="http_429"))
    assert host.closed_until > 0.0


@pytest.mark.parametrize(
    ("statuses", "reason", "passing"),
    [
        ((408, 425, 429), "http_429", True),
        ((500, 503, 599), "http_5xx", True),
        ((407,), "proxy", True),
        ((400, 402, 418, 499), "http_4xx", False),
        ((403,), "http_403", False),
        ((204, 304, 206), "http_other", False),
    ],
)
def test_what_a_status_means(statuses: tuple[int, ...], reason: str, passing: bool) -> None:
    for failure in map(failed_status, statuses):
        assert (failure.reason, failure.passing) == (reason, passing)


def test_a_host_that_speaks_no_tls_is_told_apart_from_one_that_is_not_there(tmp_path: Path) -> None:
    def refuse() -> None:
        connection, _ = plain.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as plain:
        thread = threading.Thread(target=refuse)
        thread.start()
        config = replace(CONFIG, allow_private_hosts=True)
        url = f"https://127.0.0.1:{plain.getsockname()[1]}/a.jpg"
        assert asked_once(tmp_path, "http://127.0.0.1:9/", config, url, "b.jpg") == ["tls", "connect"]
        thread.join()


def test_no_cookie_is_sent_back(server: FaultyServer, tmp_path: Path) -> None:
    base = server.base.replace("127.0.0.1", "localhost")  # of an address no cookie would be kept anyway
    config = replace(CONFIG, concurrency=1)
    assert asked_once(tmp_path, base, config, "/cookie/1", "/cookie/2") == ["", ""]
    assert not [head for head in server.headers if "\r\ncookie:" in head.lower()]


def test_a_folder_that_cannot_be_read_for_now_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    dataset = Dataset(tmp_path / "a", base=str(tmp_path), config=CONFIG).write_sample({"train": ["1.jpg"]})
    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", gone)
        with pytest.raises(RunError, match=r"\(folder\): no host gives a picture now"):
            dataset.fetch()
        assert dataset.reasons == ["unreadable_file"]
    assert dataset.fetch().pack().rows["train"] == 1


@pytest.mark.timeout(30)
def test_with_the_right_folder_what_failed_in_a_wrong_one_is_looked_for_again(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for folder in (right, wrong):
        folder.mkdir()
    (right / "1.jpg").write_bytes(jpeg(1))
    dataset = Dataset(tmp_path / "a", base=str(wrong), config=CONFIG).write_sample({"train": ["1.jpg"]}).fetch()
    assert dataset.reasons == ["no_such_file"]
    assert Dataset(tmp_path / "a", base=str(right), config=CONFIG).fetch().reasons == [""]


def test_an_outcome_tells_the_picture_s_own_size(server: FaultyServer, tmp_path: Path) -> None:
    first = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample({"train": ["/ok/1"]}).fetch()
    first.pack()
    second = Dataset(tmp_path / "b", base=server.base, config=CONFIG, earlier=[first.folder])
    second.write_sample({"train": ["/ok/1"]}).fetch().pack()
    for folder, status in ((first.folder, "fetched"), (second.folder, "reused")):
        [row] = pq.read_table(folder / "outcomes.parquet").to_pylist()
        told = (row["status"], row["width"], row["height"], row["bytes"])
        assert told == (status, 48, 60, len(jpeg(1)))
