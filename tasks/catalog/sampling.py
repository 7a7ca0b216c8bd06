"""Draws the sample: in each split a seeded order, the first so many rows, the rest as their reserve."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.configuration import check, setting
from model.errors import UserError
from model.text import SPLITS
from tasks.catalog.reader import write_table
from tasks.dataset_files import RECORDS_FILE, SAMPLE_FILE

FEW_TO_LEARN_FROM = 1000  # the demo's model, with 2,300, still named one type in four wrongly (docs/experiments.md)


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How many records are drawn, and how. The splits themselves are a hash of the text, in the proportion 14:1:3."""

    train: int = setting(14_000, "at most so many training records", unit="records")
    validation: int = setting(1_000, "at most so many validation records", unit="records")
    test: int = setting(3_000, "at most so many test records; may be 0", unit="records")
    exact: bool = setting(False, "too few records are an error, instead of a smaller sample")
    stratify: bool = setting(False, "draw from the categories in proportion to their size")
    seed: int = setting(0, "of the order in which records are drawn")
    split_seed: int = setting(0, "of the splits: keep it, and what was tested on is never trained on later")

    def __post_init__(self) -> None:
        check(self.train >= 1, "sample.train", self.train, "at least 1")
        check(self.validation >= 1, "sample.validation", self.validation, "at least 1")
        check(self.test >= 0, "sample.test", self.test, "0 or more")

    @property
    def limits(self) -> dict[str, int]:
        """The upper limit of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample and its reserve.

    Attributes:
        records: `Catalog.records`' columns, `order` (int32, from 0 in each split) and `in_sample`; training, validation
            and test rows, each in their order.
        available: kept records of each split.
        drawn: those in the sample.
        warning: one line if the sample is smaller than the limits, else empty.
    """

    records: pa.Table
    available: Mapping[str, int]
    drawn: Mapping[str, int]
    warning: str


def draw_sample(records: pa.Table, config: SampleConfig, *, given_splits: bool) -> Sample:
    """Draw a sample.

    Args:
        records: as in `Deduplicated.records`.
        config: how many, and how.
        given_splits: the catalogue made the splits: each is cut to its limit alone, none for the sake of proportion.

    Raises:
        UserError: too few records.
    """
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(records["split"]).to_pylist()}
    available = {split: counts.get(split, 0) for split in SPLITS}
    drawn, warning = sample_sizes(available, config, given_splits=given_splits)
    split_rank = pc.index_in(records["split"], pa.array(SPLITS)).to_numpy().astype(np.int64)
    keys = _drawing_keys(records, split_rank, config)
    rows = np.lexsort((keys, split_rank))
    starts = np.concatenate([[0], np.cumsum([available[split] for split in SPLITS])])
    order = np.arange(len(rows)) - starts[split_rank[rows]]
    in_sample = order < np.array([drawn[split] for split in SPLITS])[split_rank[rows]]
    table = records.take(rows)
    table = table.append_column("order", pa.array(order.astype(np.int32)))
    return Sample(
        records=table.append_column("in_sample", pa.array(in_sample)), available=available, drawn=drawn, warning=warning
    )


def sample_sizes(
    available: Mapping[str, int], config: SampleConfig, *, given_splits: bool
) -> tuple[dict[str, int], str]:
    """How many records of each split are drawn, and the warning if the limits had to shrink.

    All limits shrink by one factor, that of the split which has the least of what is wanted, so that the sample keeps
    the proportion of its limits; a split that has records keeps at least one.

    Raises:
        UserError: fewer records than wanted though the numbers are exact.
    """
    limits = config.limits
    short = [split for split in SPLITS if available[split] < limits[split]]
    if not short:
        return limits, ""
    lacks = ", ".join(f"{available[split]:,} of {limits[split]:,} {split}" for split in short)
    if config.exact:
        raise UserError(
            f"the catalogue has only {lacks} records after de-duplication: lower sample.{short[0]}, or allow a smaller "
            "sample with --set sample.exact=false"
        )
    if given_splits:
        drawn = {split: min(limits[split], available[split]) for split in SPLITS}
    else:
        factor = min(
            (available[split] / limits[split] for split in SPLITS if limits[split] and available[split]), default=1.0
        )
        wanted = {split: max(1, int(limits[split] * factor + 1e-9)) for split in SPLITS}
        drawn = {split: min(wanted[split], limits[split], available[split]) for split in SPLITS}
    sizes = ", ".join(f"{drawn[split]:,} {split}" for split in SPLITS)
    return drawn, f"the catalogue has only {lacks} records: the sample is {sizes}"


def _drawing_keys(
    records: pa.Table, split_rank: npt.NDArray[np.int64], config: SampleConfig
) -> npt.NDArray[np.float64]:
    """(N,) what rows are sorted by inside their split: a hash of seed and id, so that newcomers disturb no order.

    Stratified, a row stands at its quantile inside its category, so that every beginning of the order holds the
    categories in proportion.
    """
    prefix = f"{config.seed}\n"
    digests = b"".join(
        hashlib.blake2b((prefix + record_id).encode(), digest_size=8).digest()
        for record_id in records["record_id"].to_pylist()
    )
    uniform = (np.frombuffer(digests, ">u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53
    if not config.stratify:
        return uniform
    category = pc.dictionary_encode(records["category"].combine_chunks()).indices.to_numpy().astype(np.int64)
    stratum = category * len(SPLITS) + split_rank
    order = np.lexsort((uniform, stratum))
    sizes = np.bincount(stratum)
    starts = np.cumsum(sizes) - sizes
    quantile = np.empty(len(order))
    quantile[order] = (np.arange(len(order)) - starts[stratum[order]] + uniform[order]) / sizes[stratum[order]]
    return quantile


def check_learnable(available: Mapping[str, int]) -> None:
    """Whether there is something to learn from, and to validate on.

    Raises:
        UserError: no training or validation records at all.
    """
    for split in SPLITS[:2]:
        if not available[split]:
            raise UserError(f"none of the {sum(available.values()):,} records is in the {split} split: add records")


def too_few_to_learn(training: int) -> str:
    """One line for a reader of the scores if so many training records cannot teach a model to look; else empty."""
    if training >= FEW_TO_LEARN_FROM:
        return ""
    return (
        f"{training:,} training products are too few to learn from: this shows that the catalogue goes through, "
        f"not how well a model can write; have some {FEW_TO_LEARN_FROM:,} at least"
    )


def sample_folder(folder: Path, config: SampleConfig, *, given_splits: bool) -> Sample:
    """From records.parquet in a dataset's folder make sample.parquet there.

    Raises:
        UserError: too few records.
    """
    sample = draw_sample(pq.read_table(folder / RECORDS_FILE), config, given_splits=given_splits)
    write_table(sample.records, folder / SAMPLE_FILE)
    return sample
