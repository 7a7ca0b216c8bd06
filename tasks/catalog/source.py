"""The catalogue's bytes: gzip undone under a bound, and what every format's reader gives and needs."""

import gzip
import stat
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from model.errors import UserError

BLOCK_BYTES = 1 << 18
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Fault:
    """Stands where a record would be that could not be read."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as the file has them, or faults in their stead, and the place of each: an index or a line.

    names: all columns of the file, where it names them apart from the records.
    """

    records: Sequence[Any]
    places: Sequence[int]
    names: Sequence[str] = ()


def names_shown(names: Iterable[str]) -> str:
    """Names of columns for a message; empty where what stands in their place is no text."""
    names = [name for name in names if name]
    if not all(name.isprintable() for name in names):
        return ""
    text = ", ".join(names)
    return text if len(text) <= 200 else text[:197] + "..."


def check_catalog(path: Path) -> None:
    """Check that a catalogue is a file: opening a pipe would wait for its writer.

    Raises:
        UserError: nothing is there, or something else.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = "does not exist"
    except OSError as error:  # a loop of links, a folder on the way that may not be entered
        what = f"cannot be found ({error.strerror})"
    else:
        if stat.S_ISREG(mode):
            return
        what = "is a folder" if stat.S_ISDIR(mode) else "is a pipe" if stat.S_ISFIFO(mode) else "is a device or socket"
    raise UserError(f"the catalogue {path} {what}: give a JSON, JSON Lines, CSV or Parquet file")


class Source:
    """A catalogue's bytes, decompressed, read forwards, never more than `max_bytes` of them.

    Attributes:
        path: the file, for messages.
        position: how many decompressed bytes have been read.

    Raises:
        UserError: it is no file, or can't be opened or read, its gzip stream is broken, or the bound is passed.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        check_catalog(path)
        self.path, self.max_bytes, self.position = path, max_bytes, 0
        try:
            self._file: BinaryIO = path.open("rb")
            self.compressed = self._file.read(2) == GZIP_MAGIC
            self._file.seek(0)
        except OSError as error:
            raise UserError(f"cannot read the catalogue {path}: {error.strerror}") from None
        self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._file)) if self.compressed else self._file
        self._ahead = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def peek(self, count: int) -> bytes:
        """The next bytes, without taking them; fewer at the end."""
        while len(self._ahead) < count and (more := self._pull(count - len(self._ahead))):
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int = BLOCK_BYTES) -> bytes:
        """The next bytes: at most `count`, none at the end."""
        if self._ahead:
            block, self._ahead = self._ahead[:count], self._ahead[count:]
        else:
            block = self._pull(count)
        self.position += len(block)
        if self.compressed and self.position > self.max_bytes:
            raise UserError(
                f"{self.path} grows beyond {self.max_bytes:,} bytes when decompressed: "
                "if that is meant, raise catalog.max_decompressed_bytes"
            )
        return block

    def _pull(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(
                f"{self.path} is a broken gzip file: {error} after {self.position:,} decompressed bytes; copy it again"
            ) from None
        except OSError as error:
            raise UserError(f"cannot read the catalogue {self.path}: {error.strerror or error}") from None
