"""A chunk on disk: pixels in places of fixed size, and outcomes beside them, written last.

Shapes: C channels (RGB), S `image.size_px`.

`chunks/NAME.pixels` holds a place of 3·S·S bytes for each record of the chunk, in the order of the sample; places of
failures are holes. `chunks/NAME.parquet` holds an outcome for each. A picture counts only if its outcome carries the
digest that its pixels have, so no order of events leaves a picture trusted that is not whole.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import ArrowException

from model.files import atomic_path, remove_partial_files, write_at
from model.picture import DECODER, ImageConfig
from tasks.pictures.outcome import SCHEMA, Outcome
from tasks.pictures.tables import read_table, write_rows

_NAME = re.compile(r"^([a-z]+)-(\d{8})-(\d{8})$")


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive records of a split's order: start ≤ order < stop. `last_asking` settles what still fails."""

    split: str
    start: int
    stop: int
    last_asking: bool = False

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.split}-{self.start:08}-{self.stop:08}"

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class ChunkFile:
    """Where a chunk of a dataset stands."""

    folder: Path
    chunk: Chunk
    image: ImageConfig

    @property
    def pixels(self) -> Path:
        """The pixels' file."""
        return chunks_folder(self.folder) / f"{self.chunk.name}.pixels"

    @property
    def outcomes(self) -> Path:
        """The outcomes' file."""
        return chunks_folder(self.folder) / f"{self.chunk.name}.parquet"

    @property
    def row_bytes(self) -> int:
        """Of one picture."""
        return 3 * self.image.size_px**2

    def read_outcomes(self) -> tuple[list[Outcome], str]:
        """Its outcomes, in order, and the verdict key they were written with; none where no whole file is."""
        try:
            table = read_table(self.outcomes)
            outcomes = [Outcome(**row) for row in table.to_pylist()]
        except (OSError, ValueError, TypeError, ArrowException):  # absent, or what Arrow raises on damaged bytes
            return [], ""
        metadata = table.schema.metadata or {}
        return outcomes, metadata.get(b"verdict_key", b"").decode()

    def write_outcomes(self, outcomes: list[Outcome], verdict_key: str) -> None:
        """Write its outcomes; with them the chunk counts."""
        metadata = {"verdict_key": verdict_key, **pixel_rule(self.image)}
        with atomic_path(self.outcomes) as partial:
            write_rows(partial, (outcome.as_row() for outcome in outcomes), SCHEMA.with_metadata(metadata))

    def read_picture(self, descriptor: int, outcome: Outcome) -> NDArray[np.uint8] | None:
        """The picture of an outcome, uint8 (C, S, S), from the open pixels' file; None if it is not the one written."""
        data = os.pread(descriptor, self.row_bytes, (outcome.order - self.chunk.start) * self.row_bytes)
        if hashlib.sha256(data).hexdigest() != outcome.digest:
            return None
        return np.frombuffer(data, np.uint8).reshape(3, self.image.size_px, self.image.size_px)  # (C, S, S)

    def sound_outcomes(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Those of the outcomes that are failures, or whose picture is there and whole."""
        if not self.pixels.is_file():
            return [outcome for outcome in outcomes if not outcome.usable]
        descriptor = os.open(self.pixels, os.O_RDONLY)
        try:
            return [
                outcome
                for outcome in outcomes
                if not outcome.usable or self.read_picture(descriptor, outcome) is not None
            ]
        finally:
            os.close(descriptor)


def write_picture(descriptor: int, place: int, pixels: NDArray[np.uint8]) -> str:
    """Write a picture uint8 (C, S, S) into its place of an open pixels' file; returns its digest."""
    data = pixels.data.cast("B")
    write_at(descriptor, data, place * len(data))
    return hashlib.sha256(data).hexdigest()


def pixel_rule(image: ImageConfig) -> dict[str, str]:
    """What decides a picture's pixels beside its file: only where it is equal can they be reused."""
    return {"size_px": str(image.size_px), "resize": image.resize, "decoder": DECODER}


def chunks_folder(folder: Path) -> Path:
    """Where the chunks of a dataset stand."""
    return folder / "chunks"


def existing_chunks(folder: Path, image: ImageConfig) -> Iterator[ChunkFile]:
    """The chunks of a dataset that have outcomes, by split and order."""
    for path in sorted(chunks_folder(folder).glob("*.parquet")):
        if match := _NAME.match(path.stem):
            yield ChunkFile(folder, Chunk(split=match[1], start=int(match[2]), stop=int(match[3])), image)


def remove_chunks(folder: Path) -> None:
    """Remove the chunks of a dataset: it is packed, or all its pictures are to be fetched again."""
    remove_partial_chunks(folder)
    # The outcomes first: pixels without outcomes count for nothing.
    for pattern in ("*.parquet", "*.pixels"):
        for path in chunks_folder(folder).glob(pattern):
            path.unlink()
    if chunks_folder(folder).is_dir():
        chunks_folder(folder).rmdir()


def remove_partial_chunks(folder: Path) -> None:
    """Remove what a killed run left half-written. Call it while no chunk is being written."""
    remove_partial_files(folder)
    remove_partial_files(chunks_folder(folder))
