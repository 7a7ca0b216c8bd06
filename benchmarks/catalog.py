"""The catalogue stages against orjson: how many times longer than parsing the same file, and in how much memory.

    python -m benchmarks.catalog             126,753 records, 115,594 distinct descriptions (the paper's numbers)
    python -m benchmarks.catalog --tenfold   also ten times as many, and the cost per record against that
                                             (2.2 GB: more than orjson can parse at once in 23 GiB of memory)

Reference: `orjson.loads` of the whole file, bytes already in memory, Python's garbage collector off (with it on, orjson
takes several times longer), best of three, in the same run. Ours: the time from the file on disk to all files written,
with the collector as it comes, best of three. Each measurement has a process of its own, libraries imported before the
clock starts; peak memory is the process's, interpreter and libraries included. Beside the clock's seconds stand the
processor's, of all threads (`cpu`): on a machine that others use too, these are the ones to trust.
"""

import argparse
import gc
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.memory import peak_memory_bytes

RECORDS, DISTINCT = 126_753, 115_594
ROUNDS = 3
PICTURES = "https://pictures.example/id/sr3/"  # what the urls begin with
COLORS = ("black", "ivory", "navy", "rose gold", "olive", "heather grey")
WORDS_MEAN, WORDS_LEAST, VOCABULARY = 21, 6, 12_000


def make_catalog(path: Path, records: int, distinct: int, *, seed: int = 0, base: str = PICTURES) -> None:
    """Write a catalogue in FACAD's shape and size: 21 words a description, 7 pictures in 3 colours, 15 attributes.

    Record i repeats the description of a record among the first `distinct` if i is above; urls are all different.
    Records stand in random order, under ids that say nothing about it.
    """
    generator = np.random.default_rng(seed)
    syllables = ["ba", "ko", "mi", "ter", "sol", "ven", "ra", "lu", "shi", "ne", "gar", "pol", "ti", "dra", "em", "on"]
    words = np.array(
        ["".join(generator.choice(syllables, 1 + number % 4)) + str(number) for number in range(VOCABULARY)]
    )
    shares = 1 / np.arange(1, VOCABULARY + 1)
    shares /= shares.sum()
    order = generator.permutation(records)
    with path.open("wb") as file:
        file.write(b"[")
        for start in range(0, records, 10_000):
            rows = order[start : start + 10_000]
            content = np.where(rows < distinct, rows, rows * 7 % distinct)
            file.write(b",\n" if start else b"\n")
            file.write(b",\n".join(_records(rows, content, words, shares, seed, base)))
        file.write(b"\n]\n")


def _records(rows: Any, content: Any, words: Any, shares: Any, seed: int, base: str) -> Iterator[bytes]:
    for row, text in zip(rows.tolist(), content.tolist(), strict=True):
        generator = np.random.default_rng((seed, text))
        length = WORDS_LEAST + generator.poisson(WORDS_MEAN - WORDS_LEAST)
        description = " ".join(words[np.searchsorted(_cumulative(shares), generator.random(length))])
        attributes = ["nah"] * 15
        for place in generator.integers(0, 15, 5):
            attributes[place] = str(words[place * 40])
        images: list[dict[str, str]] = []
        for color in COLORS[: 1 + row % 5]:
            entry = {"color": color}
            for number in range(1 + (row + len(color)) % 4):
                entry[str(number)] = (
                    f"{base}{row:08x}-{len(images)}-{number}-42a9-b8c5-5f3e4d2c1b0a.jpeg"
                    "?crop=pad&pad_color=FFF&format=jpeg&w=60&h=90"
                )
            images.append(entry)
        yield orjson.dumps(
            {
                "id": row + 1,
                "images": images,
                "title": " ".join(words[row % 97 : row % 97 + 5]),
                "description": description,
                "detail_info": f'DETAILS & CARE\n{description.capitalize()}.\n3/8" width\nImported\nItem #{row}',
                "categoryid": row % 78,
                "category": str(words[row % 78]),
                "attr": attributes,
                "attrid": list(range(15)),
            }
        )


_CUMULATIVE: list[Any] = []


def _cumulative(shares: Any) -> Any:
    if not _CUMULATIVE:
        _CUMULATIVE.append(np.minimum(np.cumsum(shares), 1.0))
        _CUMULATIVE[0][-1] = 1.0
    return _CUMULATIVE[0]


def parse(path: Path) -> dict[str, float]:
    """The reference: seconds that orjson takes to parse the whole file."""
    data = path.read_bytes()
    seconds = []
    gc.disable()
    for _ in range(ROUNDS):
        start = clocks()
        records = orjson.loads(data)
        seconds.append(clocks() - start)
        del records
    wall, cpu = np.min(seconds, axis=0)
    return {"parse_s": wall, "parse_cpu_s": cpu}


def clocks() -> Any:
    """Seconds by the clock and by the processor: (2,)."""
    return np.array([time.perf_counter(), time.process_time()])


def stages(path: Path) -> dict[str, float]:
    """Ours: seconds of each stage, files written, near-duplicates left out."""
    import pandas as pd  # noqa: F401  pyarrow imports it on first use

    from tasks.catalog.duplicates import DeduplicateConfig, deduplicate_folder
    from tasks.catalog.fingerprint import catalog_fingerprint
    from tasks.catalog.reader import CatalogConfig, read_catalog, write_catalog
    from tasks.catalog.sampling import SampleConfig, sample_folder

    rules = DeduplicateConfig(near_duplicates=False)
    best: dict[str, float] = {}
    cpu = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            moments = [clocks()]
            catalog = read_catalog(path, CatalogConfig())
            assert catalog_fingerprint(catalog.records)
            write_catalog(catalog, folder)
            counts = {"read": catalog.read, "rejected": catalog.rejected.num_rows}
            del catalog
            moments.append(clocks())
            result = deduplicate_folder(folder, rules, split_seed=0, given_splits=False)
            counts |= {"dropped": result.dropped.num_rows, "kept": result.records.num_rows}
            assert set(result.dropped_by_rule) == {"description"}, result.dropped_by_rule
            del result
            moments.append(clocks())
            sample_folder(folder, SampleConfig(), given_splits=False)
            moments.append(clocks())
        assert counts["read"] == counts["rejected"] + counts["dropped"] + counts["kept"], counts
        names = ("read_s", "deduplicate_and_split_s", "sample_s")
        stages_s, (total_s, cpu_s) = np.diff(moments, axis=0)[:, 0].tolist(), (moments[-1] - moments[0]).tolist()
        cpu.append(cpu_s)
        if not best or total_s < best["total_s"]:
            best = dict(zip(names, stages_s, strict=True)) | {"total_s": total_s} | counts
    return best | {"total_cpu_s": min(cpu), "peak_bytes": peak_memory_bytes()}


def near_duplicates(path: Path) -> dict[str, float]:
    """Ours: seconds that near-duplicates across splits take on top."""
    from tasks.catalog.duplicates import DeduplicateConfig, deduplicate
    from tasks.catalog.reader import CatalogConfig, read_catalog

    records = read_catalog(path, CatalogConfig()).records
    seconds = []
    for near in (False, True):
        start = time.perf_counter()
        deduplicate(records, DeduplicateConfig(near_duplicates=near), split_seed=0, given_splits=False)
        seconds.append(time.perf_counter() - start)
    return {"near_duplicates_s": seconds[1] - seconds[0]}


def in_process(function: Callable[[Path], dict[str, float]], path: Path) -> dict[str, float]:
    """Run one measurement in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, (path,))


def measure(path: Path, records: int, distinct: int, *, with_reference: bool) -> dict[str, float]:
    """All figures for one catalogue, which is made if it is not there."""
    if not path.exists():
        make_catalog(path, records, distinct)
    reference = in_process(parse, path) if with_reference else {}
    figures = in_process(stages, path)
    assert figures["dropped"] == records - distinct, figures
    figures |= reference | in_process(near_duplicates, path)
    figures["file_bytes"] = path.stat().st_size
    if reference:
        figures["ratio_to_orjson"] = figures["total_s"] / figures["parse_s"]
        figures["ratio_to_orjson_cpu"] = figures["total_cpu_s"] / figures["parse_cpu_s"]
    figures["ratio_memory_to_file"] = figures["peak_bytes"] / figures["file_bytes"]
    figures["us_per_record"] = figures["total_s"] / records * 1e6
    figures["us_per_record_cpu"] = figures["total_cpu_s"] / records * 1e6
    return figures


def main() -> None:
    """Print every figure as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenfold", action="store_true", help="also 1,267,530 records")
    parser.add_argument("--folder", type=Path, help="keep the catalogues here, and use them if they are here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        result: dict[str, Any] = {"once": measure(folder / "catalog.json", RECORDS, DISTINCT, with_reference=True)}
        if arguments.tenfold:
            result["tenfold"] = measure(folder / "tenfold.json", RECORDS * 10, DISTINCT * 10, with_reference=False)
            for name in ("us_per_record", "us_per_record_cpu"):
                result[f"{name}_tenfold_to_once"] = result["tenfold"][name] / result["once"][name]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
