"""Step 4: fetch the pictures, a Prefect task a chunk."""

from pathlib import Path

from prefect import task
from prefect.futures import wait

from model.picture import ImageConfig
from tasks.catalog.duplicates import DeduplicateConfig
from tasks.deduplicate import find_repeats
from tasks.manifest import read_manifest
from tasks.pictures import chunks as engine
from tasks.pictures.chunk_files import Chunk
from tasks.pictures.room import check_room
from tasks.pictures.selection import next_chunks
from tasks.pictures.settings import FetchConfig
from tasks.progress import progress
from tasks.read import Dataset
from tasks.step import RETRIED

# The engine has already asked again and again: one more try, for what is not the host's fault.
CHUNK = RETRIED | {"retries": 1, "retry_delay_seconds": 5}


@task(name="fetch pictures", task_run_name="fetch {chunk.split} {chunk.start}–{chunk.stop}", **CHUNK)
def fetch_chunk(
    dataset: Dataset, chunk: Chunk, *, image_base_url: str, image: ImageConfig, config: FetchConfig
) -> engine.ChunkSummary:
    """Fetch one chunk; what it holds already is not asked for again.

    Raises:
        RunError: too many failures that may pass; the chunk stays open.
    """
    return engine.fetch_chunk(
        dataset.folder,
        chunk,
        base_url=image_base_url or None,
        image=image,
        config=config,
        datasets=earlier_datasets(dataset.folder),
    )


def fetch(
    dataset: Dataset,
    *,
    image_base_url: str,
    image: ImageConfig,
    config: FetchConfig,
    deduplicate: DeduplicateConfig,
) -> None:
    """Fetch chunks until the rows are complete: the sample's first, then the reserve's for what is not to be had.

    Raises:
        UserError: no room on the disk; relative urls without a base.
        RunError: too many failures that may pass.
    """
    if read_manifest(dataset.folder, "pack") is not None:
        return
    check_room(dataset.folder, image)
    repeats = find_repeats(dataset, deduplicate)
    while chunks := next_chunks(
        dataset.folder, base_url=image_base_url or None, image=image, config=config, find_repeats=repeats
    ):
        with progress(engine.PROGRESS_STEP, sum(chunk.stop - chunk.start for chunk in chunks), unit="pictures"):
            futures = [
                fetch_chunk.submit(dataset, chunk, image_base_url=image_base_url, image=image, config=config)
                for chunk in chunks
            ]
            wait(futures)
        for future in futures:
            future.result()


def earlier_datasets(folder: Path) -> list[Path]:
    """The other datasets of the working directory, whose pictures may be taken."""
    return sorted(path for path in folder.parent.iterdir() if path.is_dir() and path != folder)
