"""How far a run is in its stage, by the files that it has written so far."""

from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.files import CHECKPOINT_PREFIX
from tasks.catalog.sampling import SAMPLE_FILE
from tasks.pictures.chunk_files import chunks_folder
from tasks.runs import RunRecord, run_folder


def how_far(workdir: Path, record: RunRecord) -> str:
    """'1,500 of 18,000 pictures', 'epoch 3 of at most 31'; empty for a run that has ended well, or a short stage."""
    if record.state == "completed":
        return ""
    if record.stage == "fetch":
        return _pictures(workdir / "datasets" / record.dataset_id)
    if record.stage == "train":
        epochs = record.request.settings.get("train", {}).get("epochs")
        newest = max(run_folder(workdir, record.run_id).glob(f"training/{CHECKPOINT_PREFIX}*"), default=None)
        epoch = int(newest.name.removeprefix(CHECKPOINT_PREFIX).partition("-")[0]) if newest else 1
        return f"epoch {min(epoch, epochs)} of at most {epochs}" if epochs else ""
    return ""


def _pictures(dataset: Path) -> str:
    """What the chunks that are there hold; a chunk that is being fetched does not count yet."""
    if not (dataset / SAMPLE_FILE).is_file():
        return ""
    sample = pq.read_table(dataset / SAMPLE_FILE, columns=["split"], filters=pc.field("in_sample"))
    wanted, come = Counter(sample["split"].to_pylist()), Counter[str]()
    for path in chunks_folder(dataset).glob("*.parquet"):
        outcomes = pq.read_table(path, columns=["split"], filters=pc.field("status") != "failed")
        come.update(outcomes["split"].to_pylist())
    there = sum(min(come[split], count) for split, count in wanted.items())  # more come from the reserve
    return f"{there:,} of {wanted.total():,} pictures"
