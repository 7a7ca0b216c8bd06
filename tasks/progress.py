"""Progress of long steps: bars on a terminal, plain lines in a log; both say how long is left. All of it on stderr."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_INTERVAL_S = 10.0
logger = logging.getLogger(__name__)
_lock = threading.Lock()
_open: dict[str, "Bar"] = {}
_display: "Progress | None" = None


class Bar:
    """One step's progress. Threads may share it."""

    def __init__(self, step: str, total: int | None, unit: str) -> None:
        self.step, self.total, self.unit = step, total, unit
        self.done, self.note = 0, ""
        self.started = self.last_line = time.monotonic()
        self.handle = _display.add_task(step, total=total, note="") if _display else None

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more are done. The note, a few words, replaces the one before."""
        with _lock:
            self.done += count
            self.note = note or self.note
            now = time.monotonic()
            if _display is not None and self.handle is not None:
                _display.update(self.handle, advance=count, note=self.note)
            elif now - self.last_line >= LINE_INTERVAL_S or (count and self.done == self.total):
                self.last_line = now
                logger.info(self.line())

    def reach(self, done: int, note: str = "") -> None:
        """So many in all are done by now."""
        self.advance(done - self.done, note)

    def line(self) -> str:
        """How far it is, in one line: done, of how many, how long is left, and the last note."""
        remark = f" ({self.note})" if self.note else ""
        if self.total is None:
            return f"{self.step}: {self.done:,} {self.unit}{remark}"
        seconds = time.monotonic() - self.started
        left_s = seconds / self.done * (self.total - self.done) if self.done else float("nan")
        left = f", {format_seconds(left_s)} left" if self.done < self.total and self.done else ""
        return f"{self.step}: {self.done:,} of {self.total:,} {self.unit}{left}{remark}"


def format_seconds(seconds: float) -> str:
    """3 s, 4 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


@contextmanager
def progress(step: str, total: int | None, *, unit: str) -> Iterator[Bar]:
    """Show the progress of a step while the block runs; inside, call `Bar.advance`.

    The total is None where nobody can know it. A second opening of the same step in this process (a chunk beside
    others) joins the bar that is already shown.
    """
    global _display
    with _lock:
        bar = _open.get(step)
        owner = bar is None
        if bar is None:
            if _display is None and sys.stderr.isatty():
                from tasks.terminal import start_display

                _display = start_display()
            bar = _open[step] = Bar(step, total, unit)
    try:
        yield bar
    finally:
        if owner:
            with _lock:
                del _open[step]
                if not _open and _display is not None:
                    _display.stop()
                    _display = None


@contextmanager
def changing_progress(unit: str) -> Iterator[Callable[[str, int, int, str], None]]:
    """Show the progress of an engine that names its own steps: inside, call with (step, done, total, note)."""
    with ExitStack() as stack:
        bars: dict[str, Bar] = {}

        def show(step: str, done: int, total: int, note: str) -> None:
            if step not in bars:
                stack.close()
                bars.clear()
                bars[step] = stack.enter_context(progress(step, total, unit=unit))
            bars[step].reach(done, note)

        yield show
