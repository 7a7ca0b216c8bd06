"""Step 4: fetch the pictures, a Prefect task a chunk."""

import logging
from contextlib import nullcontext
from pathlib import Path

from prefect import task
from prefect.futures import as_completed, wait

from model.picture import ImageConfig
from tasks.catalog.duplicates import DeduplicateConfig
from tasks.deduplicate import find_repeats
from tasks.manifest import manifest_path, read_manifest, write_manifest
from tasks.pictures import chunks as engine
from tasks.pictures.chunk_files import Chunk, remove_chunks
from tasks.pictures.fetcher import shared_fetcher
from tasks.pictures.report import pictures_report
from tasks.pictures.room import check_room
from tasks.pictures.selection import next_chunks
from tasks.pictures.settings import FetchConfig
from tasks.progress import progress
from tasks.read import Dataset
from tasks.runner import chunk_runner
from tasks.shown import show_page, shown_progress
from tasks.step import RETRIED

logger = logging.getLogger(__name__)
# The engine has already asked again and again, each time with a limit: one more try, for what is not the host's fault.
CHUNK = RETRIED | {"retries": 1, "retry_delay_seconds": 5, "timeout_seconds": None}


@task(name="fetch pictures", **CHUNK)
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
        base_url=image_base_url,
        image=image,
        config=config,
        datasets=[] if config.refresh else earlier_datasets(dataset.folder),
    )


def fetch(
    dataset: Dataset,
    *,
    image_base_url: str,
    image: ImageConfig,
    config: FetchConfig,
    deduplicate: DeduplicateConfig,
    run_id: str,
) -> None:
    """Fetch chunks until the rows are complete: the sample's first, then the reserve's for what is not to be had.

    Raises:
        UserError: no room on the disk; the base is no place of pictures; nothing can be had.
        RunError: too many failures that may pass.
    """
    if config.refresh:
        forget_pictures(dataset.folder, run_id)
    try:
        if read_manifest(dataset.folder, "pack") is None:
            check_room(dataset.folder, image)
            repeats = find_repeats(dataset, deduplicate)
            # One fetcher from first to last: what a host asked for holds for the chunks that follow too.
            with shared_fetcher(config, image_base_url) if config.runner == "threads" else nullcontext():
                while chunks := next_chunks(
                    dataset.folder, base_url=image_base_url, image=image, config=config, find_repeats=repeats
                ):
                    fetch_chunks(dataset, chunks, image_base_url=image_base_url, image=image, config=config)
    finally:
        page = pictures_report(dataset.folder, image)
        show_page(page, key="pictures", description=f"dataset {dataset.id}")


def fetch_chunks(
    dataset: Dataset, chunks: list[Chunk], *, image_base_url: str, image: ImageConfig, config: FetchConfig
) -> None:
    """Fetch some chunks, side by side.

    Raises:
        RunError: one fails; those that were begun are brought to their end first, no others are begun.
    """
    total = sum(len(chunk) for chunk in chunks)
    common = {"dataset": dataset, "image_base_url": image_base_url, "image": image, "config": config}
    with (
        progress(engine.PROGRESS_STEP, total, unit="pictures") as bar,
        shown_progress(bar, key="fetching-pictures"),
        chunk_runner(config.runner) as runner,
    ):
        futures = {}
        for number, chunk in enumerate(chunks, 1):
            named = fetch_chunk.with_options(task_run_name=chunk_name(chunk, number, len(chunks)))
            futures[runner.submit(named, {**common, "chunk": chunk})] = chunk
        try:
            for future in as_completed(list(futures)):
                future.result()  # while the runner is there to be asked
                if config.runner != "threads":  # another process's progress is not seen here
                    bar.advance(len(futures[future]))
        except Exception:
            if config.runner != "threads":  # whose processes would end with the runner, in the middle of a chunk
                wait(list(futures))
            raise
        except BaseException:  # Ctrl-C, a worker told to stop: leaving the runner begins no chunk more
            logger.info("stopping: what is being fetched now is brought to its end, the rest is left for resume")
            raise


def forget_pictures(folder: Path, run_id: str) -> None:
    """Forget the pictures of a dataset, and what was made of them, so that all are asked for again: once a run."""
    refreshed = read_manifest(folder, "refresh")
    if refreshed is not None and refreshed["run_id"] == run_id:
        return
    for stage in ("report", "vocabulary", "pack"):
        manifest_path(folder, stage).unlink(missing_ok=True)
    remove_chunks(folder)
    write_manifest(folder, "refresh", files=[], facts={"run_id": run_id})


def chunk_name(chunk: Chunk, number: int, of: int) -> str:
    """What a chunk's task run is called."""
    return f"fetch chunk {number} of {of}: {len(chunk):,} pictures ({chunk.split})"


def earlier_datasets(folder: Path) -> list[Path]:
    """The other datasets of the working directory, whose pictures may be taken."""
    return sorted(path for path in folder.parent.iterdir() if path.is_dir() and path != folder)
