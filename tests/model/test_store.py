"""The picture store: what is written is read back, from any process, in any order."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from model.errors import UserError
from model.picture import DECODER
from model.store import COMPRESSIONS, PictureStore, StoreInfo, write_store

ROWS, SIZE_PX = 9, 16
PICTURES = np.random.default_rng(1).integers(0, 256, (ROWS, 3, SIZE_PX, SIZE_PX), np.uint8)
INFO = StoreInfo(rows=ROWS, size_px=SIZE_PX, resize="squash", fingerprint="f", dataset_id="d")


def rows() -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    for row in range(ROWS):
        yield f"räcord-{row}", "train" if row < 6 else "validation", PICTURES[row]


@pytest.fixture(params=COMPRESSIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PictureStore:
    write_store(tmp_path / "train.h5", rows(), INFO, compression=request.param)
    return PictureStore(tmp_path / "train.h5")


def test_what_was_written_is_read_back(store: PictureStore) -> None:
    assert len(store) == ROWS
    assert store.info == INFO
    assert store.record_ids == [f"räcord-{row}" for row in range(ROWS)]
    assert store.splits == ["train"] * 6 + ["validation"] * 3
    assert np.array_equal(store.read(slice(None)), PICTURES)


@pytest.mark.parametrize("wanted", [[3], [8, 0, 3, 3], [], [-0]])
def test_rows_come_in_the_order_asked_for(store: PictureStore, wanted: list[int]) -> None:
    assert np.array_equal(store.read(wanted), PICTURES[wanted])
    assert np.array_equal(store.read(np.array(wanted, np.int64)), PICTURES[np.array(wanted, np.int64)])


@pytest.mark.parametrize(
    "wanted", [slice(2, 5), slice(None, None, 3), slice(5, 2), slice(7, 100), slice(None, None, -1)]
)
def test_slices_are_those_of_a_sequence(store: PictureStore, wanted: slice) -> None:
    assert np.array_equal(store.read(wanted), PICTURES[wanted])


@pytest.mark.parametrize("row", [-1, ROWS])
def test_a_row_outside_the_store_is_an_error(store: PictureStore, row: int) -> None:
    with pytest.raises(IndexError, match=f"row {row} "):
        store.read([row])


def test_the_file_is_plain_hdf5(store: PictureStore) -> None:
    with h5py.File(store.path) as file:
        assert np.array_equal(file["images"][:], PICTURES)
        assert file["record_id"].asstr()[2] == "räcord-2"
        assert dict(file.attrs) == {
            "schema_version": 3,
            "decoder": DECODER,
            "size_px": SIZE_PX,
            "resize": "squash",
            "fingerprint": "f",
            "dataset_id": "d",
        }


def _read_in_child(store: PictureStore, wanted: list[int]) -> bytes:
    return store.read(wanted).tobytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_many_processes_read_at_once_even_when_the_store_was_open_before_they_started(
    store: PictureStore, method: str
) -> None:
    store.read([0])
    with multiprocessing.get_context(method).Pool(2) as pool:
        read = pool.starmap(_read_in_child, [(store, [row, 0]) for row in range(ROWS)])
    assert read == [PICTURES[[row, 0]].tobytes() for row in range(ROWS)]


def test_threads_share_a_store_that_the_first_of_them_opens(store: PictureStore) -> None:
    def read(row: int) -> bool:
        return np.array_equal(store.read([row])[0], PICTURES[row])

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(60):
                store.close()
                assert all(pool.map(read, range(ROWS)))
    finally:
        sys.setswitchinterval(interval_s)


def test_a_pickled_store_carries_no_open_file(store: PictureStore) -> None:
    store.read([0])
    copied = pickle.loads(pickle.dumps(store))
    assert np.array_equal(copied.read([1]), PICTURES[[1]])


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    write_store(tmp_path / "a.h5", rows(), INFO)
    write_store(tmp_path / "b.h5", rows(), INFO)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_store_without_rows_is_a_store(tmp_path: Path) -> None:
    info = StoreInfo(rows=0, size_px=SIZE_PX, resize="pad", fingerprint="f", dataset_id="d")
    for compression in COMPRESSIONS:
        write_store(tmp_path / "test.h5", [], info, compression=compression)
        store = PictureStore(tmp_path / "test.h5")
        assert store.info == info
        assert store.record_ids == store.splits == []
        assert store.read(slice(None)).shape == (0, 3, SIZE_PX, SIZE_PX)


@pytest.mark.parametrize("announced", [ROWS - 1, ROWS + 1])
def test_another_number_of_rows_than_announced_leaves_no_file(tmp_path: Path, announced: int) -> None:
    info = StoreInfo(rows=announced, size_px=SIZE_PX, resize="squash", fingerprint="f", dataset_id="d")
    with pytest.raises(AssertionError, match="rows"):
        write_store(tmp_path / "train.h5", rows(), info)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
import numpy as np
from model.store import StoreInfo, write_store

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # bytes that a file may have
info = StoreInfo(rows=100, size_px=32, resize="squash", fingerprint="f", dataset_id="d")
noise = np.random.default_rng(1).integers(0, 256, (3, 32, 32), np.uint8)
try:
    write_store(Path(sys.argv[1]), ((str(row), "train", noise) for row in range(100)), info, compression=sys.argv[2])
except (OSError, RuntimeError):
    print("no room")
"""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_where_there_is_no_room_the_process_gets_an_error_and_ends_well(tmp_path: Path, compression: str) -> None:
    """HDF5 tries once more to write what it kept when the process ends: that was a segmentation fault."""
    command = [sys.executable, "-c", WITHOUT_ROOM, str(tmp_path / "train.h5"), compression]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no room\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    write_store(path, rows(), INFO)
    store = PictureStore(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(OSError, match="cut short"):
        store.read(slice(None))


def test_another_hdf5_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(
        UserError, match=r"other\.h5 cannot be read \(no picture store of schema 3.*run the data stages"
    ):
        PictureStore(tmp_path / "other.h5")


def test_a_damaged_file_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    write_store(path, rows(), INFO)
    with h5py.File(path, "r+") as file:
        del file["record_id"]
        file.attrs["colour"] = "red"
    with pytest.raises(UserError, match=r"train\.h5 cannot be read .* delete it and run the data stages again"):
        PictureStore(path)


def test_walking_through_a_store_takes_no_memory_that_grows_with_it(tmp_path: Path) -> None:
    count, size_px = 400, 256  # 79 MB
    picture = np.zeros((3, size_px, size_px), np.uint8)
    info = StoreInfo(rows=count, size_px=size_px, resize="squash", fingerprint="f", dataset_id="d")
    write_store(tmp_path / "big.h5", (("a", "train", picture) for _ in range(count)), info)
    store = PictureStore(tmp_path / "big.h5")
    store.read(slice(0, 1))
    before = psutil.Process().memory_info().rss
    for start in range(0, count, 20):
        store.read(slice(start, start + 20))
    assert psutil.Process().memory_info().rss - before < 30_000_000
