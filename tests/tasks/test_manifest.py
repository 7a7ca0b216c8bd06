"""A stage counts as done only with the files that it wrote."""

from pathlib import Path

import pytest

from tasks.manifest import manifest_path, read_manifest, write_manifest
from tasks.read import Dataset
from tasks.step import counted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = [tmp_path / "captions.parquet", tmp_path / "train.h5"]
    for file in files:
        file.write_bytes(b"what was written")
    write_manifest(tmp_path, "pack", files=files, facts={"rows": 3})
    assert read_manifest(tmp_path, "pack") == {"rows": 3}
    return tmp_path


@pytest.mark.parametrize("content", ["", "\0\0", "{}", "[]", '{"files": {"a": {}}, "facts": {}}', '{"files": {}}'])
def test_a_damaged_manifest_says_that_the_stage_is_not_done(folder: Path, content: str) -> None:
    manifest_path(folder, "pack").write_text(content)
    assert read_manifest(folder, "pack") is None


def test_a_file_of_the_same_size_with_other_bytes_is_not_the_one_that_was_written(folder: Path) -> None:
    (folder / "captions.parquet").write_bytes(b"what was damaged")
    assert read_manifest(folder, "pack") is None


def test_picture_files_are_not_read_as_they_are_gigabytes(folder: Path) -> None:
    (folder / "train.h5").write_bytes(b"what was damaged")
    assert read_manifest(folder, "pack") == {"rows": 3}


def test_a_step_is_named_by_how_many_products_an_earlier_one_left_it(tmp_path: Path) -> None:
    dataset = Dataset(id="d", folder=tmp_path, facts={})
    name, of_all = counted("train", "pack", "rows", "train"), counted("evaluate", "pack", "rows")
    assert name({"dataset": dataset}) == "train: 0 products"
    write_manifest(tmp_path, "pack", files=[], facts={"rows": {"train": 1200, "test": 34}})
    assert name({"dataset": dataset}) == "train: 1,200 products"
    assert of_all({"dataset": dataset}) == "evaluate: 1,234 products"


def test_a_missing_or_cut_file_undoes_the_stage(folder: Path) -> None:
    (folder / "train.h5").write_bytes(b"what was")
    assert read_manifest(folder, "pack") is None
    (folder / "train.h5").unlink()
    assert read_manifest(folder, "pack") is None
