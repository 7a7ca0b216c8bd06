"""Runs the command line as a user does: in a process of its own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.server import LOOPBACK, answers, free_port, prefect_environment, server_command

SMALL = [
    "--preset", "demo", "--set", "image.size_px=64", "--set", "train.epochs=2", "--set", "train.batch_size=8",
    "--set", "search.max_words=12", "--set", "score.intervals=0", "--set", "decoder.hidden_size=32",
    "--set", "decoder.embedding_size=32", "--set", "decoder.attention_size=32",
    "--set", "tracking.system_metrics=false",
]  # fmt: skip


def shell_lines(text: str) -> list[str]:
    """The lines of a document's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def command(*arguments: str | Path) -> list[str]:
    """The command line's arguments, for this interpreter."""
    return [sys.executable, "-m", "flows.cli", *map(str, arguments)]


_server: dict[str, str] = {}


def environment() -> dict[str, str]:
    """One thread, nothing of the caller's Prefect and MLflow, and the tests' own Prefect server if it runs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **_server}


@contextmanager
def started_server(home: Path, **variables: str) -> Iterator[str]:
    """A Prefect server that every command of the block uses; `variables` go into its environment."""
    port = free_port()
    address = f"http://{LOOPBACK}:{port}/api"
    with (
        (home / "server.log").open("wb") as log,
        subprocess.Popen(
            server_command(port),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={
                **environment(),
                **prefect_environment(home),
                "PREFECT_UI_URL": address.removesuffix("/api"),
                **variables,
            },
        ) as process,
    ):
        end = time.monotonic() + 240
        while not answers(address):
            assert process.poll() is None, (home / "server.log").read_text()
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)
        before = dict(_server)
        _server["PREFECT_API_URL"] = address
        try:
            yield address
        finally:
            _server.clear()
            _server.update(before)
            assert process.stdin is not None
            process.stdin.close()


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and check its exit code."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=240, check=False
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stderr[-3000:]}"
    return done


def run_json(*arguments: str | Path) -> Any:
    """Run a command with --json."""
    return json.loads(run(*arguments, "--json").stdout)


def run_until(reached: Callable[[], bool], *arguments: str | Path) -> None:
    """Run a command, and kill it with SIGKILL as soon as `reached` says so."""
    with subprocess.Popen(
        command(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 120
        while not reached():
            assert process.poll() is None, f"it ended with {process.returncode} before it could be killed"
            assert time.monotonic() < end, "it never came so far"
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -9, "it had ended before it was killed"
