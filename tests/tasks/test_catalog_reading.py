"""Reading catalogues: four formats, FACAD's shape and the plain one."""

import csv
import gc
import gzip
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import UserError
from model.picture import ImageConfig
from tasks.catalog.duplicates import DeduplicateConfig
from tasks.catalog.fingerprint import catalog_fingerprint, dataset_id
from tasks.catalog.html_text import strip_html
from tasks.catalog.json_formats import read_json_array
from tasks.catalog.reader import Catalog, CatalogConfig, read_catalog, write_catalog
from tasks.catalog.sampling import SampleConfig
from tasks.catalog.source import Source
from tasks.manifest import read_manifest
from tasks.read import read as read_step
from tests.catalogs import real_catalog

PLAIN: list[dict[str, Any]] = [
    {
        "id": f"p{number}",
        "image_url": f"https://pictures.example/{number}.jpg",
        "description": f"a plain {word} dress",
        "title": f"dress {number}",
        "category": "dress",
        "attr": ["long", word],
    }
    for number, word in enumerate(["red", "green", "синий", 'white, "off"', "two\nlines"])
]


def as_json(records: list[Any], path: Path) -> None:
    path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")


def as_compact_json(records: list[Any], path: Path) -> None:
    path.write_text(json.dumps(records, separators=(",", ":")), encoding="utf-8")


def as_json_lines(records: list[Any], path: Path) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def as_csv(records: list[Any], path: Path, delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        for record in records:
            writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in record.items()})


def as_semicolons(records: list[Any], path: Path) -> None:
    as_csv(records, path, ";")


def as_parquet(records: list[Any], path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(records), path)


def as_parquet_of_bytes(records: list[Any], path: Path) -> None:
    """As Impala, Hive and old Sparks write texts."""

    def raw(value: Any) -> Any:
        if isinstance(value, list):
            return [raw(each) for each in value]
        if isinstance(value, dict):
            return {name: raw(each) for name, each in value.items()}
        return value.encode() if isinstance(value, str) else value

    as_parquet([raw(record) for record in records], path)


WRITERS = [as_json, as_compact_json, as_json_lines, as_csv, as_semicolons, as_parquet, as_parquet_of_bytes]


def read(path: Path, *, base: str = "", **settings: Any) -> Catalog:
    return read_catalog(path, CatalogConfig(**settings), image_base_url=base)


@pytest.fixture
def catalog_of(tmp_path: Path) -> Callable[..., Catalog]:
    def make(records: list[Any], *, base: str = "", **settings: Any) -> Catalog:
        as_json(records, tmp_path / "catalog.json")
        return read(tmp_path / "catalog.json", base=base, **settings)

    return make


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_records(
    write: Callable[[list[Any], Path], None], gzipped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.unknown"
    write(PLAIN, path)
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    catalog = read(path)
    expected = [
        {
            "record_id": record["id"],
            "url": record["image_url"],
            "references": [record["description"]],
            "title": record["title"],
            "category": "dress",
            "attr": record["attr"],
            "split": "",
        }
        for record in PLAIN
    ]
    assert catalog.records.to_pylist() == expected
    assert (catalog.read, catalog.rejected.num_rows, catalog.given_splits) == (5, 0, False)


def test_facads_own_record_is_read_with_the_query_of_its_url_cut() -> None:
    catalog = read(real_catalog("facad/one-record.json"))
    assert catalog.records.to_pylist() == [
        {
            "record_id": "122349",
            "url": "https://n.nordstrommedia.com/id/sr3/58d1a13f-b6b6-4e68-b2ff-3a3af47c422e.jpeg",
            "references": [
                "subtly futuristic and edgy this liquid metal cuff bracelet is shaped from sculptural rectangular link"
            ],
            "title": "chain link jeans cuff bracelet",
            "category": "bracelet",
            "attr": ["metal", "cuff", "shaped", "rectangular", "link"],
            "split": "",
        }
    ]


def facad(number: int, images: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "images": images, "description": f"dress {number}"} | more


def test_the_picture_is_the_first_colours_lowest_key_that_has_a_url(catalog_of: Callable[..., Catalog]) -> None:
    first = {"color": "red", "10": "https://a.b/ten", "2": "https://a.b/two", "0": None, "1": ""}
    catalog = catalog_of(
        [facad(1, [first, {"color": "blue", "0": "https://a.b/blue"}]), facad(2, [{"0": None}, first])]
    )
    assert catalog.records["url"].to_pylist() == ["https://a.b/two"]
    assert catalog.rejected.to_pylist() == [{"id": "2", "place": "index 1", "reason": "no picture url", "detail": ""}]


@pytest.mark.parametrize(
    "several",
    [
        ["https://a.b/1.jpg", "https://a.b/2.jpg"],
        "https://a.b/1.jpg, https://a.b/2.jpg",
        "https://a.b/1.jpg,http://a.b/2.jpg?w=60",
        "https://a.b/1.jpg|https://a.b/2.jpg|https://a.b/3.jpg",
        "https://a.b/1.jpg?w=60 https://a.b/2.jpg",
    ],
)
def test_of_several_pictures_of_a_product_the_first_counts(
    catalog_of: Callable[..., Catalog], several: str | list[str]
) -> None:
    within = "https://a.b/w_1,h_2/https://c.d/e.jpg"  # one url, though another stands in it
    rows = [{"id": n, "description": "a dress", "image_url": url} for n, url in enumerate([several, within])]
    assert catalog_of(rows).records["url"].to_pylist() == ["https://a.b/1.jpg", within]


def test_what_programs_write_for_no_text_is_no_description(catalog_of: Callable[..., Catalog]) -> None:
    texts = ["NULL", "NaN", " n/a ", "<p>None</p>", "#N/A", "NA", "\\N", "nil", "Nude"]
    rows = [{"id": n, "description": text, "image_url": "https://a.b/c"} for n, text in enumerate(texts)]
    catalog = catalog_of(rows)
    assert catalog.rejected_by_reason == {"no description": 8}
    assert catalog.records["references"].to_pylist() == [["Nude"]]


def test_what_programs_write_for_nothing_is_no_picture_and_no_split(catalog_of: Callable[..., Catalog]) -> None:
    url = "https://a.b/1.jpg"
    nothing: list[Any] = [float("nan"), {}, "nan", "None", "n/a", " "]
    rows = [{"id": n, "description": "x", "image_url": one, "images": [url]} for n, one in enumerate(nothing)]
    rows += [{"id": n + 10, "description": "x", "image_url": one} for n, one in enumerate([*nothing, "?w=60&h=90"])]
    catalog = catalog_of([row | {"split": float("nan")} for row in rows], base="https://a.b/")
    assert catalog.records["url"].to_pylist() == [url] * len(nothing)
    assert catalog.rejected_by_reason == {"no picture url": len(nothing) + 1}


def test_woocommerces_line_breaks_are_no_words(tmp_path: Path) -> None:
    text = "<p>A red scarf.</p>\\n<p>Soft wool.</p>\\nMachine wash"
    as_csv([{"id": 1, "image_url": "https://a.b/1.jpg", "description": text}], tmp_path / "c.csv")
    [[found]] = read(tmp_path / "c.csv").records["references"].to_pylist()
    assert found.split() == ["A", "red", "scarf.", "Soft", "wool.", "Machine", "wash"]


def test_ten_thousand_images_in_one_record_are_one_picture(catalog_of: Callable[..., Catalog]) -> None:
    colors = [{"color": str(n), "0": f"https://a.b/{n}"} for n in range(10_000)]
    many = {"color": "red"} | {str(n): f"https://a.b/{n}" for n in range(9_999, -1, -1)}
    catalog = catalog_of([facad(1, colors), facad(2, [many])])
    assert catalog.records["url"].to_pylist() == ["https://a.b/0", "https://a.b/0"]


def test_a_missing_description_falls_back_to_the_second_line_of_detail_info(catalog_of: Callable[..., Catalog]) -> None:
    images = [{"0": "https://a.b/c"}]
    details = "DETAILS & CARE\nA liquid-metal cuff.\nImported"
    catalog = catalog_of(
        [
            facad(1, images, description=None, detail_info=details),
            facad(2, images, description="  ", detail_info="one line"),
            facad(3, images, description="!?", detail_info="one\n  \nthree"),
            facad(4, images, description=17),
        ]
    )
    assert catalog.records["references"].to_pylist() == [["A liquid-metal cuff."]]
    assert catalog.rejected_by_reason == {"no description": 3}


def test_several_references_and_given_splits_are_kept(catalog_of: Callable[..., Catalog]) -> None:
    url = "https://a.b/c"
    catalog = catalog_of(
        [
            {"id": 1, "image_url": url, "descriptions": ["one", " ", "two"], "split": "train"},
            {"id": 2, "image_url": url, "descriptions": ["one"], "split": "VAL"},
            {"id": 3, "image_url": url, "description": "three", "split": "test"},
            {"id": 4, "image_url": url, "description": "four", "split": "holdout"},
            {"id": 5, "image_url": url, "description": "five"},
        ]
    )
    assert catalog.given_splits
    assert catalog.records["references"].to_pylist() == [["one", "two"], ["one"], ["three"]]
    assert catalog.records["split"].to_pylist() == ["train", "validation", "test"]
    assert catalog.rejected_by_reason == {"unknown split": 1, "no split, where others have one": 1}


def test_splits_are_known_by_all_their_usual_names(catalog_of: Callable[..., Catalog]) -> None:
    names = {"train": ("train", "Training"), "validation": ("val", "valid", "VALIDATION", " dev"), "test": ("test",)}
    rows = [(split, name) for split, some in names.items() for name in some]
    catalog = catalog_of(
        [
            {"id": n, "image_url": f"https://a.b/{n}", "description": "d e", "split": row[1]}
            for n, row in enumerate(rows)
        ]
    )
    assert catalog.records["split"].to_pylist() == [split for split, _ in rows]


def test_attributes_may_be_named_and_a_title_that_is_no_text_is_none(catalog_of: Callable[..., Catalog]) -> None:
    record = {"id": 1, "image_url": "https://a.b/c", "description": "d e"}
    catalog = catalog_of([{**record, "attr": {"colour": "red", "size": 4, "fit": " slim "}, "title": {"en": "Shirt"}}])
    assert catalog.records.select(["attr", "title"]).to_pylist() == [{"attr": ["red", "slim"], "title": ""}]


def test_an_empty_field_does_not_hide_a_filled_one(catalog_of: Callable[..., Catalog]) -> None:
    url = "https://cdn.example/a.jpg"
    catalog = catalog_of(
        [
            {"id": 1, "image_url": "", "images": [url], "descriptions": [], "description": "one"},
            {"id": 2, "image_url": " ", "images": [{"0": url}], "description": "", "descriptions": "two"},
            {"id": 3, "image_url": url, "descriptions": ["", "<br>"], "description": "three"},
            {"id": 4, "image_url": url, "description": ["four", "", "fourth"]},
            {"id": 5, "image_url": url, "descriptions": [], "description": ["five"]},
            {"id": 6, "images": [None, "", {}, {"src": url}], "description": "six"},
            {"id": 7, "image_url": {"src": url}, "images": ["", url], "description": "seven"},
        ]
    )
    assert catalog.records.select(["url", "references"]).to_pylist() == [
        {"url": url, "references": texts}
        for texts in (["one"], ["two"], ["three"], ["four", "fourth"], ["five"], ["six"], ["seven"])
    ]


def test_a_rejected_record_has_the_id_that_it_would_have_had(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(
        [{"id": 5.0, "description": "no picture"}, {"id": 6.0, "image_url": "a.jpg", "description": "x"}], base="/"
    )
    assert (catalog.rejected["id"].to_pylist(), catalog.records["record_id"].to_pylist()) == (["5"], ["6"])


def test_the_reason_of_a_rejection_tells_no_credential(catalog_of: Callable[..., Catalog]) -> None:
    urls = ["http://ann:secret@two words/a.jpg", "a.jpg?token=secret", {"src": "http://ann:secret@h/a.jpg"}]
    records: list[Any] = [{"id": n, "image_url": url, "description": "x"} for n, url in enumerate(urls)]
    good = {"id": 9, "image_url": "https://a.b/c", "description": "x"}
    catalog = catalog_of([*records, good], cut_query=False)
    assert catalog.rejected["reason"].to_pylist() == ["malformed url", "relative url", "no picture url"]
    assert all(catalog.rejected["detail"].to_pylist())
    assert "secret" not in str(catalog.rejected.to_pylist())


@pytest.mark.parametrize("field", ["id", "title", "category", "attr", "description"])
def test_a_nul_character_in_any_text_rejects_its_record(field: str, catalog_of: Callable[..., Catalog]) -> None:
    good = {"id": "1", "image_url": "https://a.b/c", "description": "x"}
    catalog = catalog_of([good, {**good, "id": "2", field: "a\0b"}])
    assert catalog.rejected_by_reason == {"NUL character": 1}


def test_urls_that_only_their_cut_query_tells_apart_are_counted(catalog_of: Callable[..., Catalog]) -> None:
    def products(urls: list[str]) -> list[dict[str, object]]:
        return [
            {"id": n, "image_url": f"https://a.example/{url}", "description": f"text {n}"} for n, url in enumerate(urls)
        ]

    scripts = products(["image.php?id=1", "image.php?id=2", "image.php?id=3", "b.jpg?w=60", "b.jpg?w=60", "c.jpg"])
    assert catalog_of(scripts).conflated == pytest.approx(2 / 5)
    assert catalog_of(scripts, cut_query=False).conflated == 0


def test_columns_are_mapped_by_configuration_and_html_is_stripped(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku,body_html,Image Src\nA1,<p>Soft <b>cotton</b> &amp; silk</p>,//cdn.example/a.jpg?v=1\n")
    mapped = {"id": "sku", "description": "body_html", "image_url": "Image Src"}
    catalog = read(path, columns=mapped)
    assert catalog.records.select(["record_id", "url", "references"]).to_pylist() == [
        {"record_id": "A1", "url": "https://cdn.example/a.jpg", "references": ["Soft cotton & silk"]}
    ]
    assert read(path, columns=mapped, cut_query=False).records["url"][0].as_py() == "https://cdn.example/a.jpg?v=1"
    with pytest.raises(ValueError, match=r"catalog.columns is 'colour': must be made of id, images"):
        CatalogConfig(columns={"colour": "Farbe"})


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain text, 5 < 6 & so on", "plain text, 5 < 6 & so on"),
        ("<p>One</p><p>Two</p>", "One Two"),
        ("a<br/>b<br>c", "a b c"),
        ("<ul><li>Soft</li><li>Warm</li></ul>", "Soft Warm"),
        ("s<b>o</b>ft", "soft"),
        ("<style>p {color: red}</style>Red<script>alert('<p>')</script>", "Red"),
        ("caf&eacute; &#8212; &lt;3", "café — <3"),
        ("<!-- hidden -->shown", "shown"),
        ("<p>broken <b", "broken <b"),
        ("<p>&nbsp;wide&nbsp; space </p>", "wide space"),
        ("<a title=\"5 > 3\" href='x'>link</a>, <p class=it's>next", "link, next"),
        ("R&D and B&amp;B, 3 <4", "R&D and B&B, 3 <4"),
        ("shown<!-- to the end", "shown"),
        ("size <M and > 3, <b>soft</b>", "size <M and > 3, soft"),
        ("&lt;p&gt;caf&amp;eacute; &lt;b&gt;soft&lt;/b&gt;&lt;/p&gt;", "café soft"),
        ("<p>&lt;p&gt;One&lt;/p&gt; &lt;5</p>", "One <5"),
        ("<p>size &lt;M and up&gt;</p>", "size <M and up>"),
        ("ask <shop@a.example> &amp; wait", "ask <shop@a.example> & wait"),
        ("Nice dress&lt;br /&gt;Soft", "Nice dress Soft"),
        ("&lt;p class=&quot;x&quot;&gt;Nice", "Nice"),
        ("Women&amp;#39;s dress", "Women's dress"),
        ("<!DOCTYPE html><td nowrap>one</td><br clear=all / >two<hr/>three", "one two three"),
    ],
)
def test_html_becomes_the_text_that_a_reader_sees(html: str, text: str) -> None:
    assert strip_html(html) == text


@pytest.mark.parametrize(
    "broken", ["<!--", "<a ", "<b x='", '<b x="', "<![CDATA[", "</a ", "<script>", "<p>", "&#", "&amp"]
)
def test_broken_html_takes_no_longer_than_its_length(broken: str) -> None:
    start = time.process_time()
    strip_html("<p>" + broken * 30_000)
    assert time.process_time() - start < 2


def test_ids_are_text_or_whole_numbers_and_sorted_by_value(catalog_of: Callable[..., Catalog]) -> None:
    records = [
        {"id": value, "image_url": "https://a.b/c", "description": "x"}
        for value in [10, "9", "b", "a", 2.0, -3.0, "007", 2.5, None, True, [1], " ", "2"]
    ]
    catalog = catalog_of(records)
    assert catalog.records["record_id"].to_pylist() == ["2", "007", "9", "10", "-3", "a", "b"]
    assert catalog.rejected_by_reason == {"no id": 5, "duplicate id": 1}


def test_which_of_two_records_with_one_id_stays_does_not_depend_on_their_order(
    catalog_of: Callable[..., Catalog],
) -> None:
    twins = [
        {"id": 1, "image_url": "https://a.b/c", "description": "x", "title": title, "attr": attr}
        for title in ("s", "t")
        for attr in (["u"], ["v"])
    ]
    forwards, backwards = catalog_of(twins), catalog_of(twins[::-1])
    assert forwards.records.equals(backwards.records)
    assert forwards.rejected["place"].to_pylist() == ["index 1", "index 2", "index 3"]


def test_products_without_description_can_be_read_instead_of_those_with_one(tmp_path: Path) -> None:
    facad = {"id": "f", "image_url": "https://a.example/f.jpg", "description": "", "detail_info": "DETAILS\nA hat.\n"}
    as_json([PLAIN[0], PLAIN[1] | {"description": ""}, facad], tmp_path / "c.json")
    catalog = read_catalog(tmp_path / "c.json", CatalogConfig(), descriptions="missing")
    assert catalog.records["record_id"].to_pylist() == ["f", "p1"]
    assert catalog.rejected_by_reason == {"has a description": 1}
    either = read_catalog(tmp_path / "c.json", CatalogConfig(), descriptions="any")
    assert either.records["record_id"].to_pylist() == ["f", "p0", "p1"]
    assert not either.rejected_by_reason


def test_a_split_counts_for_nothing_where_descriptions_are_to_be_written(tmp_path: Path) -> None:
    as_json([PLAIN[0] | {"split": "test"}, PLAIN[1] | {"split": "UK"}, PLAIN[2]], tmp_path / "c.json")
    found = read_catalog(tmp_path / "c.json", CatalogConfig(), descriptions="any")
    assert (found.records.num_rows, found.given_splits) == (3, False)
    assert not found.rejected_by_reason


def test_relative_urls_need_a_base_and_do_not_change_with_it(catalog_of: Callable[..., Catalog]) -> None:
    records = [PLAIN[0], PLAIN[1] | {"image_url": "images/a b.jpg"}]
    assert catalog_of(records).rejected_by_reason == {"relative url": 1}
    one, two = catalog_of(records, base="https://x.example/"), catalog_of(records, base="/some/folder")
    assert one.records["url"].to_pylist() == ["https://pictures.example/0.jpg", "images/a b.jpg"]
    assert catalog_fingerprint(one.records) == catalog_fingerprint(two.records)


@pytest.mark.parametrize("write", [as_json, as_compact_json, as_json_lines, as_csv])
def test_files_of_many_blocks_are_read_whole_and_in_order(write: Callable[..., None], tmp_path: Path) -> None:
    records = [PLAIN[0] | {"id": number, "description": f"dress {number} " * 40} for number in range(3000)]
    write(records, tmp_path / "c")
    catalog = read(tmp_path / "c")
    assert catalog.records["record_id"].to_pylist() == [str(number) for number in range(3000)]


def test_an_array_that_misleads_the_cutting_of_blocks_is_read_all_the_same(tmp_path: Path) -> None:
    # Inner objects begin with the same key, and a text holds what looks like the seam of two records.
    inner = [{"id": number, "note": '"},{"id":"'} for number in range(50)]
    records = [PLAIN[0] | {"id": number, "variants": inner, "description": 'x},{"id":1'} for number in range(500)]
    for write in (as_json, as_compact_json):
        write(records, tmp_path / "c")
        with Source(tmp_path / "c", 1 << 30) as source:
            batches = list(read_json_array(source, 1 << 24))
        assert [record for batch in batches for record in batch.records] == records
        assert [place for batch in batches for place in batch.places] == list(range(500))
        assert len(batches) > 1


def test_the_fingerprint_knows_every_field_and_no_order(catalog_of: Callable[..., Catalog]) -> None:
    fingerprint = catalog_fingerprint(catalog_of(PLAIN).records)
    assert catalog_fingerprint(catalog_of(PLAIN[::-1]).records) == fingerprint
    changes: list[dict[str, Any]] = [
        {"id": "p9"},
        {"image_url": "https://pictures.example/0.jpeg"},
        {"description": "a plain red dres"},
        {"title": "Dress 0"},
        {"category": "shoe"},
        {"attr": ["longred"]},
        {"attr": ["long", "red", ""]},
    ]
    others = {catalog_fingerprint(catalog_of([PLAIN[0] | change, *PLAIN[1:]]).records) for change in changes}
    assert len(others - {fingerprint}) == len(changes) - 1  # an empty attribute is none
    assert catalog_fingerprint(catalog_of(PLAIN[1:]).records) not in others | {fingerprint}


def test_the_dataset_id_is_a_matter_of_records_rules_and_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"sample": {"train": 1, "seed": 2}, "image": {"size_px": 64}}
    same = {"image": {"size_px": 64}, "sample": {"seed": 2, "train": 1}}
    assert dataset_id("f", rules) == dataset_id("f", same)
    names = {dataset_id("f", rules), dataset_id("g", rules), dataset_id("f", {})}
    monkeypatch.setattr("tasks.catalog.fingerprint.SCHEMA_VERSION", 9)
    assert len(names | {dataset_id("f", rules)}) == 4


def test_the_same_catalogue_gives_the_same_bytes(tmp_path: Path) -> None:
    as_json([*PLAIN, {"id": 1}], tmp_path / "c.json")
    contents = []
    for name in ("one", "two"):
        files = write_catalog(read(tmp_path / "c.json"), tmp_path / name)
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_other_rejected_records_replace_those_of_an_earlier_reading(tmp_path: Path) -> None:
    def rejected(*more: dict[str, Any]) -> list[str]:
        as_json([*PLAIN, *more], tmp_path / "c.json")
        dataset = read_step.fn(
            tmp_path / "c.json", workdir=tmp_path, image_base_url="", config=CatalogConfig(),
            deduplicate=DeduplicateConfig(), sample=SampleConfig(), image=ImageConfig(),
        )  # fmt: skip
        reasons: list[str] = pq.read_table(dataset.folder / "rejected.parquet")["reason"].to_pylist()
        assert read_manifest(dataset.folder, "read") == dataset.facts
        return [dataset.id, *reasons]

    first = rejected({"id": 1})
    assert rejected({"id": 2, "image_url": "https://a.b/c"}) == [first[0], "no description"] != first


SHOPIFY: dict[str, Any] = {
    "id": 6921,
    "title": "Linen Shirt",
    "body_html": "<p>A loose <b>linen</b> shirt.</p>",
    "product_type": "Shirts",
    "tags": ["linen", "summer"],
    "variants": [{"id": 1, "title": "S", "price": "49.00"}],
    "images": [
        {"id": 9, "position": 1, "src": "https://cdn.shop.example/s/files/shirt.jpg?v=17", "width": 1200},
        {"id": 10, "position": 2, "src": "https://cdn.shop.example/s/files/back.jpg?v=17", "width": 1200},
    ],
}


@pytest.mark.parametrize("around", [None, "products", "items", "records", "data"])
@pytest.mark.parametrize("indent", [None, 2])
def test_what_shop_systems_answer_is_a_catalogue(tmp_path: Path, around: str | None, indent: int | None) -> None:
    products = [SHOPIFY | {"id": SHOPIFY["id"] + number} for number in range(3)]
    answer = {around: products, "page": 1} if around else products
    (tmp_path / "c.json").write_text(json.dumps(answer, indent=indent))
    catalog = read(
        tmp_path / "c.json", columns={"description": "body_html", "category": "product_type", "attr": "tags"}
    )
    assert catalog.format == "JSON array"
    assert catalog.records.drop_columns("split").to_pylist()[0] == {
        "record_id": "6921",
        "url": "https://cdn.shop.example/s/files/shirt.jpg",
        "references": ["A loose linen shirt."],
        "title": "Linen Shirt",
        "category": "Shirts",
        "attr": ["linen", "summer"],
    }
    assert (catalog.read, catalog.records.num_rows) == (3, 3)


def test_a_column_whose_name_takes_two_lines_keeps_the_others_in_their_places(tmp_path: Path) -> None:
    text = 'id,image_url,description,"my\nnote",stock\n1,https://a.b/1.jpg,a red scarf,x,3\n'
    (tmp_path / "c.csv").write_text(text)
    catalog = read(tmp_path / "c.csv")
    assert (catalog.records["references"].to_pylist(), catalog.rejected_by_reason) == ([["a red scarf"]], {})


def test_the_attributes_of_a_parquet_map_are_its_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["1"], "image_url": ["https://a.b/1.jpg"], "description": ["a scarf"],
            "attr": pa.array([[("colour", "red"), ("fit", "slim")]], pa.map_(pa.string(), pa.string())),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet").records["attr"].to_pylist() == [["red", "slim"]]


def test_a_table_may_write_its_columns_with_capitals(tmp_path: Path) -> None:
    woo = {
        "ID": "7",
        "Name": "Scarf",
        "Description": "<p>A red scarf.</p>",
        "Images": "https://a.example/1.jpg, https://b/2",
    }
    as_csv([woo], tmp_path / "c.csv")
    as_parquet([woo], tmp_path / "c.parquet")
    for name in ("c.csv", "c.parquet"):
        [record] = read(tmp_path / name, columns={"title": "Name"}).records.to_pylist()
        assert (record["record_id"], record["references"], record["title"]) == ("7", ["A red scarf."], "Scarf")
        assert record["url"] == "https://a.example/1.jpg"
    # Only where no column is called as it should be, and where the user names no other.
    as_csv([woo | {"description": "a blue scarf"}], tmp_path / "both.csv")
    assert read(tmp_path / "both.csv").records["references"].to_pylist() == [["a blue scarf"]]
    as_csv([woo | {"Text": "a green scarf"}], tmp_path / "mapped.csv")
    mapped = read(tmp_path / "mapped.csv", columns={"description": "Text"})
    assert mapped.records["references"].to_pylist() == [["a green scarf"]]
    (tmp_path / "shopify.csv").write_text("id,image src,description\n1,https://a.b/1.jpg,a red scarf\n")
    [shopify] = read(tmp_path / "shopify.csv", columns={"image_url": "Image Src"}).records["url"].to_pylist()
    assert shopify == "https://a.b/1.jpg"
    as_csv([woo | {"Id": "8"}], tmp_path / "twice.csv")
    as_parquet([woo | {"Id": "8"}], tmp_path / "twice.parquet")
    for name in ("twice.csv", "twice.parquet"):
        with pytest.raises(UserError, match="has more than one column named id"):
            read(tmp_path / name)


def test_of_lines_that_begin_like_an_answer_none_is_lost_in_silence(tmp_path: Path) -> None:
    line = {"items": [{"id": "inner"}], "id": "1", "image_url": "https://a.example/1.jpg", "description": "red"}
    as_json_lines([line] * 2, tmp_path / "c.jsonl")
    with pytest.raises(UserError, match=r"something follows the array's end, at byte 27 \(1 records\)"):
        read(tmp_path / "c.jsonl")


def test_bytes_that_are_no_text_cost_their_own_row_alone(tmp_path: Path) -> None:
    records = [{"id": b"1", "image_url": b"https://a.example/1", "description": text} for text in (b"\xff", b"red")]
    as_parquet([records[0], {**records[1], "id": b"2"}], tmp_path / "c.parquet")
    catalog = read(tmp_path / "c.parquet")
    assert catalog.records["references"].to_pylist() == [["red"]]
    assert catalog.rejected_by_reason == {"no description": 1}


def test_progress_is_told_as_records_are_read(tmp_path: Path) -> None:
    as_json(PLAIN, tmp_path / "c.json")
    seen: list[int] = []
    read_catalog(tmp_path / "c.json", CatalogConfig(), on_read=seen.append)
    assert sum(seen) == len(PLAIN)


def test_a_field_that_is_missing_everywhere_says_how_to_map_it(tmp_path: Path) -> None:
    for lost, setting in (("id", "id"), ("image_url", "image_url"), ("description", "description")):
        as_json([{k: v for k, v in record.items() if k != lost} for record in PLAIN], tmp_path / "c.json")
        hint = rf"none of its 5 records can be used.*--set catalog.columns.{setting}=COLUMN \(now "
        with pytest.raises(UserError, match=rf"{hint}{setting}\)"):
            read(tmp_path / "c.json")
        with pytest.raises(UserError, match=rf"{hint}mistyped\)"):
            read_catalog(tmp_path / "c.json", CatalogConfig(columns={setting: "mistyped"}))


def test_who_must_map_a_column_is_told_which_there_are(tmp_path: Path) -> None:
    shop = [{"Handle": f"a{n}", "Image Src": f"https://a.example/{n}.jpg", "Body (HTML)": "red"} for n in range(3)]
    as_csv(shop, tmp_path / "none.csv", ";")
    pq.write_table(pa.Table.from_pylist(shop), tmp_path / "none.parquet")
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(UserError, match=r"Handle, Image Src, Body \(HTML\)\)?: name yours with --set"):
            read(tmp_path / name)
    some = [{"id": record["Handle"], **record} for record in shop]
    as_csv(some, tmp_path / "some.csv", "\t")
    as_json(some, tmp_path / "some.json")
    pq.write_table(pa.Table.from_pylist(some), tmp_path / "some.parquet")
    for name in ("some.csv", "some.json", "some.parquet"):
        with pytest.raises(UserError, match=r"image_url=COLUMN \(now image_url\), one of id, Handle, Image Src, Body"):
            read(tmp_path / name)
    as_csv([{f"column {n}": "" for n in range(100)}], tmp_path / "wide.csv")
    with pytest.raises(UserError, match=r"column 1, .*\.\.\.\): name yours") as raised:
        read(tmp_path / "wide.csv")
    assert len(str(raised.value)) < 500 + len(str(tmp_path))


def test_a_catalogue_whose_urls_are_mostly_queries_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = [{"id": n, "image_url": f"https://a.example/a.php?id={n}", "description": f"text {n}"} for n in range(5)]
    as_json(records, tmp_path / "catalog.json")
    read_step.fn(
        tmp_path / "catalog.json", workdir=tmp_path, image_base_url="", config=CatalogConfig(),
        deduplicate=DeduplicateConfig(), sample=SampleConfig(), image=ImageConfig(),
    )  # fmt: skip
    assert "80% of the picture urls" in caplog.text
    assert "set catalog.cut_query=false" in caplog.text


@pytest.mark.parametrize("text", ['{"id": "1", "image_url": "http://a/1.jpg", "description": "a b"}', "{"])
def test_pythons_collector_is_on_again_after_a_catalogue_however_reading_ended(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    path.write_text(text)
    assert gc.isenabled()
    with suppress(UserError):
        read_catalog(path, CatalogConfig())
    assert gc.isenabled()
