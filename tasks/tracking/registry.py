"""The model in MLflow: logged with its code, registered, champion or challenger; and fetched from there again."""

import base64
import hashlib
import importlib.metadata
import io
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

import model as model_package
from model.bicubic import RESIZER
from model.errors import RunError, UserError
from model.files import write_text
from tasks.markdown import fitted
from tasks.tracking.config import TrackingConfig, shown_uri
from tasks.tracking.store import make_client, outage_line, outages, process_wide

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)
CHAMPION, CHALLENGER = "champion", "challenger"
DESCRIPTION_CHARACTERS = 5000  # of a version; PostgreSQL takes no more
PREVIOUS_TAG = "champion before"  # empty: there was none
# MLflow's words for a server that is not there or not well; all others are its answers.
SILENT = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED"}
# What model/ imports, and MLflow for a table: a machine with these and the logged files describes pictures.
REQUIREMENTS = ("mlflow", "torch", "torchvision", "safetensors", "numpy", "pandas", "pyarrow", "h5py", "pillow")


def requirements() -> list[str]:
    """The packages that the logged model needs, pinned to the versions it was made with."""
    found = [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in REQUIREMENTS]
    if RESIZER != "pillow":
        where = 'sys_platform != "linux" or platform_machine == "x86_64"'  # as in pyproject.toml
        found.append(f"{RESIZER}=={importlib.metadata.version(RESIZER)}; {where}")
    return found


def log_and_register(
    client: "MlflowClient",
    name: str,
    run_id: str,
    *,
    model_dir: Path,
    step: int,
    card: str,
    example: Path | None,
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """Log a model directory to its run and make it a version of the registered model.

    Called again for the same run and epoch (a kill came between) it finds the version that is there.

    Returns:
        model_uri, version, alias, decision.

    Raises:
        What `tasks.tracking.store.outages` lists.
    """
    from mlflow.exceptions import MlflowException

    for version in client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"):
        if version.tags.get("epoch") == str(step):
            return _decide(client, name, str(version.version))
    model_id = _log(client, run_id, model_dir=model_dir, step=step, card=card, example=example)
    try:
        client.create_registered_model(name, description="Writes the description of a product from its picture.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created = client.create_model_version(
        name,
        f"models:/{model_id}",
        run_id=run_id,
        tags={"epoch": str(step), **facts},
        description=fitted(
            card, DESCRIPTION_CHARACTERS, "… The rest of this card: `README.md`, logged with the model."
        ),
        model_id=model_id,
    )
    return _decide(client, name, str(created.version))


def _log(client: "MlflowClient", run_id: str, *, model_dir: Path, step: int, card: str, example: Path | None) -> str:
    import mlflow.pyfunc
    from mlflow.models import Model

    run = client.get_run(run_id)
    logged = client.create_logged_model(
        run.info.experiment_id, name="describer", source_run_id=run_id, params=dict(run.data.params)
    )
    # The signature, parameters included, is taken from the type hints and this example.
    picture = example.read_bytes() if example else _blank_picture()
    parameters = {"beam_size": 0, "max_words": 0}
    with tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / "README.md", card)
        Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            name="describer",
            run_id=run_id,
            model_id=logged.model_id,
            step=step,
            python_model=str(Path(__file__).with_name("served_model.py")),
            code_paths=[os.path.dirname(model_package.__file__)],  # noqa: PTH120
            artifacts={"model": str(model_dir), "card": str(Path(folder) / "README.md")},
            input_example=([base64.b64encode(picture).decode("ascii")], parameters),
            pip_requirements=requirements(),
        )
    return str(logged.model_id)


def _blank_picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(stream, format="PNG")
    return stream.getvalue()


def _decide(client: "MlflowClient", name: str, version: str) -> dict[str, Any]:
    champion = _by_alias(client, name, CHAMPION)
    if champion is None or str(champion.version) == version:
        alias, decision = CHAMPION, "champion: there was none"
        if champion is None:
            client.set_model_version_tag(name, version, PREVIOUS_TAG, "")
    else:
        alias, decision = CHALLENGER, f"challenger: version {champion.version} is the champion"
    client.set_registered_model_alias(name, alias, version)
    return {"model_uri": f"models:/{name}/{version}", "version": version, "alias": alias, "decision": decision}


def _by_alias(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


class Registry:
    """The registered model of a workdir. Every call raises RunError, in one line, if the store is silent or refuses.

    Args:
        config: the model's name, and where it is.
        workdir: whose own store is asked where neither `config` nor the environment names another.
        uri: the address itself, where it is known.
    """

    def __init__(self, config: TrackingConfig, workdir: Path, uri: str = "") -> None:
        self.name, self.uri = config.model_name, uri or config.tracking_uri(workdir)
        self.shown = shown_uri(self.uri)
        self.client = self._ask(partial(make_client, self.uri, workdir=workdir, timeout_s=config.timeout_s))

    def champion(self) -> dict[str, Any] | None:
        """model_uri, version, run_id and tags of the champion; None if there is none."""
        version = self._ask(_by_alias, self.client, self.name, CHAMPION)
        if version is None:
            return None
        number = str(version.version)
        uri = f"models:/{self.name}/{number}"
        return {"model_uri": uri, "version": number, "run_id": version.run_id, "tags": dict(version.tags)}

    def promote(self, version: str) -> None:
        """Make a version the champion; it remembers the one before, for `rollback`.

        One that the champion, or those before it, came after goes on remembering what it did: else two versions could
        each name the other for ever.
        """
        before = self.champion()
        if before is not None and version not in self._line(before["version"]):
            self.tag(version, {PREVIOUS_TAG: before["version"]})
        self._ask(self.client.set_registered_model_alias, self.name, CHAMPION, version)
        challenger = self._ask(_by_alias, self.client, self.name, CHALLENGER)
        if challenger is not None and str(challenger.version) == version:
            self._ask(self.client.delete_registered_model_alias, self.name, CHALLENGER)

    def _line(self, version: str) -> list[str]:
        """A champion and those before it, as far as they are remembered."""
        found: list[str] = []
        while version not in found and (one := self._numbered(self.name, version) if version else None) is not None:
            found.append(version)
            version = one.tags.get(PREVIOUS_TAG, "")
        return found

    def rollback(self) -> tuple[str, str]:
        """Give the alias back to the champion before; returns (version that lost it, version that has it).

        Every champion remembers the one before it, so that a second call goes one further back.

        Raises:
            UserError: there is no champion, or none before it.
        """
        now = self.champion()
        if now is None:
            raise UserError(f"There is no champion of {self.name} in {self.shown}: run the pipeline first.")
        before = now["tags"].get(PREVIOUS_TAG)
        if not before:
            raise UserError(f"Version {now['version']} of {self.name} is the first champion: none came before it.")
        if self._numbered(self.name, before) is None:
            raise UserError(f"Version {before} of {self.name}, the champion before, was deleted from {self.shown}.")
        self._ask(self.client.set_registered_model_alias, self.name, CHAMPION, before)
        return now["version"], before

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for name, value in tags.items():
            self._ask(self.client.set_model_version_tag, self.name, version, name, value)

    def fetch(self, model_uri: str, folder: Path) -> Path:
        """Copy a registered model's directory (weights, configuration, vocabulary) into `folder`; returns its path.

        Args:
            model_uri: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
            folder: where to; a version that is there already, undamaged, is not copied again.

        Raises:
            UserError: there is no such model.
            RunError: the server does not answer.
        """
        import mlflow.artifacts
        from mlflow.exceptions import MlflowException

        version = self._version(model_uri)
        model_uri = f"models:/{version.name}/{version.version}"
        # Another registry's version may have the same number, but is of another logged model.
        made = hashlib.sha256(str(version.source).encode()).hexdigest()[:8]
        place = folder / f"{version.name}-{version.version}-{made}"
        if place.is_dir():
            if _is_whole(place):
                return place
            logger.warning("%s was changed since it was fetched: it is fetched again", place)
            shutil.rmtree(place)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            try:
                with process_wide(self.uri):
                    mlflow.artifacts.download_artifacts(artifact_uri=f"{model_uri}/artifacts", dst_path=partial)
            except outages() as error:
                answered = isinstance(error, MlflowException) and error.error_code not in SILENT
                kind = UserError if answered else RunError
                raise kind(f"{model_uri} can't be had from {self.shown}: {outage_line(error, self.uri)}") from None
            candidates = [path.parent for path in Path(partial).rglob("weights.safetensors")]
            if not candidates:
                raise UserError(f"{model_uri} in {self.shown} is not a model of this project.")
            try:
                candidates[0].rename(place)
            except OSError:  # another process was first
                if not place.is_dir():
                    raise
        return place

    def numbered(self, model_uri: str) -> str:
        """`models:/NAME/VERSION` of a model, whom an alias may name now and not any more later.

        Raises:
            UserError: there is no such model.
        """
        version = self._version(model_uri)
        return f"models:/{version.name}/{version.version}"

    def _version(self, model_uri: str) -> "ModelVersion":
        """The version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` names.

        Raises:
            UserError: there is none.
        """
        name, _, alias = model_uri.removeprefix("models:/").partition("@")
        if alias:
            found: ModelVersion | None = self._ask(_by_alias, self.client, name, alias)
            if found is None:
                raise UserError(
                    f"{model_uri}: no version of {name} is {alias} in {self.shown}. Run the pipeline first."
                )
            return found
        name, _, number = name.partition("/")
        numbered = self._numbered(name, number)
        if numbered is None:
            raise UserError(f"{model_uri}: there is no such version in {self.shown}")
        return numbered

    def _numbered(self, name: str, number: str) -> "ModelVersion | None":
        if not re.fullmatch(r"[0-9]{1,9}", number) or "'" in name:  # what MLflow could not even be asked
            return None
        wanted = f"name = '{name}' and version_number = {number}"
        versions: list[ModelVersion] = self._ask(self.client.search_model_versions, wanted)
        return versions[0] if versions else None

    def _ask(self, call: Any, *arguments: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return call(*arguments)
        except outages() as error:
            what, mend = "did not answer", "Start it"
            if isinstance(error, MlflowException) and error.error_code not in SILENT:
                what, mend = "refused", "Give MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD if it asks for them"
            said = outage_line(error, self.uri)
            raise RunError(f"MLflow's registry at {self.shown} {what}: {said}. {mend}, or set tracking.uri.") from None


def _is_whole(model_dir: Path) -> bool:
    """Whether a fetched model directory still has the digests that it came with."""
    from model.directory import check_model

    try:
        check_model(model_dir)
    except UserError:
        return False
    return True
