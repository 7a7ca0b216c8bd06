"""Packing the chunks of a dataset into `train.h5` and `test.h5`, with `outcomes.parquet`, streaming.

Shapes: C channels (RGB), S `image.size_px`.
"""

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.errors import RunError, UserError
from model.files import atomic_path
from model.picture import ImageConfig
from model.store import StoreInfo, write_store
from tasks.dataset_files import OUTCOMES_FILE, SAMPLE_FILE, STORES
from tasks.pictures.chunk_files import ChunkFile
from tasks.pictures.outcome import SCHEMA, Outcome, nothing_had
from tasks.pictures.selection import FindRepeats, read_outcomes, read_splits, select
from tasks.pictures.settings import FetchConfig
from tasks.pictures.tables import read_table, write_rows
from tasks.progress import progress

BLOCK_ROWS = 32  # handed from thread to thread at once: waking one up costs as much as a picture's digest
BLOCKS_AHEAD = 2
PACKED_SCHEMA = pa.schema(
    [*SCHEMA, ("store", pa.string()), ("row", pa.int64()), ("repeats_id", pa.string())]  # "", -1, "": not a row
)
Block = list[tuple[Outcome, NDArray[np.uint8]]]


@dataclass(frozen=True, kw_only=True)
class PackSummary:
    """What was packed.

    Attributes:
        rows: by split.
        missing: by split, rows that could not be had, the reserve included.
        fetched, reused, failed: pictures that were asked for; some that came may not have been needed.
        failures: by reason.
        repeats: records dropped because their picture repeats another's.
        digest: the dataset's digest.
    """

    rows: dict[str, int]
    missing: dict[str, int]
    fetched: int
    reused: int
    failed: int
    failures: dict[str, int]
    repeats: int
    digest: str


def pack(
    folder: Path,
    *,
    image: ImageConfig,
    config: FetchConfig,
    fingerprint: str,
    dataset_id: str,
    exact: bool,
    find_repeats: FindRepeats | None,
) -> PackSummary:
    """Write the stores and the outcomes of a dataset whose chunks are complete. The chunks stay.

    Args:
        folder: of the dataset.
        image: size and resize rule.
        config: for the compression.
        fingerprint: of the catalogue.
        dataset_id: of the dataset.
        exact: too few pictures for the sample is an error.
        find_repeats: which rows to drop for equal pixels, as for `next_chunks`.

    Raises:
        UserError: `exact`, and too few pictures can be had; none of a split.
        RunError: a chunk is damaged (it is forgotten, so resume fetches it again).
    """
    splits = read_splits(folder)
    outcomes = read_outcomes(folder, image)
    selection = select(splits, outcomes, find_repeats)
    if not selection.complete:  # as after a damaged chunk was forgotten
        raise RunError(f"some pictures of {folder} are not there yet: resume fetches them")
    for name, split in splits.items():
        _check_rows(name, split.target, len(selection.rows[name]), outcomes[name], exact=exact)
    references = _references(folder)
    total = sum(len(rows) for rows in selection.rows.values())
    digest = hashlib.sha256()
    places: dict[str, tuple[str, int]] = {}

    with progress("Packing pictures", total, unit="pictures") as bar:
        for store, names in STORES.items():
            rows = [row for name in names for row in selection.rows[name]]

            def stream(rows: list[Outcome] = rows) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
                for block in _read_blocks(rows, outcomes):
                    for row, pixels in block:
                        update_digest(digest, row.record_id, row.split, references[row.record_id], pixels)
                        yield row.record_id, row.split, pixels
                    bar.advance(len(block))

            info = StoreInfo(
                rows=len(rows),
                size_px=image.size_px,
                resize=image.resize,
                fingerprint=fingerprint,
                dataset_id=dataset_id,
            )
            write_store(folder / store, stream(), info, compression=config.compression)
            places.update({row.record_id: (store, place) for place, row in enumerate(rows)})
    asked = [outcome for known in outcomes.values() for _, (outcome, _) in sorted(known.items())]
    _write_outcomes(folder, asked, places, selection.repeats)
    by_status = Counter(outcome.status for outcome in asked)
    return PackSummary(
        rows={name: len(selection.rows[name]) for name in splits},
        missing={name: split.target - len(selection.rows[name]) for name, split in splits.items()},
        fetched=by_status["fetched"],
        reused=by_status["reused"],
        failed=by_status["failed"],
        failures=dict(Counter(outcome.reason for outcome in asked if not outcome.usable).most_common()),
        repeats=len(selection.repeats),
        digest=digest.hexdigest(),
    )


def update_digest(
    digest: "hashlib._Hash", record_id: str, split: str, references: list[str], pixels: NDArray[np.uint8]
) -> None:
    """Add a row to the dataset's digest: its identity and captions as a line of JSON, then its pixels (C, S, S)."""
    digest.update(json.dumps([record_id, split, references], ensure_ascii=False).encode() + b"\n")
    digest.update(np.ascontiguousarray(pixels).data)


def _references(folder: Path) -> dict[str, list[str]]:
    table = read_table(folder / SAMPLE_FILE, ["record_id", "references"])
    return dict(zip(table["record_id"].to_pylist(), table["references"].to_pylist(), strict=True))


def _check_rows(
    split: str, target: int, rows: int, known: dict[int, tuple[Outcome, ChunkFile]], *, exact: bool
) -> None:
    """Check that there are pictures enough in a split.

    Raises:
        UserError: none can be had; `exact`, and too few can.
    """
    if target and not rows:
        failures = [outcome for _, (outcome, _) in sorted(known.items()) if not outcome.usable]
        if not failures:
            raise UserError(
                f"each picture of the {split} split is another product's too, so none is left: "
                "look at the pictures, or set deduplicate.pixels=false"
            )
        raise nothing_had(f"of the {split} split, of {target:,} wanted,", failures)
    if exact and rows < target:
        raise UserError(
            f"only {rows:,} of sample.{split} = {target:,} pictures can be had, the reserve included: "
            "lower it, or set sample.exact=false"
        )


def _read_blocks(rows: list[Outcome], outcomes: dict[str, dict[int, tuple[Outcome, ChunkFile]]]) -> Iterator[Block]:
    """The rows with their pictures uint8 (C, S, S), in order, each picture checked against its digest.

    Another thread reads and checks ahead: it takes as long as what is done with them.
    """
    ahead: deque[Future[Block]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        for start in range(0, len(rows), BLOCK_ROWS):
            some = [(row, outcomes[row.split][row.order][1]) for row in rows[start : start + BLOCK_ROWS]]
            ahead.append(reader.submit(_read_block, some))
            if len(ahead) > BLOCKS_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _read_block(rows: list[tuple[Outcome, ChunkFile]]) -> Block:
    """Some rows, most of them from the same chunk."""
    block: Block = []
    for file, some in groupby(rows, key=lambda pair: pair[1]):
        descriptor = os.open(file.pixels, os.O_RDONLY)
        try:
            for row, _ in some:
                pixels = file.read_picture(descriptor, row)
                if pixels is None:
                    file.outcomes.unlink(missing_ok=True)
                    raise RunError(f"{file.pixels} is damaged: resume fetches these pictures again")
                block.append((row, pixels))
        finally:
            os.close(descriptor)
    return block


def _write_outcomes(
    folder: Path, asked: list[Outcome], places: dict[str, tuple[str, int]], repeats: dict[str, str]
) -> None:
    rows = []
    for outcome in asked:
        store, row = places.get(outcome.record_id, ("", -1))
        rows.append({**outcome.as_row(), "store": store, "row": row, "repeats_id": repeats.get(outcome.record_id, "")})
    with atomic_path(folder / OUTCOMES_FILE) as partial:
        write_rows(partial, rows, PACKED_SCHEMA)
