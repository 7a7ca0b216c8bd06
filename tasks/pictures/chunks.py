"""Fetching one chunk: what is there already, what an earlier dataset has, and the rest by request."""

import asyncio
import errno
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from model.errors import RunError
from model.files import DISK_FULL, atomic_path
from model.picture import ImageConfig, PictureError, decode_with_size
from tasks.catalog.urls import is_relative
from tasks.pictures.address import Address, address_key, resolve
from tasks.pictures.chunk_files import Chunk, ChunkFile, existing_chunks, write_picture
from tasks.pictures.client import Answer
from tasks.pictures.fetcher import Fetcher, shared_fetcher
from tasks.pictures.life import proof_of_life
from tasks.pictures.outcome import CIRCUIT_OPEN, NOT_ASKED, Failed, Fetched, Outcome, in_words, nothing_had
from tasks.pictures.reuse import find_reusable
from tasks.pictures.settings import FetchConfig
from tasks.pictures.tables import read_sample
from tasks.progress import Bar, progress

logger = logging.getLogger(__name__)
PROGRESS_STEP = "Fetching pictures"
# The failure rate of a smaller chunk (a few records of the reserve) is taken as if it had this many rows, so that one
# picture alone stops no run.
SMALLEST_RATED_ROWS = 10
# Records are drawn in a random order: where so many in a row are not to be had, and none before, so are all the others.
# With a wrong --image-base-url every record of the catalogue would be asked for, reserve included.
HOPELESS_ROWS = 100


@dataclass(frozen=True, kw_only=True)
class ChunkSummary:
    """What became of a chunk.

    Attributes:
        chunk: its name.
        fetched, reused: pictures that came by request, and from an earlier dataset or an earlier asking.
        failed: settled failures by reason.
        passing: failures that may pass, by reason: the chunk is open.
        bytes: of the files that came.
    """

    chunk: str
    fetched: int
    reused: int
    failed: dict[str, int]
    passing: dict[str, int]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class _Record:
    record_id: str
    order: int
    address: Address | Failed
    shown: str  # without user, password and query


def fetch_chunk(
    folder: Path,
    chunk: Chunk,
    *,
    base_url: str,
    image: ImageConfig,
    config: FetchConfig,
    datasets: Sequence[Path] = (),
) -> ChunkSummary:
    """Bring a chunk as far as it can be brought; what it holds already is not asked for again.

    Args:
        folder: of the dataset, with `sample.parquet`.
        chunk: from `tasks.pictures.selection.next_chunks`.
        base_url: the value of --image-base-url, a URL or a folder; empty without one.
        image: size and resize rule.
        config: how to fetch.
        datasets: folders of earlier datasets whose pictures may be taken.

    Raises:
        RunError: too many failures that may pass (the chunk keeps what came, and stays open); a full disk.
        UserError: nothing can be had, neither of this chunk nor, so far, of any other.
    """
    file = ChunkFile(folder, chunk, image)
    records = _read_records(folder, chunk, base_url)
    with progress(PROGRESS_STEP, len(records), unit="pictures") as bar, _full_disk_told(folder):
        known = _known_outcomes(file, records, base_url, config)
        bar.advance(len(known))
        if len(known) == len(records):
            outcomes = known
        else:
            outcomes = _fetch_missing(file, records, known, base_url, config, datasets, bar)
        _check_failure_rate(chunk, outcomes, len(records), config)
        while chunk.last_asking and any(not outcome.settled for outcome in outcomes):
            outcomes = _settle(file, records, outcomes, base_url, config)
            settled = [outcome for outcome in outcomes if outcome.settled]
            if len(settled) < len(outcomes):
                outcomes = _fetch_missing(file, records, settled, base_url, config, datasets, bar)
    _check_hope(file, outcomes)
    return _summary(chunk, known, outcomes)


@contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """A disk or quota that is full, wherever it was noticed, is one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise RunError(f"the disk of {folder} is full: free some space, then resume") from None


def _read_records(folder: Path, chunk: Chunk, base_url: str) -> list[_Record]:
    """The chunk's records, in order."""
    table = read_sample(folder, ["record_id", "url"])[chunk.split].slice(chunk.start, len(chunk))
    assert len(table) == len(chunk), f"{chunk.name} is not of this sample"
    records = []
    for row in table.to_pylist():
        address = resolve(row["url"], base_url)
        # A malformed url is not shown: where its password stands cannot be told.
        has_host = not is_relative(row["url"]) or row["url"].lstrip().startswith("//")
        shown = address.shown if not isinstance(address, Failed) else "" if has_host else row["url"]
        record = _Record(record_id=row["record_id"], order=row["order"], address=address, shown=shown.partition("?")[0])
        records.append(record)
    return records


def _known_outcomes(file: ChunkFile, records: list[_Record], base_url: str, config: FetchConfig) -> list[Outcome]:
    """What an earlier asking settled and still holds: a whole picture, or a failure of the same question."""
    outcomes, verdict_key = file.read_outcomes()
    by_order = {record.order: record for record in records}
    still = []
    for outcome in file.sound_outcomes(outcomes):
        record = by_order[outcome.order]
        assert outcome.record_id == record.record_id, f"{file.outcomes} is not of this sample"
        same_question = verdict_key == config.verdict_key(base_url) and outcome.url_key == address_key(record.address)
        if outcome.usable or (outcome.settled and same_question):
            still.append(outcome)
    return still


def _fetch_missing(
    file: ChunkFile,
    records: list[_Record],
    known: list[Outcome],
    base_url: str,
    config: FetchConfig,
    datasets: Sequence[Path],
    bar: Bar,
) -> list[Outcome]:
    """Fetch what is missing into new files of the chunk; nothing is asked for that could not be kept."""
    if shutil.disk_usage(file.folder).free < len(records) * file.row_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    done = {outcome.order: outcome for outcome in known}
    with atomic_path(file.pixels) as partial, ExitStack() as stack:
        if known and file.pixels.is_file():
            shutil.copyfile(file.pixels, partial)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o644)
        stack.callback(os.close, descriptor)
        os.truncate(descriptor, len(records) * file.row_bytes)
        missing = [record for record in records if record.order not in done]
        for outcome in _take_reusable(file, missing, descriptor, datasets):
            done[outcome.order] = outcome
            bar.advance()
        missing = [record for record in missing if record.order not in done]
        with shared_fetcher(config, base_url) as fetcher:
            most = _most_failures(len(records), config)
            for outcome in fetcher.run(_fetch_all(file, missing, descriptor, fetcher, bar, most)):
                done[outcome.order] = outcome
    outcomes = [done[order] for order in sorted(done)]
    file.write_outcomes(outcomes, config.verdict_key(base_url))
    return outcomes


def _take_reusable(file: ChunkFile, missing: list[_Record], descriptor: int, datasets: Sequence[Path]) -> list[Outcome]:
    """Take what earlier datasets have under the same URL and the same resize rule."""
    addresses = {record.order: record.address for record in missing if not isinstance(record.address, Failed)}
    keys = {order: address.key for order, address in addresses.items()}
    taken = []
    reusable = find_reusable(datasets, set(keys.values()), file.image)
    for record in missing:
        source = reusable.get(keys.get(record.order, ""))
        pixels = source.read() if source else None
        if source is None or pixels is None:
            continue
        digest = write_picture(descriptor, record.order - file.chunk.start, pixels)
        old = source.outcome
        outcome = _outcome(file, record, status="reused", http_status=old.http_status, size=old.bytes)
        taken.append(replace(outcome, digest=digest, width=old.width, height=old.height))
    return taken


class _TooManyError(Exception):
    """So many pictures fail that the chunk stays open whatever becomes of the others."""


async def _fetch_all(
    file: ChunkFile, records: list[_Record], descriptor: int, fetcher: Fetcher, bar: Bar, most: float
) -> list[Outcome]:
    """Ask for all records at once; the client bounds what is in flight.

    When more than `most` have failed for reasons that may pass, the others are not asked for.
    """
    outcomes: list[Outcome] = []
    if file.chunk.last_asking:  # nothing is settled by what its host did before
        for record in records:
            if not isinstance(record.address, Failed):
                fetcher.client.reopen(record.address)

    async def fetch(record: _Record) -> None:
        outcome = await _fetch_one(file, record, descriptor, fetcher)
        outcomes.append(outcome)
        bar.advance(1, fetcher.rate.add(outcome.bytes, failed=not outcome.usable))
        if not outcome.settled and sum(not one.settled and one.attempts > 0 for one in outcomes) > most:
            raise _TooManyError

    try:
        async with asyncio.TaskGroup() as group:
            for record in records:
                group.create_task(fetch(record))
    except ExceptionGroup as group_error:
        errors = [error for error in group_error.exceptions if not isinstance(error, _TooManyError)]
        if errors:
            raise errors[0] from None
    there = {outcome.order for outcome in outcomes}
    given_up = Answer[tuple[str, int, int]](Failed(reason=NOT_ASKED), 0, 0.0)
    return outcomes + [_failed(file, record, given_up) for record in records if record.order not in there]


async def _fetch_one(file: ChunkFile, record: _Record, descriptor: int, fetcher: Fetcher) -> Outcome:
    """One record's picture into its place."""
    if isinstance(record.address, Failed):
        return _failed(file, record, Answer(record.address, 0, 0.0))
    place = record.order - file.chunk.start

    def decode(data: bytes) -> tuple[str, int, int] | Failed:
        try:
            decoded = decode_with_size(data, file.image)
        except PictureError as error:
            return Failed(reason=error.reason, detail=error.detail, http_status=200)
        return write_picture(descriptor, place, decoded.pixels), decoded.width_px, decoded.height_px

    async def use(fetched: Fetched) -> tuple[str, int, int] | Failed:
        return await fetcher.decode(lambda: decode(fetched.data))

    try:
        answer = await fetcher.client.get(record.address, use)
    except (OSError, AssertionError):  # of our own disk, of our own making
        raise
    except Exception as error:  # no answer, however odd, may cost the others of its chunk
        logger.warning("%s: an answer that nobody foresaw (%s)", record.shown, type(error).__name__)
        answer = Answer(Failed(reason="unforeseen", detail=type(error).__name__), 1, 0.0)
    if isinstance(answer.result, Failed):
        return _failed(file, record, answer)
    digest, width, height = answer.result
    outcome = _outcome(file, record, status="fetched", http_status=answer.http_status, size=answer.bytes)
    return replace(
        outcome, digest=digest, width=width, height=height, attempts=answer.attempts, seconds=round(answer.seconds, 3)
    )


def _settle(
    file: ChunkFile, records: list[_Record], outcomes: list[Outcome], base_url: str, config: FetchConfig
) -> list[Outcome]:
    """Give up what still fails, where the host is proven to be alive; an outage settles nothing.

    Returns:
        The outcomes, settled, but for those that were not asked for now although their host is alive.

    Raises:
        RunError: a host that gave pictures before gives none now; one wants to be left alone, and was not asked again.
    """
    unsettled = {outcome.order for outcome in outcomes if not outcome.settled}
    addresses = {record.order: record.address for record in records if record.order in unsettled}
    with shared_fetcher(config, base_url) as fetcher:
        alive = proof_of_life(file, list(addresses.values()), base_url, fetcher)

        def was_asked(outcome: Outcome) -> bool:
            if outcome.settled or outcome.attempts:
                return True
            address = addresses[outcome.order]
            if isinstance(address, Failed):
                return True
            if not fetcher.client.asked_again(address):
                raise RunError(
                    f"{address.origin[0]} asked to be left alone for longer than fetch.retry_after_max_s = "
                    f"{config.retry_after_max_s:g} s. What came is kept: resume later"
                )
            return address.origin not in alive

        outcomes = [replace(outcome, settled=was_asked(outcome)) for outcome in outcomes]
    file.write_outcomes(outcomes, config.verdict_key(base_url))
    return outcomes


def _outcome(file: ChunkFile, record: _Record, *, status: str, http_status: int = 0, size: int = 0) -> Outcome:
    return Outcome(
        record_id=record.record_id,
        split=file.chunk.split,
        order=record.order,
        url=record.shown,
        url_key=address_key(record.address),
        status=status,
        http_status=http_status,
        bytes=size,
    )


def _failed(file: ChunkFile, record: _Record, answer: Answer[tuple[str, int, int]]) -> Outcome:
    failure = answer.result
    assert isinstance(failure, Failed)
    return replace(
        _outcome(file, record, status="failed", http_status=failure.http_status, size=answer.bytes),
        reason=failure.reason,
        detail=failure.detail[:200],
        settled=not failure.passing,
        attempts=answer.attempts,
        seconds=round(answer.seconds, 3),
    )


def _summary(chunk: Chunk, known: list[Outcome], outcomes: list[Outcome]) -> ChunkSummary:
    before = {outcome.order for outcome in known}
    pictures = [outcome for outcome in outcomes if outcome.usable]
    new = [outcome for outcome in pictures if outcome.status == "fetched" and outcome.order not in before]
    failures = [outcome for outcome in outcomes if not outcome.usable]
    return ChunkSummary(
        chunk=chunk.name,
        fetched=len(new),
        reused=len(pictures) - len(new),
        failed=dict(Counter(outcome.reason for outcome in failures if outcome.settled)),
        passing=dict(Counter(outcome.reason for outcome in failures if not outcome.settled)),
        bytes=sum(outcome.bytes for outcome in new),
    )


def _most_failures(rows: int, config: FetchConfig) -> float:
    """How many pictures of a chunk may fail for reasons that may pass."""
    return config.max_failure_rate * max(rows, SMALLEST_RATED_ROWS)


def _check_failure_rate(chunk: Chunk, outcomes: list[Outcome], rows: int, config: FetchConfig) -> None:
    """Stop the run when too much of a chunk fails for passing reasons: an outage, a host that is down.

    Raises:
        RunError: naming the share, the reasons and what to do.
    """
    reasons = [
        # That a host is left alone helps nobody who is not told what it did.
        f"{outcome.reason} {outcome.detail}" if outcome.reason == CIRCUIT_OPEN else outcome.reason
        for outcome in outcomes
        if not outcome.settled and outcome.reason != NOT_ASKED
    ]
    passing = len(reasons)
    if passing <= _most_failures(rows, config):
        return
    raise RunError(
        f"{passing} of {len(outcomes)} pictures ({passing / len(outcomes):.0%}) of {chunk.name} could not be had for "
        f"reasons that may pass ({in_words(reasons)}), "
        f"more than fetch.max_failure_rate = {config.max_failure_rate:g} allows. "
        "What came is kept: check the network and the hosts, then resume"
    )


def _check_hope(file: ChunkFile, outcomes: list[Outcome]) -> None:
    """Stop the run when nothing comes at all, before the reserve is asked for.

    Raises:
        UserError: naming the reasons and a picture.
    """
    if len(outcomes) < HOPELESS_ROWS or any(outcome.usable or not outcome.settled for outcome in outcomes):
        return
    others = (one.read_outcomes()[0] for one in existing_chunks(file.folder, file.image) if one.chunk != file.chunk)
    if not any(outcome.usable for found in others for outcome in found):
        raise nothing_had(f"of {len(outcomes):,} drawn at random", outcomes)
