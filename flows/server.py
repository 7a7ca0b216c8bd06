"""A Prefect server for the time of one command, on loopback, that ends with its parent however the parent ends.

Prefect can start a temporary server of its own, but that one outlives a killed parent and picks its port blindly.
Run as a module, this file *is* that server; imported, it starts one.
"""

import atexit
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Self

from model.errors import RunError

logger = logging.getLogger(__name__)
START_TIMEOUT_S = 180.0
LOOPBACK = "127.0.0.1"


def prefect_environment(workdir: Path) -> dict[str, str]:
    """The environment in which Prefect keeps everything below the working directory and tells nobody."""
    return {
        "PREFECT_HOME": str(workdir.resolve() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
        # Our own lines go to the terminal; Prefect's go to its run log, which its UI shows.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,model",
        # A server that goes for a while (a restart) must not take a run of hours with it.
        "PREFECT_CLIENT_MAX_RETRIES": "10",
    }


def free_port() -> int:
    """A loopback port that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def running_server(workdir: Path) -> str:
    """The API address of a server that `ec-descr-gen up` keeps for this working directory; empty if none answers."""
    try:
        address: str = json.loads((workdir / "up.json").read_text(encoding="utf-8"))["prefect_api_url"]
    except (OSError, ValueError, KeyError):
        return ""
    return address if answers(address) else ""


def answers(api_url: str, timeout_s: float = 2.0) -> bool:
    """Whether a Prefect server answers at this address."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=timeout_s) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class PrefectServer:
    """The server that a command uses: the one of `ec-descr-gen up` if it runs, that of PREFECT_API_URL, or its own.

    Starting takes seconds (the first time, while the database is made, up to half a minute), so `start` returns
    at once and `wait` waits; what can be done meanwhile is done meanwhile.
    """

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.process: subprocess.Popen[bytes] | None = None
        self.api_url = ""

    def start(self) -> Self:
        """Start it, without waiting; it stops when this process ends.

        Prefect sends its last logs and events as the interpreter ends. Handlers run in the reverse order of their
        registration, and this one is registered before Prefect is imported, so the server goes last.
        """
        os.environ.update(prefect_environment(self.workdir))
        self.api_url = running_server(self.workdir) or os.environ.get("PREFECT_API_URL", "")
        if not self.api_url:
            assert "prefect" not in sys.modules, "the server's address must be known before Prefect is imported"
            atexit.register(self.stop)
            port = free_port()
            self.api_url = f"http://{LOOPBACK}:{port}/api"
            self.process = self._spawn(port)
        os.environ["PREFECT_API_URL"] = self.api_url
        return self

    def _spawn(self, port: int) -> "subprocess.Popen[bytes]":
        folder = self.workdir / "prefect"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "server.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "flows.server", str(port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"},
                start_new_session=True,  # Ctrl-C is for the run, which still reports its end to the server
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
        end = time.monotonic() + START_TIMEOUT_S
        while not answers(self.api_url):
            if (self.process is not None and self.process.poll() is not None) or time.monotonic() > end:
                log = self.workdir / "prefect" / "server.log"
                what = f"did not start: see {log}" if self.process else f"does not answer at {self.api_url}: start it"
                raise RunError(f"Prefect's server {what}")
            time.sleep(0.1)
        if self.process is not None:
            threading.Thread(target=self._bring_back, daemon=True).start()

    def stop(self) -> None:
        """Stop the server of our own, if there is one, and wait until it is gone."""
        process, self.process = self.process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def serve(port: int) -> None:
    """Serve Prefect's API until standard input closes, which it does when the parent ends, killed or not."""
    import uvicorn
    from prefect.server.api.server import create_app

    configuration = uvicorn.Config(
        create_app,
        factory=True,
        host=LOOPBACK,
        port=port,
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(configuration)

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        time.sleep(8)
        os._exit(0)  # a shutdown that hangs must not leave a process behind

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
