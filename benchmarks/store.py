"""Random batches from the picture store against a numpy.memmap: `python -m benchmarks.store`.

Writes the same pictures as a store of each compression and as a plain array, then reads random batches of 32 rows from
each in turns, all from the page cache. Prints each layout's speed as a share of the memmap's, and its size. Processor
time counts: nothing waits for a disk here, and other users of the machine must not.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus import BASELINE, draw
from model.picture import ImageConfig, decode
from model.store import COMPRESSIONS, PictureStore, StoreInfo, write_store

BATCH, SIZE_PX = 32, 256
Batch = NDArray[np.uint8]


def pictures(rows: int) -> Iterator[tuple[str, str, Batch]]:
    """Rows of garments on a light background: a few drawn ones, shifted, so that drawing does not take the time."""
    drawn = [decode(draw(BASELINE, number), ImageConfig(size_px=SIZE_PX)) for number in range(20)]
    for row in range(rows):
        yield str(row), "train", np.roll(drawn[row % len(drawn)], row // len(drawn), axis=2)


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows = arguments.rows
    info = StoreInfo(rows=rows, size_px=SIZE_PX, resize="squash", fingerprint="", dataset_id="")
    shape = (rows, 3, SIZE_PX, SIZE_PX)  # (N, C, S, S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = np.memmap(folder / "plain.u8", np.uint8, "w+", shape=shape)
        for row, (_, _, picture) in enumerate(pictures(rows)):
            plain[row] = picture
        readers: dict[str, Callable[[NDArray[np.int64]], Batch]] = {"memmap": lambda wanted: np.asarray(plain[wanted])}
        for compression in COMPRESSIONS:
            write_store(folder / f"{compression}.h5", pictures(rows), info, compression=compression)
            readers[compression] = PictureStore(folder / f"{compression}.h5").read
        with h5py.File(folder / "none.h5") as file:
            images = file["images"]
            readers["none, row by row through h5py"] = lambda wanted: np.stack([images[row] for row in wanted])
            times = measure(readers, rows, arguments.batches, arguments.rounds)
        print(f"Python {platform.python_version()}, h5py {h5py.__version__}, {rows} rows of {SIZE_PX} px, warm cache")
        for reader, seconds in times.items():
            file_name = folder / f"{reader.partition(',')[0]}.h5"
            size = file_name.stat().st_size if file_name.is_file() else plain.nbytes
            share = statistics.median(one / own for one, own in zip(times["memmap"], seconds, strict=True))
            rate = BATCH * arguments.batches / statistics.median(seconds)
            print(f"  {reader:30} {rate:8.0f} rows/s, {share:5.0%} of the memmap, size {size / plain.nbytes:4.0%}")


def measure(
    readers: dict[str, Callable[[NDArray[np.int64]], Batch]], rows: int, batches: int, rounds: int
) -> dict[str, list[float]]:
    """Processor seconds of each reader in each round; all read the same rows, and must read the same bytes."""
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        wanted = random.integers(0, rows, (batches, BATCH))
        expected = readers["memmap"](wanted[0])
        for name, read in readers.items():
            assert np.array_equal(read(wanted[0]), expected), name
            started = time.process_time()
            for batch in wanted:
                read(batch)
            times[name].append(time.process_time() - started)
    return times


if __name__ == "__main__":
    main()
