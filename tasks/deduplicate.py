"""Step 2: drop records that repeat another; give every record its split."""

from collections.abc import Sequence
from typing import Any

from prefect import task

from tasks.catalog.duplicates import (
    DeduplicateConfig,
    deduplicate_folder,
    pixel_repeats,
)
from tasks.dataset_files import DROPPED_FILE, RECORDS_FILE
from tasks.manifest import read_manifest, write_manifest
from tasks.pictures.selection import FindRepeats
from tasks.read import Dataset
from tasks.step import RETRIED


@task(name="deduplicate", task_run_name="deduplicate: {dataset.facts[kept]:,} records", **RETRIED)
def deduplicate(dataset: Dataset, config: DeduplicateConfig, *, split_seed: int) -> dict[str, Any]:
    """From catalog.parquet make records.parquet and dropped.parquet. Returns dropped (by rule), leaks, kept.

    Raises:
        UserError: nothing is left.
    """
    facts = read_manifest(dataset.folder, "deduplicate")
    if facts is None:
        result = deduplicate_folder(dataset.folder, config, split_seed=split_seed, given_splits=dataset.given_splits)
        facts = {
            "dropped": result.dropped_by_rule,
            "leaks": dict(result.leaks),
            "kept": result.records.num_rows,
        }
        files = [dataset.folder / RECORDS_FILE, dataset.folder / DROPPED_FILE]
        write_manifest(dataset.folder, "deduplicate", files=files, facts=facts)
    return facts


def find_repeats(dataset: Dataset, config: DeduplicateConfig) -> FindRepeats:
    """The rule for equal pixels, applied once the pictures are there: which rows to drop, and what each repeats."""

    def find(rows: Sequence[tuple[str, str, str]]) -> dict[str, str]:
        ids, splits, digests = ([row[column] for row in rows] for column in range(3))
        dropped = pixel_repeats(ids, splits, digests, config, given_splits=dataset.given_splits).dropped
        return dict(zip(dropped["id"].to_pylist(), dropped["repeats_id"].to_pylist(), strict=True))

    return find
