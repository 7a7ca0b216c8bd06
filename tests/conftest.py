"""What tests in several folders share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a fresh MLflow store, to be copied: making one takes seconds, copying it none."""
    import mlflow  # seconds, and the tests of `model` do without

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path
