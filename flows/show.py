"""Results as tables on stdout."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.server import prefect_pages
from model.files import read_json
from tasks.catalog.report_text import REPORT_JSON, report_table
from tasks.scoring.config import TITLES
from tasks.tracking.config import SQLITE, files_beside

# What a command gives back: its result, which `--json` prints, and the function that shows it to a person.
Shown = tuple[Any, Callable[[Any], None]]


def stdout() -> Console:
    """A console for results, wide enough in a log that no path is broken; brackets are text like other."""
    console = Console(markup=False, emoji=False)
    return console if console.is_terminal else Console(width=160, markup=False, emoji=False)


def _plain(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2, 0, 0)
    )


def pipeline_table(result: Mapping[str, Any]) -> None:
    """What a run gave: the data, the training, the scores, where everything is; without training, the whole report."""
    console = stdout()
    console.print()
    if "model_dir" not in result:
        console.print(report_table(read_json(Path(result["dataset_dir"]) / REPORT_JSON)))
        console.print()
    console.print(_data(result))
    if "model_dir" in result:
        console.print()
        split = scored_split(result)
        chose = split == "validation"  # there are no test products
        console.print(_scores({"the model": result["scores"][split], **result["baselines"]}, split, chose=chose))
        console.print()
        console.print(_places(result))
    for warning in result["warnings"]:
        message(f"\nNote: {warning}.")


def scored_split(result: Mapping[str, Any]) -> str:
    """The split that a run's scores are of: test, where there is one."""
    return "test" if "test" in result["scores"] else "validation"


def _data(result: Mapping[str, Any]) -> Table:
    records, pictures = result["records"], result["pictures"]
    table = _plain("Data")
    table.add_row("records read", f"{records['read']:,}")
    table.add_row("rejected", _counts(records["rejected"], records["rejected_by_reason"]))
    table.add_row("dropped as repeated", _counts(records["duplicates"], records["duplicates_by_rule"]))
    sampled = records["sampled"]
    table.add_row("rows", ", ".join(f"{sampled.get(split, 0):,} {split}" for split in ("train", "validation", "test")))
    shared = ", ".join(f"{count:,} {what}" for what, count in records["shared_by_splits"].items())
    table.add_row("shared by two splits", shared)
    table.add_row("pictures", f"{pictures['fetched']:,} fetched, {pictures['reused']:,} reused")
    table.add_row("equal to another, dropped", f"{pictures['repeated']:,}")
    table.add_row("pictures failed", _counts(pictures["failed"], pictures["failed_by_reason"]))
    table.add_row("vocabulary", f"{result['vocabulary']:,} words")
    table.add_row("dataset", f"{result['dataset_dir']}")
    return table


def _counts(total: int, by_reason: Mapping[str, int]) -> str:
    if not total:
        return "0"
    return f"{total:,}: " + ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items())


def evaluation_table(result: Mapping[str, Any]) -> None:
    """What an evaluation gave."""
    console = stdout()
    console.print()
    console.print(_data(result))
    console.print()
    rows = {"the model": result["scores"], **result["baselines"]}
    console.print(_scores(rows, result["split"], chose=result["chose_epoch"]))
    message(f"{result['products']:,} products; {result['excluded']:,} left out, as the model was trained on them")
    if result["comparison"]:
        console.print()
        console.print(_comparison(result["comparison"]))


def retraining_table(result: Mapping[str, Any]) -> None:
    """What a retraining gave, and what was decided; one line if there was nothing new."""
    if "records" not in result:
        message(result["decision"])
        return
    pipeline_table(result)
    if result["comparison"]:
        stdout().print()
        stdout().print(_comparison(result["comparison"]))


def _comparison(comparison: Mapping[str, Any]) -> Table:
    table = Table(
        title="Beside the champion (paired bootstrap; fractions)",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for heading in ("score", "champion", "this model", "difference", "95 % interval", "better in"):
        table.add_column(heading)
    for name, found in comparison.items():
        table.add_row(
            TITLES.get(name, name),
            f"{found['first']:.3f}",
            f"{found['second']:.3f}",
            f"{found['difference']:+.3f}",
            f"{found['low']:+.3f} … {found['high']:+.3f}",
            f"{found['confidence']:.1%}",
        )
    return table


def _scores(rows: Mapping[str, Mapping[str, float]], split: str, *, chose: bool) -> Table:
    names = [name for name in TITLES if name in rows["the model"]]
    table = Table(
        title=f"Scores of 1 (CIDEr-D of 10) on the {split} split{', which chose the epoch' * chose}, free-running",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("writer")
    for name in names:
        table.add_column(TITLES[name], justify="right")
    titles = {"constant": "best constant sentence", "shuffled": "pictures shuffled", "ceiling": "ceiling"}
    for writer, values in rows.items():
        cells = [f"{values[name]:.3f}" if name in values else "" for name in names]
        table.add_row(titles.get(writer, writer), *cells)
    return table


def _places(result: Mapping[str, Any]) -> Table:
    table = _plain("Where")
    table.add_row("epochs", f"{result['epochs']}, best {result['best_epoch']}")
    table.add_row("model", result["model_dir"])
    if "model_uri" in result:
        table.add_row("registered", f"{result['model_uri']} ({result['decision']})")
    else:
        table.add_row("registered", "not yet: MLflow did not answer; see the command above")
    uri = result["mlflow"]["tracking_uri"]
    workdir = Path(result["dataset_dir"]).parents[1]
    command = ["mlflow", "ui", "--backend-store-uri", uri, "--artifacts-destination", str(files_beside(uri))]
    table.add_row("MLflow's pages", shlex.join(command) if uri.startswith(SQLITE) else uri)
    table.add_row("Prefect's pages", prefect_pages(workdir))
    return table


def runs_table(runs: list[dict[str, str]]) -> None:
    """Every run, and how to resume it."""
    console = stdout()
    if not runs:
        console.print("no runs yet: start one with `ec-descr-gen run --catalog FILE`, or try `ec-descr-gen demo`")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("run", "state", "stage", "started", "catalogue", "what next"):
        table.add_column(heading)
    for run in runs:
        table.add_row(
            run["run"],
            run["state"],
            ": ".join(filter(None, (run["stage"], run["progress"]))),
            run["started_at"][:16].replace("T", " "),
            Path(run["catalog"]).name,
            run["resume"],
        )
        if run["reason"]:
            table.add_row("", "", "", "", "", run["reason"])
    console.print(table)


def settings_table(settings: list[dict[str, Any]]) -> None:
    """Settings with value, unit, default and description."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("setting", "value", "unit", "default", "description"):
        table.add_column(heading)
    for one in settings:
        default = "" if one["default"] == one["value"] else str(one["default"])
        table.add_row(one["key"], str(one["value"]), one["unit"], default, one["description"])
    stdout().print(table)


def drafts(rows: list[dict[str, Any]]) -> None:
    """A row a picture."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("picture", "description", "confidence", "review"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        shown = (row.get("id") or row["picture"], row["description"], f"{row['confidence']:.2f}")
        table.add_row(*shown, "; ".join(row["reasons"]))
    stdout().print(table)


def drafts_written(rows: list[dict[str, Any]], out: Path) -> None:
    """How many drafts are in a file, and how many a person must read."""
    written = [row for row in rows if row["description"]]
    review = sum(row.get("needs_review") is True for row in written)
    message(f"{out}: {len(written):,} drafts, {review:,} of them to be read by a person first (needs_review)")
    without = Counter(row["reasons"][0] for row in rows if not row["description"] and row.get("reasons"))
    for reason, count in without.most_common():
        message(f"  {count:,} without a draft: {reason}")


def message(text: str) -> None:
    """A line."""
    stdout().print(text, highlight=False, soft_wrap=True)
