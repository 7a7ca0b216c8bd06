"""One run of the pipeline as MLflow sees it: started once, continued by every later step, never lost."""

import logging
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.files import read_json, write_json
from tasks.tracking.config import TrackingConfig, own_store, shown_uri
from tasks.tracking.journal import Entry, Journal
from tasks.tracking.run_log import close_log, open_log
from tasks.tracking.store import RUN_ID_FILE, Store, is_gone, is_refusal, make_client, outage_line, outages, run_id_in

if TYPE_CHECKING:
    from tasks.tracking.registry import Registry

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 30.0  # an outage costs each step no more than one try in so long
OF_THE_RUN = {"resume", "params", "tags", "metrics", "note", "end"}  # these want nothing but the run to be there
HEAVY = {"artifact", "image", "table", "model"}  # these go to the artifact store, which can be full on its own


def start_run(
    config: TrackingConfig,
    *,
    run_dir: Path,
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, Any],
) -> "TrackedRun":
    """Start a run, or continue the one that was started in the same folder.

    Args:
        config: where and under which names.
        run_dir: the run's own folder, WORKDIR/runs/<run-id>; the journal stands in its `tracking/`. WORKDIR holds
            mlflow.db and mlartifacts/ unless another store is configured.
        name: what the run is called in MLflow.
        parameters: the whole configuration; sections may be nested and are written `section.key`.
        tags: Prefect run, git commit, device; see `tasks.tracking.facts.environment_tags`.
    """
    if not is_tracked(run_dir):
        _keep_settings(run_dir, config, config.given_uri())
    run = TrackedRun(run_dir)
    open_log(run.log_path)
    # Not whether there are settings: a kill or a full disk may have come between them and the first entry.
    if any(entry.kind == "start" for entry in run.journal.entries()):
        run.journal.append("resume")
    else:
        run.journal.append("start", name=name, folder=str(run_dir.resolve()))
    settings_now = flatten(parameters)
    if "tracking.uri" in settings_now:
        settings_now["tracking.uri"] = shown_uri(settings_now["tracking.uri"])
    run.journal.append("params", **settings_now)
    run.log_tags(tags)
    return run


def is_tracked(run_dir: Path) -> bool:
    """Whether `start_run` has started the run in this folder."""
    return _settings_path(run_dir).is_file()


def _keep_settings(run_dir: Path, config: TrackingConfig, uri: str) -> None:
    """Keep where a run is tracked. Empty: in the workdir's own store, whose address is asked anew each time."""
    write_json(_settings_path(run_dir), {"config": asdict(config), "tracking_uri": uri}, private=True)


def _settings_path(run_dir: Path) -> Path:
    return run_dir / "tracking" / "settings.json"


def registry_of(run_dir: Path, config: TrackingConfig) -> "Registry":
    """The registry that the run in this folder has its model in: where it is tracked, once it is.

    Args:
        run_dir: WORKDIR/runs/<run-id>.
        config: where it is going to be tracked.
    """
    from tasks.tracking.registry import Registry

    if not is_tracked(run_dir):
        return Registry(config, run_dir.absolute().parents[1])
    run = TrackedRun(run_dir)
    return Registry(run.config, run.workdir, run.tracking_uri)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `section.key` -> text."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


@dataclass
class TrackedRun:
    """The run in `run_dir`, started by `start_run`. Cheap to make: every step makes its own from the path.

    Each `log_…` returns at once when the store is unreachable: what it was given stands in the journal.
    """

    run_dir: Path
    _next_try: float = field(default=0.0, repr=False)
    _store: Store | None = field(default=None, repr=False)
    _refused: set[int] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        """Read what `start_run` wrote."""
        self.folder = self.run_dir / "tracking"
        settings = read_json(_settings_path(self.run_dir))
        self.config = TrackingConfig(**settings["config"])
        self.workdir = self.run_dir.absolute().parents[1]
        self.given_uri: str = settings["tracking_uri"]
        self.journal = Journal(self.folder)

    @property
    def tracking_uri(self) -> str:
        """MLflow's address now: that of a given server, else of the workdir's own store."""
        return self.given_uri or own_store(self.workdir)

    @property
    def shown_uri(self) -> str:
        """The same as it may be shown."""
        return shown_uri(self.tracking_uri)

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None while its store has never been reached."""
        return run_id_in(self.folder)

    def track_at(self, uri: str) -> None:
        """Track at another address from now on; what the one before was sent is sent there too."""
        if uri == self.given_uri:
            return
        if self.run_id is not None:
            self._forget_sent()
        _keep_settings(self.run_dir, self.config, uri)
        self.given_uri = uri

    def _forget_sent(self) -> None:
        """All is sent once more, to a store that has nothing of it."""
        self.journal.forget_sent()
        (self.folder / RUN_ID_FILE).unlink()

    @property
    def log_path(self) -> Path:
        """What the project's own code said during the run; logged at its end."""
        return self.folder / "run.log"

    @property
    def upload_command(self) -> str:
        """The command that sends what the store does not have yet."""
        return shlex.join([sys.executable, "-m", "tasks.tracking.upload", str(self.run_dir)])

    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; an empty value is left out."""
        self._keep("tags", **{name: str(value) for name, value in tags.items() if value not in {None, ""}})

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log numbers at a step (an epoch, counted from 1). None means not measured and is left out.

        What stands there already is not logged again: a resumed run tells its last epoch twice.
        """
        logged = self.history()
        new = {
            name: float(value)
            for name, value in metrics.items()
            if value is not None and (step, float(value)) not in logged.get(name, ())
        }
        if new:
            self._keep("metrics", step=step, metrics=new)

    def log_dataset(
        self, *, name: str, digest: str, source: str, context: str, profile: Mapping[str, Any] | None = None
    ) -> None:
        """Log a data set that the run reads. `context`: training, validation, test."""
        self._keep("dataset", name=name, digest=digest, source=source, context=context, profile=dict(profile or {}))

    def log_files(self, paths: Sequence[Path], folder: str = "") -> None:
        """Log files or folders under `folder` of the run's artifacts. They must stay where they are."""
        for path in paths:
            self.journal.append("artifact", path=self._kept(path), folder=folder)
        self.flush()

    def log_picture(self, path: Path, *, key: str, step: int) -> None:
        """Log a picture that belongs to a step: the run page shows those of one key as a series."""
        self._keep("image", path=self._kept(path), key=key, step=step)

    def log_table(self, parquet: Path, name: str) -> None:
        """Log a table (from a Parquet file) that the run page shows row by row."""
        self._keep("table", path=self._kept(parquet), name=name)

    def log_note(self, markdown: str, picture: str = "") -> None:
        """The run's description: what its page shows first. `picture` ends it: a file among the artifacts, if given."""
        self._keep("note", markdown=markdown, picture=picture)

    def register_model(
        self, model_dir: Path, *, step: int, card: str, example: Path | None = None, **facts: Any
    ) -> dict[str, Any] | None:
        """Log the model directory and register it: champion if there is none, else challenger.

        Args:
            model_dir: weights, configuration, vocabulary.
            step: the chosen epoch.
            card: the model card, Markdown.
            example: one encoded picture file for the input example.
            facts: kept as tags of the version (dataset id, main scores).

        Returns:
            model_uri, version, alias, decision; None if the store could not be reached (kept for the upload).
        """
        self._keep(
            "model",
            model_dir=self._kept(model_dir),
            step=step,
            card=card,
            example=self._kept(example) if example else None,
            facts={name: str(value) for name, value in facts.items()},
        )
        if any(entry.kind == "model" for entry in self.journal.pending()):
            return None
        found: dict[str, Any] = read_json(self.folder / "registered.json")
        return found

    def end(self, status: str = "FINISHED") -> bool:
        """End the run (FINISHED, FAILED, KILLED). False, with the upload command logged, if anything is left."""
        if self.log_path.is_file():
            close_log(self.log_path)
            self.journal.append("artifact", path=self._kept(self.log_path), folder="logs")
        self.journal.append("end", status=status)
        self._next_try = 0.0
        return self.flush()

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End the run with the block: as FAILED if it is left by an exception, of whatever kind."""
        try:
            yield
        except BaseException:
            self.end("FAILED")
            raise
        self.end()

    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Every metric logged so far: its steps and values, in order of steps; a later value replaces one before."""
        found: dict[str, dict[int, float]] = {}
        for entry in self.journal.entries():
            if entry.kind == "metrics":
                for name, value in entry.values["metrics"].items():
                    found.setdefault(name, {})[entry.values["step"]] = value
        return {name: sorted(values.items()) for name, values in found.items()}

    def _kept(self, path: Path) -> str:
        """How the journal names a file: from the working directory, which may move before the file is sent."""
        path = path.absolute()
        return str(path.relative_to(self.workdir) if path.is_relative_to(self.workdir) else path)

    def _keep(self, kind: str, /, **values: Any) -> None:
        self.journal.append(kind, **values)
        self.flush()

    def flush(self) -> bool:
        """Send what is pending; True if nothing is left. After a failure, at most one try in `RETRY_AFTER_S`.

        What MLflow answers that it will not have holds nothing else up.
        """
        if time.monotonic() < self._next_try:
            return False
        failed_heavy = False
        left = 0
        for entry in self.journal.pending():
            if entry.number in self._refused or (failed_heavy and entry.kind in HEAVY):
                left += 1
                continue
            error = self._send(entry)
            if error is None:
                self.journal.mark_sent(entry)
                continue
            if entry.kind in OF_THE_RUN and is_gone(error):  # deleted for good, or its store was lost and made anew
                logger.warning("MLflow at %s does not know this run any more: it gets all of it again", self.shown_uri)
                self._forget_sent()
                return self.flush()
            left += 1
            logger.warning(
                "MLflow at %s did not take %s (%s). It is kept in %s; send it later with: %s",
                self.shown_uri,
                entry.kind,
                outage_line(error, self.tracking_uri),
                self.folder,
                self.upload_command,
            )
            if is_refusal(error) and entry.kind != "start":
                self._refused.add(entry.number)
                continue
            self._next_try = time.monotonic() + RETRY_AFTER_S
            if entry.kind not in HEAVY:
                return False
            failed_heavy = True
        return left == 0

    def _send(self, entry: Entry) -> Exception | None:
        try:
            if self._store is None:
                uri = self.tracking_uri
                client = make_client(uri, workdir=self.workdir, timeout_s=self.config.timeout_s)
                self._store = Store(client, self.config, uri=uri, folder=self.folder)
            self._store.send(entry)
        except outages() as error:
            self._store = None  # `up` may have started or stopped since
            return error
        except Exception as error:
            if entry.kind not in HEAVY or isinstance(error, AssertionError):
                raise
            return error  # of the artifact store's own client: no keys, no such bucket, no driver
        return None

    @contextmanager
    def system_metrics(self) -> Iterator[None]:
        """Log processor, memory, disk and GPU use while the block runs, if configured and the store is reached."""
        run_id = self.run_id
        if not self.config.system_metrics or run_id is None:
            yield
            return
        from mlflow.system_metrics import system_metrics_monitor

        monitor: Any = vars(system_metrics_monitor)["SystemMetricsMonitor"](
            run_id, resume_logging=True, tracking_uri=self.tracking_uri
        )
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()
