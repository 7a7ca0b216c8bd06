"""PostgreSQL, an S3-compatible store and a Dask cluster, started on loopback for a test."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from flows.server import LOOPBACK, free_port
from tests.command import environment
from tests.tasks.mlflow_server import running

BIN = Path(sys.executable).parent
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def postgresql(*databases: str) -> Iterator[str]:
    """PostgreSQL of the system's packages, in a folder of its own; gives "USER@HOST:PORT", the databases made."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is absent: apt-get install postgresql")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        subprocess.run([programs[-1] / program, *arguments], check=True, capture_output=True, cwd="/", user=user)

    with tempfile.TemporaryDirectory() as name:
        shutil.chown(name, user)
        data = f"{name}/data"
        run("initdb", "--pgdata", data, "--username", user, "--auth", "trust", "--no-sync")
        options = f"-h {LOOPBACK} -p {port} -k {name} -F"
        run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", f"{name}/log", "--options", options)
        try:
            for database in databases:
                run("createdb", "--host", LOOPBACK, "--port", str(port), "--username", user, database)
            yield f"{user}@{LOOPBACK}:{port}"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", data)


@contextmanager
def object_store(folder: Path, bucket: str, port: int | None = None) -> Iterator[str]:
    """An S3-compatible server with an empty bucket; gives its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    with running(command, f"http://{LOOPBACK}:{port}", "/moto-api/", folder / "s3.log", variables=AWS) as address:
        request = urllib.request.Request(f"{address}/{bucket}", method="PUT")
        with urllib.request.urlopen(request):
            yield address


def stored(address: str, bucket: str) -> str:
    """The bucket's listing."""
    with urllib.request.urlopen(f"{address}/{bucket}?list-type=2") as answer:
        return str(answer.read().decode())


@contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """A Dask scheduler and two worker processes; gives "HOST:PORT"."""
    address = f"{LOOPBACK}:{free_port()}"
    port = address.partition(":")[2]
    commands = [
        ["scheduler", "--host", LOOPBACK, "--port", port, "--no-dashboard"],
        *2 * [["worker", f"tcp://{address}", "--host", LOOPBACK, "--nthreads", "1", "--no-dashboard"]],
    ]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "dask.log").open("wb"))
        started = []
        for command in commands:
            process = subprocess.Popen([BIN / "dask", *command], stdout=log, stderr=log, cwd=folder, env=environment())
            started.append(stack.enter_context(process))
            stack.callback(process.terminate)
        end = time.monotonic() + 120
        while len(transitions(address)) < 2:
            assert time.monotonic() < end, (folder / "dask.log").read_text()
        yield address


TRANSITIONS = """
import json, sys
from distributed import Client
with Client(f"tcp://{sys.argv[1]}", timeout=60) as client:
    counts = client.run(lambda dask_worker: dask_worker.state.transition_counter)
print(json.dumps(list(counts.values())))
"""


def transitions(address: str) -> list[int]:
    """How much each worker of a cluster has done so far."""
    done = subprocess.run([sys.executable, "-c", TRANSITIONS, address], capture_output=True, text=True, check=True)
    found: list[int] = json.loads(done.stdout)
    return found
