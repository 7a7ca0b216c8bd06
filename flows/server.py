"""A Prefect server for the time of one command, on loopback, that ends with its parent however the parent ends.

Prefect can start a temporary server of its own, but that one outlives a killed parent and picks its port blindly.
"""

import atexit
import http.client
import logging
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from importlib import metadata
from pathlib import Path
from typing import Self

from flows.keeper import end
from flows.prefect_api import ask, login, named_api
from model.errors import RunError, UserError
from tasks.catalog.urls import without_secrets
from tasks.lock import hold, lock_facts
from tasks.pictures.address import asking_fault
from tasks.served import credentials, served, up_path

START_TIMEOUT_S = 600.0  # of our own: seconds on a quiet machine, minutes on a busy one
ANSWER_TIMEOUT_S = 2.0  # of one question whether it is healthy
NAMED_TIMEOUT_S = 60.0  # of one that should be there already, or comes back in a moment
LOOPBACK = "127.0.0.1"
PRIVATE = 0o077  # the umask of Prefect's server: its database keeps what a run was asked for, maybe a password
# Into its own log, not the terminal: what fails in its background, as planning a schedule's runs, is said nowhere else.
SERVER_LOG = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR"}
logger = logging.getLogger(__name__)


def prefect_environment(workdir: Path) -> dict[str, str]:
    """The environment in which Prefect keeps everything below the working directory and tells nobody."""
    return {
        "PREFECT_HOME": str(workdir.resolve() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
        # Our own lines go to the terminal; Prefect's go to its run log, which its UI shows.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,model",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # what is said before the run begins is for the terminal
        # A server that goes for a while (a restart) must not take a run of hours with it.
        "PREFECT_CLIENT_MAX_RETRIES": "10",
    }


def free_port() -> int:
    """A loopback port that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nothing listens on this loopback port."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def running_server(workdir: Path) -> str:
    """The API of the server that `ec-descr-gen up` keeps here, ready to be asked; empty without one.

    While `up` starts or stops this waits: two servers that make one database at once would break it.
    """
    waited = False
    while (up := served(workdir)) is None:
        if lock_facts(up_path(workdir)) is None:
            return ""
        if not waited:
            logger.info("waiting for `ec-descr-gen up`, which starts or stops in %s", workdir)
            waited = True
        time.sleep(0.5)
    if up.auth:
        os.environ.update(credentials(workdir))
    return up.prefect_api_url


def answers(url: str) -> bool:
    """Whether the server at this address (Prefect's API, MLflow) says that it is healthy."""
    try:
        request = urllib.request.Request(f"{url}/health", headers=login())  # noqa: S310
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as response:  # noqa: S310
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer, and holds the connection
        return False
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def prefect_pages(workdir: Path) -> str:
    """Prefect's pages of what this command ran: their address, or the command that serves them once it has ended."""
    api_url = os.environ.get("PREFECT_API_URL", "")
    if not api_url or os.environ.get("PREFECT_UI_ENABLED") == "0":  # a server of its own, which ends with it
        home = shlex.quote(str(workdir / "prefect"))
        return f"PREFECT_HOME={home} PREFECT_SERVER_ANALYTICS_ENABLED=false prefect server start"
    return f"{without_secrets(api_url).removesuffix('/api')}/runs"


def starting_path(workdir: Path) -> Path:
    """Locked while a server starts: it makes or upgrades the database, which only one may do."""
    return workdir / "prefect" / "starting"


def server_command(port: int) -> list[str]:
    """Prefect's server as a child that ends with its parent; give it a pipe as standard input."""
    return [
        sys.executable, "-m", "flows.keeper",
        sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", LOOPBACK,
        "--port", str(port), "--log-level", "error", "--lifespan", "on", "--timeout-graceful-shutdown", "3",
    ]  # fmt: skip


class PrefectServer:
    """The server that a command uses: the one of `ec-descr-gen up` if it runs, that of PREFECT_API_URL, or its own.

    Starting takes seconds (the first time, while the database is made, up to half a minute), so `start` returns
    at once and `wait` waits; what can be done meanwhile is done meanwhile.
    """

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.process: subprocess.Popen[bytes] | None = None
        self.api_url = ""
        self._starting = ExitStack()

    def start(self) -> Self:
        """Start it, without waiting; it stops when this process ends.

        Prefect sends its last logs and events as the interpreter ends. Handlers run in the reverse order of their
        registration, and this one is registered before Prefect is imported, so the server goes last.
        """
        os.environ.update(prefect_environment(self.workdir))
        self.api_url = running_server(self.workdir) or named_api()
        if self.api_url and (fault := asking_fault(self.api_url)):
            shown = without_secrets(self.api_url)
            raise UserError(f"PREFECT_API_URL is {shown}, which cannot be asked ({fault}): mend it, or unset it")
        if not self.api_url:
            assert "prefect" not in sys.modules, "the server's address must be known before Prefect is imported"
            atexit.register(self.stop)
            port = free_port()
            self.api_url = f"http://{LOOPBACK}:{port}/api"
            self._starting.enter_context(hold(starting_path(self.workdir)))
            os.environ["PREFECT_UI_ENABLED"] = "0"  # nobody could look at its pages once the command has ended
            self.process = self._spawn(port)
        os.environ["PREFECT_API_URL"] = self.api_url
        return self

    def _spawn(self, port: int) -> "subprocess.Popen[bytes]":
        folder = self.workdir / "prefect"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "server.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                server_command(port),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **SERVER_LOG, "PREFECT__SERVER_EPHEMERAL": "1"},
                start_new_session=True,  # Ctrl-C is for the run, which still reports its end to the server
                umask=PRIVATE,
            )

    def _bring_back(self) -> None:
        """Start the server again, at the same address, whenever it ends unasked; Prefect's client waits meanwhile."""
        port = int(self.api_url.rsplit(":", 1)[1].partition("/")[0])
        while (process := self.process) is not None:
            process.wait()
            if self.process is process:
                logger.warning("Prefect's server has ended: starting it again")
                self.process = self._spawn(port)

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            RunError: it ended or did not answer in time; its log is named.
        """
        end = time.monotonic() + (START_TIMEOUT_S if self.process else NAMED_TIMEOUT_S)
        with self._starting:
            if not self.process and not answers(self.api_url):
                logger.info("waiting for Prefect's server at %s", without_secrets(self.api_url))
            while not answers(self.api_url):
                if (self.process is not None and self.process.poll() is not None) or time.monotonic() > end:
                    log = self.workdir / "prefect" / "server.log"
                    what = (
                        f"did not start: see {log}"
                        if self.process
                        else f"does not answer at {without_secrets(self.api_url)}: start it, or unset PREFECT_API_URL"
                    )
                    raise RunError(f"Prefect's server {what}")
                time.sleep(0.1)
        # Its health is told without a password, and other programs are healthy too. Prefect's cloud is not asked.
        if self.process is None and not os.environ.get("PREFECT_API_KEY"):
            version = ask(self.api_url, "/admin/version")
            ours = metadata.version("prefect").partition(".")[0]
            if not isinstance(version, str) or version.partition(".")[0] != ours:
                raise UserError(
                    f"at {without_secrets(self.api_url)} answers no Prefect {ours} server: mend PREFECT_API_URL"
                )
        if self.process is not None:
            threading.Thread(target=self._bring_back, daemon=True).start()

    def stop(self) -> None:
        """Stop the server of our own, if there is one, and wait until it is gone."""
        process, self.process = self.process, None
        if process is not None:
            end(process)
