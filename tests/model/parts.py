"""Small real parts for the model's tests: data files, configurations, a captioner."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor

from model.decoder import Decoder
from model.grid import Grid, attention_grid
from model.report import TrainResult
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
from model.store import StoreInfo, write_store
from model.training import train
from model.vocabulary import END, PAD, START, UNKNOWN, Vocabulary, VocabularyConfig

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "black": (15, 15, 15)}
SHAPES = {"square": (14, 14), "bar": (6, 20), "post": (20, 6)}
ENCODER = EncoderConfig(name="squeezenet1_1", weights="none", grid=3)
DECODER = DecoderConfig(attention_size=12, embedding_size=10, hidden_size=16, dropout=0.3)
SEARCH = SearchConfig(max_words=8)
TRAIN = TrainConfig(
    epochs=2, batch_size=4, encoder_learning_rate=1e-3, decoder_learning_rate=4e-3, device="cpu", precision="fp32"
)

# Every part of training that has a state of its own.
EVERYTHING: dict[str, Any] = {
    "average": 0.9,
    "decoder": replace(DECODER, word_head=True),
    "schedule": "cosine",
    "small_first": 0.75,
    "reward_epochs": 1,
}


def drawn_picture(generator: np.random.Generator, size_px: int = 32) -> tuple[NDArray[np.uint8], list[str]]:
    """One coloured shape on white, and its caption; captions differ in length."""
    colour = list(COLOURS)[generator.integers(len(COLOURS))]
    shape = list(SHAPES)[generator.integers(len(SHAPES))]
    height, width = SHAPES[shape]
    picture = np.full((3, size_px, size_px), 240, np.uint8)
    top, left = generator.integers(0, size_px - 20, 2)
    picture[:, top : top + height, left : left + width] = np.array(COLOURS[colour])[:, None, None]
    words = ["a", colour, shape]
    if shape == "bar":
        words += ["that", "lies"]
    return picture, words


def write_data(
    folder: Path, *, train: int = 10, validation: int = 4, references: int = 1, seed: int = 0, size_px: int = 32
) -> Path:
    """Write `train.h5`, `captions.parquet` and `vocabulary.json`, as the data stages do."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    rows, records = [], []
    for index in range(train + validation):
        split = "train" if index < train else "validation"
        picture, words = drawn_picture(generator, size_px)
        rows.append((f"r{index}", split, picture))
        tokens = [words, [*words, "on", "white"], ["one", *words[1:]]][:references]
        records.append(
            {"record_id": f"r{index}", "split": split, "references": [" ".join(t) for t in tokens], "tokens": tokens}
        )
    write_store(folder / "train.h5", rows, info(len(rows), size_px))
    pd.DataFrame(records).to_parquet(folder / "captions.parquet")
    captions = [tokens for record in records if record["split"] == "train" for tokens in record["tokens"]]
    Vocabulary.build(captions, VocabularyConfig(min_count=1)).save(folder / "vocabulary.json")
    return folder


def info(rows: int, size_px: int = 32) -> StoreInfo:
    """What a test's store says about itself."""
    return StoreInfo(rows=rows, size_px=size_px, resize="squash", fingerprint="test", dataset_id="test")


def run_training(data: Path, run: Path, **changes: Any) -> Any:
    """Train with the small configurations; `changes` go to `train`, or to the TrainConfig if it has such a field."""
    settings = {name: changes.pop(name) for name in list(changes) if name in TrainConfig.__dataclass_fields__}
    arguments: dict[str, Any] = {
        "pictures": data / "train.h5",
        "captions": data / "captions.parquet",
        "vocabulary": data / "vocabulary.json",
        "run": run,
        "encoder": ENCODER,
        "decoder": DECODER,
        "search": SEARCH,
        "config": replace(TRAIN, **settings),
    }
    return train(**{**arguments, **changes})


def outcome(result: TrainResult) -> tuple[Any, ...]:
    """All that must repeat: losses, scores and samples of every epoch, and the model's bytes."""
    reports = [replace(report, pictures_per_s=0.0, seconds=0.0) for report in result.history]
    return reports, result.best_epoch, (result.model_dir / "weights.safetensors").read_bytes()


def resnet18_weights(folder: Path) -> Path:
    """ResNet-18 weights in a file: with batch norm, unlike SqueezeNet's."""
    torch.manual_seed(0)
    path = folder / "resnet18.safetensors"
    safetensors.torch.save_file(torchvision.models.resnet18().state_dict(), path)
    return path


def small_vocabulary(words: int) -> Vocabulary:
    """`words` words and the four special ones."""
    names = [PAD, *(f"w{index}" for index in range(words)), UNKNOWN, START, END]
    return Vocabulary({name: index for index, name in enumerate(names)})


def random_decoder(
    vocabulary_size: int = 11,
    *,
    encoder_size: int = 7,
    dtype: torch.dtype = torch.float64,
    sharpness: float = 1.0,
    word_head: bool = False,
) -> Decoder:
    """A decoder with random weights in evaluation mode; `sharpness` scales its output layer."""
    config = replace(DECODER, dropout=0.0, word_head=word_head)
    decoder = Decoder(config, vocabulary_size=vocabulary_size, encoder_size=encoder_size)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.4)
        decoder.output.weight.mul_(sharpness)
    return decoder.to(dtype).eval()


def random_grid(
    batch: int,
    *,
    own: tuple[int, int] = (2, 3),
    size: int = 4,
    encoder_size: int = 7,
    dtype: torch.dtype = torch.float64,
) -> Grid:
    """Random features on a grid that is pooled to size x size."""
    features = torch.randn(batch, own[0] * own[1], encoder_size, dtype=dtype)
    grid = attention_grid(features.float(), own, size)
    return Grid(features, None if grid.pooling is None else grid.pooling.to(dtype), grid.shape)


def random_captions(lengths: list[int], vocabulary: Vocabulary) -> Tensor:
    """(B, T): from <start> to <end>, padded."""
    captions = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        captions[row, :length] = torch.randint(1, vocabulary.unknown, (length,))
        captions[row, 0], captions[row, length - 1] = vocabulary.start, vocabulary.end
    return captions
