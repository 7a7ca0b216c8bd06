"""The rows of a dataset depend on which pictures can be had, and on nothing else."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from model.errors import RunError, UserError
from model.picture import ImageConfig, decode
from model.store import PictureStore, StoreInfo
from tasks.pictures.chunk_files import Chunk, ChunkFile, chunks_folder, existing_chunks
from tasks.pictures.chunks import HOPELESS_ROWS
from tasks.pictures.outcome import Outcome
from tasks.pictures.pack import BLOCKS_AHEAD, update_digest
from tasks.pictures.room import bytes_needed, check_room
from tasks.pictures.selection import Split, select
from tasks.pictures.settings import FetchConfig
from tests.tasks.faulty_server import FaultyServer, jpeg
from tests.tasks.pictures_dataset import Dataset

CONFIG = FetchConfig(chunk_rows=20, attempts=2, backoff_s=0.01, breaker_failures=5, breaker_s=0.2)
TARGETS = {"train": 60, "validation": 10, "test": 20}


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def half_dead(factor: int = 3) -> dict[str, list[str]]:
    """By split, urls of which a seeded half is dead; enough of them for the sample."""
    random = np.random.default_rng(3)
    urls = {}
    for place, (split, target) in enumerate(TARGETS.items()):
        dead = random.random(factor * target) < 0.5
        urls[split] = [f"/{'404' if gone else 'ok'}/{place * 1000 + order}" for order, gone in enumerate(dead)]
    return urls


def first_that_can_be_had(urls: Sequence[str], target: int) -> list[int]:
    """The plain reference for the rows of a split: their orders."""
    return [order for order, url in enumerate(urls) if "404" not in url][:target]


def test_with_half_the_links_dead_the_row_counts_are_exact_and_the_rows_are_the_first_that_can_be_had(
    server: FaultyServer, tmp_path: Path
) -> None:
    urls = half_dead()
    packed = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls, TARGETS).fetch().pack(exact=True)
    assert packed.rows == TARGETS
    assert packed.missing == dict.fromkeys(TARGETS, 0)
    expected = {
        split: [f"{split}-{order}" for order in first_that_can_be_had(urls[split], TARGETS[split])] for split in TARGETS
    }
    train, test = PictureStore(tmp_path / "train.h5"), PictureStore(tmp_path / "test.h5")
    assert train.record_ids == expected["train"] + expected["validation"]
    assert train.splits == ["train"] * 60 + ["validation"] * 10
    assert test.record_ids == expected["test"]
    image = ImageConfig(size_px=16)
    for store in (train, test):
        for row, record_id in enumerate(store.record_ids):
            split, order = record_id.split("-")
            number = int(urls[split][int(order)].rpartition("/")[2])
            assert np.array_equal(store.read([row])[0], decode(jpeg(number), image)), record_id
    # Reaching ahead into the reserve costs few pictures more than are needed.
    assert server.asked.total() <= 1.4 * sum(int(record_ids[-1].split("-")[1]) for record_ids in expected.values())


@pytest.mark.parametrize(("chunk_rows", "concurrency", "latency_s"), [(7, 1, 0.0), (1000, 64, 0.01), (33, 5, 0.002)])
def test_the_rows_do_not_depend_on_chunks_or_the_order_of_arrival(
    chunk_rows: int, concurrency: int, latency_s: float, tmp_path: Path
) -> None:
    digests = set()
    for name, config in {
        "plain": CONFIG,
        "other": replace(CONFIG, chunk_rows=chunk_rows, concurrency=concurrency),
    }.items():
        with FaultyServer(latency_s=latency_s) as server:
            dataset = Dataset(tmp_path / name, base=server.base, config=config).write_sample(half_dead(), TARGETS)
            digests.add(dataset.fetch().pack().digest)
    assert len(digests) == 1


def test_the_dataset_s_digest_knows_a_row_s_id_split_captions_and_pixels() -> None:
    black = np.zeros((3, 2, 2), np.uint8)
    rows: list[tuple[str, str, list[str], Any]] = [
        ("1", "train", ["a", "b"], black), ("2", "train", ["a", "b"], black), ("1", "test", ["a", "b"], black),
        ("1", "train", ["a b"], black), ("1", "train", ["a", "b"], black + 1),
    ]  # fmt: skip
    digests = [hashlib.sha256() for _ in rows]
    for digest, row in zip(digests, rows, strict=True):
        update_digest(digest, *row)
    assert len({digest.hexdigest() for digest in digests}) == len(rows)


def test_compressed_or_not_the_dataset_is_the_same(server: FaultyServer, tmp_path: Path) -> None:
    digests = set()
    for compression, filter_name in (("none", None), ("lzf", "lzf"), ("gzip", "gzip")):
        config = replace(CONFIG, compression=compression)
        dataset = Dataset(tmp_path / compression, base=server.base, config=config)
        digests.add(dataset.write_sample({"train": ["/ok/1", "/ok/2"]}).fetch().pack().digest)
        with h5py.File(dataset.folder / "train.h5") as file:
            assert file["images"].compression == filter_name
    assert len(digests) == 1


def test_the_stores_say_how_their_pictures_were_resized(server: FaultyServer, tmp_path: Path) -> None:
    image = ImageConfig(size_px=17, resize="pad")
    Dataset(tmp_path, base=server.base, image=image).write_sample({"train": ["/ok/1"]}).fetch().pack()
    for name, rows in (("train.h5", 1), ("test.h5", 0)):
        assert PictureStore(tmp_path / name).info == StoreInfo(
            rows=rows, size_px=17, resize="pad", fingerprint="fingerprint", dataset_id="dataset"
        )


def test_packing_reads_few_pictures_ahead_and_leaves_no_file_open(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pictures.pack.BLOCK_ROWS", 1)
    read = 0
    ahead: list[int] = []
    read_picture, write = ChunkFile.read_picture, update_digest

    def counted_read(*arguments: Any) -> Any:
        nonlocal read
        read += 1
        return read_picture(*arguments)

    def slow_write(*arguments: Any) -> None:
        time.sleep(0.01)  # so that the reader is always as far ahead as it may be
        ahead.append(read - len(ahead))
        write(*arguments)

    dataset = Dataset(tmp_path, base=server.base, config=CONFIG)
    dataset.write_sample({"train": [f"/ok/{number}" for number in range(20)]}).fetch()
    monkeypatch.setattr(ChunkFile, "read_picture", counted_read)
    monkeypatch.setattr("tasks.pictures.pack.update_digest", slow_write)
    dataset.pack(clean=False)  # what Python and its libraries open but once is open now
    read, ahead[:], before = 0, [], psutil.Process().num_fds()
    dataset.pack(clean=False)
    assert psutil.Process().num_fds() <= before
    assert len(ahead) == 20
    assert max(ahead) <= BLOCKS_AHEAD + 1


def test_when_the_reserve_is_used_up_there_are_fewer_rows_and_exact_makes_it_an_error(
    server: FaultyServer, tmp_path: Path
) -> None:
    urls = {"train": ["/ok/1", "/404/1", "/ok/2", "/404/2"], "test": ["/ok/3"]}
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls, {"train": 3, "test": 1}).fetch()
    with pytest.raises(UserError, match=r"only 2 of sample\.train = 3 pictures"):
        dataset.pack(exact=True)
    packed = dataset.pack()
    assert (packed.rows["train"], packed.missing["train"]) == (2, 1)


def test_a_split_without_any_picture_stops_the_run(server: FaultyServer, tmp_path: Path) -> None:
    urls = {"train": ["/404/1", "/html/2"], "test": ["/ok/3"]}
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls).fetch()
    told = r"train split, of 2 wanted, can be had \(http_404 1, not_a_picture 1\), such as http://127.*/404/1: look at"
    with pytest.raises(UserError, match=told):
        dataset.pack()


def test_where_all_addresses_are_private_the_setting_that_opens_them_is_named(
    server: FaultyServer, tmp_path: Path
) -> None:
    dataset = Dataset(tmp_path, config=CONFIG).write_sample({"train": [f"{server.base}/ok/1"]}).fetch()
    with pytest.raises(UserError, match=r"\(private_address 1\).*, or set fetch\.allow_private_hosts=true$"):
        dataset.pack()
    assert not server.asked


def test_a_split_whose_pictures_are_all_another_splits_too_says_so(server: FaultyServer, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG, find_repeats=training_side)
    dataset.write_sample({"train": ["/ok/3"], "test": ["/ok/3"]}).fetch()
    with pytest.raises(UserError, match="each picture of the train split is another product's too"):
        dataset.pack()


@pytest.mark.parametrize("one", ["/404/0", "/ok/0"])
def test_where_nothing_comes_at_all_the_rest_of_the_catalogue_is_left_alone(
    one: str, server: FaultyServer, tmp_path: Path
) -> None:
    config = replace(CONFIG, chunk_rows=HOPELESS_ROWS)
    urls = [one] + [f"/404/{number}" for number in range(1, 5 * HOPELESS_ROWS)]
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample({"train": urls}, {"train": 3})
    if one == "/ok/0":  # one that comes is proof enough: the others are looked through
        dataset.fetch()
        assert server.asked.total() == len(urls)
        return
    told = (
        rf"no picture of {HOPELESS_ROWS} drawn at random can be had \(http_404 {HOPELESS_ROWS}\), such as .*/404/\d+: "
    )
    with pytest.raises(UserError, match=told):
        dataset.fetch()
    assert HOPELESS_ROWS < server.asked.total() <= 2 * HOPELESS_ROWS  # the first were so few that it may be chance


def test_where_some_pictures_may_still_come_not_all_is_hopeless(server: FaultyServer, tmp_path: Path) -> None:
    config = replace(CONFIG, chunk_rows=HOPELESS_ROWS, breaker_failures=100)
    urls = [f"/404/{number}" for number in range(HOPELESS_ROWS - 3)] + [f"/503-twice/{number}" for number in range(3)]
    dataset = Dataset(tmp_path, base=server.base, config=config).write_sample({"train": urls})
    assert dataset.fetch().pack().rows["train"] == 3


def test_what_failed_under_another_base_is_asked_for_as_often_as_anything_new(
    server: FaultyServer, tmp_path: Path
) -> None:
    urls = {"train": [*(f"ok/{number}" for number in range(9)), "503-twice/9"]}
    Dataset(tmp_path, base=f"{server.base}/404", config=CONFIG).write_sample(urls).fetch()
    assert Dataset(tmp_path, base=f"{server.base}/", config=CONFIG).fetch().reasons == [""] * 10


def test_a_dataset_without_test_rows_has_an_empty_test_store(server: FaultyServer, tmp_path: Path) -> None:
    Dataset(tmp_path, base=server.base, config=CONFIG).write_sample({"train": ["/ok/1"]}).fetch().pack()
    assert len(PictureStore(tmp_path / "test.h5")) == 0


def training_side(rows: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Of equal pixels in two splits, the record on the training side goes."""
    rank = {"test": 0, "validation": 1, "train": 2}
    kept: dict[str, tuple[str, str]] = {}
    repeats = {}
    for record_id, split, digest in sorted(rows, key=lambda row: rank[row[1]]):
        first_id, first_split = kept.setdefault(digest, (record_id, split))
        if first_split != split:
            repeats[record_id] = first_id
    return repeats


def test_a_picture_that_stands_in_two_splits_is_dropped_on_the_training_side_and_replaced(
    server: FaultyServer, tmp_path: Path
) -> None:
    # /ok/7 and /chunked/7 are the same pixels under two urls; test's own stands in its reserve.
    urls = {
        "train": ["/ok/1", "/chunked/7", "/ok/2", "/chunked/8", "/ok/3"],
        "validation": ["/wrong-type/7", "/ok/8", "/ok/4"],
        "test": ["/404/1", "/ok/7"],
    }
    targets = {"train": 3, "validation": 2, "test": 1}
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG, find_repeats=training_side)
    packed = dataset.write_sample(urls, targets).fetch().pack(exact=True)
    assert packed.rows == targets
    assert packed.repeats == 3
    train = PictureStore(tmp_path / "train.h5")
    assert train.record_ids == ["train-0", "train-2", "train-4", "validation-1", "validation-2"]
    outcomes = {row["record_id"]: row for row in pq.read_table(tmp_path / "outcomes.parquet").to_pylist()}
    assert {key: row["repeats_id"] for key, row in outcomes.items() if row["repeats_id"]} == {
        "train-1": "test-1", "validation-0": "test-1", "train-3": "validation-1",
    }  # fmt: skip
    assert [(outcomes[key]["store"], outcomes[key]["row"]) for key in ("train-4", "test-1", "train-1")] == [
        ("train.h5", 2), ("test.h5", 0), ("", -1),
    ]  # fmt: skip


def test_a_failure_that_may_pass_holds_its_record_s_place_until_it_is_decided(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path, Chunk(split="train", start=0, stop=4), ImageConfig())

    def outcome(split: str, order: int, **more: Any) -> tuple[Outcome, ChunkFile]:
        return Outcome(record_id=f"{split}-{order}", split=split, order=order, url="", url_key="", **more), file

    splits = {"train": Split(2, [f"train-{order}" for order in range(4)]), "test": Split(1, ["test-0"])}
    came = {"train": {1: outcome("train", 1, status="fetched")}, "test": {0: outcome("test", 0, status="fetched")}}
    for settled, wanted in ((False, []), (True, [2, 3])):
        came["train"][0] = outcome("train", 0, status="failed", settled=settled)
        selection = select(splits, came, None)
        assert [row.order for row in selection.rows["train"]] == [1]
        assert selection.wanted["train"] == wanted
        assert selection.pending == (not settled)
        assert not selection.complete


@pytest.mark.parametrize("damage", ["bits", "end", "gone"])
def test_damaged_pixels_are_never_trusted(server: FaultyServer, damage: str, tmp_path: Path) -> None:
    urls = {"train": [f"/ok/{number}" for number in range(30)]}
    undisturbed = Dataset(tmp_path / "a", base=server.base, config=CONFIG).write_sample(urls).fetch().pack()
    dataset = Dataset(tmp_path / "b", base=server.base, config=CONFIG).write_sample(urls).fetch()
    pixels = next(existing_chunks(dataset.folder, dataset.image)).pixels
    if damage == "bits":
        content = bytearray(pixels.read_bytes())
        content[5 * 3 * 16 * 16 + 1] ^= 1
        pixels.write_bytes(content)
        with pytest.raises(RunError, match="is damaged: resume"):
            dataset.pack()
    elif damage == "end":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    else:
        pixels.unlink()
    assert dataset.fetch().pack().digest == undisturbed.digest


@pytest.mark.parametrize("content", [b"", b"PAR1", bytes(4000)])
def test_a_damaged_table_of_a_chunk_is_never_trusted(server: FaultyServer, content: bytes, tmp_path: Path) -> None:
    urls = {"train": [f"/ok/{number}" for number in range(30)]}
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample(urls).fetch()
    next(existing_chunks(dataset.folder, dataset.image)).outcomes.write_bytes(content)
    server.asked.clear()
    assert dataset.fetch().pack().rows["train"] == 30
    assert server.asked.total() == 20, "the pictures of the damaged chunk alone"


def test_room_on_the_disk_is_asked_for_before_the_first_request(server: FaultyServer, tmp_path: Path) -> None:
    small = Dataset(tmp_path, base=server.base).write_sample({"train": ["/ok/1"] * 10})
    check_room(tmp_path, small.image)
    image = ImageConfig(size_px=2048)
    Dataset(tmp_path, base=server.base).write_sample({"train": ["/ok/1"] * 200_000})
    needed = bytes_needed(tmp_path, image)
    assert 2 * 200_000 * 3 * 2048**2 <= needed <= 2 * 200_000 * 3 * 2048**2 + 200_000_000
    with pytest.raises(UserError, match=rf"bytes free, and {needed:,} are needed"):
        check_room(tmp_path, image)
    assert not server.asked


def test_what_chunks_hold_already_needs_no_more_room_and_holes_are_none(tmp_path: Path) -> None:
    Dataset(tmp_path).write_sample({"train": ["/ok/1"] * 10})
    image = ImageConfig(size_px=2048)
    before = bytes_needed(tmp_path, image)
    pixels = chunks_folder(tmp_path) / "train-00000000-00000010.pixels"
    pixels.parent.mkdir()
    pixels.write_bytes(b"x" * 5_000_000)
    os.truncate(pixels, 10 * 3 * 2048**2)
    assert 5_000_000 <= before - bytes_needed(tmp_path, image) < 6_000_000


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"concurrency": 0}, r"fetch\.concurrency is 0: must be at least 1"),
        ({"max_failure_rate": 1.5}, r"fetch\.max_failure_rate is 1.5: must be in \[0, 1\]"),
        ({"contact": "a\nHost: b"}, r"fetch\.contact is .*: must be one printable line"),
        ({"compression": "zip"}, r"fetch\.compression is 'zip'"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FetchConfig(**values)  # type: ignore[arg-type]


def test_packing_before_every_picture_is_there_says_that_resume_fetches_the_rest(
    server: FaultyServer, tmp_path: Path
) -> None:
    dataset = Dataset(tmp_path, base=server.base, config=CONFIG).write_sample({"train": ["/ok/1", "/ok/2"]}).fetch()
    for file in existing_chunks(tmp_path, dataset.image):
        file.outcomes.unlink()  # as after a chunk that was found damaged
    with pytest.raises(RunError, match="resume fetches them"):
        dataset.pack()
    assert dataset.fetch().pack().rows["train"] == 2
