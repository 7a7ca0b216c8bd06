"""Step 3: draw the sample of each split, and the order of its reserve."""

import logging
from typing import Any

from prefect import task

from tasks.catalog.sampling import SampleConfig, sample_folder
from tasks.dataset_files import SAMPLE_FILE
from tasks.manifest import read_manifest, write_manifest
from tasks.read import Dataset
from tasks.step import RETRIED

logger = logging.getLogger(__name__)


@task(name="sample", **RETRIED)
def sample(dataset: Dataset, config: SampleConfig) -> dict[str, Any]:
    """From records.parquet make sample.parquet. Returns available and drawn records by split, and a warning.

    Raises:
        UserError: too few records.
    """
    facts = read_manifest(dataset.folder, "sample")
    if facts is None:
        drawn = sample_folder(dataset.folder, config, given_splits=dataset.given_splits)
        facts = {"available": dict(drawn.available), "drawn": dict(drawn.drawn), "warning": drawn.warning}
        write_manifest(dataset.folder, "sample", files=[dataset.folder / SAMPLE_FILE], facts=facts)
    if facts["warning"]:
        logger.warning(facts["warning"])
    return facts
