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
from tasks.catalog.reader import CATALOG_FILE, write_table
from tasks.catalog.urls import normalise_url

RECORDS_FILE, DROPPED_FILE = "records.parquet", "dropped.parquet"
DROPPED_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "rule", "repeats_id", "split")])
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DeduplicateConfig:
    """Which repetitions are dropped. Whatever is set here, what two splits share is dropped on the training side."""

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
        work.drop("description", *work.repeats("text", across_only=not config.description))
    work.drop("url", *work.repeats("url", across_only=given_splits or not config.url))
    work.drop("text", *work.repeats("references", across_only=True))
    if config.near_duplicates:
        pairs = near_duplicates_across(work.texts(), work.split_rank, config.min_jaccard)
        losers, winners = np.array(pairs, np.int64).reshape(-1, 2).T
        work.drop("near-duplicate text", losers, winners)
    result = Deduplicated(records=work.records, dropped=work.dropped_table(), leaks=work.leaks)
    assert records.num_rows == result.records.num_rows + result.dropped.num_rows, "a record was lost in de-duplication"
    return result


class _Work:
    """The records still kept, with what they are compared by; what was dropped or leaks so far."""

    def __init__(self, records: pa.Table, split_seed: int, given_splits: bool) -> None:
        self.given_splits = given_splits
        self.leaks: dict[str, int] = {}
        self.dropped: list[pa.Table] = []
        references = records["references"].combine_chunks()
        normalised = [normalise(text) for text in references.flatten().to_pylist()]
        ends = np.cumsum(pc.list_value_length(references).to_numpy(), dtype=np.int32)
        offsets = pa.array(np.concatenate([np.zeros(1, np.int32), ends]))
        lists = pa.ListArray.from_arrays(offsets, pa.array(normalised, pa.string()))
        texts = _joined(lists, normalised)
        if not given_splits:
            splits = pa.array([split_of(text, split_seed) for text in texts], pa.string())
            records = records.set_column(records.schema.get_field_index("split"), "split", splits)
        self.records = records
        self.keys = pa.table(
            {
                "text": pa.array(texts, pa.string()),
                "url": pa.array([normalise_url(url) for url in records["url"].to_pylist()], pa.string()),
                "references": lists,
            }
        )

    @property
    def split_rank(self) -> Rows:
        """(N,) 0 training, 1 validation, 2 test."""
        rank: Rows = pc.index_in(self.records["split"], pa.array(SPLITS)).to_numpy().astype(np.int64)
        return rank

    def texts(self) -> list[str]:
        """The normalised texts of the records still kept."""
        texts: list[str] = self.keys["text"].to_pylist()
        return texts

    def repeats(self, key: str, *, across_only: bool) -> tuple[Rows, Rows]:
        """Rows that share the key with a row that stays, and that row; with `across_only`, one of another split."""
        column = self.keys[key].combine_chunks()
        rows = np.arange(len(column))
        if pa.types.is_list(column.type):
            rows = np.repeat(rows, pc.list_value_length(column).to_numpy())
            column = column.flatten()
        codes = pc.dictionary_encode(column).indices.to_numpy()
        return repeats(codes, rows, self.split_rank, across_only=across_only)

    def drop(self, rule: str, losers: Rows, winners: Rows) -> None:
        """Drop rows, or, where the splits are given, count them as leaks."""
        if self.given_splits:
            if len(losers):
                self.leaks[rule] = len(losers)
            return
        if not len(losers):
            return
        rank = self.split_rank
        names = np.where(rank[losers] == rank[winners], rule, f"{rule} across splits")
        ids, splits = self.records["record_id"], self.records["split"]
        columns = [ids.take(losers), pa.array(names, pa.string()), ids.take(winners), splits.take(losers)]
        self.dropped.append(pa.table(columns, schema=DROPPED_SCHEMA))
        mask = np.ones(len(rank), bool)
        mask[losers] = False
        self.records, self.keys = self.records.filter(mask), self.keys.filter(mask)

    def dropped_table(self) -> pa.Table:
        """All that was dropped, in the rules' order."""
        return pa.concat_tables([DROPPED_SCHEMA.empty_table(), *self.dropped]).combine_chunks()


def _joined(lists: pa.ListArray, normalised: list[str]) -> list[str]:
    """One text a record: its references, sorted, one a line."""
    if len(lists) == len(normalised):
        return normalised
    bounds = lists.offsets.to_pylist()
    return ["\n".join(sorted(normalised[a:b])) for a, b in pairwise(bounds)]


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
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
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
