"""Every fault of a picture host has its reason, is counted exactly, and never stops the others."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.pictures.settings import FetchConfig
from tests.tasks.faulty_server import FORMS, FaultyServer
from tests.tasks.pictures_dataset import Dataset

# Bounds short enough for a test; every url is tried three times where that may help.
CONFIG = FetchConfig(
    attempts=3,
    backoff_s=0.02,
    connect_timeout_s=2,
    read_timeout_s=0.9,
    total_timeout_s=1.8,
    max_bytes=1_000_000,
    max_redirects=4,
    breaker_failures=1000,
    max_failure_rate=1,
)

GOOD = [
    "/ok/1", "/ok/bild%20ä.jpg", "/aws-chunked/2", "/wrong-type/2", "/chunked/3", "/gzip/4", "/redirect/5",
    "/429-twice/6", "/503-twice/7", "/reset-twice/8",
    *(f"/form/{10 + place}/{form}" for place, form in enumerate(FORMS)),
]  # fmt: skip
FINAL = {
    "/404/1": "http_404", "/410/1": "http_410", "/403/1": "http_403", "/400/1": "http_4xx", "/204/1": "http_other",
    "/html/1": "not_a_picture", "/truncated/1": "truncated", "/header-only/1": "not_a_picture",
    "/one-pixel/1": "too_small", "/empty/1": "empty", "/png-bomb/1": "too_many_pixels",
    "/gzip-bomb/1": "too_large", "/endless/1": "too_large", "/huge/1": "too_large", "/brotli/1": "bad_encoding",
    "/redirect-loop/a": "redirect_loop", "/redirect-many/1": "too_many_redirects",
    "/redirect-ftp/1": "unsupported_scheme", "/redirect-file/1": "unsupported_scheme",
    "/redirect-private/1": "private_address", "/redirect-metadata/1": "private_address",
    "/redirect-nowhere/1": "bad_redirect", "/redirect-odd/1": "bad_redirect",
    "//a[::1]@/x.jpg": "malformed_url",
    "http://169.254.169.254/latest/meta-data/": "private_address",
    "http://[::1]:9/a.jpg": "private_address", "http://[::ffff:127.0.0.1]:9/a.jpg": "private_address",
    "http://localhost:9/a.jpg": "private_address", "http://2130706433:9/a.jpg": "malformed_url",
    "http://10.1.2.3/a.jpg": "private_address",
    "file:///etc/passwd": "unsupported_scheme", "data:image/png;base64,iVBORw0KGgo=": "unsupported_scheme",
    "ftp://example.com/a.jpg": "unsupported_scheme", "javascript:alert(1)": "unsupported_scheme",
    "http://": "malformed_url", "http://[::1/a.jpg": "malformed_url", "http://two words/a.jpg": "malformed_url",
    "http://host:99999/a.jpg": "malformed_url", "https://..dots../a.jpg": "malformed_url", "": "malformed_url",
}  # fmt: skip
PASSING = {
    "/429/1": "http_429", "/429-odd/1": "http_429",
    "/500/1": "http_5xx", "/reset/1": "reset", "/cut/1": "reset", "/garbage/1": "bad_response",
    "/silent/1": "timeout_read", "/stall/1": "timeout_read",
    "/slow-header/1": "timeout_total", "/slow-body/1": "timeout_total",
    "http://no-such-name.invalid/a.jpg": "dns", "http://xn--a/1.jpg": "dns",
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def test_each_of_more_than_25_faults_has_its_reason_and_the_run_ends(server: FaultyServer, tmp_path: Path) -> None:
    faults = {**FINAL, **PASSING}
    urls = [*GOOD, *faults]
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample({"train": urls}).fetch()
    first, again = dataset.summaries
    assert len(faults) >= 25
    assert first.fetched == len(GOOD)
    assert Counter(first.failed) == Counter(FINAL.values())
    assert Counter(first.passing) == Counter(PASSING.values())
    # The failures that may pass are asked for once more; then the host, proven to be alive, is believed.
    assert again.fetched == 0
    assert Counter(again.failed) == Counter(faults.values())

    packed = dataset.pack()
    assert packed.rows["train"] == len(GOOD)
    assert packed.failures == Counter(faults.values())
    outcomes = {row["order"]: row for row in pq.read_table(tmp_path / "outcomes.parquet").to_pylist()}
    assert [outcomes[order]["reason"] for order in range(len(urls))] == [""] * len(GOOD) + list(faults.values())


def test_failures_that_may_pass_are_asked_for_again_and_final_ones_are_not(
    server: FaultyServer, tmp_path: Path
) -> None:
    Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(
        {"train": ["/ok/1", "/404/1", "/html/1", "/500/1", "/503-twice/1", "/429-twice/2", "/reset/1"]}
    ).fetch()
    asked = server.asked
    assert (asked["/404/1"], asked["/html/1"], asked["/503-twice/1"], asked["/429-twice/2"]) == (1, 1, 3, 3)
    # Three times when first asked, three times at the last asking.
    assert asked["/500/1"] == asked["/reset/1"] == 2 * CONFIG.attempts
