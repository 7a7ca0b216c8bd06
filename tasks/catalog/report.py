"""What is in a catalogue, and what became of it: the numbers behind the report.

Made from the files of a dataset's folder, so it can be made again at any time, before the pictures are there or after.
"""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.text import SPLITS, normalise
from tasks.catalog.duplicates import DeduplicateConfig, pixel_repeats
from tasks.catalog.similar_pictures import similar_pairs
from tasks.catalog.urls import normalise_url
from tasks.dataset_files import (
    CATALOG_FILE,
    DROPPED_FILE,
    OUTCOMES_FILE,
    RECORDS_FILE,
    REJECTED_FILE,
    SAMPLE_FILE,
    STORES,
)

BIN_WORDS, LAST_BIN_WORDS = 5, 100
TOP_WORDS, TOP_CATEGORIES, EXAMPLES = 50, 20, 20


def catalog_report(folder: Path) -> dict[str, Any]:
    """Everything that the report says, as plain values for JSON.

    Args:
        folder: of a dataset: catalog, rejected, records, dropped and sample.parquet; outcomes.parquet and the picture
            stores too once they are there.

    Returns:
        counts: records read, rejected by reason, dropped by rule, kept; by split kept and sampled.
        captions: references, words of each (mean, median, longest, share of at most 30), a histogram.
        words: distinct ones, those that occur more than once, the most frequent.
        categories: distinct ones and the largest.
        missing: share of kept records without title, category, attributes.
        overlap: texts, urls, and pixels once they are there, that two splits have in common.
        pictures: those dropped for being another's, equal and similar ones among the rows, once they are there.
    """
    records = pq.read_table(folder / RECORDS_FILE)
    normalised = [normalise(text) for text in pc.list_flatten(records["references"]).to_pylist()]
    per_record = pc.list_value_length(records["references"]).to_numpy()
    splits = records["split"].to_numpy(zero_copy_only=False)
    urls = [normalise_url(url) for url in records["url"].to_pylist()]
    report: dict[str, Any] = {
        "counts": _counts(folder, records),
        "captions": _captions(normalised),
        "words": _words(normalised),
        "categories": _categories(records["category"]),
        "missing": _missing(records),
        "overlap": {
            "texts": overlap(normalised, np.repeat(splits, per_record).tolist()),
            "urls": overlap(urls, splits.tolist()),
        },
    }
    if (folder / OUTCOMES_FILE).is_file():
        outcomes = pq.read_table(folder / OUTCOMES_FILE)
        rows = outcomes.filter(pc.field("row") >= 0)
        columns = [rows[name].to_pylist() for name in ("record_id", "split", "digest")]
        report["overlap"]["pixels"] = overlap(columns[2], columns[1])
        dropped = pc.sum(pc.not_equal(outcomes["repeats_id"], "")).as_py()
        report["pictures"] = {"dropped": dropped or 0} | _pictures(folder, *columns)
    return report


def overlap(keys: list[str], splits: list[str]) -> dict[str, int]:
    """How many distinct keys each two splits have in common."""
    found: dict[str, set[str]] = {split: set() for split in SPLITS}
    for key, split in zip(keys, splits, strict=True):
        found[split].add(key)
    return {f"{one} and {other}": len(found[one] & found[other]) for one, other in combinations(SPLITS, 2)}


def _counts(folder: Path, records: pa.Table) -> dict[str, Any]:
    rejected = pq.read_table(folder / REJECTED_FILE, columns=["reason"])["reason"]
    dropped = pq.read_table(folder / DROPPED_FILE, columns=["rule"])["rule"]
    sample = pq.read_table(folder / SAMPLE_FILE, columns=["split", "in_sample"])
    sampled = Counter(sample.filter(sample["in_sample"])["split"].to_pylist())
    kept = Counter(records["split"].to_pylist())
    read = pq.read_metadata(folder / CATALOG_FILE).num_rows + len(rejected)
    assert read == len(rejected) + len(dropped) + len(records) == len(rejected) + len(dropped) + len(sample), (
        "records were lost between reading and sampling"
    )
    return {
        "read": read,
        "rejected": dict(Counter(rejected.to_pylist()).most_common()),
        "dropped": dict(Counter(dropped.to_pylist())),
        "kept": len(records),
        "splits": {split: {"kept": kept[split], "sampled": sampled[split]} for split in SPLITS},
    }


def _captions(normalised: list[str]) -> dict[str, Any]:
    lengths = np.array([text.count(" ") + 1 if text else 0 for text in normalised])
    edges = np.arange(0, LAST_BIN_WORDS + 1, BIN_WORDS)
    counts = np.bincount(np.minimum(np.maximum(lengths - 1, 0) // BIN_WORDS, len(edges) - 1), minlength=len(edges))
    last = int(np.flatnonzero(counts)[-1]) + 1
    names = [f"{low + 1}-{low + BIN_WORDS}" for low in edges[:-1].tolist()] + [f"over {LAST_BIN_WORDS}"]
    return {
        "references": len(normalised),
        "mean_words": round(float(lengths.mean()), 2),
        "median_words": float(np.median(lengths)),
        "longest_words": int(lengths.max()),
        "share_up_to_30_words": round(float((lengths <= 30).mean()), 4),
        "histogram": dict(zip(names[:last], counts[:last].tolist(), strict=True)),
    }


def _words(normalised: list[str]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for text in normalised:
        counts.update(text.split(" "))
    return {
        "distinct": len(counts),
        "more_than_once": sum(count > 1 for count in counts.values()),
        "most_frequent": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_WORDS]),
    }


def _categories(column: pa.ChunkedArray) -> dict[str, Any]:
    counts = Counter(column.to_pylist())
    counts.pop("", None)
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_CATEGORIES]
    return {"distinct": len(counts), "largest": dict(largest)}


def _missing(records: pa.Table) -> dict[str, float]:
    shares = {name: pc.mean(pc.equal(records[name], "")).as_py() for name in ("title", "category")}
    shares["attr"] = pc.mean(pc.equal(pc.list_value_length(records["attr"]), 0)).as_py()
    return {name: round(share, 4) for name, share in shares.items()}


def _pictures(folder: Path, record_ids: list[str], splits: list[str], digests: list[str]) -> dict[str, Any]:
    equal = pixel_repeats(record_ids, splits, digests, DeduplicateConfig(), given_splits=True).reported
    similar = similar_pairs([folder / name for name in STORES])
    return {
        "rows": len(record_ids),
        "equal": len(equal),
        "equal_examples": equal.slice(0, EXAMPLES).to_pylist(),
        "similar_across_splits": len(similar),
        "similar_examples": [
            {"id": p.record_id, "split": p.split, "other_id": p.other_id, "other_split": p.other_split, "bits": p.bits}
            for p in similar[:EXAMPLES]
        ],
    }
