"""Pictures that datasets in the workdir already have: same URL, same size and resize rule.

Shapes: C channels (RGB), S `image.size_px`.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ArrowException

from model.errors import UserError, first_line
from model.picture import ImageConfig
from model.store import PictureStore
from tasks.dataset_files import OUTCOMES_FILE, STORES
from tasks.pictures.chunk_files import ChunkFile, existing_chunks, pixel_rule
from tasks.pictures.outcome import SCHEMA, Outcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredPicture:
    """A picture of another dataset: a row of its store, or a place in one of its chunks."""

    outcome: Outcome
    source: PictureStore | ChunkFile
    row: int

    def read(self) -> NDArray[np.uint8] | None:
        """Its pixels, uint8 (C, S, S); None if they cannot be read, or are not those that were written."""
        try:
            return self._read()
        except OSError:
            return None

    def _read(self) -> NDArray[np.uint8] | None:
        if isinstance(self.source, PictureStore):
            pixels: NDArray[np.uint8] = self.source.read(slice(self.row, self.row + 1))[0]
            whole = hashlib.sha256(pixels.data).hexdigest() == self.outcome.digest
            return pixels if whole else None
        descriptor = os.open(self.source.pixels, os.O_RDONLY)
        try:
            return self.source.read_picture(descriptor, self.outcome)
        finally:
            os.close(descriptor)


def find_reusable(datasets: Sequence[Path], url_keys: set[str], image: ImageConfig) -> dict[str, StoredPicture]:
    """The pictures of earlier datasets under these URLs, by URL key.

    Args:
        datasets: folders of datasets, packed or not; what cannot be read is passed over.
        url_keys: see `tasks.pictures.address`.
        image: size and resize rule that the pictures must have.
    """
    found: dict[str, StoredPicture] = {}
    wanted = list(url_keys)
    if not wanted:
        return found
    for folder in datasets:
        if (folder / OUTCOMES_FILE).is_file():
            with _passed_over(folder / OUTCOMES_FILE):
                _find_in_stores(folder, wanted, image, found)
        for file in existing_chunks(folder, image):
            with _passed_over(file.outcomes):
                _find_in_chunk(file, wanted, image, found)
    return found


@contextmanager
def _passed_over(path: Path) -> Iterator[None]:
    """What Arrow raises on a damaged file is said, and its pictures are asked for again."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, ArrowException) as error:
        _warn(f"{path} cannot be read, so its pictures are not taken again: {first_line(error)}")


@cache
def _warn(line: str) -> None:
    """Once a process, for all the chunks that are fetched."""
    logger.warning(line)


def _find_in_chunk(file: ChunkFile, wanted: list[str], image: ImageConfig, found: dict[str, StoredPicture]) -> None:
    """Add the pictures of a chunk of a dataset that is not packed."""
    metadata = pq.read_schema(file.outcomes).metadata or {}
    same = all(metadata.get(name.encode()) == value.encode() for name, value in pixel_rule(image).items())
    if not same or not file.pixels.is_file():
        return
    for row in pq.read_table(file.outcomes, filters=pc.field("url_key").isin(wanted)).to_pylist():
        if (outcome := Outcome(**row)).usable:
            found.setdefault(outcome.url_key, StoredPicture(outcome, file, outcome.order))


def _find_in_stores(folder: Path, wanted: list[str], image: ImageConfig, found: dict[str, StoredPicture]) -> None:
    """Add the pictures of a packed dataset."""
    stores: dict[str, PictureStore] = {}
    for name in STORES:
        try:
            store = PictureStore(folder / name)
        except UserError:
            continue
        if all(str(getattr(store.info, name)) == value for name, value in pixel_rule(image).items()):
            stores[name] = store
    table = pq.read_table(folder / OUTCOMES_FILE, filters=pc.field("url_key").isin(wanted))
    for row in table.to_pylist():
        name = row["store"]
        if name in stores and row["row"] < len(stores[name]):
            outcome = Outcome(**{field: row[field] for field in SCHEMA.names})
            found.setdefault(outcome.url_key, StoredPicture(outcome, stores[name], row["row"]))
