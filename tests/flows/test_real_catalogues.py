"""The whole chain on real catalogues, found through EC_DESCR_GEN_CATALOGS, and on one in Russian."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tasks.demo.catalogue import make_catalog
from tests.catalogs import real_catalog
from tests.command import SMALL, run_json

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

TYPES = {"bag": "сумка", "boots": "сапоги", "coat": "пальто", "dress": "платье", "earrings": "серьги", "hat": "шляпа",
         "scarf": "шарф", "shirt": "рубашка", "shorts": "шорты", "skirt": "юбка", "sweater": "свитер",
         "tee": "футболка", "trousers": "брюки", "shoes": "туфли"}  # fmt: skip
COLOURS = {"black": "чёрного", "white": "белого", "grey": "серого", "red": "красного", "pink": "розового",
           "orange": "оранжевого", "yellow": "жёлтого", "green": "зелёного", "blue": "голубого", "navy": "синего",
           "purple": "лилового", "brown": "коричневого", "beige": "бежевого", "teal": "бирюзового"}  # fmt: skip


def test_the_apparel_catalogue_goes_through_whole(tmp_path: Path) -> None:
    folder = real_catalog("apparel/catalog.json").parent
    result = run_json(
        "run", "--catalog", folder / "catalog.json", "--image-base-url", folder, "--preset", "demo",
        "--workdir", tmp_path, "--set", "train.epochs=2",
    )  # fmt: skip
    records = result["records"]
    assert records["read"] == 1891
    assert records["duplicates_by_rule"]["description"] == 1891 - 180
    assert result["pictures"]["failed"] == 0
    assert result["model_uri"]
    assert any("too few to learn from" in warning for warning in result["warnings"])


def test_flickr8k_keeps_its_splits_and_all_its_references(tmp_path: Path) -> None:
    folder = real_catalog("flickr8k/catalog.jsonl").parent
    result = run_json(
        "prepare", "--catalog", folder / "catalog.jsonl", "--image-base-url", folder, "--preset", "flickr8k",
        "--workdir", tmp_path,
    )  # fmt: skip
    assert result["records"]["sampled"] == {"train": 6000, "validation": 1000, "test": 0}
    captions = pd.read_parquet(Path(result["dataset_dir"]) / "captions.parquet")
    assert {len(references) for references in captions["references"]} == {5}
    report = json.loads((Path(result["dataset_dir"]) / "report.json").read_text())
    assert report["pictures"]["equal"] == 1


def test_a_russian_catalogue_gives_a_model_that_writes_russian(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    make_catalog(200, shop, 3, split_seed=0)
    answers = json.loads((shop / "answers.json").read_text())["records"]
    lines = []
    for record in json.loads((shop / "catalog.json").read_text()):
        answer, urls = answers[str(record["id"])], record["images"][0]
        url = urls.get("0")
        if url:
            words = (
                f"{TYPES.get(answer['type'], answer['type'])} {COLOURS.get(answer['colour'], answer['colour'])} цвета"
            )
            text = f"Наша {words}, артикул {record['id']}."
            lines.append(json.dumps({"id": record["id"], "image_url": url, "description": text}, ensure_ascii=False))
    (shop / "каталог.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = run_json(
        "run", "--catalog", shop / "каталог.jsonl", "--image-base-url", shop, "--workdir", tmp_path / "w",
        *SMALL, "--set", "train.epochs=6",
    )  # fmt: skip
    picture = next((shop / "images").rglob("*-0.jpg"))
    [found] = run_json("describe", picture, "--workdir", tmp_path / "w")
    assert result["vocabulary"] > 10
    assert any("а" <= letter <= "я" for letter in found["description"]), found
