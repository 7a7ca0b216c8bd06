"""Every command of the README is run, in the README's order, in an empty folder, as it stands but for named changes."""

import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from flows.server import LOOPBACK, free_port
from model.files import read_json
from tasks.demo.server import serve_images
from tests.command import SMALL, environment, run, shell_lines, started_server

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
# Not run here, and why.
NOT_RUN = {
    "make test": "it is what runs this test",
    "ec-descr-gen up": "tests/test_up.py runs it",
    "ec-descr-gen rollback": "tests/flows/test_retraining.py runs it; here there is one version only",
}
# What the test changes so that a command ends within its time: the catalogue's size, the model's, a server's port.
SMALLER = {
    "make demo": ["ec-descr-gen", "demo", "--items", "60", *SMALL],
}


def commands() -> list[str]:
    """The lines of the README's shell blocks."""
    return shell_lines(README)


def test_the_commands_of_the_readme_exist() -> None:
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in commands():
        program, name, *_ = shlex.split(line)
        if program == "make":
            assert f"\n{name}:" in targets, line
        else:
            assert (BIN / program).is_file(), line
        if program == "ec-descr-gen":
            assert name in run("--help").stdout, line


def test_the_readme_shows_the_tree_as_it_is() -> None:
    tree = re.search(r"## Where things are\n\n(.*?)\n## ", README, flags=re.DOTALL)
    assert tree is not None
    for folder in re.findall(r"\b([a-z]+)/", tree[1]):
        assert any((ROOT / above / folder).is_dir() for above in (".", "tasks")), folder
    steps = re.search(r"one file a step: ([a-z, ]+)", tree[1])
    assert steps is not None
    for step in steps[1].split(", "):
        assert (ROOT / "tasks" / f"{step.strip()}.py").is_file(), step


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    pictures = [ROOT / name for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)]
    assert pictures
    assert sum(picture.stat().st_size for picture in pictures) <= 300_000


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    shop = tmp_path / "shop"
    run("make-catalog", "--items", "60", "--out", shop, "--seed", "3")
    products_as_csv(shop, folder / "products.csv")
    shutil.copy(next((shop / "images").rglob("*-0.jpg")), folder / "picture.jpg")
    (tmp_path / "prefect").mkdir()
    with serve_images(shop) as base, started_server(tmp_path / "prefect"):
        for line in commands():
            if line in NOT_RUN:
                continue
            arguments = SMALLER.get(line) or shlex.split(line.replace("https://images.example.com/", base))
            if arguments[:2] == ["ec-descr-gen", "run"]:
                arguments += SMALL
            if arguments[:2] == ["ec-descr-gen", "resume"]:
                interrupt_a_run(folder, base)
            if arguments[0] == "mlflow":
                check_the_pages_of_mlflow(arguments, folder)
                continue
            done = subprocess.run(
                [BIN / arguments[0], *arguments[1:]],
                cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert (folder / "attention.png").is_file()


def products_as_csv(shop: Path, path: Path) -> None:
    """A shop's plain export of the drawn catalogue."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image_url", "description"])
        for record in read_json(shop / "catalog.json"):
            url = record["images"][0].get("0")
            if url and record["description"] and "://" not in url:
                writer.writerow([record["id"], url, record["description"]])


def interrupt_a_run(folder: Path, base: str) -> None:
    """Leave something to resume: a run that is stopped with SIGKILL while it works."""
    arguments = ["run", "--catalog", "products.csv", "--image-base-url", base, *SMALL, "--set", "train.seed=9"]
    known = set(folder.glob("workspace/runs/*"))
    with subprocess.Popen(
        [BIN / "ec-descr-gen", *arguments], cwd=folder, env=environment(), stderr=subprocess.DEVNULL
    ) as process:
        while not set(folder.glob("workspace/runs/*")) - known:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()


def check_the_pages_of_mlflow(arguments: list[str], folder: Path) -> None:
    """They are served, and the server goes when it is told to."""
    port = free_port()
    with subprocess.Popen(
        [BIN / "mlflow", *arguments[1:], "--port", str(port)], cwd=folder, start_new_session=True,
        env={**environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            end = time.monotonic() + 120
            while not page(f"http://{LOOPBACK}:{port}/"):
                assert time.monotonic() < end, "MLflow's pages were not served"
                time.sleep(0.5)
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def page(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return str(response.read().decode())
    except OSError:
        return ""
