"""The terminal's side of progress and log lines: apart, as a process that writes a log need not import rich (0.1 s)."""

import logging

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)


class ConsoleHandler(logging.Handler):
    """Log lines to the same console as the bars, so that neither garbles the other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, whole, on lines of its own."""
        console.print(self.format(record), soft_wrap=True, markup=False, highlight=False)


def start_display() -> Progress | None:
    """Bars on the terminal from now on; None where it cannot show them."""
    if not console.is_terminal:
        return None
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
    display.start()
    return display
