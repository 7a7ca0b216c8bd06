"""What a catalogue must never do to us: each is one clear line, or a rejection that is counted and kept."""

import gzip
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import UserError
from tasks.catalog.json_formats import parse_record
from tasks.catalog.reader import Catalog, CatalogConfig, read_catalog

GOOD = [{"id": n, "image_url": f"https://a.b/{n}.jpg", "description": f"dress number {n}"} for n in range(3)]
LINES = [json.dumps(record).encode() for record in GOOD]
CSV = b"id,image_url,description\n0,https://a.b/0.jpg,dress 0\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Catalog]:
    def from_bytes(content: bytes, **config: Any) -> Catalog:
        path = tmp_path / "catalog"
        path.write_bytes(content)
        return read_catalog(path, CatalogConfig(**config))

    return from_bytes


def rejections(catalog: Catalog) -> list[tuple[str, str]]:
    return [(row["place"], row["reason"]) for row in catalog.rejected.to_pylist()]


def test_a_line_of_50_mb_is_one_rejection_and_never_in_memory_whole(read: Callable[..., Catalog]) -> None:
    content = LINES[0] + b'\n{"id": "' + b"x" * 50_000_000 + b'"}\n' + LINES[1]
    read(LINES[0])
    tracemalloc.start()
    catalog = read(content, max_record_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert catalog.records["record_id"].to_pylist() == ["0", "1"]
    assert rejections(catalog) == [("line 2", "record too long")]
    assert "50,000,010 bytes" in catalog.rejected["detail"][0].as_py()
    assert peak < 10_000_000


def test_a_csv_line_of_50_mb_is_one_rejection_and_the_rows_after_it_keep_their_shape(
    read: Callable[..., Catalog],
) -> None:
    long = b'1,https://a.b/1.jpg,"' + b"x, " * 17_000_000 + b'"\n'
    multiline = b'1,https://a.b/1.jpg,"' + b"x\n" * 1_000_000 + b'"\n'
    last = b'2,https://a.b/2.jpg,"two ""2"""\n'
    catalog = read(CSV + long + last, max_record_bytes=1 << 20)
    assert catalog.records["references"].to_pylist() == [["dress 0"], ['two "2"']]
    assert rejections(catalog) == [("line 3", "record too long")]
    catalog = read(CSV + multiline + last, max_record_bytes=1 << 20)
    assert catalog.records["record_id"].to_pylist()[0] == "0"
    assert "record too long" in catalog.rejected_by_reason


@pytest.mark.parametrize("form", ["array", "lines"])
@pytest.mark.parametrize(
    "odd",
    [
        b'{"id": %s, "image_url": "https://a.b/1.jpg", "description": "a"}' % (b"9" * 5000),
        b'{"id": "1", "images": [{"%s": "https://a.b/1.jpg"}], "description": "a"}' % (b"9" * 5000),
        b'{"id": %s1%s, "image_url": "https://a.b/1.jpg", "description": "a"}' % (b"[" * 900, b"]" * 900),
        b'{"id": "1", "images": %s1%s, "description": "a"}' % (b"[" * 900, b"]" * 900),
    ],
)
def test_a_number_of_5000_digits_or_a_list_of_900_levels_costs_its_own_record_alone(
    odd: bytes, form: str, read: Callable[..., Catalog]
) -> None:
    records = [LINES[0], odd, LINES[1]]
    catalog = read(b"[" + b",".join(records) + b"]" if form == "array" else b"\n".join(records))
    assert catalog.records["record_id"].to_pylist() == ["0", "1"]
    assert catalog.rejected.num_rows == 1


def test_a_whole_number_beyond_64_bits_is_no_id_whatever_stands_beside_it(read: Callable[..., Catalog]) -> None:
    big = b'{"id": 9999999999999999999999999, "image_url": "https://a.b/1.jpg", "description": "a"}'
    for beside in (LINES[0], b'{"id": "0", "image_url": "https://a.b/0.jpg", "description": "a raw\nline break"}'):
        assert rejections(read(b"[" + beside + b"," + big + b"]")) == [("index 1", "no id")]


def test_the_bound_of_a_record_may_be_a_kilobyte_and_no_less(read: Callable[..., Catalog]) -> None:
    for length, kept in ((1024, 2), (1025, 1)):
        line = LINES[0].removesuffix(b'"}').ljust(length - 2, b"x") + b'"}'
        row = b"1,https://a.b/1.jpg,".ljust(length, b"x")
        for content in (line + b"\n" + LINES[1], CSV + row + b"\n"):
            assert len(read(content, max_record_bytes=1024).records) == kept
    with pytest.raises(ValueError, match=r"catalog\.max_record_bytes is 1023: must be at least 1024"):
        CatalogConfig(max_record_bytes=1023)


def test_a_json_array_with_a_record_beyond_the_bound_says_where(read: Callable[..., Catalog]) -> None:
    content = b"[" + LINES[0] + b', {"id": "' + b"x" * 5_000_000 + b'"}]'
    with pytest.raises(UserError, match=r"after 1 whole records, at byte 78, is longer than 1,048,576 bytes"):
        read(content, max_record_bytes=1 << 20)
    catalog = read(content)
    assert rejections(catalog) == [("index 1", "no picture url")]


@pytest.mark.parametrize("content", [b"[" + b",".join(LINES) + b"]", b"\n".join(LINES), CSV])
def test_a_byte_order_mark_is_no_part_of_the_catalogue(content: bytes, read: Callable[..., Catalog]) -> None:
    catalog = read(b"\xef\xbb\xbf" + content)
    assert catalog.records["record_id"][0].as_py() == "0"
    assert not catalog.rejected.num_rows


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("content", [b"[" + b",".join(LINES) + b"]", CSV])
def test_utf_16_is_named_with_its_remedy(content: bytes, encoding: str, read: Callable[..., Catalog]) -> None:
    with pytest.raises(UserError, match="is UTF-16 text: save it as UTF-8"):
        read(content.decode().encode(encoding))


def test_broken_utf_8_rejects_its_record_alone(read: Callable[..., Catalog]) -> None:
    broken = LINES[1].replace(b"dress", b"dr\xffss")
    truncated = LINES[1].replace(b"dress", b"\xd0")
    lone = LINES[1].replace(b"dress", rb"\ud800")
    for content, place in (
        (b"\n".join([LINES[0], broken, LINES[2]]), "line 2"),
        (b"[" + b",\n".join([LINES[0], broken, LINES[2]]) + b"]", "index 1"),
        (b"[" + b",".join([LINES[0], truncated, LINES[2]]) + b"]", "index 1"),
        (b"[" + b",".join([LINES[0], lone, LINES[2]]) + b"]", "index 1"),
        (CSV + b"1,https://a.b/1.jpg,dr\xffss\n2,https://a.b/2.jpg,ok\n", "line 3"),
    ):
        catalog = read(content)
        assert catalog.records["record_id"].to_pylist() == ["0", "2"]
        assert rejections(catalog) == [(place, "broken UTF-8")]
    assert read(b"\n".join([LINES[0], lone])).rejected_by_reason == {"broken JSON": 1}


@pytest.mark.parametrize("size", [3, 2000])
def test_truncated_json_names_the_whole_records_and_the_byte_where_it_breaks_off(
    size: int, read: Callable[..., Catalog]
) -> None:
    records = [GOOD[0] | {"id": n, "description": f"dress {n} " * 20} for n in range(size)]
    parts = [json.dumps(record).encode() for record in records]
    content = b"[" + b",".join(parts) + b"]"
    ends = list(accumulate(len(part) + 1 for part in parts))  # each behind its record's last brace
    generator = random.Random(1)
    for cut in [2, len(content) - 1, ends[0], ends[1] + 1, *(generator.randrange(2, len(content)) for _ in range(20))]:
        # A record counts as whole once the comma behind it, or the end of the array, was seen.
        whole = sum(end < cut for end in ends)
        with pytest.raises(UserError, match=rf"breaks off at byte {cut:,}, after {whole:,} whole records"):
            read(content[:cut])


def test_a_json_array_broken_in_its_middle_says_where(read: Callable[..., Catalog]) -> None:
    with pytest.raises(UserError, match=r"is broken \(Expecting ':' delimiter\) at byte 85, after 1 whole records"):
        read(b"[" + LINES[0] + b', {"id" 1}, ' + LINES[1] + b"]" + b" " * 100)
    for content, byte in ((b"[" + LINES[0] + b"}]", 77), (b"[,]", 1), (b"[" + LINES[0] + b",," + LINES[1] + b"]", 78)):
        with pytest.raises(UserError, match=rf"is broken \(.*\) at byte {byte}, after [01] whole records"):
            read(content)
    with pytest.raises(UserError, match="something follows the array's end"):
        read(b"[" + LINES[0] + b"] []")
    with pytest.raises(UserError, match="something follows the array's end"):
        read(b"[" + LINES[0] + b"]" + b" " * 3_000_000 + b"x")


def test_a_comma_behind_the_last_record_loses_none(read: Callable[..., Catalog]) -> None:
    assert read(b"[" + b",".join(LINES) + b",\n]").records.num_rows == 3


def test_a_truncated_json_line_is_one_rejection_with_its_byte(read: Callable[..., Catalog]) -> None:
    catalog = read(LINES[0] + b"\n" + LINES[1][:30])
    assert rejections(catalog) == [("line 2", "broken JSON")]
    assert "byte 30 of the record" in catalog.rejected["detail"][0].as_py()


def test_where_a_json_line_is_broken_is_told_in_bytes_whatever_its_letters(read: Callable[..., Catalog]) -> None:
    for text in ("dress", "платье", "👗"):
        begin = f'{{"id": 1, "title": "{text}", '.encode()
        catalog = read(LINES[0] + b"\n" + begin + b"oops}")
        assert catalog.rejected["detail"][0].as_py().startswith(f"byte {len(begin)} of the record: ")


def test_values_that_are_no_records_are_counted(read: Callable[..., Catalog]) -> None:
    catalog = read(b"[" + LINES[0] + b', 1, null, "text", [], [[]], 1.5, true, {}]')
    assert catalog.rejected_by_reason == {"no object": 7, "no id": 1}
    assert catalog.read == 9


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**19, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**20])
def test_a_whole_number_is_the_same_read_by_either_parser(number: int) -> None:
    beside = parse_record(b'{"a": %d, "b": NaN}' % number)["a"]
    assert (type(beside), beside) == (type(orjson.loads(str(number))), orjson.loads(str(number)))


def test_a_number_that_is_none_costs_no_record_and_is_no_text(read: Callable[..., Catalog]) -> None:
    odd = b'{"id": 7, "image_url": "https://a.b/7.jpg", "description": "caf\xc3\xa9", "title": NaN, "price": -Infinity}'
    lone = odd.replace(b"caf", rb"\ud800")
    for content in (b"[" + LINES[0] + b"," + odd + b"]", LINES[0] + b"\n" + odd):
        catalog = read(content)
        assert catalog.records.select(["record_id", "title"]).to_pylist() == [
            {"record_id": "0", "title": ""}, {"record_id": "7", "title": ""},
        ]  # fmt: skip
    for broken, reason in ((odd[:-1], "broken JSON"), (lone, "broken UTF-8"), (odd + b" x", "broken JSON")):
        assert rejections(read(LINES[0] + b"\n" + broken)) == [("line 2", reason)]


def test_nul_bytes_reject_their_record(read: Callable[..., Catalog]) -> None:
    escaped = LINES[1].replace(b"dress", rb"dr\u0000ss")
    raw = LINES[1].replace(b"dress", b"dr\0ss")
    url = LINES[2].replace(b".jpg", rb"\u0000.jpg")
    for content, reasons in (
        (b"\n".join([LINES[0], escaped, url]), {"NUL character": 1, "malformed url": 1}),
        (b"[" + b",".join([LINES[0], escaped, url]) + b"]", {"NUL character": 1, "malformed url": 1}),
        (b"[" + b",".join([LINES[0], raw]) + b"]", {"NUL character": 1}),
        (b"\n".join([LINES[0], raw]), {"broken JSON": 1}),
        (CSV + b"1,https://a.b/1.jpg,dr\0ss\n", {"NUL character": 1}),
    ):
        assert read(content).rejected_by_reason == reasons


def test_formulas_in_csv_reject_their_record(read: Callable[..., Catalog]) -> None:
    formulas = ['=HYPERLINK(""http://x"")', "=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C'!A0", " =A1"]
    harmless = ["- soft cotton (100 %)", "- cotton | machine washable!", "+ warm lining", "a = b", "-", "@ home"]
    rows = [f'{n},https://a.b/{n}.jpg,"{cell} dress"\n'.encode() for n, cell in enumerate(formulas + harmless, 1)]
    catalog = read(CSV + b"".join(rows))
    assert catalog.rejected_by_reason["formula"] == len(formulas)
    assert catalog.records.num_rows == 1 + len(harmless)
    in_another_column = read(CSV.replace(b"\n", b",delta\n", 1).replace(b"dress 0\n", b"dress 0,=B2*2\n"))
    assert in_another_column.records.num_rows == 1


def test_csv_rows_of_another_width_are_rejected_and_empty_lines_are_none(read: Callable[..., Catalog]) -> None:
    catalog = read(CSV + b"\n1,https://a.b/1.jpg\n\n2,https://a.b/2.jpg,two,more\n3,https://a.b/3.jpg,three\n")
    assert catalog.records["record_id"].to_pylist() == ["0", "3"]
    assert rejections(catalog) == [("line 4", "wrong number of columns"), ("line 6", "wrong number of columns")]


def test_a_column_that_stands_twice_is_named(tmp_path: Path, read: Callable[..., Catalog]) -> None:
    message = "more than one column named description: rename all but one of them"
    with pytest.raises(UserError, match=message):
        read(b"id,image_url,description,title,description\n1,https://a.b/1.jpg,one,two,three\n")
    table = pa.table([["1"], ["https://a.b/c"], ["x"], ["y"]], ["id", "image_url", "description", "description"])
    pq.write_table(table, tmp_path / "twice")
    with pytest.raises(UserError, match=message):
        read_catalog(tmp_path / "twice", CatalogConfig())
    assert read(b"id,image_url,description,x,x\n1,https://a.b/1.jpg,one,two,three\n").records.num_rows == 1


@pytest.mark.parametrize("header", [b'id,image_url,"description', b'id,image_url,"desc"ription'])
def test_a_broken_line_of_column_names_is_one_clear_line(header: bytes, read: Callable[..., Catalog]) -> None:
    with pytest.raises(UserError, match="the line of column names is broken"):
        read(header + b"\n1,https://a.b/1.jpg,one\n")


def test_a_csv_quote_that_swallows_rows_names_the_lines_from_where_to_where(read: Callable[..., Catalog]) -> None:
    catalog = read(CSV + b'1,https://a.b/1.jpg,"open\n2,https://a.b/2.jpg,two\n3,https://a.b/3.jpg,"three"\n')
    assert rejections(catalog) == [("line 5", "broken CSV")]
    assert "in a row from line 3 to 5" in catalog.rejected["detail"][0].as_py()


@pytest.mark.parametrize("above", [b"sep=;\n", b'"sep=;"\r\n', b"\n \r\n", b"\xef\xbb\xbfsep=;\n\n"])
def test_what_spreadsheets_write_above_the_names_of_columns_is_passed_over(
    above: bytes, read: Callable[..., Catalog]
) -> None:
    rows = b"id;image_url;description\n1;https://a.b/1.jpg;one\n2;https://a.b/2.jpg\n"
    catalog = read(above + rows)
    assert catalog.records["record_id"].to_pylist() == ["1"]
    assert rejections(catalog) == [(f"line {3 + above.count(10)}", "wrong number of columns")]


def test_a_csv_quote_that_is_never_closed_names_its_line(read: Callable[..., Catalog]) -> None:
    with pytest.raises(UserError, match="the quote opened in line 3 is never closed"):
        read(CSV + b'1,https://a.b/1.jpg,"never closed\n' + b"2,https://a.b/2.jpg,two\n" * 10)


def test_a_gzip_bomb_stops_at_the_bound(read: Callable[..., Catalog]) -> None:
    bomb = gzip.compress(LINES[0] + b"\n" + b" " * 30_000_000)
    assert len(bomb) < 200_000
    with pytest.raises(UserError, match=r"grows beyond 1,000,000 bytes.*raise catalog.max_decompressed_bytes"):
        read(bomb, max_decompressed_bytes=1_000_000)
    assert read(bomb).records.num_rows == 1


def test_a_catalogue_unpacked_to_the_bound_exactly_is_read(read: Callable[..., Catalog]) -> None:
    content = CSV.ljust(2000, b"x")
    assert len(read(gzip.compress(content), max_decompressed_bytes=2000).records) == 1
    with pytest.raises(UserError, match="grows beyond 1,999 bytes"):
        read(gzip.compress(content), max_decompressed_bytes=1999)
    assert len(read(content, max_decompressed_bytes=1999).records) == 1, "the bound is of what is packed"


def test_a_parquet_bomb_stops_at_the_bound(tmp_path: Path) -> None:
    table = pa.table(
        {"id": list(range(20_000)), "image_url": ["https://a.b/c"] * 20_000, "description": ["x" * 1000] * 20_000}
    )
    pq.write_table(table, tmp_path / "bomb", compression="zstd")
    with pytest.raises(UserError, match=r"grows beyond 1,000,000 bytes in memory"):
        read_catalog(tmp_path / "bomb", CatalogConfig(max_decompressed_bytes=1_000_000))
    assert read_catalog(tmp_path / "bomb", CatalogConfig()).records.num_rows == 20_000


def test_a_text_that_parquet_holds_once_for_many_rows_counts_for_each(tmp_path: Path) -> None:
    once = pa.DictionaryArray.from_arrays(pa.array([0] * 60), pa.array(["dress " * 20_000]))
    texts = pa.ListArray.from_arrays(pa.array(range(61), pa.int32()), once)
    plain = {"id": list(range(60)), "image_url": ["https://a.b/c"] * 60}
    for columns in (plain | {"description": once}, plain | {"descriptions": texts}):
        pq.write_table(pa.table(columns), tmp_path / "bomb")
        with pytest.raises(UserError, match=r"grows beyond 1,000,000 bytes in memory"):
            read_catalog(tmp_path / "bomb", CatalogConfig(max_decompressed_bytes=1_000_000))
        assert read_catalog(tmp_path / "bomb", CatalogConfig()).records.num_rows == 60


def test_parquet_values_that_python_cannot_hold_reject_their_row(tmp_path: Path) -> None:
    good = {"id": [Decimal(1), Decimal(2)], "image_url": ["https://a.b/c"] * 2, "description": ["one", "two"]}
    for column in (pa.array([10**14, 5], pa.timestamp("s")), pa.array([10**8, 5], pa.date32())):
        pq.write_table(pa.table(good | {"title": column}), tmp_path / "dates")
        catalog = read_catalog(tmp_path / "dates", CatalogConfig())
        assert catalog.records["record_id"].to_pylist() == ["2"]
        assert rejections(catalog) == [("row 0", "unreadable value")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"[]", "holds no records"),
        (b"\xef\xbb\xbf[ ]", "holds no records"),
        (b"[", "breaks off at byte 1, after 0 whole records"),
        (gzip.compress(b"".join(LINES) * 1000)[:-20], "is a broken gzip file"),
        (gzip.compress(b"\n".join(LINES))[:-8] + b"x" * 8, "is a broken gzip file"),
        (gzip.compress(gzip.compress(b"\n".join(LINES))), "is gzipped twice: undo one of them"),
        (b"PK\x03\x04 and so on", "a zip archive or a spreadsheet: export the table as CSV"),
        (b"BZh91AY&SY", "is compressed, but not with gzip: unpack it"),
        (b"<!DOCTYPE html><html>", "is HTML or XML"),
        (b"PAR1 but no more", "is a broken Parquet file"),
        (b"hello\nworld\n", "whose first line names columns such as id"),
        (bytes(range(1, 256)) * 10, "whose first line names columns such as id"),
        (CSV[:25] + "1,https://a.b/1,Платье\n".encode("cp1251"), "the fault 'broken UTF-8': save the file as UTF-8"),
        (b"\0" * 100, "whose first line names columns such as id"),
        (b"[" * 100_000, "is nested too deeply|breaks off"),
        (b'{"a":' * 100_000, "can be used"),
        (b'{\n "id": 1,\n "image_url": "https://a.b/c"\n}', "none of its 4 records can be used"),
    ],
)
def test_what_is_no_catalogue_is_one_clear_line(content: bytes, message: str, read: Callable[..., Catalog]) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read(content)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for name, what in {
        "absent": "does not exist", "": "is a folder", "pipe": "is a pipe",
        "loop": r"cannot be found \(Too many levels of symbolic links\)",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=f"the catalogue {tmp_path / name} {what}: give a JSON"):
            read_catalog(tmp_path / name, CatalogConfig())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "0", "x"]), inner, max_size=3),
    max_leaves=6,
)
URL = st.sampled_from(["https://a.b/c", "http://", "x y", "//h/p", "../x", "ftp://a/b", "a.jpg", "https://a.b/ü?x#y"])
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 5) | JSON,
        "images": st.lists(st.dictionaries(st.sampled_from(["0", "1", "color"]), URL | JSON), max_size=2) | JSON,
        "image_url": URL | JSON,
        "description": st.text(max_size=8) | JSON,
        "descriptions": st.lists(st.text(max_size=5), max_size=3) | JSON,
        "detail_info": st.text(max_size=8) | JSON,
        "title": JSON,
        "category": JSON,
        "attr": JSON,
        "split": st.sampled_from(["train", "test", None]) | JSON,
    },
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=200
)
@given(records=st.lists(RECORD, max_size=6), lines=st.booleans())
def test_whatever_json_holds_every_record_is_kept_or_rejected(records: list[Any], lines: bool, tmp_path: Path) -> None:
    good = {"id": "good", "image_url": "https://a.b/good", "description": "good", "split": "train"}
    records = [good, *records]
    path = tmp_path / "catalog"
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    path.write_text(text, encoding="utf-8")
    catalog = read_catalog(path, CatalogConfig())
    assert catalog.read == len(records) == catalog.records.num_rows + catalog.rejected.num_rows
    assert len(set(catalog.records["record_id"].to_pylist())) == catalog.records.num_rows >= 1
    assert all(catalog.records["references"].to_pylist())


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=300
)
@given(data=st.data())
def test_whatever_bytes_a_file_holds_reading_ends_in_a_catalogue_or_one_clear_line(
    data: st.DataObject, tmp_path: Path
) -> None:
    content = bytearray(data.draw(st.sampled_from([b"[" + b",".join(LINES) + b"]", b"\n".join(LINES), CSV * 2])))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path / "catalog"
    path.write_bytes(bytes(content))
    with suppress(UserError):
        catalog = read_catalog(path, CatalogConfig())
        assert catalog.read == catalog.records.num_rows + catalog.rejected.num_rows
