"""What became of the pictures, for people: counts, and the failures by reason and by host."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from model.picture import ImageConfig
from tasks.dataset_files import OUTCOMES_FILE
from tasks.markdown import escape
from tasks.pictures.outcome import SCHEMA, Outcome
from tasks.pictures.selection import read_outcomes

HOSTS_SHOWN = 20
NO_HOST = "(no host)"  # a folder's files, and urls that are none


def pictures_report(folder: Path, image: ImageConfig) -> str:
    """A page in Markdown on the pictures of a dataset as they are now, packed or not.

    Args:
        folder: of the dataset.
        image: size and resize rule.
    """
    chunked = [outcome for known in read_outcomes(folder, image).values() for outcome, _ in known.values()]
    if chunked or not (folder / OUTCOMES_FILE).is_file():
        return outcomes_markdown(chunked)
    rows = pq.read_table(folder / OUTCOMES_FILE, columns=SCHEMA.names).to_pylist()
    return outcomes_markdown([Outcome(**row) for row in rows])


def outcomes_markdown(outcomes: Sequence[Outcome]) -> str:
    """The page: what came, and a row for each reason and host of what failed, the most frequent first."""
    came = Counter(outcome.status for outcome in outcomes)
    megabytes = sum(outcome.bytes for outcome in outcomes if outcome.status == "fetched") / 1e6
    asked = sum(outcome.attempts for outcome in outcomes)
    fetched = f"{came['fetched']:,} pictures fetched ({megabytes:,.1f} MB, {asked:,} requests)"
    lines = [f"{fetched}, {came['reused']:,} reused, {came['failed']:,} failed."]
    failures = [outcome for outcome in outcomes if not outcome.usable]
    counts = Counter((outcome.reason, outcome.settled, host_of(outcome.url)) for outcome in failures)
    if counts:
        lines += ["", "| reason | will it be asked again | host | pictures |", "|---|---|---|---:|"]
    for (reason, settled, host), count in counts.most_common(HOSTS_SHOWN):
        lines.append(f"| {reason} | {'no' if settled else 'yes'} | {escape(host)} | {count:,} |")
    if len(counts) > HOSTS_SHOWN:
        rest = sum(count for _, count in counts.most_common()[HOSTS_SHOWN:])
        lines.append(f"| … | | {len(counts) - HOSTS_SHOWN:,} more rows | {rest:,} |")
    return "\n".join(lines) + "\n"


def host_of(url: str) -> str:
    """The host of an outcome's url, as people write it."""
    try:
        return urlsplit(url).hostname or NO_HOST
    except ValueError:
        return NO_HOST
