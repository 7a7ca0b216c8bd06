"""Where the files of `mlflow-artifacts:/…` are: behind MLflow's server, or in the workdir when there is none.

MLflow keeps an experiment's place for good. A place on the server (`mlflow-artifacts:/…`) stays right when the
working directory moves, but MLflow itself reads it only through a server. Registered as MLflow's plugin for this
scheme (pyproject.toml), this module reads and writes it beside the SQLite store as well: runs made with the server
and without it are the same to both.
"""

from urllib.parse import unquote, urlparse

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking import get_tracking_uri

from tasks.tracking.config import SQLITE, files_beside


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """The repository for an `mlflow-artifacts:` address: local beside a SQLite store, else the server's."""
    store = tracking_uri or get_tracking_uri()
    if not store.startswith(SQLITE):
        return MlflowArtifactsRepository(artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)
    root = files_beside(store).resolve()
    place = (root / unquote(urlparse(artifact_uri).path).lstrip("/")).resolve()
    assert place.is_relative_to(root), f"{artifact_uri} points out of {root}"
    return LocalArtifactRepository(place.as_uri(), tracking_uri=tracking_uri, registry_uri=registry_uri)
