"""The data stages: from a catalogue to two picture files and a vocabulary."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.reasons import TOLD, catalogue_name, name_with_products
from flows.settings import Settings
from tasks.catalog.sampling import check_learnable
from tasks.deduplicate import deduplicate
from tasks.fetch import fetch
from tasks.pack import pack
from tasks.pictures.address import check_base
from tasks.read import Dataset, read
from tasks.report import report
from tasks.runs import OpenRun, Request, recorded
from tasks.sample import sample
from tasks.vocabulary import build_vocabulary


@flow(name="prepare data", flow_run_name=catalogue_name, persist_result=False, **TOLD)
def prepare(
    catalog: str, image_base_url: str = "", workdir: str = "workspace", settings: Settings | None = None
) -> dict[str, Any]:
    """Read, deduplicate, sample, fetch, pack, build the vocabulary. What is there already is kept.

    Args:
        catalog: The catalogue's file, where the worker runs: JSON, JSON Lines, CSV or Parquet; may be gzipped.
        image_base_url: What relative picture urls resolve against: a URL or a folder.
        workdir: Where datasets and runs are kept.
        settings: The configuration; what is not given has the default that `ec-descr-gen config show` names.
    """
    settings = settings or Settings()
    request = Request(flow="prepare", catalog=catalog, image_base_url=image_base_url, settings=settings.nested())
    with recorded(Path(workdir), flow_run.id, request) as run:
        _, result = data_stages(run, settings)
        run.note(result=result)
    return result


def find_dataset(run: OpenRun, settings: Settings) -> Dataset:
    """Read the catalogue of a run: the first of the data stages.

    Raises:
        UserError, RunError: the base is no place of pictures; see the step.
    """
    request = run.record.request
    run.note(stage="read")
    if request.image_base_url and not run.record.dataset_id:  # later only fetching asks for it
        check_base(request.image_base_url)
    dataset = read(
        Path(request.catalog),
        workdir=run.workdir,
        image_base_url=request.image_base_url,
        config=settings.catalog,
        deduplicate=settings.deduplicate,
        sample=settings.sample,
        image=settings.image,
    )
    run.bind_dataset(dataset.id)
    return dataset


def data_stages(run: OpenRun, settings: Settings, dataset: Dataset | None = None) -> tuple[Dataset, dict[str, Any]]:
    """Run the data stages of a run, from the catalogue or from one that is read. Returns what `prepare` prints too.

    Raises:
        UserError, RunError: see the steps.
    """
    request = run.record.request
    dataset = dataset or find_dataset(run, settings)
    run.note(stage="deduplicate")
    duplicates = deduplicate(dataset, settings.deduplicate, split_seed=settings.sample.split_seed)
    run.note(stage="sample")
    drawn = sample(dataset, settings.sample)
    if request.flow != "evaluation":
        check_learnable(drawn["available"])
    run.note(stage="fetch")
    fetch(
        dataset,
        image_base_url=request.image_base_url,
        image=settings.image,
        config=settings.fetch,
        deduplicate=settings.deduplicate,
        run_id=run.record.run_id,
    )
    run.note(stage="pack")
    pictures = pack(
        dataset,
        image=settings.image,
        config=settings.fetch,
        exact=settings.sample.exact,
        deduplicate=settings.deduplicate,
    )
    run.bind_pictures(pictures["digest"])
    name_with_products(request.catalog, pictures["rows"])
    run.note(stage="vocabulary")
    words = build_vocabulary(dataset, settings.vocabulary)
    overview = report(dataset)
    return dataset, {
        "dataset_id": dataset.id,
        "dataset_dir": str(dataset.folder),
        "dataset_digest": pictures["digest"],
        "records": {
            "read": dataset.facts["read"],
            "rejected": sum(dataset.facts["rejected"].values()),
            "rejected_by_reason": dataset.facts["rejected"],
            "duplicates": sum(duplicates["dropped"].values()),
            "duplicates_by_rule": duplicates["dropped"],
            "sampled": pictures["rows"],
            "shared_by_splits": {what: sum(pairs.values()) for what, pairs in overview["overlap"].items()},
        },
        "pictures": {
            "fetched": pictures["fetched"],
            "reused": pictures["reused"],
            "repeated": pictures["repeats"],
            "failed": pictures["failed"],
            "failed_by_reason": pictures["failures"],
        },
        "vocabulary": words["words"],
        "warnings": [drawn["warning"]] if drawn["warning"] else [],
    }
