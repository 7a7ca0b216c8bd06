"""Where chunks run: what is wrong with a Dask cluster is told in one line."""

import sys

import pytest

from flows.server import LOOPBACK, free_port
from model.errors import RunError, UserError
from tasks import runner
from tasks.pictures.settings import FetchConfig


def test_dask_that_is_absent_or_does_not_answer_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as absent:
        absent.setitem(sys.modules, "prefect_dask", None)
        with pytest.raises(UserError, match=r"Dask is not installed: `make install` brings it"):
            runner.chunk_runner("dask").__enter__()
    monkeypatch.setattr(runner, "ANSWER_TIMEOUT_S", 1)
    where = f"dask://{LOOPBACK}:{free_port()}"
    with pytest.raises(RunError, match=f"no Dask scheduler answers at {where}"), runner.chunk_runner(where):
        pass


@pytest.mark.parametrize("where", ["Dask", "dask://", "dask://host", "tcp://host:8786", "dask://host:8786/path"])
def test_another_runner_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match=r"fetch\.runner .* threads, dask or dask://HOST:PORT"):
        FetchConfig(runner=where)
