"""Drops records that repeat another, and breaks ties between splits, so that nothing trained on is tested on.

Records come sorted by id, so "the first" is the smallest id, and the order of the file has no say. Every rule groups
records that share something and keeps one of a group: of the split held out most strictly (test, then validation,
then training), the smallest id. Across splits this drops the training side.

A catalogue that gives its own splits keeps every record; what leaks is then only counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.configuration import check, setting
from model.errors import UserError
from model.text import SPLITS, normalise, split_of
from tasks.catalog.near_duplicates import near_duplicates_across
from tasks.catalog.reader import write_table
from tasks.catalog.urls import normalise_url
from tasks.dataset_files import CATALOG_FILE, DROPPED_FILE, RECORDS_FILE

DROPPED_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "rule", "repeats_id", "split")])
Rows = npt.NDArray[np.int64]
NO_ROWS: Rows = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class DeduplicateConfig:
    """Which repetitions are dropped. Whatever is set here, what two of our own splits share is dropped in training."""

    description: bool = setting(True, "drop records whose normalised description is another's")
    url: bool = setting(True, "drop records whose normalised picture url is another's")
    pixels: bool = setting(True, "drop, after the download, records whose picture is another's, pixel for pixel")
    near_duplicates: bool = setting(True, "drop training records whose text is nearly a held-out one's")
    min_jaccard: float = setting(0.9, "likeness over word 3-grams from which texts are near-duplicates")

    def __post_init__(self) -> None:
        check(0 < self.min_jaccard <= 1, "deduplicate.min_jaccard", self.min_jaccard, "above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class Deduplicated:
    """What is left, with splits, and what went.

    Attributes:
        records: as in `Catalog.records`, `split` filled.
        dropped: DROPPED_SCHEMA: each dropped record, the rule, the record that it repeats, the split it had.
        leaks: by rule, how many kept records share something with a split held out more strictly (given splits only).
    """

    records: pa.Table
    dropped: pa.Table
    leaks: Mapping[str, int]

    @property
    def dropped_by_rule(self) -> dict[str, int]:
        """How many records each rule dropped, in the rules' order."""
        return dict(Counter(self.dropped["rule"].to_pylist()))


def deduplicate(records: pa.Table, config: DeduplicateConfig, *, split_seed: int, given_splits: bool) -> Deduplicated:
    """Give every record its split and drop what repeats another.

    Args:
        records: as in `Catalog.records`.
        config: which rules apply.
        split_seed: of the hash that decides splits.
        given_splits: keep the catalogue's own splits, and every record.
    """
    work = _Work(records, split_seed, given_splits)
    if not given_splits:
        work.drop("description", *work.same_text(across_only=not config.description))
    work.drop("url", *work.same_url(across_only=given_splits or not config.url))
    work.drop("text", *work.shared_reference())
    if config.near_duplicates:
        work.drop("near-duplicate text", *work.near_duplicates(config.min_jaccard))
    result = work.result()
    assert records.num_rows == result.records.num_rows + result.dropped.num_rows, "a record was lost in de-duplication"
    return result


class _Work:
    """The records, what they are compared by, and which are still kept; what was dropped or leaks so far."""

    def __init__(self, records: pa.Table, split_seed: int, given_splits: bool) -> None:
        self.given_splits = given_splits
        self.leaks: dict[str, int] = {}
        self.dropped: list[pa.Table] = []
        references = records["references"]
        self.each = [normalise(text) for text in pc.list_flatten(references).to_pylist()]
        self.lengths = pc.list_value_length(references).to_numpy().astype(np.int64)
        self.texts = self._joined()
        if not given_splits:
            splits = pa.array([split_of(text, split_seed) for text in self.texts], pa.string())
            records = records.set_column(records.schema.get_field_index("split"), "split", splits)
        self.records = records
        self.split_rank: Rows = pc.index_in(records["split"], pa.array(SPLITS)).to_numpy().astype(np.int64)
        self.kept = np.ones(len(records), bool)

    def _joined(self) -> list[str]:
        """One text a record: its normalised references, sorted, one a line."""
        if (self.lengths == 1).all():
            return self.each
        ends = np.cumsum(self.lengths).tolist()
        return ["\n".join(sorted(self.each[start:end])) for start, end in pairwise([0, *ends])]

    def same_text(self, *, across_only: bool) -> tuple[Rows, Rows]:
        """Records that have all references of another one, and that one."""
        return self._repeats(codes_of(self.texts), np.arange(len(self.texts)), across_only)

    def same_url(self, *, across_only: bool) -> tuple[Rows, Rows]:
        """Records with another one's url, and that one."""
        urls = [normalise_url(url) for url in self.records["url"].to_pylist()]
        return self._repeats(codes_of(urls), np.arange(len(urls)), across_only)

    def shared_reference(self) -> tuple[Rows, Rows]:
        """Records that have one reference in common with one of a stricter split, and that one."""
        if self.each is self.texts and not self.given_splits:
            return NO_ROWS, NO_ROWS  # one text a record: the text itself has decided the split
        return self._repeats(codes_of(self.each), np.repeat(np.arange(len(self.lengths)), self.lengths), True)

    def near_duplicates(self, min_jaccard: float) -> tuple[Rows, Rows]:
        """Records whose text is nearly that of one of a stricter split, and that one."""
        rows = np.flatnonzero(self.kept)
        texts = [self.texts[row] for row in rows.tolist()]
        pairs = np.array(near_duplicates_across(texts, self.split_rank[rows], min_jaccard), np.int64).reshape(-1, 2)
        return rows[pairs[:, 0]], rows[pairs[:, 1]]

    def _repeats(self, codes: Rows, rows: Rows, across_only: bool) -> tuple[Rows, Rows]:
        alive = self.kept[rows]
        return repeats(codes[alive], rows[alive], self.split_rank, across_only=across_only)

    def drop(self, rule: str, losers: Rows, winners: Rows) -> None:
        """Drop rows, or, where the splits are given, count them as leaks."""
        if not len(losers):
            return
        if self.given_splits:
            self.leaks[rule] = len(losers)
            return
        names = np.where(self.split_rank[losers] == self.split_rank[winners], rule, f"{rule} across splits")
        ids, splits = self.records["record_id"], self.records["split"]
        columns = [ids.take(losers), pa.array(names, pa.string()), ids.take(winners), splits.take(losers)]
        self.dropped.append(pa.table(columns, schema=DROPPED_SCHEMA))
        self.kept[losers] = False

    def result(self) -> Deduplicated:
        """What is left and what went."""
        return Deduplicated(
            records=self.records.filter(pa.array(self.kept)),
            dropped=pa.concat_tables([DROPPED_SCHEMA.empty_table(), *self.dropped]).combine_chunks(),
            leaks=self.leaks,
        )


def codes_of(keys: Sequence[str]) -> Rows:
    """Number keys from 0, equal ones alike: (N,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def repeats(codes: Rows, rows: Rows, split_rank: Rows, *, across_only: bool) -> tuple[Rows, Rows]:
    """Which rows repeat another, and which.

    Args:
        codes: (K,) keys, numbered from 0; a row may have several.
        rows: (K,) the row that each key belongs to, ascending.
        split_rank: (N,) 0 training, 1 validation, 2 test.
        across_only: only rows whose split differs from that of the row that stays.

    Returns:
        The rows to drop, ascending, and for each the row with its key that stays: of the strictest split, the first.
    """
    if not len(codes):
        return NO_ROWS, NO_ROWS
    count = len(split_rank)
    strictness = (len(SPLITS) - 1 - split_rank[rows]) * count + rows
    best = np.full(int(codes.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(best, codes, strictness)
    winner = best[codes] % count
    loses = split_rank[winner] != split_rank[rows] if across_only else winner != rows
    losers, first = np.unique(rows[loses], return_index=True)
    return losers, winner[loses][first]


@dataclass(frozen=True, kw_only=True)
class PixelRepeats:
    """Records whose picture is another's, pixel for pixel.

    Attributes:
        dropped: DROPPED_SCHEMA: those that must go.
        reported: DROPPED_SCHEMA: those that stay (given splits, or the rule is off) and are only reported.
    """

    dropped: pa.Table
    reported: pa.Table


def pixel_repeats(
    record_ids: Sequence[str],
    splits: Sequence[str],
    digests: Sequence[str],
    config: DeduplicateConfig,
    *,
    given_splits: bool,
) -> PixelRepeats:
    """After the download: the same pixels in two records.

    Args:
        record_ids: of the pictures at hand, in any order.
        splits: the split of each.
        digests: of each one's decoded pixels.
        config: whether repetition within a split is dropped too.
        given_splits: nothing is dropped.
    """
    ids = np.array(record_ids, dtype=object)
    order = np.array(sorted(range(len(ids)), key=lambda row: id_key(record_ids[row])), np.int64)
    rank = np.array([SPLITS.index(splits[row]) for row in order], np.int64)
    codes = np.unique(np.array(digests, dtype=object)[order].astype(str), return_inverse=True)[1] if len(ids) else rank
    tables = []
    for across_only in (False, True):
        losers, winners = repeats(codes, np.arange(len(codes)), rank, across_only=across_only)
        names = np.where(rank[losers] == rank[winners], "pixels", "pixels across splits").tolist()
        columns = [ids[order[losers]], names, ids[order[winners]], [splits[row] for row in order[losers]]]
        tables.append(pa.table([pa.array(list(column), pa.string()) for column in columns], schema=DROPPED_SCHEMA))
    every, across = tables
    if given_splits:
        return PixelRepeats(dropped=DROPPED_SCHEMA.empty_table(), reported=every)
    if config.pixels:
        return PixelRepeats(dropped=every, reported=DROPPED_SCHEMA.empty_table())
    within = every.filter(pc.invert(pc.is_in(every["id"], across["id"])))
    return PixelRepeats(dropped=across, reported=within)


def id_key(record_id: str) -> tuple[bool, int, str]:
    """Sorts ids as `Catalog.records` does: numbers by value, then words."""
    is_number = record_id.isascii() and record_id.isdigit() and len(record_id) <= 18
    return (not is_number, int(record_id) if is_number else 0, record_id)


def deduplicate_folder(folder: Path, config: DeduplicateConfig, *, split_seed: int, given_splits: bool) -> Deduplicated:
    """From catalog.parquet in a dataset's folder make records.parquet and dropped.parquet there.

    Raises:
        UserError: nothing is left.
    """
    result = deduplicate(pq.read_table(folder / CATALOG_FILE), config, split_seed=split_seed, given_splits=given_splits)
    if not result.records.num_rows:
        raise UserError("no record is left after de-duplication: switch rules off with --set deduplicate.…=false")
    write_table(result.records, folder / RECORDS_FILE)
    write_table(result.dropped, folder / DROPPED_FILE)
    return result
