"""The download as its users meet it: what they see of it, and every way in which they stop it and go on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.prefect_api import ask
from model.files import read_json
from tasks.pictures.settings import CHUNKS_AT_ONCE
from tests.command import command, environment, run, run_json, run_until
from tests.flows.plain_shop import write_catalog
from tests.tasks.faulty_server import FaultyServer

ROOT = Path(__file__).parents[2]
RECORDS, CHUNK_ROWS = 60, 5
QUICK = [
    "--set", "image.size_px=16", "--set", f"fetch.chunk_rows={CHUNK_ROWS}", "--set", "fetch.backoff_s=0.01",
    "--set", "fetch.attempts=2", "--set", "fetch.concurrency=1",
]  # fmt: skip


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(latency_s=0.1) as running:
        yield running


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("shop") / "catalog.jsonl", RECORDS)


@pytest.fixture(scope="session")
def digest(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the dataset, when nothing comes between."""
    with FaultyServer() as server:
        found = run_json(*prepare(catalog, server, tmp_path_factory.mktemp("undisturbed")))
    assert found["pictures"]["fetched"] == len(server.asked) > 6 * CHUNK_ROWS
    return str(found["dataset_digest"])


def prepare(catalog: Path, server: FaultyServer, workdir: Path) -> list[str | Path]:
    return ["prepare", "--catalog", catalog, "--image-base-url", server.base, "--workdir", workdir, *QUICK]


def chunks_are_there(workdir: Path, count: int = 3) -> Callable[[], bool]:
    return lambda: len(list(workdir.glob("datasets/*/chunks/*.parquet"))) >= count


def flow_run_id(workdir: Path) -> str:
    [path] = workdir.glob("runs/*/run.json")
    return str(read_json(path)["flow_run_id"])


def test_refresh_images_asks_for_every_picture_again_and_once_even_when_it_is_killed(
    catalog: Path, server: FaultyServer, digest: str, tmp_path: Path
) -> None:
    request = prepare(catalog, server, tmp_path)
    assert run_json(*request)["dataset_digest"] == digest
    asked = set(server.asked)
    server.asked.clear()
    run_until(chunks_are_there(tmp_path), *request, "--refresh-images")
    refreshed = run_json("resume", "--workdir", tmp_path)
    assert refreshed["dataset_digest"] == digest
    assert refreshed["pictures"]["fetched"] == len(asked)
    assert set(server.asked) == asked
    assert len(asked) <= server.asked.total() <= len(asked) + CHUNKS_AT_ONCE * CHUNK_ROWS


def test_the_run_shows_its_progress_and_the_failures_by_reason_and_host_but_no_secret(
    server: FaultyServer, prefect_server: str, tmp_path: Path
) -> None:
    base = f"http://ann:secretword@127.0.0.1:{server.port}"
    kinds = {0: "404", 1: "html", 2: "500"}
    catalog = write_catalog(tmp_path / "shop.jsonl", RECORDS, kind=lambda number: kinds.get(number % 15, "ok"))
    lines = catalog.read_text().splitlines()
    lines += [json.dumps({"id": "x", "image_url": "http://ann:secretword@two words/", "description": "a b c d"})]
    lines += [json.dumps({"id": "y", "image_url": "ftp://ann:secretword@a/b", "description": "e f g h"})]
    catalog.write_text("\n".join(lines) + "\n")
    request: list[str | Path] = [
        "prepare",
        "--catalog",
        catalog,
        "--image-base-url",
        base,
        "--workdir",
        tmp_path / "space",
        *QUICK,
    ]
    done = run(*request, "--set", "fetch.max_failure_rate=1", "--json")
    pictures = json.loads(done.stdout)["pictures"]

    question = {"artifacts": {"flow_run_id": {"any_": [flow_run_id(tmp_path / "space")]}}}
    artifacts = ask(prefect_server, "/artifacts/filter", question)
    shown = {artifact["key"]: artifact for artifact in artifacts}
    assert shown["fetching-pictures"]["data"] == 100
    assert "/s, " in shown["fetching-pictures"]["description"]
    assert "MB/s" in shown["fetching-pictures"]["description"]
    page = shown["pictures"]["data"]
    for reason in ("http_404", "not_a_picture", "http_5xx"):
        assert f"| {reason} | no | 127.0.0.1 | {pictures['failed_by_reason'][reason]} |" in page
    assert f"{pictures['fetched']} pictures fetched" in page

    logs = ask(prefect_server, "/logs/filter", {"limit": 200})
    assert logs
    for text in (done.stdout, done.stderr, str(artifacts), str(logs)):
        assert "secretword" not in text
    for name in ("rejected.parquet", "dropped.parquet", "outcomes.parquet", "report.json", "report.md"):
        [path] = (tmp_path / "space").glob(f"datasets/*/{name}")
        assert b"secretword" not in path.read_bytes(), name


@contextmanager
def heeding_ctrl_c(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command begun, its errors read by the test.

    What a script runs in the background ignores Ctrl-C, and its children inherit that. These tests may run so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True) as process:
        yield process


def test_ctrl_c_again_while_a_stopped_command_ends_changes_nothing(
    catalog: Path, server: FaultyServer, tmp_path: Path
) -> None:
    with heeding_ctrl_c(*prepare(catalog, server, tmp_path)) as process:
        wait_for(chunks_are_there(tmp_path))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "stopped" not in (line := process.stderr.readline()):
            assert line, "it ended without a word"
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        assert process.stderr.read() == ""
    assert process.returncode == 130


def test_stopped_with_ctrl_c_before_the_run_began_it_names_a_command_that_begins_it(
    catalog: Path, server: FaultyServer, digest: str, tmp_path: Path
) -> None:
    arguments = prepare(catalog, server, tmp_path)
    with heeding_ctrl_c(*arguments) as process:
        wait_for((tmp_path / "lock").exists)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=120)[1]
    assert "go on with: the same command" in told
    assert run_json("runs", "--workdir", tmp_path) == []
    assert run_json(*arguments)["dataset_digest"] == digest


def test_stopped_with_ctrl_c_it_says_how_to_go_on_and_goes_on(
    catalog: Path, server: FaultyServer, digest: str, tmp_path: Path
) -> None:
    with heeding_ctrl_c(*prepare(catalog, server, tmp_path)) as process:
        wait_for(chunks_are_there(tmp_path))
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=120)[1]
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "go on with: the same command" in told
    [record] = run_json("runs", "--workdir", tmp_path)
    assert (record["state"], record["reason"]) == ("failed", "stopped with Ctrl-C")
    before = server.asked.total()
    assert run_json("resume", "--workdir", tmp_path)["dataset_digest"] == digest
    assert before < len(server.asked)
    assert server.asked.total() <= len(server.asked) + CHUNKS_AT_ONCE * CHUNK_ROWS


def test_prefect_s_own_retry_continues_a_failed_run(
    catalog: Path, server: FaultyServer, digest: str, tmp_path: Path
) -> None:
    server.down = True
    failed = run(*prepare(catalog, server, tmp_path), code=1)
    assert "Traceback" not in failed.stderr
    assert "then resume" in failed.stderr
    server.down = False
    subprocess.run(
        [
            sys.executable, "-m", "prefect", "flow-run", "retry", flow_run_id(tmp_path),
            "--entrypoint", "flows/prepare.py:prepare",
        ],
        cwd=ROOT, env=environment(), capture_output=True, timeout=240, check=True,
    )  # fmt: skip
    [record] = run_json("runs", "--workdir", tmp_path)
    assert record["state"] == "completed"
    assert run_json(*prepare(catalog, server, tmp_path))["dataset_digest"] == digest


@pytest.mark.acceptance
def test_a_network_that_goes_and_comes_back_in_time_needs_nobody(
    catalog: Path, server: FaultyServer, digest: str, tmp_path: Path
) -> None:
    patient = ["--set", "fetch.attempts=8", "--set", "fetch.backoff_s=0.3"]
    with subprocess.Popen(
        [*command(*prepare(catalog, server, tmp_path), *patient), "--json"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        wait_for(chunks_are_there(tmp_path))
        server.down = True
        time.sleep(2)
        server.down = False
        answer = process.communicate(timeout=240)[0]
    assert process.returncode == 0
    assert json.loads(answer)["dataset_digest"] == digest


def wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.01)


@pytest.mark.acceptance
def test_prefect_s_server_killed_in_the_middle_comes_back_and_the_run_ends_well(
    catalog: Path, server: FaultyServer, digest: str, tmp_path: Path
) -> None:
    own = environment()
    del own["PREFECT_API_URL"]
    with subprocess.Popen(
        [*command(*prepare(catalog, server, tmp_path)), "--json"],
        env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(chunks_are_there(tmp_path))
        [child] = psutil.Process(process.pid).children()
        below = child.children(recursive=True) or [child]
        below[-1].kill()
        answer, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert "Prefect's server has ended: starting it again" in told
    assert (tmp_path / "prefect" / "prefect.db").stat().st_mode & 0o077 == 0, "it keeps what runs were asked for"
    assert json.loads(answer)["dataset_digest"] == digest
