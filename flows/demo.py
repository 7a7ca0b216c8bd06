"""`demo`: a drawn catalogue, served on loopback, through the whole pipeline; judged by what is known of each item."""

import argparse
import json
import logging
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from flows import show
from flows.commands import with_whole_paths
from flows.launch import launch, resume_run
from flows.presets import DEMO_ITEMS
from flows.server import free_port, is_free
from flows.settings import compose
from flows.show import Shown
from model.errors import UserError
from model.files import read_json, write_json
from tasks.demo.catalogue import ANSWERS_FILE, CATALOG_FILE, make_catalog
from tasks.demo.judge import score_answers
from tasks.demo.server import serve_images
from tasks.lock import workdir_lock
from tasks.runs import Request, RunRecord, run_folder
from tasks.tracking import TrackedRun

logger = logging.getLogger(__name__)
CEILING_FILE = "second_wordings.json"  # what a writer who knows every detail says: the ceiling of the scores
MADE_FILE = "made.json"


def demo(options: argparse.Namespace) -> Shown:
    """Make the catalogue (once), serve its pictures, run the pipeline, judge the descriptions."""
    with workdir_lock(options.workdir, "the demo"):
        return _demo(options)


def _demo(options: argparse.Namespace) -> Shown:
    folder = demo_folder(options.workdir)
    ceiling = f"score.writers.ceiling={json.dumps(str((folder / CEILING_FILE).resolve()))}"  # YAML reads it
    assignments = [ceiling, *(options.assignments or [])]
    settings = with_whole_paths(compose(preset=options.preset, file=options.config, assignments=assignments))
    items = _items(options.items if options.items is not None else DEMO_ITEMS)
    port = _catalogue(folder, items, split_seed=settings.sample.split_seed)
    request = Request(
        flow="pipeline",
        catalog=str((folder / CATALOG_FILE).resolve()),
        image_base_url=f"http://127.0.0.1:{port}/",
        settings=settings.nested(),
    )
    _check_free(port, folder)
    with serve_images(folder, port):
        result = launch(request, options.workdir)
    return judged(result, options.workdir), demo_table


def demo_folder(workdir: Path) -> Path:
    """Where the demo's catalogue is kept."""
    return workdir / "demo"


def belongs_to_demo(record: RunRecord, workdir: Path) -> bool:
    """Whether a run is one of the demo's, whose pictures must be served while it goes on."""
    of_demo = Path(record.request.catalog).parent == demo_folder(workdir).resolve()
    return of_demo and record.request.flow == "pipeline"


def resume_demo(record: RunRecord, workdir: Path) -> Shown:
    """Continue a demo's run with its pictures served again."""
    with workdir_lock(workdir, "the demo"):
        folder = demo_folder(workdir)
        made = _made(folder)
        if not made.get("items"):
            raise UserError(
                f"the demo's catalogue in {folder} was never drawn to its end: run `ec-descr-gen demo` again"
            )
        _check_free(int(made["port"]), folder)
        with serve_images(folder, int(made["port"])):
            result = resume_run(record, workdir)
        return judged(result, workdir), demo_table


def _check_free(port: int, folder: Path) -> None:
    if not is_free(port):
        raise UserError(
            f"port {port}, where the demo's pictures were served before, is taken by another program: end that, or "
            f"remove {folder}, which the demo then draws again"
        )


def _items(count: int) -> int:
    if count < 1:
        raise UserError(f"--items is {count}: must be at least 1")
    return count


def _made(folder: Path) -> dict[str, Any]:
    """What the demo's catalogue was made as; 0 items while it is drawn; empty without one."""
    path = folder / MADE_FILE
    made: dict[str, Any] = read_json(path) if path.is_file() else {}
    return made


def _catalogue(folder: Path, items: int, *, split_seed: int) -> int:
    """Make the catalogue if it is not there; returns the port for its pictures, the same each time."""
    made, wanted = _made(folder), {"items": items, "split_seed": split_seed}
    if {name: made.get(name) for name in wanted} == wanted:
        return int(made["port"])
    if not made and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds files that are not the demo's: name another folder with --workdir")
    gone = folder.with_name(f"{folder.name}.removed")  # a kill must not leave it without the file that says whose it is
    shutil.rmtree(gone, ignore_errors=True)
    if made:
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    port = free_port()
    write_json(folder / MADE_FILE, {**wanted, "items": 0, "port": port})  # the folder is ours from now on
    report = make_catalog(items, folder, split_seed=split_seed)
    planted = ", ".join(f"{count} {fault}" for fault, count in report.planted.items())
    logger.info("demo catalogue: %s records, %s pictures; planted: %s", report.records, report.pictures, planted)
    records = read_json(folder / ANSWERS_FILE)["records"]
    write_json(folder / CEILING_FILE, {record_id: answer["second_wording"] for record_id, answer in records.items()})
    write_json(folder / MADE_FILE, {**wanted, "port": port})
    return port


def judged(result: dict[str, Any], workdir: Path) -> dict[str, Any]:
    """Add what only the demo can know: the ceiling, and whether type and colour are named rightly."""
    folder = run_folder(workdir, run_id_of(result))
    predictions = pd.read_parquet(folder / "predictions.parquet")
    answers = read_json(demo_folder(workdir) / ANSWERS_FILE)
    verdict = score_answers(dict(zip(predictions["record_id"], predictions["description"], strict=True)), answers)
    tracked = TrackedRun(folder)
    tracked.log_metrics(flat_metrics(verdict, show.scored_split(result)))
    tracked.flush()
    return {**result, "demo": verdict}


def run_id_of(result: Mapping[str, Any]) -> str:
    """The run that a result came from: its model stands in the run's folder."""
    return Path(result["model_dir"]).parents[1].name


def flat_metrics(verdict: Mapping[str, Any], split: str) -> dict[str, float]:
    """The demo's verdict on a split as metrics, `test/demo_…`."""
    metrics: dict[str, float] = {}
    for group in ("all", "seen", "held_out"):
        for name, value in verdict[group].items():
            metrics[f"{split}/demo_{group}_{name}"] = float(value)
    return metrics


def demo_table(result: Mapping[str, Any]) -> None:
    """The run's table, and how well the model looked."""
    show.pipeline_table(result)
    console = show.stdout()
    split = show.scored_split(result)
    verdict, scores = result["demo"], result["scores"][split]
    console.print()
    console.print("Has it learned to look?", style="bold")
    ceiling = result["baselines"].get("ceiling", {}).get("bleu_4", 0)
    if ceiling > 0:
        share = scores["bleu_4"] / ceiling
        console.print(f"BLEU-4 is {share:.0%} of the ceiling's: a second wording by who knows every detail.")
    for group, title in (("all", f"all {split} products"), ("held_out", "type × colour pairs never seen in training")):
        found = verdict[group]
        if found["count"]:
            console.print(
                f"{title} ({found['count']:,}): type right {found['type']:.1%}, colour right {found['colour']:.1%}, "
                f"both {found['both']:.1%}"
            )
    console.print(f"{scores['ended']:.1%} of the descriptions end by themselves.")


def make(options: argparse.Namespace) -> Shown:
    """`make-catalog`: only the catalogue."""
    if (options.out / CATALOG_FILE).exists() and not (options.out / ANSWERS_FILE).exists():
        raise UserError(f"{options.out / CATALOG_FILE} is there and was not drawn here: choose another --out")
    report = make_catalog(_items(options.items), options.out, options.seed, split_seed=compose().sample.split_seed)
    result = {
        **asdict(report),
        "folder": str(report.folder),
        "catalog": str(report.catalog),
        "answers": str(report.answers),
    }
    return result, _made_table


def _made_table(result: Mapping[str, Any]) -> None:
    show.message(f"{result['catalog']}: {result['records']:,} records, {result['pictures']:,} pictures")
    for fault, count in result["planted"].items():
        show.message(f"  {count:>6,} {fault}")
    show.message(f"  {result['held_out_records']:>6,} of a type × colour pair that only the test split has")


def serve(options: argparse.Namespace) -> Shown:
    """`serve-images`: until Ctrl-C or a termination signal."""
    if not options.folder.is_dir():
        raise UserError(f"{options.folder} is not a folder: name one with pictures in it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serve_images(options.folder, options.port) as address:
        show.message(f"serving {options.folder} at {address} (Ctrl-C stops)")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
    return {"address": address}, lambda _: None
