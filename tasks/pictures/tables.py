"""The Parquet files of a dataset's pictures, in and out.

`pyarrow.parquet.read_table`, filters, and every conversion of Python values to Arrow import pandas, 0.9 s of a process
that does nothing but fetch. Reading a file as a whole does not, nor does reading JSON.
"""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.json
import pyarrow.parquet as pq
from pyarrow import Schema, Table

from tasks.dataset_files import SAMPLE_FILE


def read_table(path: Path, columns: list[str] | None = None) -> Table:
    """Some columns of a file, or all."""
    with pq.ParquetFile(path) as file:
        return file.read(columns=columns)


def read_sample(folder: Path, columns: list[str]) -> dict[str, Table]:
    """Columns of a dataset's `sample.parquet`, by split, in its order."""
    table = read_table(folder / SAMPLE_FILE, ["split", "order", *columns])
    table = table.sort_by([("split", "ascending"), ("order", "ascending")])
    counts = {row["values"]: row["counts"] for row in table["split"].value_counts().to_pylist()}
    splits, first = {}, 0
    for name in sorted(counts):
        splits[name] = table.slice(first, counts[name])
        first += counts[name]
        assert splits[name]["order"].to_pylist() == list(range(counts[name])), f"the order of {name} has gaps"
    return splits


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    """Write rows of plain values as a Parquet file."""
    lines = "\n".join(map(json.dumps, rows)).encode()
    if lines:
        table = pyarrow.json.read_json(
            io.BytesIO(lines),
            read_options=pyarrow.json.ReadOptions(block_size=len(lines)),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
        table = table.select(schema.names)
    else:
        table = schema.empty_table()
    pq.write_table(table.replace_schema_metadata(schema.metadata), path)
