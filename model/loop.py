"""The training loop: steps, epochs, checkpoints.

Every random draw of a step comes from (seed, epoch, step, the process's number) alone. So a checkpoint needs no
generator's state, and a run that was killed goes on to the same weights as one that was not (on a GPU, whose sums
have no fixed order, to rounding).
"""

import logging
import multiprocessing
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model import distributed
from model.average import WeightAverage
from model.captioner import Captioner
from model.checkpoint import load_checkpoint, newest_checkpoint, read_state, save_checkpoint
from model.dataset import Batch, EpochBatches, Pictures, Seen, Split
from model.device import as_before, choose_precision
from model.directory import save_model
from model.errors import RunError, UserError
from model.features import cached_features
from model.report import EpochReport, Sample, TrainResult, report_from_json, report_to_json
from model.reward import CAPTIONS_A_PICTURE, RATE, SAMPLES, Judge, RewardObjective
from model.schedule import Plateau, cosine
from model.settings import SearchConfig, TrainConfig
from model.step import Objective, Step
from model.store import PictureStore
from model.validation import Validation, validate
from model.vocabulary import Vocabulary

SHOWN = 3  # validation pictures whose descriptions an epoch's report holds
CHECKED_STEPS = 20  # on a GPU the losses are looked at this often, since looking waits for it
logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Loop:
    """A run in progress. The fields after `on_progress` are what a checkpoint keeps, with the weights."""

    captioner: Captioner
    words: Vocabulary
    store: PictureStore
    training: Split
    validation: Split
    config: TrainConfig
    search: SearchConfig
    run: Path
    features: Path
    settings: dict[str, Any]
    facts: dict[str, Any]
    on_epoch: Callable[[EpochReport], None]
    on_progress: Callable[[str, int, int, str], None]
    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[EpochReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.config
        self.device = self.captioner.encoder.mean.device
        self.captioner.precision = choose_precision(config.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.captioner.precision == torch.float16)
        self.plateau = Plateau(config.decay, config.decay_patience_epochs, config.stop_patience_epochs)
        encoder, decoder = list(self.captioner.encoder.parameters()), list(self.captioner.decoder.parameters())
        self.optimizer = torch.optim.Adam([{"params": encoder}, {"params": decoder}], fused=True)
        self.average = WeightAverage(self.captioner, config.average)

    def __call__(self) -> TrainResult:
        """Run, or go on, to the end."""
        self._resume()
        stage = None
        while self.epoch <= self.config.epochs and not self._stopped:
            frozen, rewarded = self.epoch <= self.config.freeze_encoder_epochs, self.epoch > self.config.word_epochs
            if stage != (stage := (frozen, rewarded)):
                self._begin_stage(frozen=frozen, rewarded=rewarded)
            self._epoch()
        best = self.history[self.plateau.best_epoch - 1]
        return TrainResult(self._model_dir, best.epoch, len(self.history), best.scores, self.history)

    @property
    def _stopped(self) -> bool:
        """Whether no epoch gets better any more; rewards, which are to come, may."""
        return self.plateau.stopped and not self.config.reward_epochs

    @property
    def _model_dir(self) -> Path:
        return self.run / f"model-{self.plateau.best_epoch:04}"

    def _begin_stage(self, *, frozen: bool, rewarded: bool) -> None:
        """A stage has the encoder frozen, or learning; it learns from the true words, or from rewards."""
        self.captioner.encoder.freeze(frozen)
        self.seen: Seen = Pictures(self.store)
        self.own: tuple[int, int] | None = None
        if frozen and self.config.cache_features:
            mirrored = self.config.horizontal_flip
            with distributed.first_before_others():
                cache = cached_features(
                    self.features, self.captioner.encoder, self.store, mirrored=mirrored, on_progress=self.on_progress
                )
            self.seen, self.own = cache, cache.own
        self.rewarded, self.taught, self.batch_size = rewarded, self.training, self.config.batch_size
        objective: nn.Module = Objective(self.captioner, self.config, self.own)
        if rewarded:
            self.taught, self.batch_size = self.training.one_caption_each(), -(-self.batch_size // CAPTIONS_A_PICTURE)
            judge = Judge(self.training, self.words)
            objective = RewardObjective(self.captioner, self.config, self.own, judge, self.words)
            if (self.epoch, self.step) == (self.config.word_epochs + 1, 0):
                self.optimizer.state.clear()  # the gradients of another loss say nothing of these
        self.learn = Step(self.captioner, self.config, objective, self.optimizer, self.scaler)
        self._measure()

    def _batches(self, view_px: int) -> EpochBatches:
        config = self.config
        return EpochBatches(
            self.seen,
            self.taught,
            batch_size=self.batch_size,
            seed=config.seed,
            epoch=self.epoch,
            horizontal_flip=config.horizontal_flip,
            rotation_degrees=config.rotation_degrees,
            jitter=config.jitter,
            view_px=view_px,
            rank=distributed.rank(),
            processes=distributed.processes(),
        )

    def _measure(self) -> None:
        """Log what a step and an epoch will take, on whole pictures."""
        self.captioner.train()
        batches = self._batches(self.store.info.size_px)
        step_s, left = self.learn.measure_s(batches), self.config.epochs - self.epoch + 1
        minutes = step_s * len(batches) / 60
        items = f"pictures, described {SAMPLES} times each" if self.rewarded else "captions"
        logger.info("a training step takes about %.2f s for %d %s", step_s, self.batch_size, items)
        logger.info("an epoch takes about %.1f minutes and its validation; at most %d epochs are left", minutes, left)
        whole_px = self.store.info.size_px
        if self.own is None and (view_px := self.config.view_px(whole_px, self.epoch)) < whole_px:
            logger.info("the first half of the epochs is faster: it sees pictures at %d of %d px", view_px, whole_px)
            logger.info("validation sees them whole: until the second half its scores are low")

    def _epoch(self) -> None:
        self.captioner.train()
        batches = self._batches(self.config.view_px(self.store.info.size_px, self.epoch))
        loader = batch_loader(batches, first=self.step, workers=self.config.workers, device=self.device)
        started = saved = time.perf_counter()
        before = self.seconds
        losses: list[Tensor] = []
        for batch in loader:
            rates = self._set_rates((self.step + 0.5) / len(batches))
            losses.append(self.learn(batch, (self.config.seed, self.epoch, self.step, distributed.rank())))
            self.average.update()
            self.step += 1
            now = time.perf_counter()
            self.seconds = before + now - started
            save = self._due(now - saved)
            if self.device.type == "cpu" or len(losses) == CHECKED_STEPS or save or self.step == len(batches):
                self._take(losses)
                losses = []
                done = min(self.step * self.batch_size, len(self.taught.captions))
                what = "CIDEr-D" if self.rewarded else "loss"
                note = f"{what} {self.loss_sum / self.step:.3f}, {done / self.seconds:.1f} pictures/s"
                self.on_progress(f"epoch {self.epoch}", self.step, len(batches), note)
            if save and self.step < len(batches):
                self._share_loss()
                self._save()
                saved = time.perf_counter()
        self._share_loss()
        with self.average.applied():
            distributed.first_gives(self.captioner.buffers())  # each has the batch-norm statistics of its own share
            report = self._validate(rates, self.loss_sum / len(batches))
        self.history.append(replace(report, hypotheses=[]))
        if distributed.rank() == 0:
            self.on_epoch(report)
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0
        self._save()
        self._drop_other_models()

    def _set_rates(self, epoch_share: float) -> dict[str, float]:
        """The learning rates of the step after a share of the epoch."""
        config, scale = self.config, self.plateau.scale
        done = self.epoch - 1 + epoch_share
        if self.rewarded:
            scale = RATE * cosine((done - config.word_epochs) / config.reward_epochs)
        elif config.schedule == "cosine":
            scale = cosine(done / config.word_epochs)
        rates = {"encoder": config.encoder_learning_rate * scale, "decoder": config.decoder_learning_rate * scale}
        for group, rate in zip(self.optimizer.param_groups, rates.values(), strict=True):
            group["lr"] = rate
        return rates

    def _share_loss(self) -> None:
        """Every process goes on from the mean of what all have summed: the whole batches' losses."""
        (self.loss_sum,) = distributed.total([self.loss_sum / distributed.processes()], self.device)

    def _due(self, seconds: float) -> bool:
        """Whether a checkpoint inside the epoch is due; the first process decides for all, which waits for a GPU."""
        if self.device.type == "cuda" and self.step % CHECKED_STEPS:
            return False
        due = self.config.checkpoint_minutes > 0 and seconds >= 60 * self.config.checkpoint_minutes
        return distributed.first_says(due, self.device)

    def _take(self, losses: list[Tensor]) -> None:
        """Add losses up; stop at one that is no number."""
        first = self.step - len(losses) + 1
        for place, loss in enumerate(torch.stack(losses).tolist()):
            if not -float("inf") < loss < float("inf"):
                raise RunError(
                    f"The loss is {loss} at batch {first + place} of epoch {self.epoch}: "
                    "lower train.encoder_learning_rate and train.decoder_learning_rate, or set train.precision=fp32"
                )
            self.loss_sum += loss

    def _validate(self, rates: dict[str, float], told: float) -> EpochReport:
        """Score the model as it stands, and keep it if none was better."""
        validation = validate(
            self.captioner,
            self.seen,
            self.own,
            self.validation,
            self.words,
            search_config=self.search,
            batch_size=self.config.batch_size,
            regularisation=self.config.regularisation,
            on_progress=lambda done, total: self.on_progress(f"validation {self.epoch}", done, total, ""),
        )
        is_best = self.plateau.better(validation.scores[self.config.monitor], self.epoch)
        if is_best and distributed.rank() == 0:
            image = {"size_px": self.store.info.size_px, "resize": self.store.info.resize}
            facts = {"epoch": self.epoch, "scores": validation.scores, **self.facts}
            save_model(self._model_dir, self.captioner, self.words, image=image, facts=facts)
        return EpochReport(
            epoch=self.epoch,
            train_loss=None if self.rewarded else told,
            reward=told if self.rewarded else None,
            validation_loss=validation.loss,
            learning_rates=rates,
            pictures_per_s=len(self.taught.captions) / self.seconds,
            scores=validation.scores,
            samples=self._samples(validation),
            is_best=is_best,
            seconds=self.seconds,
            hypotheses=validation.hypotheses,
        )

    def _samples(self, validation: Validation) -> list[Sample]:
        split = self.validation
        return [
            Sample(split.record_ids[place], " ".join(validation.hypotheses[place]), " ".join(references[0]))
            for place, references in enumerate(split.references[:SHOWN])
        ]

    def _drop_other_models(self) -> None:
        if distributed.rank() == 0:
            for folder in [*self.run.glob("model-*"), *self.run.glob(".model-*.partial")]:
                if folder != self._model_dir:
                    shutil.rmtree(folder)

    def _save(self) -> None:
        if distributed.rank() == 0:
            state = {
                "settings": self.settings,
                "epoch": self.epoch,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "seconds": self.seconds,
                "plateau": asdict(self.plateau),
                "history": [report_to_json(report) for report in self.history],
            }
            optimizer = {
                "adam": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": self.average.state_dict(),
                "precision": [self.device.type, str(self.captioner.precision)],
            }
            name = f"{self.epoch:05}-{self.step:08}"
            save_checkpoint(self.run, name, self.captioner, optimizer, state)
        distributed.barrier()

    def _resume(self) -> None:
        with distributed.first_before_others():
            checkpoint = newest_checkpoint(self.run)
        if checkpoint is None:
            return
        state = read_state(checkpoint)
        data = self.settings["data"]
        state["settings"].get("data", {}).setdefault("vocabulary", data["vocabulary"])  # earlier releases kept none
        if difference := _difference(state["settings"], self.settings):
            raise UserError(f"{self.run} holds a run with another {difference}: name another run folder")
        optimizer = load_checkpoint(checkpoint, self.captioner, self.device)
        self.optimizer.load_state_dict(optimizer["adam"])
        if optimizer["scaler"]:  # empty of a run that began in another precision, as on another device
            self.scaler.load_state_dict(optimizer["scaler"])
        self.average.load_state_dict(optimizer["average"])
        if self.config.precision == "auto":
            self.captioner.precision = as_before(optimizer.get("precision"), self.captioner.precision, self.device)
        self.epoch, self.step = state["epoch"], state["step"]
        self.loss_sum, self.seconds = state["loss_sum"], state["seconds"]
        self.plateau = Plateau(**state["plateau"])
        self.history = [report_from_json(values) for values in state["history"]]
        self._drop_other_models()
        logger.info("going on in epoch %d after %d steps, from %s", self.epoch, self.step, checkpoint)


def batch_loader(
    batches: EpochBatches, *, first: int, workers: int, device: torch.device
) -> torch.utils.data.DataLoader[Batch]:
    """The batches of an epoch from the place `first` on, loaded by so many processes beside this one."""
    context = None
    if workers:
        # A flow's process has threads, and forking one that has may hang.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["model.dataset"])  # else every worker of every epoch imports PyTorch
    return torch.utils.data.DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        multiprocessing_context=context,
        pin_memory=device.type == "cuda",
    )


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    for section, values in new.items():
        for name, value in values.items():
            if old.get(section, {}).get(name) != value:
                return f"{section}.{name} ({old.get(section, {}).get(name)}, now {value})"
    return ""
