"""Expected errors stand in Prefect's run log as one line; a traceback there would hide what the user should do."""

import logging

from model.errors import RunError, UserError

PREFECT_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def expected_errors_without_traceback() -> None:
    """Leave the traceback out of what Prefect logs for a UserError or a RunError. Calling it again changes nothing."""
    for name in PREFECT_LOGGERS:
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, UserError | RunError):
        record.exc_info = record.exc_text = None
        record.msg, record.args = f"{record.getMessage().splitlines()[0]}: {error}", None
    return True
