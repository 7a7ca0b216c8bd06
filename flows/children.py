"""The long-lived children of `ec-descr-gen up`: started, watched, started again, stopped."""

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.keeper import end
from model.errors import RunError

START_TIMEOUT_S = 600.0  # seconds on a quiet machine, minutes on a busy one
STABLE_S = 600.0  # one that ran so long is not failing again and again
MAX_RESTARTS = 5
MAX_LOG_BYTES = 20_000_000
logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Child:
    """One process and all that it starts.

    Attributes:
        name: what to call it to a person.
        command: what to run, under `flows.keeper`.
        environment: all of it.
        log: where its output goes; a long one is set aside when it starts.
        healthy: whether it does its work.
        before: what to do each time before it starts.
        folder: where it starts; None: where this process did.
        umask: of the files that it makes; -1: as of this process.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    healthy: Callable[[], bool]
    before: Callable[[], None] = lambda: None
    folder: Path | None = None
    umask: int = -1
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0

    def start(self) -> None:
        """Start it, without waiting."""
        self.before()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.is_file() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.rename(self.log.with_suffix(".before.log"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for `up`, which tells the children in their order
                umask=self.umask,
            )
        self.started = time.monotonic()

    def wait(self) -> None:
        """Return when it does its work.

        Raises:
            RunError: it ended, or took too long; its log is named.
        """
        while not self.healthy():
            if self.ended or time.monotonic() - self.started > START_TIMEOUT_S:
                what = "ended" if self.ended else f"did not begin to work within {START_TIMEOUT_S:.0f} s"
                raise RunError(f"{self.name} {what}: see {self.log}")
            time.sleep(0.2)

    def finish(self) -> None:
        """Wait until it has ended by itself.

        Raises:
            RunError: it failed, or took too long; its log is named.
        """
        assert self.process is not None
        try:
            failed = self.process.wait(timeout=START_TIMEOUT_S) != 0
        except subprocess.TimeoutExpired:
            raise RunError(f"{self.name} did not end within {START_TIMEOUT_S:.0f} s: see {self.log}") from None
        if failed:
            raise RunError(f"{self.name} failed: see {self.log}")

    @property
    def ended(self) -> bool:
        """Whether it was started and is not running."""
        return self.process is not None and self.process.poll() is not None

    def start_again_if_ended(self) -> None:
        """Start it again, later each time.

        Raises:
            RunError: it ended too often.
        """
        if not self.ended:
            return
        assert self.process is not None
        self.restarts = 0 if time.monotonic() - self.started > STABLE_S else self.restarts + 1
        if self.restarts > MAX_RESTARTS:
            raise RunError(f"{self.name} ended {self.restarts} times: see {self.log}")
        logger.warning("%s ended (exit code %d): starting it again", self.name, self.process.returncode)
        self.stop()  # of what has ended, its pipe
        time.sleep(min(2**self.restarts - 1, 30))
        self.start()

    def stop(self) -> None:
        """Stop it and all that it started; returns when they are gone."""
        process, self.process = self.process, None
        if process is not None:
            end(process)
