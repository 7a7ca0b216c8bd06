"""Sends a journal's entries to MLflow. The only place that knows its client's calls for runs."""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from model.errors import UserError, first_line
from model.files import read_json, write_json
from tasks.served import credentials, served
from tasks.tracking.config import SQLITE, TrackingConfig, artifact_location, shown_uri
from tasks.tracking.journal import Entry

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)
RUN_FOLDER_TAG = "ec-descr-gen.run"
NOTE_TAG = "mlflow.note.content"
RUN_ID_FILE = "mlflow_run.json"
MAX_PARAM_CHARS = 6000
DATABASE_ATTEMPTS = 3  # MLflow's own 10 are pauses of 101 s together
NOISY = (
    "alembic",
    "mlflow.models.signature",
    "mlflow.system_metrics.system_metrics_monitor",
)
# Without it the run page offers what belongs to language models first.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def make_client(uri: str, *, workdir: Path, timeout_s: int) -> "MlflowClient":
    """A client of the store at `uri` that gives up an unreachable server within seconds, not minutes.

    The servers of `ec-descr-gen up` in `workdir` may want a password, which this process then uses.

    Raises:
        UserError: Python lacks the database's driver; MLflow's own variables are no numbers.
    """
    up = served(workdir)
    if up is not None and up.auth and up.mlflow_url == uri:
        os.environ.update(credentials(workdir))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout_s))
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # results alone go there
    import mlflow
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    for variable in (MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT):
        try:
            variable.get()  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise UserError(f"the variable {variable.name} is no number ({first_line(error)}): mend it") from None
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it shows whole tracebacks of a full disk
    if uri.startswith(SQLITE):
        Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    if not uri.startswith("http"):
        import mlflow.store.db.utils as databases

        os.environ.setdefault("PGCONNECT_TIMEOUT", str(timeout_s))  # else a silent host takes minutes each time
        databases.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
    try:
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    except ModuleNotFoundError as error:
        raise UserError(
            f"MLflow at {shown_uri(uri)} needs the Python module {error.name}, which is not installed: install it, or "
            "name an address for which there is one, such as postgresql+psycopg://…"
        ) from None


@contextmanager
def process_wide(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's address of the whole process for the block: logging and loading models ask for no other.

    MLflow keeps it in the environment, where it must not stay: a later run may have another store.
    """
    import mlflow

    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before["MLFLOW_TRACKING_URI"] or "")
        mlflow.set_registry_uri(before["MLFLOW_REGISTRY_URI"] or "")
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def outages() -> tuple[type[Exception], ...]:
    """What an unreachable, broken or full store raises."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError)


def is_refusal(error: Exception) -> bool:
    """Whether the store answered, and will never take what it was sent: a name that it allows nobody, say."""
    return getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE"


def is_gone(error: Exception) -> bool:
    """Whether the store answered that it has no such thing."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def outage_line(error: Exception, uri: str) -> str:
    """What an exception of the store at `uri` says, in one line, without the address's password."""
    said = first_line(error)
    if said.endswith(":"):  # the reason stands in the next one
        said = " ".join(str(error).split())
    return said.replace(uri, shown_uri(uri))[:300]


def run_id_in(folder: Path) -> str | None:
    """The id that MLflow gave the run with this journal's folder; None while its store has never been reached."""
    path = folder / RUN_ID_FILE
    return str(read_json(path)["run_id"]) if path.is_file() else None


class Store:
    """One run's place in MLflow.

    Args:
        client: the connection.
        config: names of experiment and model.
        uri: the store's address.
        folder: the journal's folder; keeps the id that MLflow gave the run.
    """

    def __init__(self, client: "MlflowClient", config: TrackingConfig, *, uri: str, folder: Path) -> None:
        self.client, self.config, self.uri, self.folder = client, config, uri, folder

    def send(self, entry: Entry) -> None:
        """Send one entry. Raises what `outages` lists."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow about MLflow: its type hints, its use of pandas
            if entry.kind == "start":
                self._start(entry)
                return
            run_id = run_id_in(self.folder)
            assert run_id is not None, f"{entry.kind} before start"
            getattr(self, f"_{entry.kind}")(run_id, entry)

    def _place(self, path: str) -> Path:
        """Where a file is that the journal names: `folder` is WORKDIR/runs/<run-id>/tracking."""
        return self.folder.absolute().parents[2] / path

    def _start(self, entry: Entry) -> None:
        from mlflow.exceptions import MlflowException

        name = self.config.experiment
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            location = artifact_location(self.uri, name)
            try:
                experiment_id = self.client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
            except MlflowException:  # another run was first
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment is not None:
            experiment_id = experiment.experiment_id
            if experiment.lifecycle_stage != "active":
                self.client.restore_experiment(experiment_id)
        # A kill between creating the run and keeping its id must not leave two of them.
        mark = str(entry.values["folder"])
        quote = '"' if "'" in mark else "'"
        wanted = f"tags.`{RUN_FOLDER_TAG}` = {quote}{mark}{quote}"
        earlier = self.client.search_runs([experiment_id], wanted, max_results=1)
        if earlier:
            run_id = earlier[0].info.run_id
        else:
            run = self.client.create_run(
                experiment_id, start_time=entry.time_ms, run_name=entry.values["name"], tags={RUN_FOLDER_TAG: mark}
            )
            run_id = run.info.run_id
        write_json(self.folder / RUN_ID_FILE, {"run_id": run_id, "experiment_id": experiment_id})

    def _resume(self, run_id: str, entry: Entry) -> None:  # noqa: ARG002
        experiment_id = self.client.get_run(run_id).info.experiment_id
        if self.client.get_experiment(experiment_id).lifecycle_stage != "active":  # it would take no model
            self.client.restore_experiment(experiment_id)
        if self.client.get_run(run_id).info.lifecycle_stage != "active":  # deleted on its page, and wanted again
            self.client.restore_run(run_id)
        self.client.update_run(run_id, status="RUNNING")

    def _params(self, run_id: str, entry: Entry) -> None:
        from mlflow.entities import Param

        known = self.client.get_run(run_id).data.params
        wanted = {name: str(value)[:MAX_PARAM_CHARS] for name, value in entry.values.items()}
        new = [Param(name, value) for name, value in wanted.items() if name not in known]
        self.client.log_batch(run_id, params=new, synchronous=True)
        # MLflow never changes a parameter: what a resumed run was given anew stands in a tag.
        changed = {name: value for name, value in wanted.items() if known.get(name, value) != value}
        self._set_tags(run_id, {f"resumed with {name}": value for name, value in changed.items()})

    def _tags(self, run_id: str, entry: Entry) -> None:
        self._set_tags(run_id, entry.values)

    def _note(self, run_id: str, entry: Entry) -> None:
        note, picture = entry.values["markdown"], entry.values["picture"]
        if picture:  # beside the page, wherever that is: MLflow's server hands its runs' files out there
            note += f"\n\n![{picture}](get-artifact?{urlencode({'path': picture, 'run_uuid': run_id})})"
        self._set_tags(run_id, {NOTE_TAG: note})

    def _set_tags(self, run_id: str, tags: Mapping[str, Any]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(name, str(value)) for name, value in tags.items()], synchronous=True)

    def _metrics(self, run_id: str, entry: Entry) -> None:
        from mlflow.entities import Metric

        step = int(entry.values["step"])
        metrics = [Metric(name, value, entry.time_ms, step) for name, value in entry.values["metrics"].items()]
        self.client.log_batch(run_id, metrics=metrics, synchronous=True)

    def _dataset(self, run_id: str, entry: Entry) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        values = entry.values
        dataset = Dataset(
            name=values["name"],
            digest=values["digest"][:36],
            source_type="local",
            source=json.dumps({"uri": values["source"]}),
            profile=json.dumps(values["profile"]),
        )
        tags = [InputTag("mlflow.data.context", values["context"])]
        self.client.log_inputs(run_id, datasets=[DatasetInput(dataset=dataset, tags=tags)])

    def _artifact(self, run_id: str, entry: Entry) -> None:
        path = self._place(entry.values["path"])
        if not path.exists():  # cleaned away since: nothing is left to send
            logger.warning("%s is gone and can't be logged", path)
            return
        if path.is_dir():
            self.client.log_artifacts(run_id, str(path), entry.values["folder"] or None)
        else:
            self.client.log_artifact(run_id, str(path), entry.values["folder"] or None)

    def _image(self, run_id: str, entry: Entry) -> None:
        from PIL import Image

        path = self._place(entry.values["path"])
        if not path.exists():
            logger.warning("%s is gone and can't be logged", path)
            return
        key, step = entry.values["key"], entry.values["step"]
        # MLflow names each anew and shows all of them; the small copy is what it writes last.
        there = f"images/{key.replace('/', '~')}+step+{step}+timestamp+"
        names = [item.path for item in self.client.list_artifacts(run_id, "images")]
        if any(name.startswith(there) and name.endswith("+compressed.webp") for name in names):
            return
        with Image.open(path) as picture:
            self.client.log_image(
                run_id,
                picture.convert("RGB"),
                key=key,
                step=step,
                timestamp=entry.time_ms,
                synchronous=True,
            )

    def _table(self, run_id: str, entry: Entry) -> None:
        import pandas as pd
        from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

        path, name = self._place(entry.values["path"]), entry.values["name"]
        if not path.exists():
            return
        # As MLflow's log_table writes it; but that one, told twice, keeps every row twice.
        with tempfile.TemporaryDirectory() as folder:
            pd.read_parquet(path).to_json(Path(folder) / name, orient="split", index=False)
            self.client.log_artifact(run_id, str(Path(folder) / name))
        tables = json.loads(self.client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (table := {"path": name, "type": "table"}) not in tables:
            self._set_tags(run_id, {MLFLOW_LOGGED_ARTIFACTS: json.dumps([*tables, table])})

    def _model(self, run_id: str, entry: Entry) -> None:
        from tasks.tracking.registry import log_and_register

        values = {**entry.values, "model_dir": self._place(entry.values["model_dir"])}
        if values["example"]:
            values["example"] = self._place(values["example"])
        with process_wide(self.uri):
            registered = log_and_register(self.client, self.config.model_name, run_id, **values)
        write_json(self.folder / "registered.json", registered)

    def _end(self, run_id: str, entry: Entry) -> None:
        self.client.set_terminated(run_id, status=entry.values["status"], end_time=entry.time_ms)
