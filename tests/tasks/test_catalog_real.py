"""Real catalogues, a Russian one, and the full size."""

import gzip
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.catalog import DISTINCT, RECORDS, make_catalog, measure
from model.picture import ImageConfig, decode
from model.text import tokenize
from tasks.catalog.duplicates import DeduplicateConfig, deduplicate, deduplicate_folder, pixel_repeats
from tasks.catalog.reader import CatalogConfig, read_catalog, write_catalog
from tasks.catalog.report import catalog_report
from tasks.catalog.sampling import SampleConfig, draw_sample, sample_folder
from tests.catalogs import real_catalog


def test_the_apparel_catalogue_gives_180_records_by_description() -> None:
    path = real_catalog("apparel/catalog.json")
    catalog = read_catalog(path, CatalogConfig(), image_base_url=str(path.parent))
    assert (catalog.read, catalog.rejected.num_rows) == (1891, 0)
    result = deduplicate(catalog.records, DeduplicateConfig(), split_seed=0, given_splits=False)
    assert result.records.num_rows == 180
    assert result.dropped_by_rule == {"description": 1711}
    sample = draw_sample(result.records, SampleConfig(), given_splits=False)
    assert sum(sample.available.values()) == 180
    assert "the catalogue has only" in sample.warning


def test_flickr8k_keeps_its_splits_and_all_of_its_7000_rows() -> None:
    path = real_catalog("flickr8k/catalog.jsonl")
    catalog = read_catalog(path, CatalogConfig(), image_base_url=str(path.parent))
    assert catalog.given_splits
    assert set(map(len, catalog.records["references"].to_pylist())) == {5}
    result = deduplicate(catalog.records, DeduplicateConfig(), split_seed=0, given_splits=True)
    assert (result.records.num_rows, result.dropped.num_rows) == (7000, 0)
    config = SampleConfig(train=6000, validation=1000, test=0, exact=True)
    sample = draw_sample(result.records, config, given_splits=True)
    assert dict(sample.drawn) == {"train": 6000, "validation": 1000, "test": 0}
    assert sample.warning == ""
    assert result.leaks["text"] == 59  # "a dog runs through the grass": captions that two pictures share


@pytest.mark.acceptance
def test_flickr8ks_one_pair_of_equal_pictures_is_reported_and_stays() -> None:
    path = real_catalog("flickr8k/catalog.jsonl")
    rows = read_catalog(path, CatalogConfig(), image_base_url=str(path.parent)).records.to_pylist()
    image = ImageConfig(size_px=192)

    def digest(url: str) -> str:
        return sha256(decode((path.parent / url).read_bytes(), image).tobytes()).hexdigest()

    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(digest, [row["url"] for row in rows]))
    result = pixel_repeats(
        [row["record_id"] for row in rows],
        [row["split"] for row in rows],
        digests,
        DeduplicateConfig(),
        given_splits=True,
    )
    assert result.dropped.num_rows == 0
    (pair,) = result.reported.to_pylist()
    assert {pair["id"], pair["repeats_id"]} == {"2851198725_37b6027625", "3050606344_af711c726c"}


GARMENTS = ["платье", "юбка", "куртка", "блузка", "рубашка", "пальто"]
COLOURS = ["красного", "синего", "тёмно-зелёного", "чёрного", "белого"]
DETAILS = ["с длинным рукавом", "с круглым вырезом", "на пуговицах", "с капюшоном", "в полоску", "из хлопка"]


def test_a_russian_catalogue_goes_through_whole(tmp_path: Path) -> None:
    texts = [
        f"{garment.capitalize()} {colour} цвета {one}, {other}."
        for garment in GARMENTS
        for colour in COLOURS
        for one in DETAILS
        for other in DETAILS
        if one != other
    ]
    lines = [f"п{n};https://магазин.рф/картинки/{n}.jpg;{text}" for n, text in enumerate(texts)]
    repeated = random.Random(0).sample(range(len(texts)), 90)
    lines += [f"я{n};https://магазин.рф/картинки/{n}-2.jpg;{texts[n].upper()}" for n in repeated]
    path = tmp_path / "каталог.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["артикул;фото;описание", *lines]).encode()))
    mapped = CatalogConfig(columns={"id": "артикул", "image_url": "фото", "description": "описание"})

    catalog = read_catalog(path, mapped)
    assert (catalog.format, catalog.read, catalog.rejected.num_rows) == ("CSV", 990, 0)
    folder = tmp_path / "набор"
    write_catalog(catalog, folder)
    result = deduplicate_folder(folder, DeduplicateConfig(), split_seed=0, given_splits=False)
    assert result.dropped_by_rule == {"description": 90}
    sample_folder(folder, SampleConfig(train=140, validation=10, test=30), given_splits=False)
    sample = pq.read_table(folder / "sample.parquet")
    drawn = Counter(sample.filter(sample["in_sample"])["split"].to_pylist())
    assert drawn == {"train": 140, "validation": 10, "test": 30}
    assert tokenize(texts[0]) == ["платье", "красного", "цвета", "с", "длинным", "рукавом", "с", "круглым", "вырезом"]
    assert catalog_report(folder)["words"]["most_frequent"]["цвета"] == 900


def test_planted_duplicates_go_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    make_catalog(path, 3000, 2700)
    records = json.loads(path.read_text())
    assert len({record["description"] for record in records}) == 2700
    catalog = read_catalog(path, CatalogConfig())
    result = deduplicate(catalog.records, DeduplicateConfig(), split_seed=0, given_splits=False)
    assert (catalog.rejected.num_rows, result.dropped_by_rule) == (0, {"description": 300})
    first: dict[str, int] = {}
    for record in records:
        first[record["description"]] = min(record["id"], first.get(record["description"], record["id"]))
    assert set(map(int, result.records["record_id"].to_pylist())) == set(first.values())


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_the_full_size_keeps_to_its_time_and_memory(tmp_path: Path) -> None:
    once = measure(tmp_path / "catalog.json", RECORDS, DISTINCT, with_reference=True)
    assert once["dropped"] == 11_159
    assert once["ratio_to_orjson"] <= 8
    assert once["ratio_memory_to_file"] <= 5
    tenfold = measure(tmp_path / "tenfold.json", RECORDS * 10, DISTINCT * 10, with_reference=False)
    assert tenfold["us_per_record"] <= 1.3 * once["us_per_record"]
    assert tenfold["ratio_memory_to_file"] <= 5
