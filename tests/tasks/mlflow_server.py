"""The real MLflow server, and a served model, on loopback ports of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

MLFLOW = str(Path(sys.executable).with_name("mlflow"))


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(workdir: Path, *, port: int = 0) -> Iterator[str]:
    """MLflow's server over a workdir's own store, on a port (0: a free one); its address."""
    port = port or free_port()
    command = [
        MLFLOW, "server", "--backend-store-uri", f"sqlite:///{workdir / 'mlflow.db'}",
        "--artifacts-destination", str(workdir / "mlartifacts"),
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}", "/health", workdir / "server.log") as address:
        yield address


@contextmanager
def running(
    command: Sequence[str],
    address: str,
    path: str,
    log: Path,
    *,
    timeout_s: float = 180,
    variables: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A process that answers at an address; ended with all its children."""
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **(variables or {}),
    }
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + timeout_s
        while not _answers(address + path):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, f"no answer in {timeout_s} s: {log.read_text()[-3000:]}"
            time.sleep(0.3)
        yield address
    finally:
        for deadly in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(process.pid, deadly)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
