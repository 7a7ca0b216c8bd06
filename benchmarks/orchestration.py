"""Prefect's share of a large download: `python -m benchmarks.orchestration`.

Fetches and packs the same pictures with the steps as Prefect tasks of a flow, against a server that runs already, and
with the engine alone, in turns, in one process that has done both before on a few (so that importing Prefect is apart,
as the start of its server is). Prints both wall times, the difference as a share, and peak memory.
The pictures are the fetch benchmark's studio photographs, each asked for under several URLs.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from benchmarks.corpus import STUDIO, make_corpus
from benchmarks.engine import CONFIG, IMAGE, fetch_and_pack, write_sample
from benchmarks.fetch import nginx
from benchmarks.memory import peak_memory_bytes
from flows.server import PrefectServer

WARM_UP = 500  # pictures


def with_prefect(folder: Path) -> str:
    """Fetch and pack as the pipeline does; returns the dataset's digest."""
    from prefect import flow

    from tasks.catalog.duplicates import DeduplicateConfig
    from tasks.fetch import fetch
    from tasks.pack import pack
    from tasks.read import Dataset

    @flow(name="download", persist_result=False)
    def download() -> str:
        dataset = Dataset(id="benchmark", folder=folder, facts={"fingerprint": "", "given_splits": False})
        rules = DeduplicateConfig(pixels=False)
        fetch(dataset, image_base_url="", image=IMAGE, config=CONFIG, deduplicate=rules, run_id="benchmark")
        return str(pack(dataset, image=IMAGE, config=CONFIG, deduplicate=rules, exact=True)["digest"])

    return download()


def engine_alone(folder: Path) -> str:
    """The same without Prefect."""
    from tasks.dataset_files import OUTCOMES_FILE, STORES
    from tasks.manifest import write_manifest
    from tasks.pictures.chunk_files import remove_chunks

    packed = fetch_and_pack(folder)
    write_manifest(folder, "pack", files=[folder / name for name in (*STORES, OUTCOMES_FILE)], facts={})
    remove_chunks(folder)
    return packed.digest


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=18_000)
    parser.add_argument("--distinct", type=int, default=1_500, help="files that are drawn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("workspace/benchmarks/fetch"), help="kept between runs")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    root = make_corpus(STUDIO, arguments.distinct, folder)
    server = PrefectServer(folder / "orchestration").start()
    server.wait()
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    times: dict[str, list[float]] = {"prefect": [], "engine": []}
    digests = set()
    with nginx(root, folder / "nginx") as base:
        urls = [f"{base}/{number % arguments.distinct:05}.jpg?{number}" for number in range(arguments.pictures)]
        ways = {"engine": engine_alone, "prefect": with_prefect}
        for turn in range(-1, arguments.rounds):
            for name in sorted(ways, reverse=turn % 2 == 1):
                dataset = folder / "orchestration" / "datasets" / name
                shutil.rmtree(dataset, ignore_errors=True)  # of a run that was broken off
                write_sample(dataset, urls[:WARM_UP] if turn < 0 else urls)
                started, busy = time.perf_counter(), time.process_time()
                digest = ways[name](dataset)
                took_s = time.perf_counter() - started
                if turn >= 0:
                    times[name].append(took_s)
                    digests.add(digest)
                print(turn, name, f"{took_s:.1f} s, processor {time.process_time() - busy:.1f} s", file=sys.stderr)
                shutil.rmtree(dataset)
    assert len(digests) == 1, "the two ways gave different bytes"
    shares = [with_it / without - 1 for with_it, without in zip(times["prefect"], times["engine"], strict=True)]
    print(json.dumps({"seconds": times, "prefects_share": shares, "peak_mb": round(peak_memory_bytes() / 2**20)}))


if __name__ == "__main__":
    main()
