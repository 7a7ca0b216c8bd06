"""The demo catalogue: as it was asked for, to the byte, with exactly the faults that it reports."""

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.errors import UserError
from model.text import normalise, split_of
from tasks.catalog.reader import CatalogConfig, read_catalog
from tasks.demo.catalogue import DemoCatalogue, make_catalog
from tasks.demo.faults import FEWEST_RECORDS, SHARES, planted_counts
from tasks.demo.plan import plan_products
from tasks.demo.products import COLOURS, GREYS, TYPES

ITEMS, SPLIT_SEED = 240, 7
FACAD_FIELDS = ["id", "images", "title", "description", "detail_info", "categoryid", "category", "attr", "attrid"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoCatalogue:
    return make_catalog(ITEMS, tmp_path_factory.mktemp("demo"), 3, split_seed=SPLIT_SEED, processes=1)


@pytest.fixture(scope="session")
def records(made: DemoCatalogue) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(made.catalog.read_text())
    return loaded


@pytest.fixture(scope="session")
def answers(made: DemoCatalogue) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(made.answers.read_text())
    return known


def text_of(record: dict[str, Any]) -> str:
    """A record's description, or the second line of its `detail_info`."""
    text: str = record["description"] or [*record["detail_info"].split("\n"), ""][1]
    return text


def picture_path(made: DemoCatalogue, record: dict[str, Any]) -> Path:
    url: str = record["images"][0]["0"]
    return made.folder / url.partition("?")[0]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_in_one_process_or_two(tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        make_catalog(40, tmp_path / name, 5, split_seed=0, processes=processes)
    make_catalog(40, tmp_path / "other", 6, split_seed=0, processes=1)
    one, two, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert len(set(one.values()) & set(other.values())) == 1, "the HTML page, and nothing else"


def test_records_have_facads_shape(records: list[dict[str, Any]]) -> None:
    assert len({record["id"] for record in records}) == len(records) == ITEMS
    for record in records:
        assert list(record) == FACAD_FIELDS
        assert all("color" in colour and "0" in colour for colour in record["images"])
        assert len(record["attr"]) == len(record["attrid"])
        assert all(
            (word == "nah") == (number == 0) for word, number in zip(record["attr"], record["attrid"], strict=True)
        )
    assert any(len(record["images"]) > 1 for record in records)
    assert any("1" in record["images"][0] for record in records)


def test_the_catalogue_holds_exactly_the_faults_that_are_reported(
    made: DemoCatalogue, records: list[dict[str, Any]], answers: dict[str, Any]
) -> None:
    assert made.planted == planted_counts(ITEMS) == answers["planted"]
    assert Counter(answer["fault"] for answer in answers["records"].values() if answer["fault"]) == made.planted
    assert set(made.planted) == set(SHARES)
    texts = Counter(normalise(text_of(record)) for record in records if text_of(record))
    found = {
        "repeated_description": sum(count - 1 for count in texts.values()),
        "no_description": sum(not record["description"] and bool(record["detail_info"]) for record in records),
        "no_text": sum(not text_of(record) for record in records),
        "null_url": sum(record["images"][0]["0"] is None for record in records),
        "fails_twice": len(answers["fails_twice"]),
    }
    pictures: Counter[str] = Counter()
    for record in records:
        url = record["images"][0]["0"]
        if url is None:
            continue
        if not url.startswith("images/"):
            pictures["malformed_url"] += 1
        elif answers["records"][str(record["id"])]["fault"] == "repeated_description":
            continue
        elif not (path := picture_path(made, record)).is_file():
            pictures["dead_link"] += 1
        else:
            pictures[look_of(path.read_bytes())] += 1
    del pictures["sound"]
    assert found | dict(pictures) == made.planted


def look_of(content: bytes) -> str:
    if content.startswith(b"<!doctype"):
        return "html_page"
    with Image.open(io.BytesIO(content)) as picture:
        modes = {"CMYK": "cmyk", "P": "palette", "L": "grey"}
        if picture.mode in modes:
            return modes[picture.mode]
        if picture.width > 1000:
            return "very_large"
        try:
            picture.load()
        except OSError:
            return "truncated"
    return "sound"


def test_the_reader_rejects_what_was_planted_and_nothing_else(made: DemoCatalogue) -> None:
    catalog = read_catalog(made.catalog, CatalogConfig(), image_base_url="http://127.0.0.1/")
    assert catalog.rejected_by_reason == {
        "no picture url": made.planted["null_url"],
        "malformed url": made.planted["malformed_url"],
        "no description": made.planted["no_text"],
    }


def test_a_quarter_of_the_pairs_falls_into_the_test_split_only(
    records: list[dict[str, Any]], answers: dict[str, Any]
) -> None:
    held_out = {tuple(pair) for pair in answers["held_out_pairs"]}
    assert len(held_out) == len(TYPES) * len(COLOURS) / 4
    assert Counter(kind for kind, _ in held_out) == dict.fromkeys(TYPES, 3)
    assert Counter(colour for _, colour in held_out) == dict.fromkeys(COLOURS, 3)
    counted = 0
    for record in records:
        answer = answers["records"][str(record["id"])]
        assert answer["held_out"] == ((answer["type"], answer["colour"]) in held_out)
        for image in record["images"][:1] if answer["held_out"] else record["images"]:
            assert answer["held_out"] == ((answer["type"], image["color"].lower()) in held_out)
        if answer["held_out"] and text_of(record):
            counted += 1
            assert split_of(normalise(text_of(record)), SPLIT_SEED) == "test"
    assert counted >= 0.03 * ITEMS


def test_the_splits_of_a_full_catalogue_keep_their_proportions() -> None:
    planned, _ = plan_products(3600, 0, 0)
    shares = Counter(split_of(normalise(one.description), 0) for one in planned)
    assert 1 / 6 < shares["test"] / len(planned) < 1 / 3.9
    assert 0.035 < sum(one.held_out for one in planned) / len(planned) < 0.06


def test_no_two_pictures_are_equal(made: DemoCatalogue) -> None:
    found = digests(made.folder / "images")
    pages = made.planted["html_page"]
    assert len(set(found.values())) == len(found) - pages + 1
    assert len(found) == made.pictures


def test_only_grey_products_are_photographed_in_grey(answers: dict[str, Any]) -> None:
    grey = [answer for answer in answers["records"].values() if answer["fault"] == "grey"]
    assert grey
    assert all({answer["colour"], answer["second_colour"]} <= GREYS | {None} for answer in grey)


def test_a_tiny_catalogue_has_no_faults(tmp_path: Path) -> None:
    made = make_catalog(FEWEST_RECORDS - 1, tmp_path, split_seed=0)
    assert not any(made.planted.values())
    assert made.records == len(json.loads(made.catalog.read_text())) == FEWEST_RECORDS - 1


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write the demo catalogue.*choose another folder"):
        make_catalog(5, tmp_path / "file" / "demo", split_seed=0)
    with pytest.raises(ValueError, match="items is 0: must be at least 1"):
        make_catalog(0, tmp_path, split_seed=0)
