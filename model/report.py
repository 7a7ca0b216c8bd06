"""What training tells: a report an epoch, a result at the end."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A validation picture's description beside its first reference."""

    record_id: str
    description: str
    reference: str


@dataclass(frozen=True)
class EpochReport:
    """What an epoch gave. Losses are a word's; scores are the validation split's, see `model.validation`.

    An epoch of rewards has no training loss, but a `reward`: the mean CIDEr-D of what was sampled.
    `hypotheses` are the words written for each validation picture, in the split's order: `on_epoch` is told them, the
    history does not keep them.
    """

    epoch: int
    train_loss: float | None
    reward: float | None
    validation_loss: float
    learning_rates: dict[str, float]
    pictures_per_s: float
    scores: dict[str, float]
    samples: list[Sample]
    is_best: bool
    seconds: float
    hypotheses: list[list[str]] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class TrainResult:
    """Where the best model stands, how many epochs ran, and the best epoch's validation scores."""

    model_dir: Path
    best_epoch: int
    epochs: int
    scores: dict[str, float]
    history: list[EpochReport] = field(default_factory=list)


def report_to_json(report: EpochReport) -> dict[str, Any]:
    """Plain values."""
    return asdict(report)


def report_from_json(values: dict[str, Any]) -> EpochReport:
    """The report again."""
    return EpochReport(**{**values, "samples": [Sample(**sample) for sample in values["samples"]]})
