"""Published catalogues: a copy, whole; the last one is the latest, wherever the working directory is moved."""

from pathlib import Path

import pytest

from model.errors import UserError
from tasks.catalog.published import keep, latest


def published(workdir: Path, content: str, *, base: str = "") -> Path:
    source = workdir.parent / "products.csv"
    source.write_text(content)
    return keep(source, workdir, fingerprint=f"{content:0<64}", image_base_url=base)


def test_the_last_one_is_the_latest_and_the_ones_before_stay(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no catalogue was published in .*: `ec-descr-gen publish FILE`, or name one"):
        latest(tmp_path / "space")
    first = published(tmp_path / "space", "a")
    second = published(tmp_path / "space", "b", base="https://images.example/")
    assert (first.name, first.read_text(), second.read_text()) == ("products.csv", "a", "b")
    assert latest(tmp_path / "space") == (second, "https://images.example/")
    assert published(tmp_path / "space", "a") == first, "the same content has one place"
    assert latest(tmp_path / "space") == (first, "")
    (tmp_path / "space").rename(tmp_path / "moved")
    path, _ = latest(tmp_path / "moved")
    assert path.read_text() == "a"


def test_a_base_url_which_may_hold_a_password_is_for_its_owner_s_eyes_only(tmp_path: Path) -> None:
    published(tmp_path / "space", "a", base="https://ann:secretword@images.example/")
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"secretword" in path.read_bytes()]
    assert [path.stat().st_mode & 0o777 for path in holding] == [0o600]


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "space").write_text("a file where a folder is to be")
    with pytest.raises(UserError, match=r"cannot copy the catalogue to .*/products\.csv: "):
        published(tmp_path / "space", "a")
