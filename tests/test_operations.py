"""Every command of docs/operations.md is run in its order, small; the compose file is checked for its form."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.server import LOOPBACK, answers, free_port
from tasks.demo.server import serve_images
from tests.command import SMALL, environment, run, shell_lines
from tests.flows import services
from tests.test_readme import products_as_csv

ROOT = Path(__file__).parents[1]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMPOSE = ROOT / "docs" / "compose.yaml"
BIN = Path(sys.executable).parent
# Not run here, and why: docs/operations.md says the same.
NOT_RUN = {"apt-get install postgresql": "installs", "docker compose": "no Docker engine"}
# Run until the end of the test, or until the databases are restored.
SERVERS = ("prefect server start", "mlflow server", "dask scheduler", "dask worker")
SMALLER = {"prefect worker start": ["--run-once"], "ec-descr-gen run --": SMALL, "ec-descr-gen prepare": SMALL}


def test_what_is_not_run_is_said() -> None:
    left_out = OPERATIONS.split("## What was not run")[1]
    for command in NOT_RUN:
        assert f"`{command}" in left_out


def test_the_compose_file_publishes_on_loopback_only_and_holds_no_secret() -> None:
    compose = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    services_of = compose["services"]
    assert set(services_of) == {"postgres", "store", "bucket", "prefect", "mlflow", "worker"}
    for name, service in services_of.items():
        assert "image" in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert set(service.get("depends_on", {})) <= set(services_of), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source.startswith("${CATALOGS"), name
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"], name
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH|URL_WITH", key):
                assert str(value).startswith("${"), f"{name}: {key}"
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    given = {line.partition("=")[0] for line in (ROOT / "docs" / "compose.env.example").read_text().splitlines()}
    assert asked <= given
    for key in ("command", "test"):
        assert key in COMPOSE.read_text(encoding="utf-8")


def test_prefects_servers_know_where_people_see_their_pages() -> None:
    """A server that does not know its address tells `Its page: None`; one on 0.0.0.0 sends browsers there."""
    lines = shell_lines(OPERATIONS)
    start = next(number for number, line in enumerate(lines) if line.startswith("prefect server start"))
    assert "export PREFECT_UI_URL=http://127.0.0.1:4200" in lines[:start]
    variables = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["prefect"]["environment"]
    assert variables["PREFECT_UI_URL"] == "http://127.0.0.1:4200"
    assert variables["PREFECT_UI_API_URL"] == "http://127.0.0.1:4200/api"


def test_the_compose_file_waits_for_its_store_to_make_the_bucket_and_leaves_one_that_is_there(tmp_path: Path) -> None:
    code = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["bucket"]["command"][-1]
    port = free_port()
    variables = {**os.environ, **services.AWS, "MLFLOW_S3_ENDPOINT_URL": f"http://{LOOPBACK}:{port}"}
    early = subprocess.Popen([sys.executable, "-c", code], env=variables)
    time.sleep(3)
    assert early.poll() is None, "it gave up before its store came"
    with services.object_store(tmp_path, "another", port) as store:
        assert early.wait(timeout=120) == 0
        assert "<Name>models</Name>" in services.stored(store, "models")
        subprocess.run([sys.executable, "-c", code], env=variables, check=True)


@pytest.mark.acceptance
@pytest.mark.timeout(2400)
def test_every_command_of_the_operations_page_runs(tmp_path: Path) -> None:
    folder, shop = tmp_path / "empty", tmp_path / "shop"
    folder.mkdir()
    run("make-catalog", "--items", "60", "--out", shop, "--seed", "3")
    products_as_csv(shop, folder / "products.csv")
    ports = {name: str(free_port()) for name in ("4200", "5000", "8786")}
    with (
        serve_images(shop) as base,
        services.postgresql() as database,
        services.object_store(tmp_path, "models") as store,
        ExitStack() as stack,
    ):
        user, _, place = database.partition("@")
        host, _, port = place.partition(":")
        shell = Shell(folder, {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PREFECT_HOME": str(tmp_path / "home")})
        stack.callback(shell.stop_servers)
        changed = {"postgres@127.0.0.1:5432": database, "http://127.0.0.1:9000": store,
                   "https://images.example.com/": base, **ports}  # fmt: skip
        for line in shell_lines(OPERATIONS):
            if line.startswith(tuple(NOT_RUN)):
                continue
            if line.startswith("pg_restore"):
                shell.stop_servers()
            if line.startswith("ec-descr-gen clean"):
                shell.start_servers()
            here = line
            for old, new in changed.items():
                here = here.replace(old, new)
            shell.do(here)
        assert len(services.stored(store, "models")) > 500


class Shell:
    """A shell that keeps its variables from line to line, and lets servers run beside it."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        pg = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        path = os.pathsep.join([str(BIN), *map(str, pg), os.environ["PATH"]])
        self.variables = {**environment(), **variables, "PATH": path, "PWD": str(folder)}
        self.servers: list[tuple[str, dict[str, str]]] = []
        self.running: list[subprocess.Popen[bytes]] = []

    def do(self, line: str) -> None:
        """Run a line to its end, or start a server and wait until it answers."""
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.variables[name] = value.replace("$PWD", str(self.folder))
        elif line.startswith(SERVERS):
            self.servers.append((line, dict(self.variables)))
            self._start(*self.servers[-1])
        else:
            more = [option for start, options in SMALLER.items() if line.startswith(start) for option in options]
            done = subprocess.run(
                [*shlex.split(line), *more], cwd=ROOT if line.startswith("prefect deploy") else self.folder,
                env=self.variables, capture_output=True, text=True, timeout=900, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"

    def _start(self, line: str, variables: dict[str, str]) -> None:
        log = self.folder.parent / f"server-{len(self.running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                shlex.split(line), cwd=self.folder, env=variables, stdout=file, stderr=file, start_new_session=True
            )
        self.running.append(process)
        end = time.monotonic() + 240
        while not answering(line)():
            assert process.poll() is None, f"{line}\n{log.read_text()[-3000:]}"
            assert time.monotonic() < end, f"{line}\n{log.read_text()[-3000:]}"
            time.sleep(0.3)

    def start_servers(self) -> None:
        """Start again what was stopped."""
        for line, variables in self.servers:
            self._start(line, variables)

    def stop_servers(self) -> None:
        """Stop what runs, the last one first."""
        for process in reversed(self.running):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()


def answering(line: str) -> Callable[[], Any]:
    """Whether the server that a line starts answers."""
    if line.startswith("dask scheduler"):
        address = f"{LOOPBACK}:{option(line, '--port')}"
        return lambda: services.transitions(address) is not None
    if line.startswith("dask worker"):
        return lambda: services.transitions(line.split("tcp://")[1].split(maxsplit=1)[0])
    path = "/api" if line.startswith("prefect") else ""
    return lambda: answers(f"http://{LOOPBACK}:{option(line, '--port')}{path}")


def option(line: str, name: str) -> str:
    return line.split(f"{name} ")[1].split(maxsplit=1)[0]
