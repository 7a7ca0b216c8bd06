"""Step 7: train the captioner; every epoch goes to MLflow as it ends."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect import task

from model.describer import Describer
from model.device import choose_device
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
from model.store import PictureStore
from model.training import EpochReport
from model.training import train as train_captioner
from tasks.dataset_files import CAPTIONS_FILE, TRAIN_STORE, VOCABULARY_FILE
from tasks.drafts.calibrate import calibrate
from tasks.figures.curves import draw_curves
from tasks.figures.epochs import PANELS_IN_A_NOTE, Seen, draw_epoch
from tasks.figures.training_batch import draw_training_batch
from tasks.manifest import read_manifest, write_manifest
from tasks.progress import changing_progress, progress
from tasks.read import Dataset
from tasks.scoring.bertscore import NotComputed, bertscore
from tasks.scoring.config import TITLES, ScoreConfig
from tasks.scoring.products import Products, read_products
from tasks.step import ONCE, counted
from tasks.tracking import TrackedRun

SHOWN_PRODUCTS, NOTED_PRODUCTS = 16, 3
NOTE_PICTURE = "figures/where_it_looks.png"
logger = logging.getLogger(__name__)


@task(name="train", task_run_name=counted("train", "pack", "rows", "train"), **ONCE)
def train(
    dataset: Dataset,
    run_dir: Path,
    *,
    encoder: EncoderConfig,
    decoder: DecoderConfig,
    search: SearchConfig,
    config: TrainConfig,
    score: ScoreConfig,
    split_seed: int,
) -> dict[str, Any]:
    """Train into the run's folder, then find the model's bounds for review; called again it goes on where it stopped.

    Returns:
        model_dir, epochs, best_epoch and the best epoch's validation scores.

    Raises:
        UserError, RunError: as `model.training.train`.
    """
    facts = read_manifest(run_dir, "train")
    if facts is not None:
        return facts
    tracked = TrackedRun(run_dir)
    captions, vocabulary = dataset.folder / CAPTIONS_FILE, dataset.folder / VOCABULARY_FILE
    validation = read_products(dataset.folder, data=dataset.id, split="validation")
    shown = Shown(dataset, search, device=config.device)
    device = choose_device(config.device).type
    batch = run_dir / "figures" / "training_batch"
    tracked.log_files(draw_training_batch(dataset.folder / TRAIN_STORE, captions, vocabulary, config, batch), "figures")

    def on_epoch(report: EpochReport) -> None:
        log_epoch(tracked, report, config)
        if score.bertscore_each_epoch(device):
            tracked.log_metrics(epoch_bertscore(report, validation, score, device), step=report.epoch)
        if report.epoch == 1 or report.epoch % tracked.config.pictures_every_epochs == 0:
            best = max((run_dir / "training").glob("model-*"))
            title = f"After epoch {report.epoch}; written by the best model so far, {best.name}"
            path = draw_epoch(shown.seen(best), run_dir / "figures" / f"validation-{report.epoch:04}", title=title)
            tracked.log_picture(path, key="pictures/validation products", step=report.epoch)

    with changing_progress("steps") as on_progress, tracked.system_metrics():
        result = train_captioner(
            pictures=dataset.folder / TRAIN_STORE,
            captions=captions,
            vocabulary=vocabulary,
            run=run_dir / "training",
            encoder=encoder,
            decoder=decoder,
            search=search,
            config=config,
            facts={
                "search": asdict(search),
                "split_seed": split_seed,
                "dataset_id": dataset.id,
                "validation_pictures": validation.pictures,
                "training_pictures": read_products(dataset.folder, data=dataset.id, split="train").pictures,
            },
            on_epoch=on_epoch,
            on_progress=on_progress,
        )
    with progress("Finding out when the model is unsure", len(validation.table), unit="pictures") as bar:
        calibrate(
            result.model_dir,
            validation,
            search=search,
            device=config.device,
            on_progress=bar.reach,
        )
    title = f"Written by the best model, of epoch {result.best_epoch}"
    seen = shown.seen(result.model_dir)
    best = draw_epoch(seen, run_dir / "figures" / "validation_products", title=title)
    # MLflow's page begins at step 0: there stands the model that was kept.
    tracked.log_picture(best, key="pictures/validation products", step=0)
    title = "What it writes for validation products"
    few = draw_epoch(seen[:NOTED_PRODUCTS], run_dir / NOTE_PICTURE, title=title, panels_a_row=PANELS_IN_A_NOTE)
    tracked.log_files([best, few], "figures")
    curves = draw_curves(
        tracked.history(), run_dir / "figures", best_epoch=result.best_epoch, chosen_by=TITLES[config.monitor]
    )
    tracked.log_files(curves, "figures")
    facts = {
        "model_dir": str(result.model_dir),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "scores": result.scores,
    }
    files = [path for path in sorted(result.model_dir.iterdir()) if path.is_file()]
    write_manifest(run_dir, "train", files=files, facts=facts)
    return facts


def log_epoch(tracked: TrackedRun, report: EpochReport, config: TrainConfig) -> None:
    """Send an epoch's numbers to MLflow, and a line with a sample description to the terminal."""
    metrics = {
        "train/loss": report.train_loss,
        "train/cider_d_sampled": report.reward,
        "validation/loss": report.validation_loss,
        "pictures_per_s": report.pictures_per_s,
        "epoch_seconds": report.seconds,
        **{f"learning_rate/{name}": rate for name, rate in report.learning_rates.items()},
        **{f"validation/{name}": value for name, value in report.scores.items()},
    }
    tracked.log_metrics(metrics, step=report.epoch)
    logger.info(epoch_line(report, config))
    if report.samples:
        logger.info("  it writes: %s", report.samples[0].description)


def epoch_line(report: EpochReport, config: TrainConfig) -> str:
    """An epoch in a line. The score that decides stands there: a "best" with a lower BLEU-4 would look like a fault."""
    learned = (
        f"training loss {report.train_loss:.3f}" if report.reward is None else f"sampled CIDEr-D {report.reward:.3f}"
    )
    shown = dict.fromkeys(("bleu_4", config.monitor))
    scores = ", ".join(f"{TITLES[name]} {report.scores[name]:.3f}" for name in shown)
    mark = "  best so far" if report.is_best else ""
    return (
        f"epoch {report.epoch} of at most {config.epochs}: {learned}, "
        f"validation loss {report.validation_loss:.3f}; {scores}{mark}"
    )


def epoch_bertscore(report: EpochReport, validation: Products, score: ScoreConfig, device: str) -> dict[str, float]:
    """BERTScore of what an epoch's model wrote for the validation split; nothing where it cannot be computed."""
    texts = [[" ".join(words) for words in group] for group in validation.references]
    found = bertscore(texts, [" ".join(words) for words in report.hypotheses], score, device=device)
    if isinstance(found, NotComputed):
        logger.warning("BERTScore of epoch %d was not computed: %s", report.epoch, found.reason)
        return {}
    means = {"precision": found.precision.mean(), "recall": found.recall.mean(), "f1": found.f1.mean()}
    return {f"validation/bertscore_{name}": float(value) for name, value in means.items()}


class Shown:
    """The fixed validation products whose descriptions and attention are drawn as training goes on."""

    def __init__(self, dataset: Dataset, search: SearchConfig, *, device: str) -> None:
        store = PictureStore(dataset.folder / TRAIN_STORE)
        rows = [row for row, split in enumerate(store.splits) if split == "validation"][:SHOWN_PRODUCTS]
        captions = pq.read_table(dataset.folder / CAPTIONS_FILE, columns=["references"])["references"]
        self.references = [captions[row].as_py()[0] for row in rows]
        self.pictures = store.read(rows)  # (B, 3, S, S)
        self.search, self.device = search, device

    def seen(self, model_dir: Path) -> list[Seen]:
        """What a model writes for them, and where it looks at each word."""
        found = Describer.load(model_dir, device=self.device).describe(self.pictures, self.search)
        return [
            Seen(picture=picture, words=one.words, attention=one.attention, reference=reference)
            for picture, one, reference in zip(self.pictures, found, self.references, strict=True)
        ]
