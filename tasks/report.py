"""What the dataset holds and what was left out of it, for people: a file, an artifact of the Prefect run, a table."""

from typing import Any

from prefect import task

from model.files import read_json, write_json, write_text
from tasks.catalog.report import catalog_report
from tasks.catalog.report_text import REPORT_JSON, REPORT_MARKDOWN, report_markdown
from tasks.manifest import read_manifest, write_manifest
from tasks.pack import packed_digest
from tasks.read import Dataset
from tasks.shown import show_page
from tasks.step import RETRIED


@task(name="report on the data", **RETRIED)
def report(dataset: Dataset) -> dict[str, Any]:
    """Make report.json and report.md, and show the latter in Prefect. Returns the report."""
    paths = [dataset.folder / REPORT_JSON, dataset.folder / REPORT_MARKDOWN]
    # A catalogue with the same records and other rejected ones is the same dataset, and another report.
    facts = {name: dataset.facts[name] for name in ("read", "rejected")}
    facts["pictures"] = packed_digest(dataset)
    if read_manifest(dataset.folder, "report") != facts:
        found = catalog_report(dataset.folder)
        write_json(paths[0], found)
        write_text(paths[1], report_markdown(found))
        write_manifest(dataset.folder, "report", files=paths, facts=facts)
    show_page(paths[1].read_text(encoding="utf-8"), key="catalogue", description=f"dataset {dataset.id}")
    values: dict[str, Any] = read_json(paths[0])
    return values
