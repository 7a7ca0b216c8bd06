import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.flickr8k import catalogue
from model.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = [f"{name}.jpg#{number}\tA dog {name} number {number} ." for name in "abc" for number in range(5)]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("b.jpg\na.jpg\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("c.jpg\n")
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    return tmp_path


def test_the_usual_files_become_plain_records(corpus: Path) -> None:
    out = corpus / "catalog.jsonl"
    subprocess.run([sys.executable, "-m", "benchmarks.flickr8k", corpus, corpus, out], cwd=ROOT, check=True)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(record["id"], record["image_url"], record["split"]) for record in records] == [
        ("b", "b.jpg", "train"), ("a", "a.jpg", "train"), ("c", "c.jpg", "validation"),
    ]  # fmt: skip
    assert records[1]["descriptions"] == [f"A dog a number {number} ." for number in range(5)]


def test_the_test_list_is_read_where_it_is_there(corpus: Path) -> None:
    (corpus / "Flickr_8k.testImages.txt").write_text("a.jpg\n")
    assert [record["split"] for record in catalogue(corpus, corpus)] == ["train", "train", "validation", "test"]


def test_a_missing_file_caption_or_picture_is_one_clear_line(corpus: Path) -> None:
    (corpus / "c.jpg").unlink()
    with pytest.raises(UserError, match=r"lists c\.jpg, which is not in"):
        catalogue(corpus, corpus)
    (corpus / "Flickr_8k.devImages.txt").write_text("d.jpg\n")
    with pytest.raises(UserError, match=r"lists d\.jpg, which has no caption"):
        catalogue(corpus, corpus)
    (corpus / "Flickr_8k.devImages.txt").unlink()
    with pytest.raises(UserError, match=r"devImages\.txt does not exist"):
        catalogue(corpus, corpus)
