"""CSV and Parquet."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import UserError, first_line
from tasks.catalog.json_formats import parse_record
from tasks.catalog.source import Batch, Fault, Source, names_shown

BATCH_ROWS = 4096
# Few, as a page of kilobytes may hold one long text a million times: a batch is in memory before its size is known.
PARQUET_BATCH_ROWS = 64
DELIMITERS = ",;\t|"
# What a spreadsheet would run: =HYPERLINK(...), @SUM(...), +cmd|' /C calc'!A0. A dash before words is a list.
FORMULA = re.compile(r"\s*(?:=|@\s*\w+\s*\(|[@+\-][\s\w.+*/\-]*\w\|.*!)", re.DOTALL)
# Above the names: empty lines, and a spreadsheet's own "sep=;".
_ABOVE = re.compile(rb'(?:[ \t]*\r?\n|"?sep=."?[ \t]*\r?\n)+', re.IGNORECASE)
_NESTED = re.compile(r"\s*[\[{]")


class _Lines:
    """The lines of a source as text, for the csv module.

    A line longer than `max_bytes` is never held: only the parity of its quotes is given on, so that the rows after it
    keep their shape, and `too_long` is set for the row that it belonged to.
    """

    def __init__(self, source: Source, max_bytes: int) -> None:
        self.source, self.max_bytes = source, max_bytes
        self.too_long = False

    def __iter__(self) -> Iterator[str]:
        rest, skipped_quotes, skipping = b"", 0, False
        while True:
            block = self.source.read()
            lines = (rest + block).split(b"\n")
            rest = lines.pop() if block else b""
            for line in lines:
                if skipping or len(line) > self.max_bytes:
                    self.too_long = True
                    yield '"' * ((skipped_quotes + line.count(b'"')) % 2) + "\n"
                    skipped_quotes, skipping = 0, False
                else:
                    yield line.decode("utf-8", "surrogateescape") + "\n"
            if len(rest) > self.max_bytes:
                skipped_quotes, skipping, rest = skipped_quotes + rest.count(b'"'), True, b""
            if not block:
                return


def read_csv(source: Source, max_record_bytes: int, known: Collection[str]) -> Iterator[Batch]:
    """Rows below a header line, as dictionaries; places are lines, counted from 1, where a row ends.

    The delimiter is the one of comma, semicolon, tab and bar that finds most of the `known` columns in the header;
    "Description" is taken for "description", as spreadsheets like to write it. A cell of JSON (a list of descriptions
    or images) is read as such; empty cells are missing.

    Raises:
        UserError: a quote is never closed, or the header has none of the known columns.
    """
    head = source.peek(1 << 16)
    above = _ABOVE.match(head)
    skipped = head.count(b"\n", 0, above.end()) if above else 0
    first = head.split(b"\n", skipped + 1)[skipped].decode("utf-8", "replace")

    def found(mark: str) -> tuple[int, int]:
        names = _as_known(_header(first, mark), known)
        return len(set(names) & set(known)), len(names)

    delimiter = max(DELIMITERS, key=found)
    csv.field_size_limit(max_record_bytes)
    lines = _Lines(source, max_record_bytes)
    rows = csv.reader(islice(lines, skipped, None), delimiter=delimiter, strict=True)
    header = _as_known(_header(first, delimiter), known)
    if not set(header) & set(known):
        has = f" (it has {shown})" if (shown := names_shown(header)) else ""
        raise UserError(
            f"{source.path} is no JSON array, JSON Lines, Parquet, or CSV whose first line names columns such as "
            f"id, image_url, description{has}: name yours with --set catalog.columns.description=COLUMN"
        )
    try:
        header = _as_known([name.strip() for name in next(rows)], known)  # a quoted name may take several lines
    except csv.Error as error:
        raise UserError(f"{source.path}: the line of column names is broken ({error}): mend it") from None
    _check_names(source, header, known)
    records: list[Any] = []
    places: list[int] = []
    while True:
        begins = skipped + rows.line_num + 1
        try:
            cells = next(rows)
            row = _row(header, cells, known) if cells else None
        except StopIteration:
            break
        except csv.Error as error:
            if "end of data" in str(error):
                raise UserError(
                    f"{source.path}: the quote opened in line {begins:,} is never closed, so the rest of the file "
                    f"({source.position:,} bytes read) is lost: mend that line"
                ) from None
            ends = skipped + rows.line_num
            where = f", in a row from line {begins:,} to {ends:,}" if ends > begins else ""
            row = Fault("record too long" if "field limit" in str(error) else "broken CSV", f"{error}{where}")
        if lines.too_long:
            lines.too_long = False
            row = Fault("record too long", f"more than catalog.max_record_bytes = {max_record_bytes:,}")
        if row is not None:
            records.append(row)
            places.append(skipped + rows.line_num)
        if len(records) == BATCH_ROWS:
            yield Batch(records, places, header)
            records, places = [], []
    if records:
        yield Batch(records, places, header)


def _check_names(source: Source, names: Collection[str], known: Collection[str]) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1 and name in known]:
        raise UserError(f"{source.path} has more than one column named {repeated[0]}: rename all but one of them")


def _as_known(names: Sequence[str], known: Collection[str]) -> list[str]:
    """The names, those that only capitals keep from a known column without them."""
    wanted = {name.lower(): name for name in known}
    return [
        meant if name not in known and (meant := wanted.get(name.lower(), name)) not in names else name
        for name in names
    ]


def _header(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _row(header: list[str], cells: list[str], known: Collection[str]) -> dict[str, Any] | Fault:
    if len(cells) != len(header):
        return Fault("wrong number of columns", f"{len(cells)} cells under {len(header)} names")
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        if not cell or name not in known:
            continue
        if not cell.isascii():
            try:
                cell.encode()
            except UnicodeEncodeError:
                return Fault("broken UTF-8", f"column {name}")
        if FORMULA.match(cell):
            return Fault("formula", f"column {name}: {cell[:40]!r}")
        value = parse_record(cell.encode()) if _NESTED.match(cell) else cell
        row[name] = cell if isinstance(value, Fault) else value
    return row


def read_parquet(source: Source, max_bytes: int, known: Collection[str]) -> Iterator[Batch]:
    """Rows as dictionaries of the `known` columns; places are rows, counted from 0.

    Raises:
        UserError: the file is broken, none of the columns is there, or they take more than `max_bytes` in memory.
    """
    place = 0
    try:
        if source.compressed:
            whole = bytearray()
            while block := source.read():
                whole += block
            file = pq.ParquetFile(BytesIO(whole))
        else:
            file = pq.ParquetFile(source.path)
        schema = file.schema_arrow
        called = dict(zip(schema.names, _as_known(schema.names, known), strict=True))
        _check_names(source, [called[name] for name in schema.names], known)
        columns = [name for name in schema.names if called[name] in known]
        if not columns:
            raise UserError(
                f"{source.path} has none of the columns {', '.join(sorted(known))}, but "
                f"{names_shown(schema.names)}: name yours with --set catalog.columns.description=COLUMN"
            )
        plain = pa.schema([(called[name], _plain(schema.field(name).type)) for name in columns])
        raw = [field.name for field in plain if "binary" in str(field.type)]
        size = 0
        for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=columns):
            rows = batch.rename_columns(plain.names)
            rows = rows if rows.schema.types == plain.types else rows.cast(plain)
            size += rows.nbytes
            if size > max_bytes:
                raise UserError(
                    f"{source.path} grows beyond {max_bytes:,} bytes in memory: "
                    "if that is meant, raise catalog.max_decompressed_bytes"
                )
            yield Batch(_rows(rows, raw), range(place, place + rows.num_rows), schema.names)
            place += rows.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source.path} is a broken Parquet file after {place:,} rows: {first_line(error)}") from None


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without dictionaries, whose values may be many times what they say they take."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, _plain(part.type)) for part in kind])
    return kind


def _rows(rows: pa.RecordBatch, raw: Collection[str]) -> list[Any]:
    """As dictionaries; texts of the `raw` columns stand there as bytes, as Impala, Hive and old Sparks write them."""
    unreadable = (ValueError, OverflowError, LookupError)  # no UTF-8, a date that Python can't hold, no such time zone
    try:
        records: list[Any] = rows.to_pylist()
    except unreadable:
        records = []
        for index in range(rows.num_rows):
            try:
                records += rows.slice(index, 1).to_pylist()
            except unreadable as error:
                is_text = isinstance(error, UnicodeDecodeError)
                records.append(Fault("broken UTF-8" if is_text else "unreadable value", str(error)))
    for record in records if raw else ():
        if isinstance(record, dict):
            record.update({name: _decoded(record[name]) for name in raw})
    return records


def _decoded(value: Any) -> Any:
    """With bytes as the text that they hold, where they hold one."""
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return value.decode()
    elif isinstance(value, list):
        return [_decoded(each) for each in value]
    elif isinstance(value, dict):
        return {name: _decoded(each) for name, each in value.items()}
    return value
