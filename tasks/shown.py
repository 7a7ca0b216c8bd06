"""What a step shows in Prefect's pages beside its log. A server that is gone stops no step."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from tasks.progress import Bar

INTERVAL_S = 5.0
logger = logging.getLogger(__name__)


def show_page(markdown: str, *, key: str, description: str) -> None:
    """Show a page with the run around us. The key: lower-case letters, numbers, dashes."""
    with _tolerated():
        create_markdown_artifact(markdown, key=key, description=description)


@contextmanager
def shown_progress(bar: Bar, *, key: str) -> Iterator[None]:
    """Show a bar of known length with the run around us, as it moves on, until the block ends."""
    artifact: UUID | None = None
    with _tolerated():
        made = create_progress_artifact(_percent(bar), key=key, description=bar.line())
        assert isinstance(made, UUID)
        artifact = made
    ended = threading.Event()

    def follow() -> None:
        while artifact is not None and not ended.wait(INTERVAL_S):
            update(artifact)

    def update(artifact: UUID) -> None:
        with _tolerated():
            update_progress_artifact(artifact, _percent(bar), description=bar.line())

    thread = threading.Thread(target=follow, name=f"progress of {key}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if artifact is not None:
            update(artifact)


@contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        logger.debug("not shown in Prefect: %s", error)


def _percent(bar: Bar) -> float:
    return 100 * min(1.0, bar.done / max(bar.total or 0, 1))
