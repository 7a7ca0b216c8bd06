"""A dataset of coloured shapes with their descriptions, packed as the pipeline packs it, and a model trained on it.

Small enough to be learned in seconds, real in every file: what evaluation and tracking are tested on.
"""

import hashlib
import random
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.report import TrainResult
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
from model.store import StoreInfo, write_store
from model.text import tokenize
from model.training import train
from model.vocabulary import Vocabulary, VocabularyConfig
from tasks.scoring.products import read_products

SIZE_PX = 32
COLOURS = {"red": (205, 40, 40), "blue": (40, 70, 205), "green": (40, 150, 60), "black": (25, 25, 25)}
SHAPES = ("square", "circle", "cross")
OPENINGS = ("a {} {} on white paper", "one {} {} drawn on white", "here is a {} {} for you")


def draw(colour: str, shape: str, chance: random.Random) -> NDArray[np.uint8]:
    """A picture uint8 (3, S, S)."""
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    pen = ImageDraw.Draw(image)
    left, top, side = chance.randint(2, 8), chance.randint(2, 8), chance.randint(14, 20)
    box = (left, top, left + side, top + side)
    fill = tuple(min(255, value + chance.randint(0, 25)) for value in COLOURS[colour])
    if shape == "square":
        pen.rectangle(box, fill=fill)
    elif shape == "circle":
        pen.ellipse(box, fill=fill)
    else:
        middle, third = side // 2, side // 6
        pen.rectangle((left, top + middle - third, left + side, top + middle + third), fill=fill)
        pen.rectangle((left + middle - third, top, left + middle + third, top + side), fill=fill)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # (S, S, 3) -> (3, S, S)


def make_dataset(folder: Path, *, train_count: int = 72, held_out: int = 16, seed: int = 0) -> Path:
    """train.h5, test.h5, captions.parquet, sample.parquet, vocabulary.json."""
    chance = random.Random(seed)
    rows: list[dict[str, object]] = []
    pictures: dict[str, NDArray[np.uint8]] = {}
    for split, count in (("train", train_count), ("validation", held_out), ("test", held_out)):
        for number in range(count):
            colour, shape = list(COLOURS)[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
            record_id = f"{split}-{number:03}"
            text = chance.choice(OPENINGS).format(colour, shape) + f" number {number}" * (split == "train")
            texts = {"text": text, "references": [text], "tokens": [tokenize(text)], "title": f"{colour} {shape}"}
            rows.append({"record_id": record_id, "split": split, "attr": [colour, shape], **texts})
            pictures[record_id] = draw(colour, shape, chance)
    table = pd.DataFrame(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for name, splits in (("train.h5", ("train", "validation")), ("test.h5", ("test",))):
        own = table[table["split"].isin(splits)]
        info = StoreInfo(rows=len(own), size_px=SIZE_PX, resize="squash", fingerprint="shapes", dataset_id="shapes")
        packed = ((one, split, pictures[one]) for one, split in zip(own["record_id"], own["split"], strict=True))
        write_store(folder / name, packed, info)
    table[["record_id", "split", "references", "tokens"]].to_parquet(folder / "captions.parquet")
    table[["record_id", "split", "title", "attr"]].to_parquet(folder / "sample.parquet")
    outcomes = [
        {"record_id": one, "digest": hashlib.sha256(pixels.tobytes()).hexdigest(), "store": "of the dataset"}
        for one, pixels in pictures.items()
    ]
    pd.DataFrame(outcomes).to_parquet(folder / "outcomes.parquet")
    training = [tokenize(text) for text in table[table["split"] == "train"]["text"]]
    Vocabulary.build(training, VocabularyConfig(min_count=2)).save(folder / "vocabulary.json")
    return folder


def train_model(dataset: Path, run: Path, *, epochs: int = 3, seed: int = 1) -> TrainResult:
    """A model that has seen the training split a few times."""
    return train(
        pictures=dataset / "train.h5",
        captions=dataset / "captions.parquet",
        vocabulary=dataset / "vocabulary.json",
        run=run,
        encoder=EncoderConfig(name="resnet18", weights="none", grid=4, max_stride_px=8),
        decoder=DecoderConfig(attention_size=32, embedding_size=32, hidden_size=32, dropout=0.0),
        search=SearchConfig(beam_size=2, max_words=12),
        config=TrainConfig(
            epochs=epochs,
            seed=seed,
            batch_size=24,
            encoder_learning_rate=1e-3,
            decoder_learning_rate=5e-3,
            device="cpu",
        ),
        facts={
            "search": {"beam_size": 2, "max_words": 12},
            "dataset_id": dataset.name,
            "validation_pictures": read_products(dataset, data="shapes", split="validation").pictures,
            "training_pictures": read_products(dataset, data="shapes", split="train").pictures,
        },
    )
