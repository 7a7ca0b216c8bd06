"""The catalogue's report: counts that add up, overlaps that are seen, pictures that look alike."""

import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from model.store import StoreInfo, write_store
from tasks.catalog.duplicates import DeduplicateConfig, deduplicate_folder
from tasks.catalog.reader import CatalogConfig, read_catalog, write_catalog
from tasks.catalog.report import catalog_report, overlap
from tasks.catalog.report_text import REPORT_MARKDOWN, report_markdown, report_table
from tasks.catalog.sampling import SampleConfig, sample_folder
from tasks.catalog.similar_pictures import SimilarPair, difference_hash, similar_pairs
from tasks.manifest import write_manifest
from tasks.read import Dataset
from tasks.report import report

Pictures = npt.NDArray[np.uint8]


def dataset(folder: Path, records: list[dict[str, Any]]) -> Path:
    """A dataset's folder up to the sample."""
    (folder / "catalog.json").write_text(json.dumps(records))
    catalog = read_catalog(folder / "catalog.json", CatalogConfig())
    write_catalog(catalog, folder)
    deduplicate_folder(folder, DeduplicateConfig(), split_seed=0, given_splits=catalog.given_splits)
    sample_folder(folder, SampleConfig(train=10, validation=1, test=2), given_splits=catalog.given_splits)
    return folder


def record(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_url": f"https://a.b/{number}", "description": f"A fine dress {number}"} | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = [record(n, category="dress" if n % 3 else "a|*b*", attr=["red"] * (n % 2)) for n in range(100)]
    records += [record(200, description="a fine dress 7!"), record(201, description=None), record(202, image_url=None)]
    records += [record(n, description="word " * 130, title="t") for n in (300, 301)]
    return dataset(tmp_path, records)


def test_counts_add_up_from_what_was_read_to_what_was_drawn(folder: Path) -> None:
    report = catalog_report(folder)
    counts = report["counts"]
    assert counts["read"] == 105
    assert counts["rejected"] == {"no description": 1, "no picture url": 1}
    assert counts["dropped"] == {"description": 2}
    assert counts["kept"] == 101 == sum(numbers["kept"] for numbers in counts["splits"].values())
    assert {split: numbers["sampled"] for split, numbers in counts["splits"].items()} == {
        "train": 10,
        "validation": 1,
        "test": 2,
    }


def test_captions_words_categories_and_missing_fields_are_measured(folder: Path) -> None:
    report = catalog_report(folder)
    assert report["captions"] == {
        "references": 101,
        "mean_words": round((100 * 4 + 130) / 101, 2),
        "median_words": 4.0,
        "longest_words": 130,
        "share_up_to_30_words": round(100 / 101, 4),
        "histogram": {"1-5": 100} | {f"{low}-{low + 4}": 0 for low in range(6, 101, 5)} | {"over 100": 1},
    }
    assert list(report["words"]["most_frequent"].items())[:4] == [
        ("word", 130),
        ("a", 100),
        ("dress", 100),
        ("fine", 100),
    ]
    assert (report["words"]["distinct"], report["words"]["more_than_once"]) == (104, 4)
    assert report["categories"] == {"distinct": 2, "largest": {"dress": 66, "a|*b*": 34}}
    assert report["missing"] == {
        "title": round(100 / 101, 4),
        "category": round(1 / 101, 4),
        "attr": round(51 / 101, 4),
    }


def test_lengths_at_the_borders_fall_into_the_bins_that_are_named_so(tmp_path: Path) -> None:
    lengths = [5, 6, 30, 31, 100, 101]
    records = [record(n, description=" ".join(f"{n}x{place}" for place in range(n))) for n in lengths]
    captions = catalog_report(dataset(tmp_path, records))["captions"]
    filled = {name: count for name, count in captions["histogram"].items() if count}
    assert filled == dict.fromkeys(["1-5", "6-10", "26-30", "31-35", "96-100", "over 100"], 1)
    assert captions["share_up_to_30_words"] == 3 / 6


def test_splits_have_nothing_in_common_and_where_they_are_given_it_is_seen(folder: Path, tmp_path: Path) -> None:
    nothing = {"train and validation": 0, "train and test": 0, "validation and test": 0}
    assert catalog_report(folder)["overlap"] == {"texts": nothing, "urls": nothing}
    given = tmp_path / "given"
    given.mkdir()
    rows = [record(n, split=split) for n, split in enumerate(["train", "validation", "test"])]
    dataset(
        given,
        [
            *rows,
            record(7, split="test", description="a FINE dress 0"),
            record(8, split="train", image_url="https://A.b/2?x"),
        ],
    )
    assert catalog_report(given)["overlap"] == {
        "texts": nothing | {"train and test": 1},
        "urls": nothing | {"train and test": 1},
    }
    assert overlap(["x", "x", "x"], ["train", "validation", "train"]) == nothing | {"train and validation": 1}


def photo(seed: int) -> Pictures:
    """A smooth picture uint8 (C, S, S)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 6, 6))
    return np.kron(coarse, np.ones((1, 6, 6))).astype(np.uint8)


def store(path: Path, rows: list[tuple[str, str, Pictures]], size_px: int = 36) -> None:
    info = StoreInfo(rows=len(rows), size_px=size_px, resize="squash", fingerprint="f", dataset_id="d")
    write_store(path, rows, info)


def test_pictures_that_look_alike_across_splits_are_found_and_others_are_not(tmp_path: Path) -> None:
    noisy = np.clip(photo(1).astype(int) + np.random.default_rng(0).integers(-4, 5, (3, 36, 36)), 0, 255).astype(
        np.uint8
    )
    green = photo(1)[[1, 2, 0]]
    store(tmp_path / "train.h5", [("1", "train", photo(1)), ("2", "train", photo(2)), ("3", "validation", photo(3))])
    store(tmp_path / "test.h5", [("4", "test", noisy), ("5", "test", green), ("6", "test", photo(6))])
    pairs = similar_pairs([tmp_path / "train.h5", tmp_path / "test.h5", tmp_path / "absent.h5"])
    assert [(pair.record_id, pair.other_id) for pair in pairs] == [("1", "4")]
    assert isinstance(pairs[0], SimilarPair)
    store(tmp_path / "small.h5", [("1", "train", photo(1)[:, :8, :8])], size_px=8)
    assert similar_pairs([tmp_path / "small.h5"]) == []


def test_the_difference_hash_is_what_its_definition_says() -> None:
    pictures = np.stack([photo(n) for n in range(20)])  # (B, C, S, S)
    hashes = difference_hash(pictures)
    for picture, value in zip(pictures, hashes, strict=True):
        grey = 0.299 * picture[0].astype(float) + 0.587 * picture[1] + 0.114 * picture[2]
        bits = ""
        for row in range(8):
            top, bottom = row * 36 // 8, (row + 1) * 36 // 8
            cells = [grey[top:bottom, c * 4 : c * 4 + 4].sum() for c in range(9)]
            bits += "".join("1" if right > left + 1e-3 else "0" for left, right in pairwise(cells))
        assert int(np.bitwise_count(np.uint64(int.from_bytes(int(bits, 2).to_bytes(8, "big"), "little")) ^ value)) <= 2


def test_equal_pictures_are_reported_once_they_are_there(folder: Path) -> None:
    sample = pq.read_table(folder / "sample.parquet").to_pylist()
    chosen = [row for row in sample if row["in_sample"]]
    rows = [(row["record_id"], row["split"], photo(number // 2)) for number, row in enumerate(chosen)]
    store(folder / "train.h5", [row for row in rows if row[1] != "test"])
    store(folder / "test.h5", [row for row in rows if row[1] == "test"])
    outcomes: list[dict[str, Any]] = [
        {"record_id": i, "split": s, "digest": str(n // 2), "row": n, "repeats_id": ""}
        for n, (i, s, _) in enumerate(rows)
    ]
    outcomes.append({"record_id": "failed", "split": "train", "digest": "", "row": -1, "repeats_id": ""})
    outcomes.append({"record_id": "repeat", "split": "train", "digest": "0", "row": -1, "repeats_id": "1"})
    pq.write_table(pa.Table.from_pylist(outcomes), folder / "outcomes.parquet")
    report = catalog_report(folder)
    assert report["overlap"]["pixels"] == {"train and validation": 0, "train and test": 0, "validation and test": 1}
    assert report["pictures"]["similar_across_splits"] == 1
    assert (report["pictures"]["rows"], report["pictures"]["dropped"]) == (13, 1)
    assert report["pictures"]["equal"] == 6
    assert len(report["pictures"]["equal_examples"]) == 6


def test_the_report_is_made_anew_where_other_records_were_rejected_or_other_pictures_packed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dataset is the same one where the records that are left are the same."""
    made, pages = [], []

    def make(of: Path) -> dict[str, Any]:
        made.append(of)
        return catalog_report(of)

    monkeypatch.setattr("tasks.report.catalog_report", make)
    monkeypatch.setattr("tasks.report.show_page", lambda page, **_: pages.append(page))
    dataset = Dataset(id="d", folder=folder, facts={"read": 105, "rejected": {"no description": 2}, "kept": 103})
    for digest, rejected, count in (("01", 2, 1), ("01", 2, 1), ("01", 1, 2), ("23", 1, 3)):
        write_manifest(folder, "pack", files=[], facts={"digest": digest})
        found = report.fn(replace(dataset, facts=dataset.facts | {"rejected": {"no description": rejected}}))
        assert (found["counts"]["read"], len(made)) == (105, count)
    assert len(pages) == 4
    assert all(page == (folder / REPORT_MARKDOWN).read_text() for page in pages)


def test_the_report_reads_well_as_markdown_and_on_a_terminal_and_is_plain_json(folder: Path) -> None:
    report = catalog_report(folder)
    assert json.loads(json.dumps(report)) == report
    markdown = report_markdown(report)
    for part in (
        "# The catalogue",
        "| read | 105 |",
        "| dropped: description | 2 |",
        r"| a\|\*b\* | 34 |",
        "word (130), a (100)",
        "1-5 ███",
    ):
        assert part in markdown
    output = io.StringIO()
    Console(file=output, width=80).print(report_table(report))
    for part in (
        "rejected: no description",
        "dropped: description",
        "texts in train and test",
        "without category",
        "1-5 ███",
        "Most frequent of 104 words: word (130), a (100)",
        "Largest of 2 categories: dress (66), a|*b* (34)",
    ):
        assert part in output.getvalue()
