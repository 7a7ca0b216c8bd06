"""An epoch on cached features against one through the frozen ResNet-101: `python -m benchmarks.cached_epoch`.

Random pictures of 256 px, captions of 8 to 30 words out of 6,000, paper preset; the network's weights are random,
which costs the same. The cache is filled before the epoch that is timed.
"""

import argparse
import random
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torchvision

from benchmarks.timing import machine
from model.device import choose_device
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
from model.store import StoreInfo, write_store
from model.training import train
from model.vocabulary import Vocabulary, VocabularyConfig

WORDS, SIZE_PX, VALIDATION = 6000, 256, 2


def write_data(folder: Path, pictures: int) -> None:
    """The three files that training reads."""
    generator, noise = random.Random(0), np.random.default_rng(0)
    splits = ["train"] * pictures + ["validation"] * VALIDATION
    names = [f"r{index}" for index in range(len(splits))]
    captions = [[f"w{generator.randrange(WORDS)}" for _ in range(generator.randint(8, 30))] for _ in splits]
    rows = (
        (name, split, noise.integers(0, 256, (3, SIZE_PX, SIZE_PX), np.uint8))
        for name, split in zip(names, splits, strict=True)
    )
    info = StoreInfo(rows=len(splits), size_px=SIZE_PX, resize="squash", fingerprint="noise", dataset_id="noise")
    write_store(folder / "train.h5", rows, info)
    table = {"record_id": names, "split": splits, "tokens": [[one] for one in captions]}
    pd.DataFrame(table).to_parquet(folder / "captions.parquet")
    everything = [*captions, [f"w{index}" for index in range(WORDS)]]
    Vocabulary.build(everything, VocabularyConfig(min_count=1)).save(folder / "vocabulary.json")


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", default="auto", help="of both epochs, as train.precision")
    arguments = parser.parse_args()
    print(machine(choose_device("cpu")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, arguments.pictures)
        weights = folder / "resnet101.safetensors"
        # without zero_init_residual, random weights in evaluation mode overflow
        network = torchvision.models.resnet101(zero_init_residual=True)
        safetensors.torch.save_file(network.state_dict(), weights)

        def epoch(*, cached: bool, epochs: int) -> float:
            """Seconds of the fastest epoch, validation left out."""
            config = TrainConfig(
                epochs=epochs,
                freeze_encoder_epochs=epochs,
                cache_features=cached,
                device="cpu",
                precision=arguments.precision,
            )
            result = train(
                pictures=folder / "train.h5",
                captions=folder / "captions.parquet",
                vocabulary=folder / "vocabulary.json",
                run=folder / f"cached-{cached}",
                encoder=EncoderConfig(weights=str(weights)),
                decoder=DecoderConfig(),
                search=SearchConfig(max_words=2),
                config=config,
            )
            return min(report.seconds for report in result.history)

        seconds = {
            "through the encoder": epoch(cached=False, epochs=1),
            "on cached features": epoch(cached=True, epochs=arguments.epochs),
        }
    for kind, value in seconds.items():
        print(f"epoch of {arguments.pictures} captions {kind:20} {value:7.1f} s")
    print(f"{seconds['through the encoder'] / seconds['on cached features']:.2f}x")


if __name__ == "__main__":
    main()
