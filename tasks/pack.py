"""Step 5: pack the chunks into train.h5 and test.h5; then the chunks go."""

from dataclasses import asdict
from typing import Any

from prefect import task

from model.picture import ImageConfig
from tasks.catalog.duplicates import DeduplicateConfig
from tasks.dataset_files import OUTCOMES_FILE, STORES
from tasks.deduplicate import find_repeats
from tasks.manifest import read_manifest, write_manifest
from tasks.pictures import pack as engine
from tasks.pictures.chunk_files import remove_chunks
from tasks.pictures.settings import FetchConfig
from tasks.read import Dataset
from tasks.step import RETRIED, counted


@task(name="pack HDF5", task_run_name=counted("pack HDF5", "sample", "drawn"), **RETRIED)
def pack(
    dataset: Dataset, *, image: ImageConfig, config: FetchConfig, deduplicate: DeduplicateConfig, exact: bool
) -> dict[str, Any]:
    """Make train.h5, test.h5 and outcomes.parquet. Returns what `tasks.pictures.pack.PackSummary` holds.

    Raises:
        UserError: `exact`, and too few pictures can be had; none of a split.
        RunError: a chunk is damaged.
    """
    facts = read_manifest(dataset.folder, "pack")
    if facts is None:
        summary = engine.pack(
            dataset.folder,
            image=image,
            config=config,
            fingerprint=dataset.facts["fingerprint"],
            dataset_id=dataset.id,
            exact=exact,
            find_repeats=find_repeats(dataset, deduplicate),
        )
        facts = asdict(summary)
        files = [dataset.folder / name for name in (*STORES, OUTCOMES_FILE)]
        write_manifest(dataset.folder, "pack", files=files, facts=facts)
    remove_chunks(dataset.folder)
    return facts


def packed_digest(dataset: Dataset) -> str:
    """The digest of a packed dataset's bytes: what is made of them belongs to no others."""
    facts = read_manifest(dataset.folder, "pack")
    assert facts is not None, f"{dataset.folder} is not packed"
    return str(facts["digest"])
