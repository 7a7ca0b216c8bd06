"""Training in several processes of this machine: `torchrun` as a child that tells line by line what happens.

The processes end with their parent, however it ends: they watch their standard input, which closes then. Run as a
module by `torchrun`, this file is such a process.
"""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model import distributed
from model.errors import RunError, UserError
from model.files import read_json, write_json
from model.report import EpochReport, TrainResult, report_from_json, report_to_json

END_TIMEOUT_S = 60.0
ROOT = Path(__file__).parents[1]
PATHS = ("pictures", "captions", "vocabulary", "run", "features")
logger = logging.getLogger(__name__)


def train_together(
    *,
    processes: int,
    run: Path,
    on_epoch: Callable[[EpochReport], None],
    on_progress: Callable[[str, int, int, str], None],
    **arguments: Any,
) -> TrainResult:
    """Call `model.training.train` in every one of the processes; reports come back here.

    Raises:
        UserError, RunError: as there; RunError too if the processes end without saying why.
    """
    run.mkdir(parents=True, exist_ok=True)
    order, log = run / "torchrun.json", run / "torchrun.log"
    write_json(order, _plain({**arguments, "run": run}))
    logger.info("training in %d processes, each on its share of every batch; what they print: %s", processes, log)
    outcome: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as meeting, log.open("ab") as errors:
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}",
             "--rdzv-backend=c10d", f"--rdzv-endpoint={meeting}/agent", "--rdzv-conf=store_type=file",
             f"--log-dir={meeting}", "-m", "model.together", str(order)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env=_environment(processes, Path(meeting)),
            start_new_session=True,  # Ctrl-C is for this process, which then ends the others
        )  # fmt: skip
        try:
            _listen(child, outcome, on_epoch, on_progress)
        finally:
            _end(child)
    if "result" in outcome:
        result = outcome["result"]
        history = [report_from_json(report) for report in result["history"]]
        return TrainResult(**{**result, "model_dir": Path(result["model_dir"]), "history": history})
    for kind in (UserError, RunError):
        if kind.__name__ in outcome:
            raise kind(outcome[kind.__name__])
    raise RunError(f"the training processes ended with exit code {child.returncode} and did not say why: see {log}")


def _listen(
    child: subprocess.Popen[bytes],
    outcome: dict[str, Any],
    on_epoch: Callable[[EpochReport], None],
    on_progress: Callable[[str, int, int, str], None],
) -> None:
    """Pass on what is told until the processes end; what they end with goes into `outcome`."""
    assert child.stdin is not None
    assert child.stdout is not None
    for line in child.stdout:
        if not line.endswith(b"\n"):  # it was killed while it wrote
            return
        kind, value = json.loads(line)
        if kind == "progress":
            on_progress(*value)
        elif kind == "epoch":
            on_epoch(report_from_json(value))
            with suppress(BrokenPipeError):  # it died meanwhile, and says why, or its exit code does
                child.stdin.write(b".")  # it saves its checkpoint only now: no report is lost
                child.stdin.flush()
        elif kind == "log":
            logger.log(*value)
        else:
            outcome.setdefault(kind, value)


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if value is None else str(value.resolve()) if name in PATHS else value if name == "facts"
        else asdict(value)
        for name, value in arguments.items()
    }  # fmt: skip


def _environment(processes: int, meeting: Path) -> dict[str, str]:
    """They meet at a file, as torch's store would listen on every address, and talk over loopback; cores are shared."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    return {
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        distributed.MEETING: f"file://{meeting}/processes",
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
        "NCCL_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
    }


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close its input, which ends it, and wait until it is gone."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):  # a byte that nobody was left to read
        child.stdin.close()
    try:
        child.wait(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    child.stdout.close()


class Channel:
    """The way back to the parent: lines on what was standard output; whatever else is printed goes to the log."""

    def __init__(self) -> None:
        self.file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.taken = threading.Semaphore(0)

    def tell(self, kind: str, value: Any) -> None:
        """Send one line."""
        self.file.write(json.dumps([kind, value]) + "\n")
        self.file.flush()

    def epoch(self, report: EpochReport) -> None:
        """Send a report, and wait until it was taken."""
        self.tell("epoch", report_to_json(report))
        self.taken.acquire()

    def watch_parent(self, *, first: bool) -> None:
        """End with the parent. The first process also reads a byte for each report that was taken."""
        if first:
            while os.read(0, 1):
                self.taken.release()
        else:
            closed = select.poll()
            closed.register(0, select.POLLHUP)
            closed.poll()
        os._exit(1)


class ChannelHandler(logging.Handler):
    """Log lines for the parent."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send it."""
        self.channel.tell("log", [record.levelno, record.getMessage()])


def main() -> int:
    """One of the processes."""
    from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
    from model.training import no_progress, train

    channel, first = Channel(), distributed.local_rank() == 0
    threading.Thread(target=channel.watch_parent, kwargs={"first": first}, daemon=True).start()
    if first:
        logging.getLogger("model").setLevel(logging.INFO)
        logging.getLogger("model").addHandler(ChannelHandler(channel))
    order = read_json(Path(sys.argv[1]))
    configs = {"encoder": EncoderConfig, "decoder": DecoderConfig, "search": SearchConfig, "config": TrainConfig}
    arguments: dict[str, Any] = {
        name: Path(value) if name in PATHS and value else configs[name](**value) if name in configs else value
        for name, value in order.items()
    }

    def progress(*step: Any) -> None:
        channel.tell("progress", step)

    try:
        result = train(on_epoch=channel.epoch, on_progress=progress if first else no_progress, **arguments)
    except (UserError, RunError) as error:
        channel.tell(type(error).__name__, str(error))
        os._exit(1)  # at once: the others wait for this one, and end with it
    if first:
        told = {**asdict(result), "model_dir": str(result.model_dir)}
        channel.tell("result", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
