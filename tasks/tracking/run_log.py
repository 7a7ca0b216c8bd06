"""What the project's own code says during a run, with the time, in a file of the run's folder."""

import logging
from pathlib import Path

PACKAGES = ("flows", "tasks", "model")
_open: dict[Path, logging.Handler] = {}


class RunLog(logging.FileHandler):
    """A log that a full disk does not make speak of itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing: the line stands on the terminal, and the run tells of the full disk."""


def open_log(path: Path) -> None:
    """Append to `path` from now on. A process has one run at a time: what an earlier one left open is closed."""
    for other in list(_open):
        close_log(other)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _open[path] = RunLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:  # a run that no command line began
            logger.setLevel(logging.INFO)


def close_log(path: Path) -> None:
    """Write no more to `path`."""
    handler = _open.pop(path, None)
    if handler is None:
        return
    for name in PACKAGES:
        logging.getLogger(name).removeHandler(handler)
    handler.close()
