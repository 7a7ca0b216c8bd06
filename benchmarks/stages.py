"""Time, processor time, disk and peak memory of each stage of a command, looked at from outside once a second."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from model.files import read_json

INTERVAL_S = 1.0
# Steps inside the training that the log tells apart.
STEPS = re.compile(r"^(features of the frozen encoder|epoch \d+|validation \d+):", re.MULTILINE)


@dataclass
class Stage:
    """What was seen of one stage."""

    name: str
    seconds: float = 0.0
    processor_s: float = 0.0
    peak_bytes: int = 0
    disk_bytes: int = 0


class Watch:
    """Watches the commands that work in one working directory."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.log = workdir.parent / "log.txt"
        self.stages: list[Stage] = []

    @contextmanager
    def command(self, title: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of the command line, watched until it ends."""
        done = threading.Event()
        with (
            self.log.open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *arguments, "--workdir", str(self.workdir)],
                stdout=subprocess.PIPE,
                stderr=log,
            ) as process,
        ):
            watcher = threading.Thread(target=self._watch, args=(title, process.pid, done))
            watcher.start()
            try:
                yield process
                process.wait()
            finally:
                process.kill()  # if it has not ended: something went wrong here
                done.set()
                watcher.join()

    def _watch(self, title: str, pid: int, done: threading.Event) -> None:
        moment, processor = time.monotonic(), 0.0
        ended = self.log.stat().st_size  # of the commands before
        stale: list[str] | None = self._recorded()  # a resumed run says where it was until its first step begins
        while not done.wait(INTERVAL_S):
            recorded = self._recorded()
            stale = stale if recorded == stale else None
            step = "start" if recorded == stale else self._step(ended) if recorded == ["train"] else recorded[0]
            name = f"{title}: {step}"
            if not self.stages or self.stages[-1].name != name:
                self.stages.append(Stage(name))
            stage, now = self.stages[-1], time.monotonic()
            memory, busy = use(pid)
            stage.seconds += now - moment
            stage.processor_s += max(0.0, busy - processor)
            stage.peak_bytes = max(stage.peak_bytes, memory)
            stage.disk_bytes = max(stage.disk_bytes, self.disk())
            moment, processor = now, busy

    def _recorded(self) -> list[str]:
        """The stage of the run in the working directory; empty without one."""
        return [str(read_json(path)["stage"]) for path in self.workdir.glob("runs/*/run.json")]

    def _step(self, log_start: int) -> str:
        """What the training is doing, by the log."""
        with self.log.open("rb") as file:
            file.seek(log_start)
            steps = STEPS.findall(file.read().decode(errors="replace"))
        return f"train, {steps[-1]}" if steps else "train"

    def disk(self) -> int:
        """Bytes that the working directory takes."""
        total = 0
        for folder, _, names in os.walk(self.workdir):
            for name in names:
                with suppress(FileNotFoundError):
                    total += (Path(folder) / name).lstat().st_blocks * 512
        return total

    def rows(self) -> list[dict[str, Any]]:
        """The stages as plain values."""
        return [vars(stage) for stage in self.stages]

    def table(self) -> str:
        """The stages as a table."""
        head = "| stage | minutes | processor, min | peak memory, GB | disk at most, GB |\n|---|---:|---:|---:|---:|"
        lines = [
            f"| {one.name} | {one.seconds / 60:.2f} | {one.processor_s / 60:.2f} | {one.peak_bytes / 1e9:.2f} | "
            f"{one.disk_bytes / 1e9:.2f} |"
            for one in self.stages
        ]
        return "\n".join([head, *lines])


def use(pid: int) -> tuple[int, float]:
    """Own memory in bytes and processor seconds of a process and its children, Prefect's server among them."""
    memory, busy = 0, 0.0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                memory += 1024 * sum(int(found) for found in re.findall(r"Rss(?:Anon|Shmem):\s*(\d+) kB", status))
                times = process.cpu_times()
                busy += times.user + times.system
    return memory, busy
