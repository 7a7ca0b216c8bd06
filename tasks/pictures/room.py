"""Is there room on the disk? Asked before the first request."""

import shutil
from pathlib import Path

from model.errors import UserError
from model.picture import ImageConfig
from tasks.pictures.chunk_files import chunks_folder
from tasks.pictures.selection import read_splits

SPARE_BYTES = 100_000_000  # tables, manifests, a checkpoint's beginning


def bytes_needed(folder: Path, image: ImageConfig) -> int:
    """Bytes that fetching and packing will add: the chunks, and beside them the stores until the chunks go."""
    pictures = sum(split.target for split in read_splits(folder).values()) * 3 * image.size_px**2
    there = sum(path.stat().st_blocks * 512 for path in chunks_folder(folder).glob("*.pixels"))
    return max(0, pictures - there) + pictures + SPARE_BYTES


def check_room(folder: Path, image: ImageConfig) -> None:
    """Check that the disk has room for the pictures of a dataset.

    Raises:
        UserError: it has not; names the bytes needed and the bytes free.
    """
    needed, free = bytes_needed(folder, image), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the disk of {folder} has {free:,} bytes free, and {needed:,} are needed for the pictures: "
            "free some space, name another --workdir, or lower sample.* or image.size_px"
        )
