"""One real Prefect server for the tests of a process: a new database takes a quarter of a minute to make."""

from collections.abc import Iterator

import pytest

from tests import command


@pytest.fixture(scope="session", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("prefect")
    with command.started_server(home) as address:
        yield address
