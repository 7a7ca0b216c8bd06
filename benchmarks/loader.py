"""How fast training's pictures come, against the step that eats them: `python -m benchmarks.loader [--workers 2]`.

Random pictures of 256 px, captions of 8 to 30 words, the paper preset, from a store in the page cache through the
loader that training uses, to the GPU if there is one. The step is training's own, on a batch that is there already;
without a GPU it is left out.
"""

import argparse
import itertools
import tempfile
from pathlib import Path


def main() -> None:
    """Print pictures a second of both, and the ratio."""
    # Not at the top: the loader's processes read this file once more, as they do the much lighter program.
    from benchmarks.cached_epoch import SIZE_PX, write_data
    from benchmarks.timing import alternate, machine
    from benchmarks.train_step import BATCH, paper_captioner, training_step
    from model.dataset import EpochBatches, Pictures, read_splits
    from model.device import choose_device
    from model.loop import batch_loader
    from model.store import PictureStore
    from model.vocabulary import Vocabulary

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--pictures", type=int, default=3200)
    parser.add_argument("--workers", type=int, default=0, help="as train.workers")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    print(machine(device))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, arguments.pictures)
        store, words = PictureStore(folder / "train.h5"), Vocabulary.load(folder / "vocabulary.json")
        training, _, _ = read_splits(store, folder / "captions.parquet", words, max_words=50)
        batches = EpochBatches(
            Pictures(store), training, batch_size=BATCH, seed=1, epoch=1,
            horizontal_flip=True, rotation_degrees=10, jitter=0, view_px=SIZE_PX,
        )  # fmt: skip

        def load() -> None:
            for batch in batch_loader(batches, first=0, workers=arguments.workers, device=device):
                batch.seen.to(device, non_blocking=True)

        candidates = {"loader": load}
        if device.type == "cuda":
            step, number, ready = training_step(paper_captioner(folder, device)), itertools.count(), batches[0]
            ready.pin_memory()

            def learn() -> None:
                for _ in range(len(batches)):
                    step(ready, (1, next(number)))

            candidates["step"] = learn
        seconds = alternate(candidates, rounds=arguments.rounds, device=device)
    for name, value in seconds.items():
        print(f"{name:6} {arguments.pictures / value:8.0f} pictures/s")
    if "step" in seconds:
        print(f"the loader gives {seconds['step'] / seconds['loader']:.2f}x what the step takes")


if __name__ == "__main__":
    main()
