"""What a run has to say to MLflow, one JSON line a thing, kept in the run's folder until it is sent and after.

Lines are only ever appended; `sent` lists the numbers of those that MLflow has. A line that a kill cut short is
not an entry. Sending an entry twice does no harm (metrics carry their own time), so a kill between sending and
noting it down does none either.
"""

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_lock = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing to send: its number, its kind (params, metrics, artifact, …) and what belongs to it."""

    number: int
    kind: str
    time_ms: int
    values: dict[str, Any]


class Journal:
    """The journal in `folder`. Threads of one process may share it; a workdir has one pipeline run at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self.sent_path = folder / "sent"

    def append(self, kind: str, /, **values: Any) -> None:
        """Keep one more entry; on disk when this returns."""
        line = json.dumps({"kind": kind, "time_ms": round(time.time() * 1000), "values": values}, ensure_ascii=False)
        with _lock:
            torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size
            _append(self.path, ("\n" if torn else "") + line + "\n")

    def entries(self) -> list[Entry]:
        """All entries, in order."""
        if not self.path.is_file():
            return []
        found = []
        for number, line in enumerate(self.path.read_bytes().split(b"\n")):
            try:
                record = json.loads(line)
            except ValueError:  # cut short by a kill, or the empty rest after the last line
                continue
            found.append(Entry(number=number, **record))
        return found

    def pending(self) -> list[Entry]:
        """Those that MLflow does not have yet."""
        sent = set(self.sent_path.read_text(encoding="ascii").split()) if self.sent_path.is_file() else set()
        return [entry for entry in self.entries() if str(entry.number) not in sent]

    def mark_sent(self, entry: Entry) -> None:
        """Note that MLflow has it."""
        with _lock:
            _append(self.sent_path, f"{entry.number}\n")

    def forget_sent(self) -> None:
        """All is pending again, as for a store that has nothing of it."""
        self.sent_path.unlink(missing_ok=True)


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
