"""Where runs are tracked."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from model.configuration import check, setting
from tasks.catalog.urls import without_secrets
from tasks.served import served

SQLITE = "sqlite:///"  # before the path of a store that is a file


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where runs are tracked, and under which names."""

    uri: str = setting("", "MLflow's address; empty: MLFLOW_TRACKING_URI, else that of `up`, else mlflow.db")
    experiment: str = setting("ec-descr-gen", "the experiment that runs are collected in")
    model_name: str = setting("ec-descr-gen", "the name of the model in the registry")
    system_metrics: bool = setting(True, "log processor, memory, disk and GPU use during training")
    timeout_s: int = setting(20, "longest wait for one answer of the tracking server", unit="seconds")
    pictures_every_epochs: int = setting(5, "draw descriptions and attention this often", unit="epochs")

    def __post_init__(self) -> None:
        """Check the bounds."""
        check(bool(self.experiment.strip()), "tracking.experiment", self.experiment, "a name")
        check(
            bool(self.model_name.strip()) and not set(self.model_name) & set("/:'\""),
            "tracking.model_name",
            self.model_name,
            "a name without /, : and quotation marks",
        )
        check(self.timeout_s >= 1, "tracking.timeout_s", self.timeout_s, "at least 1")
        check(self.pictures_every_epochs >= 1, "tracking.pictures_every_epochs", self.pictures_every_epochs, ">= 1")
        known = ("", "http://", "https://", "sqlite://", "postgresql://", "postgresql+", "mysql://", "mysql+")
        known_uri = not self.uri or self.uri.startswith(known[1:])
        check(known_uri, "tracking.uri", self.uri, "an address that starts with " + ", ".join(known[1:]))

    def given_uri(self) -> str:
        """The address that was configured, else the environment's; empty: the workdir's own store."""
        return self.uri or os.environ.get("MLFLOW_TRACKING_URI", "")

    def tracking_uri(self, workdir: Path) -> str:
        """The address to use now."""
        return self.given_uri() or own_store(workdir)


def shown_uri(uri: str) -> str:
    """A store's address as it may be shown: no user, no password, no query."""
    return uri if uri.startswith("sqlite:") else without_secrets(uri)


def own_store(workdir: Path) -> str:
    """The workdir's own store: through the server of `ec-descr-gen up` while it lives, else directly."""
    up = served(workdir)
    return up.mlflow_url if up is not None else f"{SQLITE}{(workdir / 'mlflow.db').resolve()}"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Where the files of an experiment go: below `mlartifacts` beside a SQLite store, else where the server says.

    An address of the server's kind (see `tasks.tracking.artifacts`) is right with and without the server.
    """
    return f"mlflow-artifacts:/{quote(experiment, safe='')}" if uri.startswith("sqlite://") else None
