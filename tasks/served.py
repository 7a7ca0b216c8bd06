"""The servers that `ec-descr-gen up` keeps for a working directory: where they are, and how to log in.

`up` holds WORKDIR/up.json locked while it lives; what stands in it counts only then.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from model.files import PARTIAL_SUFFIX
from tasks.lock import lock_facts

USER = "admin"


@dataclass(frozen=True, kw_only=True)
class Served:
    """The servers of a working directory.

    Attributes:
        pid: the process of `up`.
        prefect_url: Prefect's pages; its API is below /api.
        mlflow_url: MLflow's pages and API.
        auth: whether both want a password.
    """

    pid: int
    prefect_url: str
    mlflow_url: str
    auth: bool

    @property
    def prefect_api_url(self) -> str:
        """Where Prefect's clients ask."""
        return f"{self.prefect_url}/api"


def up_path(workdir: Path) -> Path:
    """The file that `up` holds."""
    return workdir / "up.json"


def served(workdir: Path) -> Served | None:
    """The servers of the `up` that is alive in this working directory; None if none is, or they do not answer yet."""
    facts = lock_facts(up_path(workdir))
    return Served(**facts) if facts and "mlflow_url" in facts else None


def credentials(workdir: Path) -> dict[str, str]:
    """The environment with which Prefect's and MLflow's clients log in."""
    password = password_path(workdir).read_text(encoding="ascii").strip()
    return {
        "PREFECT_API_AUTH_STRING": f"{USER}:{password}",
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": password,
    }


def password_path(workdir: Path) -> Path:
    """Where the password of both servers stands, for its owner's eyes only."""
    return workdir / "password"


def make_password(workdir: Path) -> None:
    """Choose a password, unless there is one; the file is never readable by others, not even for a moment."""
    path = password_path(workdir)
    if path.is_file():
        return
    partial = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
