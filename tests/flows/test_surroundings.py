"""The command line where the environment is odd: a proxy, closed or full outputs, a terminal without Unicode."""

import base64
import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.cli import prepare_surroundings
from flows.prefect_api import ask
from flows.publishing import tell_prefect
from flows.server import answers, running_server, starting_path
from model.errors import RunError
from tasks.lock import try_lock, write_facts
from tasks.served import make_password, password_path, up_path
from tests.command import command, environment
from tests.upkeep import wait_for


class Healthy(BaseHTTPRequestHandler):
    """A server that is well, and says so to whom it knows where it asks for a password."""

    password = ""
    busy = 0  # so many questions are not answered yet

    def do_GET(self) -> None:
        if self.busy:
            type(self).busy -= 1
            self.send_response(503)
            self.end_headers()
            return
        wanted = f"Basic {base64.b64encode(self.password.encode()).decode()}"
        self.send_response(200 if not self.password or self.headers["Authorization"] == wanted else 401)
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line with a shell's redirections behind it."""
    whole = f"{' '.join(command())} {line}"
    return subprocess.run(
        ["bash", "-c", whole], capture_output=True, text=True, check=False, env={**environment(), **variables}
    )


def test_where_nothing_goes_through_the_proxy_nothing_does_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    prepare_surroundings()
    assert urllib.request.proxy_bypass("shop.example")


@pytest.mark.parametrize("given", ["", "shop.example"])
def test_a_proxy_does_not_hide_the_servers_that_run_here(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, given)
    monkeypatch.setattr(urllib.request, "_opener", None)  # made at the first question, with the proxies of then
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert not answers(url), "the proxy is not asked: this test shows nothing"
        prepare_surroundings()
        prepare_surroundings()  # as a command does that another one starts
        assert answers(url)
        server.shutdown()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == f"{given},127.0.0.1,localhost".lstrip(",")


@pytest.mark.parametrize(("busy", "answered"), [(5, True), (6, False)])
def test_prefects_server_is_asked_again_while_its_database_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int, answered: bool
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(Healthy, "busy", busy)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
        told = tell_prefect(tmp_path, {})
        assert (told == "") == answered
        assert ("HTTP Error 503" in told) != answered
        Healthy.busy = 0
        server.shutdown()


def test_the_servers_of_up_are_asked_with_their_password_rather_than_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    make_password(tmp_path)
    password = password_path(tmp_path).read_text()
    make_password(tmp_path)
    assert password_path(tmp_path).read_text() == password, "it stays, as browsers know it"
    assert password_path(tmp_path).stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(Healthy, "password", f"admin:{password.strip()}")
    with HTTPServer(("127.0.0.1", 0), Healthy) as server, try_lock(up_path(tmp_path), {}):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
        write_facts(up_path(tmp_path), {"prefect_url": url, "mlflow_url": url, "auth": True})
        assert tell_prefect(tmp_path, {}) == ""
        server.shutdown()
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == password.strip()
    assert running_server(tmp_path) == "", "`up` has ended"


@pytest.mark.timeout(30)
def test_while_up_starts_its_server_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two servers that make one database at once would break it."""
    caplog.set_level(logging.INFO)
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(running_server(tmp_path)))
    with try_lock(up_path(tmp_path), {}):
        waiting.start()
        waiting.join(0.7)
        assert not found
        write_facts(up_path(tmp_path), {"prefect_url": "http://p", "mlflow_url": "http://m", "auth": False})
        waiting.join()
    assert found == ["http://p/api"]
    assert caplog.messages == [f"waiting for `ec-descr-gen up`, which starts or stops in {tmp_path}"]


OWN_SERVER = """
import sys
from pathlib import Path
from flows.server import PrefectServer
server = PrefectServer(Path(sys.argv[1])).start()
server.wait()
print(server.api_url, flush=True)
sys.stdin.read()
"""


def test_a_commands_own_prefect_server_keeps_what_it_knows_to_its_owner_and_goes_with_it_however_it_ends(
    tmp_path: Path,
) -> None:
    alone = {name: value for name, value in environment().items() if name != "PREFECT_API_URL"}
    with subprocess.Popen(
        [sys.executable, "-c", OWN_SERVER, tmp_path],
        env=alone,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert answers(url)
        assert (tmp_path / "prefect" / "prefect.db").stat().st_mode & 0o077 == 0
        with try_lock(starting_path(tmp_path), {}) as got:
            assert got, "another command may start its own"
        process.kill()
    wait_for("the end of its server", lambda: not answers(url), timeout_s=60)


def test_a_user_in_the_address_of_prefect_logs_in_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Healthy, "password", "me:sword@fish")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "")
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_port}/api"
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:sword%40fish@{place}")
        assert tell_prefect(tmp_path, {}) == ""
        assert os.environ["PREFECT_API_URL"] == f"http://{place}", "what Prefect's own client is told"
        assert answers(f"http://{place}")
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:perch@{place}")
        told = tell_prefect(tmp_path, {})
        assert told == f"Prefect's server did not answer http://{place}/events: HTTP Error 401: Unauthorized"
        server.shutdown()
    with pytest.raises(RunError, match=r"^Prefect's server did not answer http://127\.0\.0\.1/x: no address$"):
        ask("http://me:swordfish@127.0.0.1", "/x")
    monkeypatch.setenv("PREFECT_API_URL", "http://me:swordfish@[bad/api")
    assert tell_prefect(tmp_path, {}) == "Prefect's server did not answer http://[bad/api/events: Invalid IPv6 URL"


@pytest.mark.parametrize("line", ["runs --json", "config show", "config explain gate --json"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, line: str) -> None:
    done = shell(f"{line} --workdir {tmp_path} >/dev/full")
    assert (done.returncode, done.stderr) == (1, "ec-descr-gen: No space left on device\n")


def test_a_terminal_without_unicode_shows_question_marks_and_json_is_whole() -> None:
    shown = shell("config explain gate", PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "?" in shown.stdout
    told = shell("config explain gate --json", PYTHONIOENCODING="ascii")
    assert json.loads(told.stdout) == json.loads(shell("config explain gate --json").stdout)


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_closed_outputs_are_no_trouble(tmp_path: Path, closed: str) -> None:
    assert shell(f"make-catalog --items 2 --out {tmp_path / 'shop'} {closed}").returncode == 0
    assert (tmp_path / "shop" / "catalog.json").is_file()


def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    done = shell(f"describe {'x' * 300}.jpg --model {tmp_path}")
    assert done.returncode == 2
    assert done.stderr.startswith("ec-descr-gen: ")
    assert done.stderr.count("\n") == 1


def test_an_address_of_prefect_that_is_none_is_named(tmp_path: Path) -> None:
    done = shell(f"prepare --catalog README.md --workdir {tmp_path}", PREFECT_API_URL="foo")
    fault = "a URL begins with http:// or https://"
    wanted = f"ec-descr-gen: PREFECT_API_URL is foo, which cannot be asked ({fault}): mend it, or unset it\n"
    assert (done.returncode, done.stderr) == (2, wanted)


def test_a_password_that_is_set_for_prefects_server_alone_is_its_clients_too() -> None:
    line = command("config", "explain", "PREFECT_API_AUTH_STRING")
    variables = {**environment(), "PREFECT_SERVER_API_AUTH_STRING": "admin:secret"}
    told = subprocess.run(line, env=variables, capture_output=True, text=True, check=True).stdout
    assert "(set)" in told


def test_a_variable_that_prefect_does_not_take_is_named_without_a_traceback(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("id,image_url,description\n")
    line = command("prepare", "--catalog", catalog, "--workdir", tmp_path)
    variables = {**environment(), "PREFECT_LOGGING_LEVEL": "LOUD"}
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Prefect's LoggingSettings do not take 'LOUD' for level" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


RECORD = '{"id": 1, "image_url": "http://shop.example/1.jpg", "description": "a red scarf"}'


class HealthyOnly(BaseHTTPRequestHandler):
    """A program that is well, as it says to everybody, and no Prefect server, or one that wants a password."""

    status, body = 401, b""

    def do_GET(self) -> None:
        healthy = self.path.endswith("/health")
        self.send_response(200 if healthy else self.status)
        self.end_headers()
        self.wfile.write(b"true" if healthy else self.body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (401, b"", 1, "did not answer"),
        (200, b'"2.20.1"', 2, "answers no Prefect 3 server: mend PREFECT_API_URL"),
        (200, b'{"ok": true}', 2, "answers no Prefect 3 server: mend PREFECT_API_URL"),
    ],
)
def test_a_healthy_server_that_takes_no_runs_is_one_clear_line(
    tmp_path: Path, status: int, body: bytes, code: int, says: str
) -> None:
    (tmp_path / "c.jsonl").write_text(RECORD)
    handler = type("Answers", (HealthyOnly,), {"status": status, "body": body})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        done = shell(f"prepare --catalog {tmp_path}/c.jsonl --workdir {tmp_path}/w", PREFECT_API_URL=url)
        server.shutdown()
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert says in done.stderr.splitlines()[-1]


def here(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a folder."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=folder,
        errors="replace",
    )


@pytest.mark.parametrize("name", [b"a?b", b"x\xff"])
def test_the_working_directory_of_a_folder_that_databases_cannot_name_is_refused_also_where_none_is_given(
    tmp_path: Path, name: bytes
) -> None:
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    done = here(folder, "runs")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "folder" in done.stderr.splitlines()[-1]


def test_a_working_directory_that_cannot_be_one_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("loop", "x" * 300):
        done = here(tmp_path, "runs", "--workdir", name)
        assert done.returncode == 2, name
        assert "Traceback" not in done.stderr


def test_a_broken_project_file_where_the_command_is_run_is_one_clear_line(tmp_path: Path) -> None:
    """Prefect looks for settings of its own in it."""
    (tmp_path / "pyproject.toml").write_text("a = [")
    (tmp_path / "c.jsonl").write_text(RECORD)
    done = here(tmp_path, "prepare", "--catalog", "c.jsonl")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "mend the file here that Prefect takes its settings from" in done.stderr.splitlines()[-1]
