"""How far a run is in its stage, by the files that it has written so far."""

from pathlib import Path

from pyarrow import ArrowException

from model.files import CHECKPOINT_PREFIX
from model.picture import ImageConfig
from tasks.dataset_files import SAMPLE_FILE
from tasks.pictures.selection import read_outcomes, read_splits
from tasks.runs import RunRecord, run_folder


def how_far(workdir: Path, record: RunRecord) -> str:
    """'1,500 of 18,000 pictures', 'epoch 3 of at most 31'; empty for a run that has ended well, or a short stage.

    Empty too where that cannot be told: settings of another release, a damaged file, one that was just replaced.
    """
    if record.state == "completed":
        return ""
    try:
        return _progress(workdir, record)
    except (LookupError, TypeError, ValueError, OSError, ArrowException):
        return ""


def _progress(workdir: Path, record: RunRecord) -> str:
    if record.stage == "fetch":
        image = ImageConfig(**record.request.settings["image"])
        return _pictures(workdir / "datasets" / record.dataset_id, image)
    if record.stage == "train":
        epochs = record.request.settings["train"]["epochs"]
        newest = max(run_folder(workdir, record.run_id).glob(f"training/{CHECKPOINT_PREFIX}*"), default=None)
        epoch = int(newest.name.removeprefix(CHECKPOINT_PREFIX).partition("-")[0]) if newest else 1
        return f"epoch {min(epoch, epochs)} of at most {epochs}"
    return ""


def _pictures(dataset: Path, image: ImageConfig) -> str:
    """What the chunks that are there hold; a chunk that is being fetched does not count yet."""
    if not (dataset / SAMPLE_FILE).is_file():
        return ""
    wanted = {name: split.target for name, split in read_splits(dataset).items()}
    come = {
        name: sum(outcome.usable for outcome, _ in known.values())
        for name, known in read_outcomes(dataset, image).items()
    }
    there = sum(min(come[name], count) for name, count in wanted.items())  # more come from the reserve
    return f"{there:,} of {sum(wanted.values()):,} pictures"
