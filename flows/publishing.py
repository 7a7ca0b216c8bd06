"""`publish`: hands a new catalogue to the running system, whose deployment `retrain` waits for the event."""

import argparse
import shlex
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows import show
from flows.champion import champions_settings
from flows.commands import source_of
from flows.prefect_api import ask, named_api
from flows.server import running_server
from flows.settings import Settings
from flows.show import Shown
from model.errors import RunError, UserError
from tasks.catalog.fingerprint import catalog_fingerprint
from tasks.catalog.published import keep
from tasks.catalog.reader import read_catalog
from tasks.catalog.urls import shown_base
from tasks.progress import progress

FIRST = "begin with `ec-descr-gen run`, or change them with `ec-descr-gen retrain`"
EVENT, RESOURCE = "catalog.updated", "ec-descr-gen.catalog"


def publish(options: argparse.Namespace) -> Shown:
    """Read the catalogue, copy it into the working directory, tell Prefect's server if one runs.

    Raises:
        UserError: it cannot be read, or the working directory cannot be written.
    """
    source, base = source_of(options)
    settings = champions_settings(options.workdir) or Settings()
    with progress("Reading the catalogue", None, unit="records") as bar:
        try:
            found = read_catalog(source, settings.catalog, image_base_url=base, on_read=bar.advance)
        except UserError as error:
            if "--set" not in str(error):
                raise
            raise UserError(
                f"{error}. publish takes no settings, it reads as the champion's run did: {FIRST}"
            ) from None
    fingerprint = catalog_fingerprint(found.records)
    path = keep(source, options.workdir, fingerprint=fingerprint, image_base_url=base)
    reason = tell_prefect(options.workdir, {"path": str(path), "image_base_url": base})
    shown = shown_base(base)
    by_hand = ["ec-descr-gen", "retrain", "--catalog", str(path), "--workdir", str(options.workdir)]
    by_hand += ["--image-base-url", shown] if base else []
    result = {
        "path": str(path),
        "image_base_url": shown,
        "fingerprint": fingerprint,
        "records": found.records.num_rows,
        "rejected": found.rejected_by_reason,
        "event": "" if reason else EVENT,
        "reason": reason,
        "retrain": shlex.join(by_hand),
    }
    return result, published


def published(result: dict[str, Any]) -> None:
    """Where it stands now, and what happens next."""
    rejected = sum(result["rejected"].values())
    show.message(f"{result['path']}: {result['records']:,} records, {rejected:,} rejected")
    if result["event"]:
        show.message(f"told Prefect ({EVENT}): the deployment 'retrain' starts by itself")
    else:
        show.message(f"nobody was told: {result['reason']}. Start `ec-descr-gen up`, or retrain by hand:")
        show.message(result["retrain"])


def tell_prefect(workdir: Path, payload: dict[str, str]) -> str:
    """Tell Prefect's server of the new catalogue. Returns why it was not told, or nothing."""
    api_url = running_server(workdir) or named_api()
    if not api_url:
        return "no Prefect server runs for this working directory"
    event = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {"prefect.resource.id": RESOURCE},
        "payload": payload,
    }
    try:
        ask(api_url, "/events", [event])
    except RunError as error:
        return str(error)
    return ""
