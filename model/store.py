"""The picture store: `train.h5` and `test.h5`, written once in order, then read at random by many workers.

Shapes: N rows, B rows asked for, C channels (RGB), S both sides of a picture in px.

A store holds `images` uint8 (N, C, S, S), `record_id` and `split` (N,) strings, and the attributes of `StoreInfo`.
Uncompressed, `images` is one contiguous block of the file, which is mapped: a row is copied straight from the page
cache, past HDF5's own bookkeeping and lock. (Tools count mapped pages as the process's memory; the kernel takes them
back whenever it needs them.)
"""

import math
import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from model.configuration import check_choice
from model.errors import UserError, first_line
from model.files import atomic_path, write_at
from model.picture import DECODER

SCHEMA_VERSION = 3  # raised when the layout changes
COMPRESSIONS = ("none", "lzf", "gzip")
DISK_ROWS = 64  # sent to the disk at once while a store is written, so that the sync at its end has little left to do


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """What a store says about itself.

    Attributes:
        rows: N, the number of pictures.
        size_px: S, width and height.
        resize: the resize rule, see `model.picture.ImageConfig`.
        fingerprint: of the catalogue that the pictures belong to.
        dataset_id: of the dataset that the store is a part of.
        decoder: what made the pixels, see `model.picture.DECODER`.
        schema_version: of this layout.
    """

    rows: int
    size_px: int
    resize: str
    fingerprint: str
    dataset_id: str
    decoder: str = DECODER
    schema_version: int = SCHEMA_VERSION


def write_store(
    path: Path,
    rows: Iterable[tuple[str, str, NDArray[np.uint8]]],
    info: StoreInfo,
    *,
    compression: str = "none",
) -> None:
    """Write a store, streaming: one picture in memory at a time. The file appears whole or not at all.

    Args:
        path: the file to write.
        rows: exactly `info.rows` of (record id, split, picture uint8 (C, S, S)).
        info: what the store says about itself.
        compression: none, lzf (fast) or gzip (smaller); lossless.
    """
    check_choice("compression", compression, COMPRESSIONS)
    shape = (info.rows, 3, info.size_px, info.size_px)  # (N, C, S, S)
    layout: dict[str, Any]
    if compression != "none" and info.rows:
        layout = {"chunks": (1, *shape[1:]), "compression": compression, "shuffle": False}
    else:
        layout = {"dcpl": h5py.h5p.create(h5py.h5p.DATASET_CREATE)}
        layout["dcpl"].set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # its place in the file is known before the first row
    record_ids: list[str] = []
    splits: list[str] = []
    # No cache of chunks: what it cannot write to a full disk it writes once more when the process ends, and crashes.
    with atomic_path(path) as partial, h5py.File(partial, "w", rdcc_nbytes=0) as file:
        images = file.create_dataset("images", shape, dtype=np.uint8, **layout)
        write_row = images.__setitem__ if images.chunks else _row_writer(file, images)
        for row, (record_id, split, picture) in enumerate(rows):
            assert row < info.rows, f"more than the {info.rows} rows announced for {path.name}"
            assert picture.shape == shape[1:], f"row {row} of {path.name} has shape {picture.shape}"
            assert picture.dtype == np.uint8, f"row {row} of {path.name} is {picture.dtype}"
            write_row(row, np.ascontiguousarray(picture))
            record_ids.append(record_id)
            splits.append(split)
        assert len(record_ids) == info.rows, f"{len(record_ids)} of {info.rows} rows came for {path.name}"
        file.create_dataset("record_id", data=record_ids, shape=(info.rows,), dtype=h5py.string_dtype())
        file.create_dataset("split", data=splits, shape=(info.rows,), dtype=h5py.string_dtype())
        facts = asdict(info)
        del facts["rows"]
        file.attrs.update(facts)


def _row_writer(file: h5py.File, images: h5py.Dataset) -> Callable[[int, NDArray[np.uint8]], None]:
    """Writes a row of an uncompressed store past HDF5, which keeps other threads waiting while it writes."""
    descriptor, start = file.id.get_vfd_handle(), images.id.get_offset()

    def write(row: int, picture: NDArray[np.uint8]) -> None:
        size = picture.nbytes
        write_at(descriptor, picture.data.cast("B"), start + row * size)
        if row % DISK_ROWS == DISK_ROWS - 1 and hasattr(os, "posix_fadvise"):
            first = row + 1 - DISK_ROWS
            os.posix_fadvise(descriptor, start + first * size, DISK_ROWS * size, os.POSIX_FADV_DONTNEED)

    return write


class PictureStore:
    """Reads a store. May be copied to other processes at any time (pickled or forked): each opens the file itself.

    Raises:
        UserError: the file is missing, cut short, damaged, or of another layout.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._opened: _Opened | None = None
        try:
            self._read_description()
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: run the data stages first") from None
        except (OSError, RuntimeError, LookupError, ValueError, TypeError) as error:  # h5py's, of a damaged file
            reason = first_line(error)
            raise UserError(f"{path} cannot be read ({reason}): delete it and run the data stages again") from None

    def _read_description(self) -> None:
        """Read all but the pictures."""
        with h5py.File(self.path, "r") as file:
            if "images" not in file or file.attrs.get("schema_version") != SCHEMA_VERSION:
                version = file.attrs.get("schema_version")
                raise ValueError(f"no picture store of schema {SCHEMA_VERSION}, it says {version}")
            images = file["images"]
            facts = {name: _plain(value) for name, value in file.attrs.items()}
            self.info = StoreInfo(rows=len(images), **facts)
            if not isinstance(images, h5py.Dataset) or images.dtype != np.uint8:  # they are mapped as they stand
                raise ValueError("its pictures are no bytes")
            if images.shape[1:] != (3, self.info.size_px, self.info.size_px):
                raise ValueError(f"its pictures have the shape {images.shape[1:]}, not that of size_px")
            self.record_ids: list[str] = file["record_id"].asstr()[:].tolist()
            self.splits: list[str] = file["split"].asstr()[:].tolist()
            self._shape: tuple[int, ...] = tuple(images.shape[1:])  # (C, S, S)
            # None for a compressed store, which is read through HDF5.
            self._offset: int | None = images.id.get_offset() if images.chunks is None else None

    def __len__(self) -> int:
        return self.info.rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def read(self, rows: Sequence[int] | NDArray[np.integer[Any]] | slice) -> NDArray[np.uint8]:
        """Pictures uint8 (B, C, S, S), in the order asked for; repeated rows are allowed.

        A slice is taken as a part of a walk through the store: its pages are given back, so that walking through
        gigabytes takes no more memory than a part.

        Raises:
            IndexError: a row outside 0 … N-1.
        """
        walk = isinstance(rows, slice)
        if isinstance(rows, slice):
            rows = range(*rows.indices(len(self)))
        wanted = np.fromiter(rows, np.int64, len(rows))  # (B,)
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(outside):
            raise IndexError(f"row {outside[0]} of {self.path.name}, which has {len(self)}")
        opened = self._opened
        if opened is None or opened.process != os.getpid():
            opened = self._opened = self._open()  # two threads may both do so: either's serves
        if self._offset is None:
            out = np.empty((len(wanted), *self._shape), np.uint8)  # (B, C, S, S)
            for place, row in enumerate(wanted):
                opened.file["images"].read_direct(out, np.s_[row], np.s_[place])
            return out
        # (N, C, S, S) -> (B, C, S, S)
        everything = np.frombuffer(opened.file, np.uint8, len(self) * math.prod(self._shape), self._offset)
        chosen: NDArray[np.uint8] = everything.reshape(-1, *self._shape)[wanted]
        if walk and len(wanted):
            row_bytes = math.prod(self._shape)
            start = (self._offset + int(wanted.min()) * row_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
            end = self._offset + (int(wanted.max()) + 1) * row_bytes
            opened.file.madvise(mmap.MADV_DONTNEED, start, end - start)
        return chosen

    def close(self) -> None:
        """Let go of what this process has opened; the next read opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None and opened.process == os.getpid() and self._offset is None:
            opened.file.close()  # a map goes with the last array that looks at it

    def _open(self) -> "_Opened":
        """Open the file in this process: what a fork inherited is left to the parent.

        Raises:
            OSError: the file is shorter than when it was written.
        """
        if self._offset is None:
            return _Opened(os.getpid(), h5py.File(self.path, "r"))
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._offset + len(self) * math.prod(self._shape):
                raise OSError(f"{self.path} was cut short")
            return _Opened(os.getpid(), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@dataclass(frozen=True)
class _Opened:
    """A store opened by a process: h5py's file, or the map of an uncompressed one."""

    process: int
    file: Any


def _plain(value: Any) -> Any:
    """An HDF5 attribute as a Python value."""
    return value.item() if isinstance(value, np.generic) else value
