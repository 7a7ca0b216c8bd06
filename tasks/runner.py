"""Where the chunks of the download run: threads of this process, or the processes of a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from model.errors import RunError, UserError
from tasks.pictures.fetcher import available_cores
from tasks.pictures.settings import CHUNKS_AT_ONCE

ANSWER_TIMEOUT_S = 30
Runner = TaskRunner[PrefectFuture[Any]]


@contextmanager
def chunk_runner(where: str) -> Iterator[Runner]:
    """The task runner that ``fetch.runner`` names, for the block.

    Args:
        where: "threads"; "dask", a cluster of a process a core of this machine; or "dask://HOST:PORT", a scheduler
            whose workers have this package installed and see the working directory under the same path.

    Raises:
        UserError: Dask is not installed.
        RunError: the scheduler does not answer.
    """
    if where == "threads":
        with ThreadPoolTaskRunner[Any](max_workers=CHUNKS_AT_ONCE) as threads:
            yield cast("Runner", threads)
        return
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError:
        raise UserError(f"fetch.runner is {where}, but Dask is not installed: `make install` brings it") from None
    address = where.replace("dask://", "tcp://") if "://" in where else None
    here = {"n_workers": available_cores(), "threads_per_worker": 1, "dashboard_address": None}
    there = {"timeout": ANSWER_TIMEOUT_S}
    with DaskTaskRunner(address=address, cluster_kwargs=None if address else here, client_kwargs=there) as runner:
        try:
            runner.client  # noqa: B018 asks for the connection
        except OSError as error:
            raise RunError(f"no Dask scheduler answers at {where}: {error}") from None
        yield cast("Runner", runner)
