"""Drafts for a catalogue and for pictures that a person names: every one a row, none lost, none written over."""

import csv
import fcntl
import json
import shutil
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.describer import Describer
from model.errors import RunError, UserError
from model.settings import SearchConfig
from model.store import PictureStore
from tasks.catalog.reader import CatalogConfig
from tasks.demo.server import serve_images
from tasks.drafts.asked import Asked, named_pictures, products
from tasks.drafts.drafting import Drafted, Drafter
from tasks.drafts.kept import Kept
from tasks.drafts.table import read_rows, write_rows
from tasks.pictures.address import FileAddress
from tasks.pictures.settings import FetchConfig
from tests.tasks.shapes import COLOURS, SHAPES, make_dataset, train_model

COUNT = 48
FETCH = FetchConfig(attempts=2, backoff_s=0.01, connect_timeout_s=2, read_timeout_s=2)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = make_dataset(tmp_path_factory.mktemp("model") / "dataset")
    return train_model(dataset, dataset.parent / "run", epochs=10).model_dir


@pytest.fixture(scope="session")
def shop(model_dir: Path) -> Path:
    """A folder of pictures, and a catalogue of the products that they show; three of four lack a description."""
    folder = model_dir.parents[1] / "shop"
    (folder / "images").mkdir(parents=True)
    pixels = PictureStore(model_dir.parents[1] / "dataset" / "train.h5").read(slice(0, COUNT))
    records = []
    for number, picture in enumerate(pixels):
        name = f"images/{number}.png"
        Image.fromarray(picture.transpose(1, 2, 0)).save(folder / name)
        colour, shape = list(COLOURS)[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
        text = "written by a person" if number % 4 == 3 else ""
        records.append({"id": number, "image_url": name, "title": f"{colour} {shape}", "description": text})
    (folder / "catalog.json").write_text(json.dumps(records))
    return folder


@pytest.fixture
def drafter(model_dir: Path) -> Drafter:
    describer = Describer.load(model_dir, device="cpu")
    return Drafter(describer=describer, search=SearchConfig(beam_size=2, max_words=12), fetch=FETCH, named=[])


def missing(catalog: Path, base: str) -> list[Asked]:
    return products(catalog, CatalogConfig(), image_base_url=base, only_missing=True).asked


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_product_without_a_description_gets_a_draft_in_readable_form(
    drafter: Drafter, shop: Path, tmp_path: Path
) -> None:
    with serve_images(shop) as base:
        asked = missing(shop / "catalog.json", base)
        rows = replace(drafter, named=[base]).write(asked, tmp_path / "drafts.csv")
    written = table(tmp_path / "drafts.csv")
    assert [row["id"] for row in written] == [str(number) for number in range(COUNT) if number % 4 != 3]
    assert list(written[0]) == ["id", "picture", "description", "confidence", "needs_review", "reasons"]
    for row, found in zip(written, rows, strict=True):
        assert row["description"][0].isupper()
        assert row["description"].endswith(".")
        assert 0 < float(row["confidence"]) <= 1
        assert row["needs_review"] == ("true" if row["reasons"] else "false")
        assert row["picture"] == f"{base}images/{row['id']}.png"
        assert found["description"] == row["description"]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "drafts.csv"], "what was kept for a kill is gone"


def test_a_batch_gives_what_each_picture_gives_alone(drafter: Drafter, shop: Path) -> None:
    asked = named_pictures([str(shop / "images")])
    together = drafter.rows(asked)
    assert [row["picture"] for row in together] == [one.picture for one in asked]
    for row in together[:5]:
        assert drafter.rows([one for one in asked if one.picture == row["picture"]]) == [row]


def test_a_bad_picture_among_many_is_a_row_with_its_reason(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    good = shop / "images" / "0.png"
    rows = drafter.rows(named_pictures([str(tmp_path / "bad.jpg"), str(good), str(tmp_path / "empty.jpg")]))
    assert [bool(row["description"]) for row in rows] == [False, True, False]
    assert rows[0]["reasons"][0].startswith("no picture: not_a_picture")
    assert rows[0]["needs_review"]
    assert rows[2]["reasons"] == ["no picture: empty"]
    with pytest.raises(UserError, match=r"bad\.jpg cannot be described: no picture: not_a_picture"):
        drafter.rows(named_pictures([str(tmp_path / "bad.jpg")]))
    with pytest.raises(UserError, match=r"none of the 2 pictures can be had \(not_a_picture 1, empty 1\)"):
        drafter.rows(named_pictures([str(tmp_path / "bad.jpg"), str(tmp_path / "empty.jpg")]))


def test_the_host_of_a_url_that_a_person_names_is_trusted_and_that_of_a_catalogue_is_not(
    drafter: Drafter, shop: Path, tmp_path: Path
) -> None:
    with serve_images(shop) as base, serve_images(shop) as other:
        urls = [f"{base}images/0.png", f"{other}images/1.png"]
        rows = replace(drafter, named=urls).rows(named_pictures(urls))
        assert all(row["description"] for row in rows)
        catalog = [{"id": number, "image_url": url} for number, url in enumerate([*urls, "images/2.png"])]
        (tmp_path / "c.json").write_text(json.dumps(catalog))
        asked = missing(tmp_path / "c.json", base)
        found = replace(drafter, named=[base]).rows(asked)
    assert [row["reasons"] == ["no picture: private_address"] for row in found] == [False, True, False]
    with pytest.raises(RunError, match="cannot be described: no picture: connect"):
        replace(drafter, named=urls).rows(named_pictures(urls[:1]))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(RunError, match=r"none of the 2 pictures can be had"):  # one of them may come
        replace(drafter, named=urls).rows(named_pictures([str(tmp_path / "bad.jpg"), urls[0]]))


def test_no_secret_of_a_url_is_shown() -> None:
    url = "https://user:secret@a.example/1.jpg?token=secret"
    [one] = named_pictures([url, url])
    assert one.picture == "https://a.example/1.jpg"
    with pytest.raises(UserError, match=r"differ in their query alone, which is not shown: https://a\.example/1\.jpg;"):
        named_pictures([url, "https://a.example/1.jpg?token=other"])


class KilledError(Exception):
    pass


def killed_after(drafter: Drafter, count: int) -> Drafter:
    """A drafter that breaks off in the middle of writing, as if it were killed."""
    seen: list[Drafted] = []

    def stop(drafted: Drafted) -> None:
        seen.append(drafted)
        if len(seen) > count:
            raise KilledError

    return replace(drafter, on_drafted=stop)


def test_what_was_drafted_before_a_kill_is_not_drafted_again(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    whole = drafter.write(asked, tmp_path / "undisturbed.csv")
    out = tmp_path / "drafts.csv"
    with pytest.raises(KilledError):
        killed_after(drafter, 33).write(asked, out)
    assert not out.exists(), "it appears whole"
    partial = tmp_path / "drafts.csv.partial"
    assert len(partial.read_text().splitlines()) == 33, "the header and the first batch"
    with partial.open("a") as file:
        file.write('{"id": "47", "descr')  # cut short

    again: list[str] = []
    resumed = replace(drafter, on_drafted=lambda drafted: again.append(drafted.asked.id)).write(asked, out)
    assert len(again) == len(asked) - 32
    assert resumed == whole
    assert out.read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()
    assert not partial.exists()


def test_drafts_whose_file_another_process_removes_as_it_ends_are_kept_in_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial, lock = tmp_path / "drafts.csv.partial", fcntl.flock

    def removed_meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        partial.unlink()
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    kept = Kept(tmp_path / "drafts.csv", {})
    assert len(partial.read_text().splitlines()) == 1, "the header"
    kept.remove()
    kept.close()


def test_drafts_of_other_pictures_that_a_kill_left_are_made_anew(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    """As where --image-base-url was mistaken first."""
    other = shutil.copytree(shop, tmp_path / "other")
    with pytest.raises(KilledError):
        killed_after(drafter, 33).write(missing(shop / "catalog.json", str(other)), tmp_path / "drafts.csv")
    rows = drafter.write(missing(shop / "catalog.json", str(shop)), tmp_path / "drafts.csv")
    assert all(str(row["picture"]).startswith(str(shop)) for row in rows if row["picture"])


def test_what_another_model_or_search_began_is_drafted_anew(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    with pytest.raises(KilledError):
        killed_after(drafter, 33).write(asked, tmp_path / "drafts.csv")
    again: list[str] = []
    greedy = replace(
        drafter, search=SearchConfig(beam_size=1), on_drafted=lambda drafted: again.append(drafted.asked.id)
    )
    greedy.write(asked, tmp_path / "drafts.csv")
    assert len(again) == len(asked)


@pytest.mark.parametrize("changed", ["sha256", "review"])
def test_what_other_weights_or_other_bounds_began_is_drafted_anew(
    drafter: Drafter, model_dir: Path, shop: Path, tmp_path: Path, changed: str
) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    with pytest.raises(KilledError):
        killed_after(drafter, 33).write(asked, tmp_path / "drafts.csv")
    describer = Describer.load(model_dir, device="cpu")
    describer.config = {**describer.config, changed: {"least_confidence": 0.5}}
    again: list[str] = []
    other = replace(drafter, describer=describer, on_drafted=lambda drafted: again.append(drafted.asked.id))
    other.write(asked, tmp_path / "drafts.csv")
    assert len(again) == len(asked)


def test_a_picture_that_failed_before_a_kill_is_tried_again(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.png"
    asked = [Asked(picture=str(late), address=FileAddress(late)), *missing(shop / "catalog.json", str(shop))]
    with pytest.raises(KilledError):
        killed_after(drafter, 33).write(asked, tmp_path / "drafts.csv")
    late.write_bytes((shop / "images" / "0.png").read_bytes())
    assert drafter.write(asked, tmp_path / "drafts.csv")[0]["description"]


def test_what_a_person_changed_stays_and_only_new_products_are_drafted(
    drafter: Drafter, shop: Path, tmp_path: Path
) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    out = tmp_path / "drafts.csv"
    drafter.write(asked[:4], out)
    rows = table(out)
    rows[1]["description"] = 'My own words, with "quotes".'
    rows[2]["description"] = ""  # to be written once more
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "approved"])
        writer.writeheader()
        writer.writerows([row | {"approved": "yes"} for row in rows])
    again: list[str] = []
    replace(drafter, on_drafted=lambda drafted: again.append(drafted.asked.id)).write(asked[:6], out)
    assert sorted(again) == sorted(one.id for one in (asked[2], asked[4], asked[5]))
    found = table(out)
    assert [row["id"] for row in found] == [one.id for one in asked[:6]]
    assert found[0] == rows[0] | {"approved": "yes"}
    assert found[1]["description"] == 'My own words, with "quotes".'
    assert found[2]["description"]
    assert found[2]["approved"] == "yes", "what a person added stays where the draft comes only now"
    before = out.read_bytes()
    drafter.write(asked[:6], out)
    assert out.read_bytes() == before, "a second time changes nothing"


def test_all_rows_that_a_person_gave_a_product_stay(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    out = tmp_path / "drafts.csv"
    drafter.write(asked[:2], out)
    rows = table(out)
    more = [rows[0] | {"description": "Ein Schal."}, rows[0] | {"description": ""}]
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows([rows[0], *more, rows[1]])
    drafter.write(asked[:3], out)
    assert table(out)[:4] == [rows[0], *more, rows[1]]
    assert table(out)[4]["id"] == asked[2].id


def test_a_file_that_holds_no_drafts_is_left_alone(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    deep = "[" * 100_000
    for name, content in (
        ("a.csv", "a,b\n1,2\n"), ("b.json", "{}"), ("c.json", "no json"), ("d.csv", 'id,x\n"'), ("e.json", deep),
    ):  # fmt: skip
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match="name another --out"):
            drafter.write(asked, tmp_path / name)
        assert (tmp_path / name).read_text() == content


def test_a_file_that_a_spreadsheet_saved_again_is_read_as_it_was(tmp_path: Path) -> None:
    """With a mark of UTF-8 at its beginning, and its own words for true and false."""
    path = tmp_path / "drafts.csv"
    path.write_text("id,description,needs_review\n1,Ein Schal für Männer.,TRUE\n2,Ein Hut.,FALSE\n", "utf-8-sig")
    assert read_rows(path) == [
        {"id": "1", "description": "Ein Schal für Männer.", "needs_review": True},
        {"id": "2", "description": "Ein Hut.", "needs_review": False},
    ]


def test_a_row_with_more_cells_than_there_are_columns_is_refused_rather_than_cut(tmp_path: Path) -> None:
    path = tmp_path / "drafts.csv"
    path.write_text("id,description\n1,A scarf, red.\n")
    with pytest.raises(UserError, match="holds no drafts: name another --out"):
        read_rows(path)


def test_what_is_kept_after_a_kill_is_there_after_the_next(tmp_path: Path) -> None:
    out = tmp_path / "drafts.csv"
    for number in range(3):
        with closing(Kept(out, {})) as kept:
            assert list(kept.rows) == [f"p{before}" for before in range(number)]
            kept.add([{"id": f"p{number}", "description": "A scarf."}])
        with kept.path.open("a") as file:
            file.write('{"id": "cut sh')


def test_where_a_file_has_drafts_already_new_pictures_that_cannot_be_had_are_rows_too(
    drafter: Drafter, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drafts.json"
    asked = missing(shop / "catalog.json", str(shop))[:1]
    drafter.write(asked, out)
    gone = Asked(picture="none.png", address=FileAddress(tmp_path / "none.png"), id="new")
    rows = drafter.write([*asked, gone], out)
    assert [bool(row["description"]) for row in rows] == [True, False]
    assert read_rows(out) == rows


def test_pictures_in_folders_are_found_whatever_the_case_of_their_endings(tmp_path: Path) -> None:
    for name in ("deep/B.JPG", "a.jpeg", "._a.jpeg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [Path(one.picture).relative_to(tmp_path).as_posix() for one in named_pictures([str(tmp_path)])]
    assert found == ["a.jpeg", "deep/B.JPG"]


def test_two_processes_cannot_write_the_same_file(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    asked = missing(shop / "catalog.json", str(shop))
    with (
        closing(Kept(tmp_path / "drafts.csv", {})),
        pytest.raises(UserError, match="is being written by another process"),
    ):
        drafter.write(asked, tmp_path / "drafts.csv")


def test_products_whose_picture_cannot_be_had_have_a_row_too(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"id": 1, "image_url": "images/0.png"},
        {"id": 2, "image_url": "images/none.png"},
        {"id": 3, "image_url": "ftp://a.example/b.png"},
        {"id": 4},
        {"image_url": "images/1.png"},
        {"id": 6, "image_url": "images/1.png", "description": "has one"},
        {"id": '=HYPERLINK("x")', "image_url": "images/1.png"},
    ]
    (tmp_path / "c.json").write_text(json.dumps(records))
    found = products(tmp_path / "c.json", CatalogConfig(), image_base_url=str(shop), only_missing=True)
    assert found.left_out == {"no id": 1, "formula": 1}
    drafter.write(found.asked, tmp_path / "d.json")
    rows = {row["id"]: row for row in read_rows(tmp_path / "d.json")}
    assert {key: row["reasons"][0].partition(" (")[0] for key, row in rows.items() if not row["description"]} == {
        "2": "no picture: no_such_file",
        "3": "no picture: malformed url",
        "4": "no picture: no picture url",
    }
    assert rows["1"]["description"]
    everything = products(tmp_path / "c.json", CatalogConfig(), image_base_url=str(shop), only_missing=False)
    assert "6" in {one.id for one in everything.asked}


def test_a_product_that_has_its_description_in_another_of_its_rows_is_not_drafted(tmp_path: Path) -> None:
    rows = ["hat,0.png,A hat.", "hat,1.png,", "hat,,", "coat,2.png,", "coat,3.png,"]
    (tmp_path / "c.csv").write_text("\n".join(["id,image_url,description", *rows]))
    found = products(tmp_path / "c.csv", CatalogConfig(), image_base_url=str(tmp_path), only_missing=True)
    assert [one.id for one in found.asked] == ["coat"]
    assert found.left_out == {"duplicate id": 1}


def test_that_no_product_has_a_description_is_told_as_another_column_may_hold_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "c.csv").write_text("id,image_url,text\nhat,0.png,A hat.\ncoat,1.png,A coat.\n")
    for columns, count in (({}, 2), ({"description": "mistyped"}, 2), ({"description": "text"}, 0)):
        caplog.clear()
        config = CatalogConfig(columns=columns)
        found = products(tmp_path / "c.csv", config, image_base_url=str(tmp_path), only_missing=True)
        assert len(found.asked) == count
        name = columns.get("description", "description")
        told = f"no product of c.csv has a description in the column '{name}'"
        assert [told in line for line in caplog.messages] == [True] * (count > 0)
    products(tmp_path / "c.csv", CatalogConfig(), image_base_url=str(tmp_path), only_missing=False)
    assert not caplog.messages


def test_where_every_product_has_a_description_in_one_of_its_rows_there_is_nothing_to_draft(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,image_url,description\nhat,0.png,A hat.\nhat,,\nhat,ftp://a.example/b.png,\n")
    found = products(tmp_path / "c.csv", CatalogConfig(), image_base_url=str(tmp_path), only_missing=True)
    assert (found.asked, found.left_out) == ([], {})


def test_where_no_product_without_a_description_has_a_picture_the_message_speaks_of_these_alone(tmp_path: Path) -> None:
    rows = ["hat,0.png,A hat.", "hat,,", "coat,,", "bag,ftp://a.example/b.png,", "cap,ftp://a.example/c.png,"]
    (tmp_path / "c.csv").write_text("\n".join(["id,image_url,description", *rows]))
    message = (
        "none of its 3 records without a description can be used; 2 have the fault 'malformed url': first: 'ftp://"
    )
    with pytest.raises(UserError, match=message):
        products(tmp_path / "c.csv", CatalogConfig(), image_base_url=str(tmp_path), only_missing=True)


@pytest.mark.parametrize("name", ["drafts.csv", "drafts.json"])
def test_rows_come_back_as_they_were_written(name: str, tmp_path: Path) -> None:
    rows = [
        {"id": "1", "picture": "a, b.png", "description": "A “dress”.", "confidence": 0.5, "needs_review": True,
         "reasons": ["says red, the product is navy", "confidence 0.10 is below 0.20"]},
        {"id": "2", "picture": "", "description": "", "confidence": 0.0, "needs_review": False, "reasons": []},
    ]  # fmt: skip
    write_rows(tmp_path / name, rows)
    assert read_rows(tmp_path / name) == rows


def test_what_a_person_wrote_for_a_number_that_json_has_not_stays_text(tmp_path: Path) -> None:
    (tmp_path / "drafts.csv").write_text("id,description,confidence\n1,A dress.,nan\n2,A coat.,0.5\n")
    assert [row["confidence"] for row in read_rows(tmp_path / "drafts.csv")] == ["nan", 0.5]


def test_no_thread_is_left_when_drafting_breaks_off(drafter: Drafter, shop: Path, tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KilledError):
        killed_after(drafter, 1).write(missing(shop / "catalog.json", str(shop)), tmp_path / "drafts.csv")
    assert threading.active_count() == before
