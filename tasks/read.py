"""Step 1: read the catalogue; find the dataset that its records and rules make."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import task

from model.picture import DECODER, ImageConfig
from tasks.catalog.duplicates import DeduplicateConfig
from tasks.catalog.fingerprint import catalog_fingerprint, dataset_id
from tasks.catalog.reader import CatalogConfig, read_catalog, write_catalog
from tasks.catalog.sampling import SampleConfig
from tasks.manifest import write_manifest
from tasks.progress import progress
from tasks.step import RETRIED

MANY_CONFLATED = 0.1  # a few are the same picture in another size
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset's folder, named by its id, and what reading the catalogue gave.

    Attributes:
        id: hash of the records and of the rules of deduplication, sampling and resizing.
        folder: WORKDIR/datasets/<id>.
        facts: format, read, kept, rejected by reason, given_splits, fingerprint.
    """

    id: str
    folder: Path
    facts: dict[str, Any]

    @property
    def given_splits(self) -> bool:
        """Whether the catalogue says which split each record is in."""
        return bool(self.facts["given_splits"])


@task(name="read catalogue", task_run_name="read {catalog.name}", **RETRIED)
def read(
    catalog: Path,
    *,
    workdir: Path,
    image_base_url: str,
    config: CatalogConfig,
    deduplicate: DeduplicateConfig,
    sample: SampleConfig,
    image: ImageConfig,
) -> Dataset:
    """Read the catalogue into catalog.parquet and rejected.parquet of its dataset's folder.

    Raises:
        UserError: the file cannot be read, breaks off, or holds no usable record.
    """
    with progress("Reading the catalogue", None, unit="records") as bar:
        found = read_catalog(catalog, config, image_base_url=image_base_url, on_read=bar.advance)
    if found.conflated > MANY_CONFLATED:
        logger.warning(
            "%.0f%% of the picture urls with a question mark differ from another only behind it, which is left out: "
            "if they are different pictures, set catalog.cut_query=false", 100 * found.conflated,
        )  # fmt: skip
    fingerprint = catalog_fingerprint(found.records)
    rules = {
        "deduplicate": asdict(deduplicate),
        "sample": asdict(sample),
        "image": {**asdict(image), "decoder": DECODER},
    }
    name = dataset_id(fingerprint, rules)
    folder = workdir / "datasets" / name
    facts = {
        "format": found.format,
        "read": found.read,
        "kept": found.records.num_rows,
        "rejected": found.rejected_by_reason,
        "given_splits": found.given_splits,
        "fingerprint": fingerprint,
    }
    assert found.read == facts["kept"] + sum(found.rejected_by_reason.values()), "a record was lost in reading"
    # Also where it was read before: the same records may come with other rejected ones.
    write_manifest(folder, "read", files=write_catalog(found, folder), facts=facts)
    return Dataset(id=name, folder=folder, facts=facts)
