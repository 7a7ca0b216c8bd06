"""Training: from the data files to a model directory, on a CPU resumable to the same bytes."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from model import distributed
from model.captioner import Captioner
from model.dataset import Split, read_splits
from model.device import choose_device, out_of_memory_says
from model.errors import UserError
from model.loop import Loop
from model.report import EpochReport, Sample, TrainResult
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig, fixed_settings
from model.store import PictureStore
from model.text import text_hash
from model.together import train_together
from model.vocabulary import Vocabulary
from model.warm_start import start_from

__all__ = ["EpochReport", "Sample", "TrainConfig", "TrainResult", "train"]
logger = logging.getLogger(__name__)


def no_progress(step: str, done: int, total: int, note: str) -> None:
    """Show nothing."""


def train(
    *,
    pictures: Path,
    captions: Path,
    vocabulary: Path,
    run: Path,
    encoder: EncoderConfig,
    decoder: DecoderConfig,
    search: SearchConfig,
    config: TrainConfig,
    features: Path | None = None,
    facts: dict[str, Any] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_progress: Callable[[str, int, int, str], None] = no_progress,
) -> TrainResult:
    """Train a captioner; called again with the same run folder it goes on where it stopped.

    With `train.processes` above 1 it starts `torchrun` and tells what comes back. Under `torchrun` every process calls
    it alike; the first one writes and reports.

    Args:
        pictures: ``train.h5``, with the training and the validation rows.
        captions: ``captions.parquet``.
        vocabulary: ``vocabulary.json``.
        run: folder for checkpoints and the best model.
        encoder: which network looks.
        decoder: which network writes.
        search: how descriptions are searched for; while training with ``train.validation_beam_size``, and neither
            mirrored nor enlarged.
        config: how to learn.
        features: folder for a frozen encoder's features; by default one in `run` that is removed at the end.
        facts: what else the model directory's ``config.json`` shall keep; ``training_pictures``, hashes of the
            training pictures, are joined with those of the model that `train.warm_start` names.
        on_epoch: called after each epoch, at least once (again, if the run is killed right after it).
        on_progress: called with (step, done, total, note).

    Raises:
        UserError: the data, the settings and the machine do not fit each other; out of memory.
        RunError: the loss or the model's probabilities are no numbers any more; the disk is full; a process ended
            without saying why.
    """
    if config.processes > 1 and not distributed.started():
        return train_together(
            processes=config.processes, run=run, pictures=pictures, captions=captions, vocabulary=vocabulary,
            encoder=encoder, decoder=decoder, search=search, config=config, features=features, facts=facts,
            on_epoch=on_epoch or (lambda _: None), on_progress=on_progress,
        )  # fmt: skip
    device = choose_device(config.device, local_rank=distributed.local_rank())
    store = PictureStore(pictures)
    words = Vocabulary.load(vocabulary)
    training, validation, digest = read_splits(store, captions, words, max_words=config.max_words)
    check_freezing(config, encoder)
    _check_batch(config, training)
    if training.cut:
        logger.warning("%d training captions are longer than train.max_words = %d: cut", training.cut, config.max_words)
    with (
        distributed.joined(device),
        out_of_memory_says("lower train.batch_size, image.size_px or train.validation_beam_size"),
    ):
        torch.manual_seed(config.seed)
        captioner = Captioner(
            encoder=encoder, decoder=decoder, vocabulary_size=len(words), load_weights=not config.warm_start
        )
        seen = {
            "training_descriptions": {text_hash(text) for texts in training.references for text in texts},
            "training_pictures": set((facts or {}).get("training_pictures", ())),
        }
        if config.warm_start:
            shared, before = start_from(Path(config.warm_start), captioner, words)
            for name, hashes in seen.items():  # what the weights began with counts as trained on
                hashes.update(before.get(name, ()))
            logger.info("starting from %s: %d of %d words are known", config.warm_start, shared, len(words))
        captioner.to(device)
        settings = {
            "encoder": asdict(encoder),
            "decoder": asdict(decoder),
            "search": asdict(search),
            "train": fixed_settings(config),
            "data": {
                "pictures": asdict(store.info),
                "captions": digest,
                "words": len(words),
                "vocabulary": text_hash(words.words),  # as many words in another order are another vocabulary
            },
        }
        result = Loop(
            captioner=captioner,
            words=words,
            store=store,
            training=training,
            validation=validation,
            config=config,
            search=replace(search, beam_size=config.validation_beam_size),
            run=run,
            features=features or run / "features",
            settings=json.loads(json.dumps(settings)),
            facts={
                "resized_by": store.info.decoder,
                **(facts or {}),
                **{name: sorted(hashes) for name, hashes in seen.items()},
            },
            on_epoch=on_epoch or (lambda _: None),
            on_progress=on_progress if distributed.rank() == 0 else no_progress,
        )()
        if features is None and distributed.rank() == 0:
            shutil.rmtree(run / "features", ignore_errors=True)
    return result


def check_freezing(config: TrainConfig, encoder: EncoderConfig) -> None:
    """Check that an encoder that starts from nothing is not to be frozen.

    Raises:
        UserError: it is.
    """
    if not encoder.pretrained and config.freeze_encoder_epochs:
        raise UserError(
            "train.freeze_encoder_epochs is above 0, but encoder.weights is none: an encoder that starts from nothing "
            "must learn; set one of the two"
        )


def _check_batch(config: TrainConfig, training: Split) -> None:
    count = len(training.captions)
    if config.batch_size > count:
        raise UserError(
            f"train.batch_size is {config.batch_size}, but the training split has {count} captions: "
            "lower train.batch_size or give more records"
        )
