"""The whole mission at its real size, killed once on the way: time, disk and peak memory of each stage.

    python -m benchmarks.rehearsal --weights squeezenet1_1.safetensors              126,753 records, 18,000 products
    python -m benchmarks.rehearsal --weights squeezenet1_1.safetensors --share 0.1  a tenth of it

A catalogue in FACAD's shape, a tenth of its links dead; its pictures come from a server on loopback, each its own. The
command line runs the paper preset with a frozen SqueezeNet on cached features for one epoch. It is killed with SIGKILL
when half of the chunks are there, and resumed. Then what must hold is checked: the exact numbers of rows, no blank one,
no picture asked for twice but those of the chunks that were open at the kill, one finished MLflow run, a champion.
Memory is the processes' own (anonymous and shared), without the files that they map.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from benchmarks.catalog import DISTINCT, RECORDS, make_catalog
from benchmarks.picture_server import serve
from benchmarks.stages import Watch
from flows.server import LOOPBACK, answers, free_port
from model.store import PictureStore
from tasks.pictures.settings import CHUNKS_AT_ONCE, FetchConfig
from tasks.runs import all_runs
from tasks.tracking.config import TrackingConfig
from tasks.tracking.registry import Registry

SPLITS = {"train": 14_000, "validation": 1_000, "test": 3_000}


def main() -> None:
    """Rehearse, print the table, check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="SqueezeNet 1.1's ImageNet weights, as torchvision names them")
    parser.add_argument("--share", type=float, default=1.0, help="of the real size")
    parser.add_argument("--folder", type=Path, default=Path("workspace/benchmarks/rehearsal"), help="emptied first")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    if arguments.weights is None:
        parser.error("--weights is needed")
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.rehearsal", "--serve", str(port)])
    try:
        rehearse(arguments.folder, arguments.weights.resolve(), arguments.share, f"http://{LOOPBACK}:{port}/")
    finally:
        server.terminate()
        server.wait()


def rehearse(folder: Path, weights: Path, share: float, base: str) -> None:
    """The mission: catalogue, run, kill, resume, checks."""
    wanted = {split: round(count * share) for split, count in SPLITS.items()}
    catalog, workdir = folder / "catalog.json", folder / "workspace"
    make_catalog(catalog, round(RECORDS * share), round(DISTINCT * share), base="")
    while not answers(base.rstrip("/")):
        time.sleep(0.2)
    watch = Watch(workdir)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    started = time.monotonic()
    command = [
        "run", "--catalog", str(catalog), "--image-base-url", base, "--preset", "paper",
        *(f"--set=sample.{split}={count}" for split, count in wanted.items()),
        "--set=encoder.name=squeezenet1_1", f"--set=encoder.weights={weights}",
        "--set=train.epochs=1", "--set=train.freeze_encoder_epochs=1",
    ]  # fmt: skip
    half = max(1, sum(wanted.values()) // FetchConfig().chunk_rows // 2)
    with watch.command("before the kill", *command) as process:
        while len(list(workdir.glob("datasets/*/chunks/*.parquet"))) < half:
            assert process.poll() is None, f"it ended before it could be killed: see {watch.log}"
            time.sleep(0.1)
        process.kill()
    asked_before = stats(base)
    [killed] = all_runs(workdir)
    assert (killed.state, killed.stage) == ("killed", "fetch"), killed
    with watch.command("resumed", "resume", "--json") as process:
        output, _ = process.communicate()
    seconds = time.monotonic() - started
    print(watch.table())
    assert process.returncode == 0, f"exit code {process.returncode}: see {watch.log}"
    result: dict[str, Any] = json.loads(output)
    print(
        f"\nin all {seconds / 60:.1f} min, load {os.getloadavg()[0]:.1f} at the end, {watch.disk() / 1e9:.2f} GB left"
    )
    check(workdir, result, wanted, asked_before, stats(base))
    (folder / "rehearsal.json").write_text(json.dumps({"seconds": seconds, "stages": watch.rows(), "result": result}))


def stats(base: str) -> dict[str, Any]:
    """What the picture server was asked for so far."""
    with urllib.request.urlopen(f"{base}stats") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def check(
    workdir: Path, result: dict[str, Any], wanted: dict[str, int], before: dict[str, Any], after: dict[str, Any]
) -> None:
    """What must hold at the end."""
    folder = Path(result["dataset_dir"])
    rows = {"train.h5": wanted["train"] + wanted["validation"], "test.h5": wanted["test"]}
    for name, count in rows.items():
        store = PictureStore(folder / name)
        assert len(store) == count, f"{name} has {len(store)} rows"
        for start in range(0, count, 500):
            pictures = store.read(slice(start, start + 500))
            assert (pictures.reshape(len(pictures), -1).std(1) > 1).all(), "a blank picture"
    assert result["records"]["sampled"] == wanted
    again = after["requests"] - after["different"]
    assert again <= CHUNKS_AT_ONCE * FetchConfig().chunk_rows, f"{again} pictures were asked for twice"
    import mlflow

    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    experiments = [one.experiment_id for one in client.search_experiments()]
    [run] = client.search_runs(experiments)
    assert (run.info.run_id, run.info.status) == (result["mlflow"]["run_id"], "FINISHED")
    champion = Registry(TrackingConfig(), workdir).champion()
    assert champion is not None
    print(
        f"rows {rows}; pictures {result['pictures']}; {before['requests']:,} requests before the kill, "
        f"{after['requests']:,} in all, {again} of them again; server {after['processor_s']:.0f} s of processor time\n"
        f"dataset {result['dataset_id']} {result['dataset_digest'][:16]}; scores {result['scores']['test']}; "
        f"registered {champion['model_uri']} ({result['decision']})"
    )
    children = psutil.Process().children(recursive=True)
    assert len(children) <= 1, f"left behind: {children}"


if __name__ == "__main__":
    main()
