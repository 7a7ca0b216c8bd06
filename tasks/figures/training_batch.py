"""One training batch as the model sees it: mirrored, turned, with the captions it learns from.

B pictures, S picture side in px.
"""

from pathlib import Path

import numpy as np
import torch

from model.dataset import EpochBatches, Pictures, read_splits
from model.settings import TrainConfig
from model.store import PictureStore
from model.vocabulary import Vocabulary
from tasks.figures.sheets import draw_batch

MOST = 24


def draw_training_batch(
    pictures: Path, captions: Path, vocabulary: Path, config: TrainConfig, path: Path
) -> list[Path]:
    """Draw up to 24 pictures of the first batch of the first epoch that sees pictures.

    Args:
        pictures: train.h5.
        captions: captions.parquet.
        vocabulary: vocabulary.json.
        config: seed, batch size, augmentation.
        path: where to, without suffix.
    """
    store = PictureStore(pictures)
    words = Vocabulary.load(vocabulary)
    split, _, _ = read_splits(store, captions, words, max_words=config.max_words)
    epoch = min(config.freeze_encoder_epochs + 1, config.epochs)
    batches = EpochBatches(
        Pictures(store),
        split,
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=epoch,
        horizontal_flip=config.horizontal_flip,
        rotation_degrees=config.rotation_degrees,
        jitter=config.jitter,
        view_px=config.view_px(store.info.size_px, epoch),
    )
    batch = batches[0]
    seen = batch.look(torch.device("cpu"), cached=False)[:MOST]  # (B, 3, S, S)
    shown = seen.round().clamp(0, 255).byte().numpy().astype(np.uint8)
    texts = [" ".join(words.decode(indices)) for indices in batch.captions[:MOST].tolist()]
    return draw_batch(shown, texts, path, title=f"One training batch as the model sees it (epoch {epoch})")
