"""Step 9: log the best model and register it: champion if there is none, else challenger."""

from pathlib import Path
from typing import Any

from prefect import task

from tasks.read import Dataset
from tasks.step import RETRIED
from tasks.tracking import TrackedRun


@task(name="register model", **RETRIED)
def register(dataset: Dataset, run_dir: Path, training: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """Register the model. Returns model_uri and decision; both are left out while the store cannot be reached."""
    tracked = TrackedRun(run_dir)
    card = model_card(dataset, training, report)
    tracked.log_note(card)
    found = tracked.register_model(
        Path(training["model_dir"]), step=training["best_epoch"], card=card, dataset_id=dataset.id
    )
    return {} if found is None else found


def model_card(dataset: Dataset, training: dict[str, Any], report: dict[str, Any]) -> str:
    """What the model is, on what it was measured, and what it must not be taken for. Markdown."""
    scores, baselines = report["scores"], report["baselines"]
    names = [name for name in ("bleu_1", "bleu_4", "cider_d", "rouge_l", "bertscore_f1") if name in scores]
    rows = [f"| {writer} | " + " | ".join(f"{values[name]:.3f}" for name in names) + " |" for writer, values in
            [("**the model**", scores), *baselines.items()] if all(name in values for name in names)]  # fmt: skip
    conditions = report["conditions"]
    return "\n".join(
        [
            "# Describes a product from its picture",
            "",
            f"*Show, Attend and Tell*, epoch {training['best_epoch']} of {training['epochs']}, dataset `{dataset.id}`.",
            "",
            "| writer | " + " | ".join(names) + " |",
            "|---|" + "---|" * len(names),
            *rows,
            "",
            f"{conditions['split']} split of {conditions['data']}, {report['products']:,} products; free-running, "
            f"{conditions['decoding']}; scores are fractions.",
            "",
            "It writes what products like those it was trained on are said to be. It can be wrong: have a person read "
            "what it writes. The rights to its training data are those of the catalogue.",
        ]
    )
