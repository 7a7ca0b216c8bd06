"""`describe` through the command line: killed and resumed, many pictures, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from flows.cli import main
from model.describer import Describer
from model.settings import SearchConfig
from model.store import PictureStore
from tasks.demo.server import serve_images
from tasks.drafts.asked import named_pictures
from tasks.drafts.calibrate import calibrate
from tasks.drafts.drafting import Drafter
from tasks.pictures.settings import FetchConfig
from tasks.scoring.products import read_products
from tests.command import run, run_json, run_until
from tests.tasks.shapes import COLOURS, SHAPES, make_dataset, train_model

COUNT = 200


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = make_dataset(tmp_path_factory.mktemp("model") / "dataset", held_out=COUNT)
    found = train_model(dataset, dataset.parent / "run", epochs=24).model_dir
    few = read_products(dataset, data="shapes", split="validation")
    calibrate(found, few, search=SearchConfig(beam_size=2, max_words=12))
    return found


def titled_colour(number: int) -> str:
    return list(COLOURS)[(number + (number % 10 == 0)) % len(COLOURS)]


@pytest.fixture(scope="session")
def shop(model_dir: Path) -> Path:
    """200 products without a description, whose titles name colour and shape; each tenth title names another colour."""
    folder = model_dir.parents[1] / "shop"
    folder.mkdir()
    pixels = PictureStore(model_dir.parents[1] / "dataset" / "test.h5").read(slice(0, COUNT))
    with (folder / "new.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "image_url", "title", "description"])
        for number, picture in enumerate(pixels):
            Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{number}.png")
            title = f"{titled_colour(number)} {SHAPES[number % len(SHAPES)]}"
            table.writerow([f"p{number:03}", f"{number}.png", title, ""])
    return folder


def command(shop: Path, model_dir: Path, base: str, out: Path) -> list[str | Path]:
    return [
        "describe", "--catalog", shop / "new.csv", "--only-missing", "--out", out, "--image-base-url", base,
        "--model", model_dir, "--workdir", out.parent,
    ]  # fmt: skip


def test_killed_in_the_middle_drafting_loses_nothing_and_every_wrong_colour_needs_review(
    shop: Path, model_dir: Path, tmp_path: Path
) -> None:
    out, partial = tmp_path / "drafts.csv", tmp_path / "drafts.csv.partial"

    def kept() -> list[str]:
        return partial.read_text().splitlines()[1:] if partial.is_file() else []

    with serve_images(shop) as base:
        run_until(lambda: len(kept()) >= 32, *command(shop, model_dir, base, out))
        before = kept()
        assert 32 <= len(before) < COUNT
        assert not out.exists()
        resumed = run(*command(shop, model_dir, base, out))
    assert f"{len(before)} of 200 drafts are there already" in resumed.stderr
    assert "Describing pictures: " in resumed.stderr
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"p{number:03}" for number in range(COUNT)]
    assert all(row["description"].endswith(".") for row in rows)
    for line in before:
        old = json.loads(line)
        [same] = [row for row in rows if row["id"] == old["id"]]
        assert (same["description"], float(same["confidence"])) == (old["description"], old["confidence"])
    assert not partial.exists()

    said = [{word for word in row["description"].lower().strip(".").split() if word in COLOURS} for row in rows]
    wrong = [bool(words) and titled_colour(number) not in words for number, words in enumerate(said)]
    assert sum(wrong) >= 15, "it says what it sees, not what the title says"
    assert all(row["needs_review"] == "true" for row, bad in zip(rows, wrong, strict=True) if bad)
    right = [row["needs_review"] == "true" for row, bad in zip(rows, wrong, strict=True) if not bad]
    assert sum(right) / len(right) < 0.5


def test_a_draft_is_judged_by_the_models_bounds_and_by_what_the_product_says_of_itself(
    shop: Path, model_dir: Path
) -> None:
    describer = Describer.load(model_dir, device="cpu")
    describer.config = {**describer.config, "review": {"least_confidence": 1.0, "least_colour_certainty": 1.0}}
    search = SearchConfig(beam_size=2, max_words=12)
    strict = Drafter(describer=describer, search=search, fetch=FetchConfig(), named=[])
    asked = named_pictures([str(shop / f"{number}.png") for number in range(8)])
    reasons = [reason for row in strict.rows(asked) for reason in row["reasons"]]
    assert sum(reason.endswith("is below 1.0000") for reason in reasons) == 8
    assert any(reason.startswith("unsure of ") for reason in reasons)
    yellow = [replace(one, attributes=("yellow",)) for one in asked]
    assert any(reason.endswith(", the product is yellow") for row in strict.rows(yellow) for reason in row["reasons"])


def test_files_urls_and_folders_are_described_together(shop: Path, model_dir: Path, tmp_path: Path) -> None:
    for name in ("folder/1.png", "folder/2.png", "other/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((shop / Path(name).name).read_bytes())
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with serve_images(shop) as base:
        pictures: list[str | Path] = [
            shop / "0.png", tmp_path / "folder", tmp_path / "other", f"{base}3.png", tmp_path / "bad.jpg",
        ]  # fmt: skip
        rows = run_json("describe", *pictures, "--model", model_dir, "--attention", tmp_path / "seen")
    assert [Path(row["picture"]).name for row in rows] == ["0.png", "1.png", "2.png", "1.png", "3.png", "bad.jpg"]
    assert set(rows[0]) == {"picture", "description", "confidence", "needs_review", "reasons"}
    assert [bool(row["description"]) for row in rows] == [True, True, True, True, True, False]
    assert rows[-1]["reasons"][0].startswith("no picture: not_a_picture")
    drawn = {path.name for path in (tmp_path / "seen").iterdir()}
    assert drawn == {"0.png", "1.png", "1-2.png", "2.png", "3.png"}, "none is drawn over another of its name"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to describe: name pictures"),
        (["--only-missing"], "belong to a catalogue"),
        (["{shop}/0.png", "--catalog", "{shop}/new.csv"], "one of the two at a time"),
        (["--catalog", "{shop}/none.csv"], "none.csv does not exist"),
        (["--catalog", "{shop}/new.csv"], "relative url"),
        (
            ["--catalog", "{shop}/new.csv", "--image-base-url", "{shop}", "--out", "drafts.txt"],
            "neither .csv nor .json",
        ),
        (["{shop}/0.png", "{shop}/1.png", "--attention", "a.png"], "draws one picture's attention"),
        (["{shop}/0.png", "--attention", "a.jpg"], "neither .png nor .svg"),
        (["{shop}/0.png", "--set", "search.max_words=3"], "search.*: describe takes these from the model"),
        (["{shop}/0.png", "--beam-size", "0"], "search.beam_size is 0"),
        (["http://127.0.0.1:9/0.png", "--set", "fetch.attempts=1"], "cannot be described: no picture: connect"),
        (["ftp://a.example/0.png"], "unsupported_scheme"),
    ],
)
def test_wrong_use_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], shop: Path, model_dir: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    given = [argument.format(shop=shop) for argument in arguments]
    assert main(["describe", *given, "--model", str(model_dir), "--workdir", str(tmp_path)]) in {1, 2}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert "Traceback" not in captured.err


def test_a_catalogue_whose_products_all_have_a_description_is_nothing_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": 1, "image_url": "https://a.example/1.jpg", "description": "a hat"}\n')
    assert main(["describe", "--catalog", str(tmp_path / "c.jsonl"), "--only-missing"]) == 0
    assert "every product has a description" in capsys.readouterr().out


def test_records_that_are_left_out_are_counted_by_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    records = [{"id": 1, "image_url": "https://a.example/1.jpg"}, {"image_url": "https://a.example/2.jpg"}]
    (tmp_path / "c.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert main(["describe", "--catalog", str(tmp_path / "c.jsonl"), "--workdir", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "1 records are left out: no id" in told
    assert "run the pipeline first" in told
