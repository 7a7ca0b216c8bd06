"""The Parquet files of fetching: what is written comes back, and pandas is not imported for it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.pictures.outcome import SCHEMA, Outcome
from tasks.pictures.tables import read_sample, read_table, write_rows
from tests.tasks.faulty_server import jpeg

OUTCOME = Outcome(record_id="1", split="train", order=0, url="http://a/b.jpg", url_key="k", status="fetched")
AWKWARD = ['"quoted"', "back\\slash", "new\nline", "Straße 👗", "2026-01-01", "12", "null", "", "\x00"]


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_rows_come_back_as_they_were_with_the_schema_s_types_and_metadata(tmp_path: Path, count: int) -> None:
    rows = [
        replace(OUTCOME, order=order, record_id=AWKWARD[order % len(AWKWARD)], bytes=2**40, seconds=order / 3).as_row()
        for order in range(count)
    ]
    schema = SCHEMA.with_metadata({"verdict_key": "v"})
    write_rows(tmp_path / "rows.parquet", rows, schema)
    table = read_table(tmp_path / "rows.parquet")
    assert table.to_pylist() == rows
    assert table.schema.equals(schema, check_metadata=True)
    assert pq.read_table(tmp_path / "rows.parquet").equals(pa.Table.from_pylist(rows, schema))


def test_a_sample_comes_by_split_in_its_order_however_its_rows_stand(tmp_path: Path) -> None:
    rows = [("test", 1, "b"), ("train", 0, "c"), ("test", 0, "a"), ("train", 1, "d")]
    table = pa.Table.from_pylist([{"split": s, "order": o, "record_id": i, "more": 1} for s, o, i in rows])
    pq.write_table(table, tmp_path / "sample.parquet")
    sample = read_sample(tmp_path, ["record_id"])
    assert {name: part["record_id"].to_pylist() for name, part in sample.items()} == {
        "test": ["a", "b"],
        "train": ["c", "d"],
    }
    pq.write_table(table.slice(0, 2), tmp_path / "sample.parquet")
    with pytest.raises(AssertionError, match="the order of test has gaps"):
        read_sample(tmp_path, ["record_id"])


FETCH = """
import sys
from pathlib import Path
from model.picture import ImageConfig
from tasks.pictures.chunks import fetch_chunk
from tasks.pictures.pack import pack
from tasks.pictures.selection import next_chunks
from tasks.pictures.settings import FetchConfig
how = {"image": ImageConfig(size_px=32), "config": FetchConfig()}
folder, pictures = Path(sys.argv[1]), sys.argv[2]
for chunk in next_chunks(folder, base_url=pictures, find_repeats=None, **how):
    fetch_chunk(folder, chunk, base_url=pictures, **how)
pack(folder, fingerprint="", dataset_id="", exact=True, find_repeats=None, **how)
print("pandas" in sys.modules)
"""


def test_a_process_that_only_fetches_and_packs_does_not_wait_for_pandas(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    for order in range(3):
        (tmp_path / f"{order}.jpg").write_bytes(jpeg(order))
        rows.append({"record_id": f"{order}", "url": f"{order}.jpg", "references": ["a"], "split": "train"})
        rows[-1] |= {"order": order, "in_sample": True}
    (tmp_path / "dataset").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "dataset" / "sample.parquet")
    command = [sys.executable, "-c", FETCH, str(tmp_path / "dataset"), str(tmp_path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert answer.stdout == "False\n"
