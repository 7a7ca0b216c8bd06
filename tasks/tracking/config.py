"""Where runs are tracked."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from model.configuration import check, setting
from tasks.catalog.urls import without_secrets
from tasks.served import served

SQLITE = "sqlite:///"  # before the path of a store that is a file
SCHEMES = ("http://", "https://", "sqlite://", "postgresql://", "postgresql+", "mysql://", "mysql+")


def files_beside(store: str) -> Path:
    """Where the files of the runs in a SQLite store are."""
    return Path(store.removeprefix(SQLITE)).parent / "mlartifacts"


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
        # It becomes a folder below `mlartifacts`, which it must not lead out of.
        inside = not {".", ".."} & set(self.experiment.split("/"))
        check(
            bool(self.experiment.strip()) and inside and len(self.experiment.encode()) <= 200,
            "tracking.experiment",
            self.experiment,
            "a name of at most 200 bytes, no . or ..",
        )
        # It stands in `models:/NAME@ALIAS` and is a part of a folder's name.
        name, barred = self.model_name, set("/:'\"@?#\\")
        check(
            bool(name.strip(" .")) and name.isprintable() and not set(name) & barred and len(name.encode()) <= 200,
            "tracking.model_name",
            name,
            "a name of at most 200 bytes without / : @ ? # \\, quotation marks and line breaks",
        )
        check(self.timeout_s >= 1, "tracking.timeout_s", self.timeout_s, "at least 1")
        check(self.pictures_every_epochs >= 1, "tracking.pictures_every_epochs", self.pictures_every_epochs, ">= 1")
        _check_uri("tracking.uri", self.uri)

    def given_uri(self) -> str:
        """The address that was configured, else the environment's; empty: the workdir's own store.

        Raises:
            SettingError: that of the environment is none.
        """
        if self.uri:
            return self.uri
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        _check_uri("MLFLOW_TRACKING_URI", uri)
        return uri

    def tracking_uri(self, workdir: Path) -> str:
        """The address to use now."""
        return self.given_uri() or own_store(workdir)


def _check_uri(name: str, uri: str) -> None:
    """Check that MLflow can have a store at an address; without one it is the workdir's own."""
    if not uri:
        return
    shown = shown_uri(uri)
    check(uri.startswith(SCHEMES), name, shown, "an address that starts with " + ", ".join(SCHEMES))
    try:
        parts = urlsplit(uri)
        whole = not uri.startswith("http") or (bool(parts.hostname) and parts.port != 0)
    except ValueError:  # a bracket that is not closed, a port that is no number
        whole = False
    check(whole, name, shown, "an address like http://127.0.0.1:5000")


def shown_uri(uri: str) -> str:
    """A store's address as it may be shown: no user, no password, no query.

    A database's password may hold / ? # as they are: all up to the last @ is left out.
    """
    return uri if uri.startswith("sqlite:") else without_secrets(re.sub("//.*@", "//", uri))


def own_store(workdir: Path) -> str:
    """The workdir's own store: through the server of `ec-descr-gen up` while it lives, else directly."""
    up = served(workdir)
    return up.mlflow_url if up is not None else f"{SQLITE}{(workdir / 'mlflow.db').resolve()}"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Where the files of an experiment go: below `mlartifacts` beside a SQLite store, else where the server says.

    An address of the server's kind (see `tasks.tracking.artifacts`) is right with and without the server.
    """
    return f"mlflow-artifacts:/{quote(experiment, safe='')}" if uri.startswith("sqlite://") else None
