"""Reads a catalogue: its format from its content, typed records, every rejected one kept with reason and place."""

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.configuration import check, setting
from model.errors import UserError
from model.files import atomic_path
from tasks.catalog.json_formats import read_json_array, read_json_lines
from tasks.catalog.records import FIELDS, HAS_DESCRIPTION, Descriptions, Extractor, Record, record_id_of, written
from tasks.catalog.source import Batch, Fault, Source, names_shown
from tasks.catalog.table_formats import read_csv, read_parquet
from tasks.dataset_files import CATALOG_FILE, REJECTED_FILE

RECORD_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("url", pa.string()),
        ("references", pa.list_(pa.string())),
        ("title", pa.string()),
        ("category", pa.string()),
        ("attr", pa.list_(pa.string())),
        ("split", pa.string()),
    ]
)
PLACED_SCHEMA = RECORD_SCHEMA.append(pa.field("place", pa.int64()))
ROWS_A_CHUNK = 8192
REJECTED_SCHEMA = pa.schema(
    [("id", pa.string()), ("place", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)
_UTF8_BOM = b"\xef\xbb\xbf"
_WRAPPED = re.compile(rb'\s*\{\s*"(?:products|items|records|data)"\s*:\s*(?=\[)')  # as shop systems answer
_WRONG_KINDS = (
    ((b"\xff\xfe", b"\xfe\xff"), "UTF-16 text", "save it as UTF-8"),
    ((b"PK\x03\x04",), "a zip archive or a spreadsheet", "export the table as CSV in UTF-8"),
    ((b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"), "compressed, but not with gzip", "unpack it"),
    ((b"\xd0\xcf\x11\xe0",), "an old spreadsheet", "export the table as CSV in UTF-8"),
    ((b"<!DOCTYPE", b"<!doctype", b"<html", b"<?xml"), "HTML or XML", "export the catalogue as JSON, CSV or Parquet"),
    ((b"\x1f\x8b",), "gzipped twice", "undo one of them"),
)


@dataclass(frozen=True, kw_only=True)
class CatalogConfig:
    """How a catalogue is read."""

    columns: dict[str, str] = setting({}, "the catalogue's names of our fields: description=body_html, ...")
    cut_query: bool = setting(True, "leave out what follows a picture url's question mark (a thumbnail's size)")
    max_record_bytes: int = setting(16 << 20, "longest record that is read", unit="bytes")
    max_decompressed_bytes: int = setting(8 << 30, "largest size of a compressed catalogue, unpacked", unit="bytes")

    def __post_init__(self) -> None:
        unknown = sorted(set(self.columns) - set(FIELDS))
        check(not unknown, "catalog.columns", ", ".join(unknown), "made of " + ", ".join(FIELDS))
        check(self.max_record_bytes >= 1024, "catalog.max_record_bytes", self.max_record_bytes, "at least 1024")
        check(
            self.max_decompressed_bytes >= 1024,
            "catalog.max_decompressed_bytes",
            self.max_decompressed_bytes,
            "at least 1024",
        )


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """A catalogue as read.

    Attributes:
        format: "JSON array", "JSON Lines", "CSV" or "Parquet".
        records: RECORD_SCHEMA, ids unique, smallest id first (numbers before words).
        rejected: REJECTED_SCHEMA, in the file's order, then those without a split, then those with another's id.
        read: how many records the file holds: kept and rejected.
        given_splits: the catalogue says which split each record is in.
        conflated: the share of the picture urls with a query, which was cut, that it alone told from another one.
    """

    format: str
    records: pa.Table
    rejected: pa.Table
    read: int
    given_splits: bool
    conflated: float

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """How many records were rejected for each reason, most frequent first."""
        return dict(Counter(self.rejected["reason"].to_pylist()).most_common())


def read_catalog(
    path: Path,
    config: CatalogConfig,
    *,
    image_base_url: str = "",
    descriptions: Descriptions = "needed",
    on_read: Callable[[int], None] | None = None,
) -> Catalog:
    """Read a catalogue of any of the four formats, gzipped or not.

    Args:
        path: the file.
        config: how.
        image_base_url: whether relative urls are of use: without it, they are rejected.
        descriptions: "needed" rejects the products without one, "missing" those with one, "any" none.
        on_read: told how many records more have been read.

    Raises:
        UserError: the file can't be read, breaks off, or holds no usable record (but for "missing": if every
            product has a description, in one of its rows at least, there is none, and that is no mistake).
    """
    extract = Extractor(
        config.columns,
        cut_query=config.cut_query,
        has_base=bool(image_base_url),
        descriptions=descriptions,
    )
    columns = _Columns()
    with Source(path, config.max_decompressed_bytes) as source, _collector_paused():
        kind, batches, place_name = _open(source, config)
        for batch in batches:
            columns.add(batch, extract)
            if on_read:
                on_read(len(batch.records))
    table, rejected = columns.tables(place_name)
    if columns.read == 0:
        raise UserError(f"{path} holds no records")
    catalog = _settle(kind, table, rejected, columns.read, place_name, extract.conflated)
    if not catalog.records.num_rows and (lost := _without_description(catalog.rejected)).num_rows:
        raise UserError(f"{path}: {_why_nothing(lost, catalog.read, config.columns, columns.names)}")
    assert catalog.read == catalog.records.num_rows + catalog.rejected.num_rows, "a record was lost in reading"
    return catalog


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Records make no cycles; Python's collector would walk them again and again (a sixth of the time)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_catalog(catalog: Catalog, folder: Path) -> list[Path]:
    """Write catalog.parquet and rejected.parquet into a folder; give their paths."""
    files = [folder / CATALOG_FILE, folder / REJECTED_FILE]
    write_table(catalog.records, files[0])
    write_table(catalog.rejected, files[1])
    return files


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file atomically; the same table gives the same bytes."""
    with atomic_path(path) as partial:
        pq.write_table(table.replace_schema_metadata(None), partial, compression="zstd", compression_level=1)


class _Columns:
    """Columns that grow batch by batch."""

    def __init__(self) -> None:
        self.finished: list[pa.Table] = []
        self.kept: list[Record] = []
        self.places: list[int] = []
        self.rejected: list[tuple[str, int, str, str]] = []
        self.read = 0
        self.names: Sequence[str] = ()  # what the file calls its columns, or the first rejected record its own

    def add(self, batch: Batch, extract: Extractor) -> None:
        for raw, place in zip(batch.records, batch.places, strict=True):
            record = extract(raw)
            if isinstance(record, Fault):
                self.names = self.names or batch.names or (list(raw) if isinstance(raw, dict) else ())
                raw_id = raw.get(extract.id) if isinstance(raw, dict) else None
                shown = record_id_of(raw_id) or ("" if raw_id is None else written(raw_id)[:200])
                self.rejected.append((shown, place, record.reason, record.detail))
            else:
                self.kept.append(record)
                self.places.append(place)
        self.read += len(batch.records)
        if len(self.kept) >= ROWS_A_CHUNK:
            self._finish()

    def _finish(self) -> None:
        columns = [
            _array(values, field.type)
            for values, field in zip(zip(*self.kept, strict=True), RECORD_SCHEMA, strict=True)
        ]
        self.finished.append(pa.table([*columns, pa.array(self.places, pa.int64())], schema=PLACED_SCHEMA))
        self.kept, self.places = [], []

    def tables(self, place_name: str) -> tuple[pa.Table, pa.Table]:
        """Kept records with their place, and rejected ones."""
        if self.kept:
            self._finish()
        rows = [(shown, f"{place_name} {place}", reason, detail) for shown, place, reason, detail in self.rejected]
        return pa.concat_tables([PLACED_SCHEMA.empty_table(), *self.finished]), rejected_table(rows)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, values), np.int32, len(values)), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(list(chain.from_iterable(values)), kind.value_type))


def rejected_table(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    """Rows of (id, place, reason, detail) as a table."""
    columns = list(zip(*rows, strict=True)) or [()] * 4
    encoded = [[text.encode("utf-8", "replace") for text in column] for column in columns]
    return pa.table([pa.array(column, pa.string()) for column in encoded], schema=REJECTED_SCHEMA)


def _open(source: Source, config: CatalogConfig) -> tuple[str, Iterator[Batch], str]:
    """The format, its reader, and what a place in it is called."""
    if source.peek(3) == _UTF8_BOM:
        source.read(3)
    head = source.peek(4096)
    known = {config.columns.get(field, field) for field in FIELDS}  # looked at for each cell
    for magics, what, remedy in _WRONG_KINDS:
        if head.lstrip().startswith(magics):
            raise UserError(f"{source.path} is {what}: {remedy}")
    if head.startswith(b"PAR1"):
        return "Parquet", read_parquet(source, config.max_decompressed_bytes, known), "row"
    if re.search(rb"\A(?:[^\0]\0){8}|\A(?:\0[^\0]){8}", head):
        raise UserError(f"{source.path} is UTF-16 text: save it as UTF-8")
    if not head.strip():
        raise UserError(f"{source.path} is empty")
    wrapped = _WRAPPED.match(head)
    source.read(wrapped.end() if wrapped else 0)
    first = b"[" if wrapped else head.lstrip()[:1]
    if first == b"[":
        return "JSON array", read_json_array(source, config.max_record_bytes, wrapped=wrapped is not None), "index"
    if first == b"{":
        return "JSON Lines", read_json_lines(source, config.max_record_bytes), "line"
    return "CSV", read_csv(source, config.max_record_bytes, known), "line"


def _settle(kind: str, table: pa.Table, rejected: pa.Table, read: int, place_name: str, conflated: float) -> Catalog:
    """Sort by id; reject what has another's id, or no split where others have one."""
    given = pc.not_equal(table["split"], "")
    given_splits = bool(pc.any(given).as_py())
    reasons: list[tuple[pa.Table, str]] = []
    if given_splits and not pc.all(given).as_py():
        reasons.append((table.filter(pc.invert(given)), "no split, where others have one"))
        table = table.filter(given)
    table = sort_by_id(table)
    ids = table["record_id"].combine_chunks()
    if len(ids) > 1:
        repeats = pc.equal(ids[1:], ids[:-1])
        if pc.any(repeats).as_py():
            mask = pa.concat_arrays([pa.array([False]), repeats])
            reasons.append((table.filter(mask), "duplicate id"))
            table = table.filter(pc.invert(mask))
    for lost, reason in reasons:
        ids_places = zip(lost["record_id"].to_pylist(), lost["place"].to_pylist(), strict=True)
        more = [(record_id, f"{place_name} {place}", reason, "") for record_id, place in ids_places]
        rejected = pa.concat_tables([rejected, rejected_table(more)])
    return Catalog(
        format=kind,
        records=table.drop_columns("place").combine_chunks(),
        rejected=rejected,
        read=read,
        given_splits=given_splits,
        conflated=conflated,
    )


def sort_by_id(table: pa.Table) -> pa.Table:
    """Smallest id first: numbers by value, then words; records of one id by their content, so by no one's order."""
    ids = table["record_id"]
    is_number = pc.match_substring_regex(ids, "^[0-9]{1,18}$")
    keys = table.append_column("number", pc.cast(pc.if_else(is_number, ids, None), pa.int64()))
    names = ["number", "record_id"]
    if pc.count_distinct(ids).as_py() < len(ids):
        keys = keys.append_column("texts", pc.binary_join(table["references"], "\0"))
        keys = keys.append_column("words", pc.binary_join(table["attr"], "\0"))
        names += ["url", "texts", "title", "category", "words", "split"]
    return table.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names]))


def _without_description(rejected: pa.Table) -> pa.Table:
    """The rejected records but for those of products that have a description, in this row or another."""
    described = rejected.filter(pc.equal(rejected["reason"], HAS_DESCRIPTION))["id"]
    return rejected.filter(pc.invert(pc.is_in(rejected["id"], described)))


def _why_nothing(lost: pa.Table, read: int, columns: Mapping[str, str], names: Sequence[str]) -> str:
    reason, count = Counter(lost["reason"].to_pylist()).most_common(1)[0]
    example = lost.filter(pc.equal(lost["reason"], reason))["detail"][0].as_py()
    which = "" if lost.num_rows == read else " without a description"
    there = f", one of {shown}" if (shown := names_shown(names)) else ""
    lacking = {"no id": "id", "no picture url": "image_url", "no description": "description"}
    remedy = {
        **{
            fault: f"map the column: --set catalog.columns.{field}=COLUMN (now {columns.get(field, field)}){there}"
            for fault, field in lacking.items()
        },
        "relative url": "give --image-base-url URL-or-FOLDER",
        "broken UTF-8": "save the file as UTF-8",
        "broken JSON": "write one JSON array, or one record a line",
    }.get(reason, f"first: {example}")
    return f"none of its {lost.num_rows:,} records{which} can be used; {count:,} have the fault {reason!r}: {remedy}"
