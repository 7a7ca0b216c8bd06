"""The page on what became of the pictures: its counts, its rows, and which outcomes it is made of."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.pictures.outcome import Outcome
from tasks.pictures.report import HOSTS_SHOWN, NO_HOST, host_of, outcomes_markdown, pictures_report
from tasks.pictures.settings import FetchConfig
from tests.tasks.faulty_server import FaultyServer
from tests.tasks.pictures_dataset import Dataset


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def outcome(status: str, **more: Any) -> Outcome:
    url = more.pop("url", "https://a.example/1.jpg")
    return Outcome(record_id="1", split="train", order=0, url=url, url_key="", status=status, **more)


def test_the_page_counts_what_came_and_what_was_asked_for() -> None:
    page = outcomes_markdown(
        [
            outcome("fetched", bytes=1_500_000, attempts=1),
            outcome("fetched", bytes=2_500_000, attempts=3),
            outcome("reused", bytes=7_000_000),
            outcome("failed", reason="not_a_picture", bytes=9_000_000, attempts=2),
        ]
    )
    first = page.splitlines()[0]
    assert first == "2 pictures fetched (4.0 MB, 6 requests), 1 reused, 1 failed."


def test_failures_stand_by_reason_and_host_the_most_frequent_first() -> None:
    gone = outcome("failed", reason="http_404")
    busy = outcome("failed", reason="http_5xx", settled=False, url="https://b.example:8443/_1_.jpg")
    file = outcome("failed", reason="no_such_file", url="1.jpg")
    assert outcomes_markdown([file, busy, busy, gone, gone, gone]).splitlines()[2:] == [
        "| reason | will it be asked again | host | pictures |",
        "|---|---|---|---:|",
        "| http_404 | no | a.example | 3 |",
        "| http_5xx | yes | b.example | 2 |",
        f"| no_such_file | no | {NO_HOST} | 1 |",
    ]
    assert outcomes_markdown([outcome("fetched")]).count("\n") == 1, "no table where nothing failed"


def test_of_very_many_hosts_the_rest_is_counted_in_one_row() -> None:
    def failures(hosts: int) -> list[Outcome]:
        return [outcome("failed", reason="dns", url=f"https://{n:02}.example/") for n in range(hosts) for _ in "ab"]

    assert outcomes_markdown(failures(HOSTS_SHOWN)).splitlines()[-1] == "| dns | no | 19.example | 2 |"
    *_, last_shown, rest = outcomes_markdown(failures(HOSTS_SHOWN + 3)).splitlines()
    assert (last_shown, rest) == ("| dns | no | 19.example | 2 |", "| … | | 3 more rows | 6 |")


@pytest.mark.parametrize(
    ("url", "host"),
    [("HTTPS://A.example:80/x", "a.example"), ("", NO_HOST), ("/srv/1.jpg", NO_HOST), ("http://[bad/x", NO_HOST)],
)
def test_what_names_no_host_is_told_so(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_host_of_signs_that_markdown_reads_is_shown_as_it_is() -> None:
    page = outcomes_markdown([outcome("failed", reason="dns", url="https://my_shop_.example/1.jpg")])
    assert r"| my\_shop\_.example |" in page


def test_the_page_is_of_the_pictures_as_they_are_now_packed_or_fetched_anew(
    server: FaultyServer, tmp_path: Path
) -> None:
    dataset = Dataset(tmp_path, base=server.base, config=FetchConfig(attempts=1))
    assert pictures_report(tmp_path, dataset.image).startswith("0 pictures fetched")
    dataset.write_sample({"train": ["/ok/1", "/ok/2", "/404/3"]}).fetch().pack()
    assert ", 3 requests), 0 reused, 1 failed." in pictures_report(tmp_path, dataset.image)
    again = replace(dataset, config=FetchConfig(attempts=1, chunk_rows=2))  # all of them anew, and so far the first two
    again.fetch_each(again.next_chunks()[:1])
    assert ", 2 requests), 0 reused, 0 failed." in pictures_report(tmp_path, dataset.image)
