"""Which records make up the rows: of each split, the first in its order whose picture can be had.

So the rows depend on which pictures can be had, and on nothing else: not on the order of arrival, on chunks, on kills.
A record whose picture repeats another's is dropped, and the next of the split's order takes its place too.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.picture import ImageConfig
from model.text import SPLITS
from tasks.dataset_files import SAMPLE_FILE
from tasks.pictures.address import address_key, check_base, resolve
from tasks.pictures.chunk_files import Chunk, ChunkFile, existing_chunks, remove_partial_chunks
from tasks.pictures.outcome import Outcome
from tasks.pictures.settings import FetchConfig
from tasks.pictures.tables import read_sample, read_table

Table = tuple[ChunkFile, list[Outcome], str]  # of a chunk: its outcomes and their verdict key
# (record id, split, digest of the pixels) of all rows -> the ids to drop, each with the id that it repeats.
FindRepeats = Callable[[Sequence[tuple[str, str, str]]], dict[str, str]]


@dataclass(frozen=True)
class Split:
    """A split's records in its order, of which the first `target` are the sample and the rest is the reserve."""

    target: int
    record_ids: list[str]


@dataclass
class Selection:
    """The rows so far.

    Attributes:
        rows: by split, in its order.
        repeats: records dropped because their picture repeats another's: id and the id repeated.
        wanted: by split, the orders that must be asked for before the rows are known.
        pending: how many records still have a failure that may pass.
    """

    rows: dict[str, list[Outcome]] = field(default_factory=dict)
    repeats: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, list[int]] = field(default_factory=dict)
    pending: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask for."""
        return not any(self.wanted.values()) and not self.pending


def read_splits(folder: Path) -> dict[str, Split]:
    """The splits of `sample.parquet`, those without a record too."""
    splits = {name: Split(0, []) for name in SPLITS}
    for name, part in read_sample(folder, ["record_id", "in_sample"]).items():
        splits[name] = Split(sum(part["in_sample"].to_pylist()), part["record_id"].to_pylist())
    return splits


def read_outcomes(folder: Path, image: ImageConfig) -> dict[str, dict[int, tuple[Outcome, ChunkFile]]]:
    """By split and order: what became of each record that was asked for, and the chunk that holds it."""
    return _by_order((file, *file.read_outcomes()) for file in existing_chunks(folder, image))


def _by_order(tables: Iterable[Table]) -> dict[str, dict[int, tuple[Outcome, ChunkFile]]]:
    found: dict[str, dict[int, tuple[Outcome, ChunkFile]]] = {name: {} for name in SPLITS}
    for file, outcomes, _ in tables:
        found[file.chunk.split].update((outcome.order, (outcome, file)) for outcome in outcomes)
    return found


def select(
    splits: dict[str, Split],
    outcomes: dict[str, dict[int, tuple[Outcome, ChunkFile]]],
    find_repeats: FindRepeats | None,
) -> Selection:
    """Choose the rows from what is known; what must be known first is in `wanted`."""
    selection = Selection()
    while True:
        selection.pending = 0
        for name, split in splits.items():
            _select_split(name, split, outcomes[name], selection)
        if find_repeats is None:
            return selection
        rows = [(row.record_id, row.split, row.digest) for chosen in selection.rows.values() for row in chosen]
        repeats = find_repeats(rows)
        if not repeats:
            return selection
        selection.repeats.update(repeats)


def _select_split(
    name: str, split: Split, outcomes: dict[int, tuple[Outcome, ChunkFile]], selection: Selection
) -> None:
    """The first `target` of the order whose picture is there and repeats none; unknown ones are wanted."""
    rows: list[Outcome] = []
    wanted: list[int] = []
    pending = 0
    usable = sum(outcome.usable for outcome, _ in outcomes.values())
    share = max(usable, 1) / max(len(outcomes), 1)  # of pictures that can be had, for how far to reach ahead
    for order, record_id in enumerate(split.record_ids):
        if len(rows) + pending + _expected(len(wanted), share) >= split.target:
            break
        known = outcomes.get(order)
        if known is None:
            wanted.append(order)
        elif not known[0].settled:
            pending += 1
        elif known[0].usable and record_id not in selection.repeats:
            rows.append(known[0])
    selection.rows[name] = rows
    selection.wanted[name] = wanted
    selection.pending += pending


def _expected(asked: int, share: float) -> float:
    """How many of the asked will come at least, usually: two standard deviations below the mean."""
    return asked * share - 2 * math.sqrt(asked * share * (1 - share)) if share < 1 else asked


def next_chunks(
    folder: Path,
    *,
    base_url: str,
    image: ImageConfig,
    config: FetchConfig,
    find_repeats: FindRepeats | None,
) -> list[Chunk]:
    """The chunks to fetch next; none when the rows are complete. Call it while no chunk is being fetched.

    First those of the sample, then those left open, then from the reserve for what is not to be had.

    Args:
        folder: of the dataset, with `sample.parquet`.
        base_url: the value of --image-base-url; empty without one.
        image: size and resize rule.
        config: how pictures are fetched.
        find_repeats: which rows to drop for equal pixels; None to drop none.

    Raises:
        UserError: the base is no URL, and no folder that can be read.
    """
    if base_url:
        check_base(base_url)
    remove_partial_chunks(folder)
    tables = _sound_tables(folder, image)
    wanted = select(read_splits(folder), _by_order(tables), find_repeats).wanted
    return _open_chunks(folder, tables, base_url, config) + [
        Chunk(split=name, start=start, stop=min(start + config.chunk_rows, stop))
        for name in SPLITS
        for first, stop in _ranges(wanted[name])
        for start in range(first, stop, config.chunk_rows)
    ]


def _sound_tables(folder: Path, image: ImageConfig) -> list[Table]:
    """All chunks' tables; chunks whose table cannot be read, or whose pixels are not there in full, are forgotten.

    A digest that does not fit is found when packing.
    """
    tables: list[Table] = []
    for file in existing_chunks(folder, image):
        outcomes, verdict_key = file.read_outcomes()
        whole = file.pixels.is_file() and file.pixels.stat().st_size == len(file.chunk) * file.row_bytes
        if outcomes and whole:
            tables.append((file, outcomes, verdict_key))
        else:
            file.outcomes.unlink()
    return tables


def _open_chunks(folder: Path, tables: list[Table], base_url: str, config: FetchConfig) -> list[Chunk]:
    """Chunks with failures that may pass, or that were failures only by another base or other bounds."""
    sample = read_table(folder / SAMPLE_FILE, ["record_id", "url"])
    urls = dict(zip(sample["record_id"].to_pylist(), sample["url"].to_pylist(), strict=True))
    chunks = []
    for file, outcomes, verdict_key in tables:
        failures = [outcome for outcome in outcomes if not outcome.usable]
        changed = verdict_key != config.verdict_key(base_url) or any(
            outcome.url_key != address_key(resolve(urls[outcome.record_id], base_url)) for outcome in failures
        )
        if failures and (changed or not all(outcome.settled for outcome in failures)):
            chunks.append(replace(file.chunk, last_asking=not changed))
    return chunks


def _ranges(orders: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges (start, stop)."""
    ranges: list[tuple[int, int]] = []
    for order in orders:
        if ranges and ranges[-1][1] == order:
            ranges[-1] = (ranges[-1][0], order + 1)
        else:
            ranges.append((order, order + 1))
    return ranges
