"""The engine alone, from the sample to the finished HDF5 files: `python -m benchmarks.engine FOLDER`.

What the fetch benchmark starts as a process of its own: it imports no more than fetching needs.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.memory import peak_memory_bytes
from model.picture import ImageConfig
from tasks.dataset_files import SAMPLE_FILE
from tasks.pictures.chunk_files import Chunk, remove_chunks
from tasks.pictures.chunks import fetch_chunk
from tasks.pictures.pack import PackSummary, pack
from tasks.pictures.selection import next_chunks
from tasks.pictures.settings import CHUNKS_AT_ONCE, FetchConfig

IMAGE = ImageConfig()
CONFIG = FetchConfig(allow_private_hosts=True)


def write_sample(folder: Path, urls: list[str]) -> None:
    """A dataset's folder with nothing but its sample."""
    folder.mkdir(parents=True)
    rows = {
        "record_id": [f"{number}" for number in range(len(urls))],
        "url": urls,
        "references": [["words"]] * len(urls),
        "split": ["train"] * len(urls),
        "order": list(range(len(urls))),
        "in_sample": [True] * len(urls),
    }
    pq.write_table(pa.table(rows), folder / SAMPLE_FILE)


def fetch_and_pack(folder: Path) -> PackSummary:
    """Bring a sample to the finished HDF5 files by the engine alone; its chunks are still there."""

    def fetch(chunk: Chunk) -> None:
        fetch_chunk(folder, chunk, base_url="", image=IMAGE, config=CONFIG)

    with ThreadPoolExecutor(CHUNKS_AT_ONCE) as pool:
        while chunks := next_chunks(folder, base_url="", image=IMAGE, config=CONFIG, find_repeats=None):
            list(pool.map(fetch, chunks))
    return pack(folder, image=IMAGE, config=CONFIG, fingerprint="", dataset_id="", exact=True, find_repeats=None)


def main() -> None:
    """Fetch and pack; prints how many rows there are, and the peak memory."""
    folder = Path(sys.argv[1])
    packed = fetch_and_pack(folder)
    remove_chunks(folder)
    print(json.dumps({"rows": packed.rows["train"], "peak_mb": peak_memory_bytes() / 2**20}))


if __name__ == "__main__":
    main()
