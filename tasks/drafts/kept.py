"""Drafts on disk as they are made, so that a kill loses none."""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from model.errors import UserError
from tasks.drafts.table import Row, row_key


def _whole_lines(text: bytes) -> list[Row]:
    """The lines that are JSON; one that a kill cut short is none."""
    found = []
    for line in text.split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Kept:
    """A JSON line for each draft, in OUT.partial beside the file that appears at the end; one process's at a time.

    What another model or another way of searching wrote there is made anew.

    Args:
        out: the file of drafts.
        made_by: model and search.

    Raises:
        UserError: another process writes it now, or the folder cannot be written.
    """

    def __init__(self, out: Path, made_by: Mapping[str, Any]) -> None:
        self.path = out.with_name(f"{out.name}.partial")
        self.rows: dict[str, Row] = {}
        self._file = self._locked(out)
        while not self._is_there():  # the process that had it removed it meanwhile
            self._file.close()
            self._file = self._locked(out)
        header = {"made_by": json.loads(json.dumps(made_by))}
        self._file.seek(0)
        text = self._file.read()
        lines = _whole_lines(text)
        if lines and lines[0] == header:
            self.rows = {row_key(row): row for row in lines[1:]}
            if not text.endswith(b"\n"):  # a kill cut the last line short
                self._file.write(b"\n")
        else:
            self._file.truncate(0)
            self._append([header])

    def _locked(self, out: Path) -> IO[bytes]:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab+")
        except OSError as error:
            raise UserError(f"cannot write {out}: {error.strerror}; name another --out") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UserError(f"{out} is being written by another process: wait for it, or name another --out") from None
        return file

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def forget_others(self, pictures: Mapping[str, str]) -> None:
        """Of what was kept, go on with the drafts of these pictures alone (key -> picture)."""
        self.rows = {key: row for key, row in self.rows.items() if row.get("picture") == pictures.get(key)}

    def add(self, rows: Sequence[Row]) -> None:
        """Keep more rows; on disk when this returns."""
        self.rows |= {row_key(row): row for row in rows}
        self._append(rows)

    def _append(self, rows: Sequence[Row]) -> None:
        self._file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """The file of drafts is there: what stands beside it is not needed any more."""
        self.path.unlink()

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()
