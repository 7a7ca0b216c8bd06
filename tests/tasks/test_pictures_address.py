"""What a catalogue's url means: an address that can be asked, or why there is none."""

import os
import sys
from pathlib import Path

import pytest

from tasks.pictures.address import FileAddress, WebAddress, address_key, asking_fault, check_base, resolve
from tasks.pictures.outcome import Failed

PLAIN = "https://a.example/1.jpg"


@pytest.mark.parametrize(
    "url", [PLAIN, f" {PLAIN}\r\n", "HTTPS://A.example/1.jpg", "//a.example/1.jpg", f"{PLAIN}#zoom"]
)
def test_these_are_one_address(url: str) -> None:
    found = resolve(url)
    assert isinstance(found, WebAddress)
    assert found.shown == PLAIN
    assert address_key(found) == address_key(resolve(PLAIN))


@pytest.mark.parametrize("url", ["https://a.example/2.jpg", f"{PLAIN}?id=2", "https://a.example:8443/1.jpg"])
def test_these_are_others(url: str) -> None:
    found = resolve(url)
    assert isinstance(found, WebAddress)
    assert found.key != address_key(resolve(PLAIN))
    assert "?" not in found.shown, "a query may hold a secret"


LONG = ".".join(["a" * 60] * 4)  # 243 characters


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("https://a.example/1\x1f.jpg", "empty or with control characters"),
        (f"https://{'a' * 63}.example/1.jpg", ""),
        (f"https://{'a' * 64}.example/1.jpg", "host name too long"),
        (f"https://{LONG}.{'b' * 9}/1.jpg", ""),
        (f"https://{LONG}.{'b' * 10}/1.jpg", "host name too long"),
        ("https://a..example/1.jpg", "no such host name is possible"),
        ("https://.a.example/1.jpg", "no such host name is possible"),
        ("https://a%3Ab:c@a.example/1.jpg", "no user of HTTP has a colon in the name"),
        ("1.jpg", "relative, and no --image-base-url"),
    ],
)
def test_hosts_that_no_name_server_knows_are_not_asked_for(url: str, detail: str) -> None:
    found = resolve(url)
    assert (found.detail if isinstance(found, Failed) else "") == detail
    assert isinstance(found, Failed) == bool(detail)


@pytest.mark.parametrize(("url", "host"), [("http://bücher.example/1", "bücher.example"), ("http://xn--a/1", "xn--a")])
def test_a_host_is_named_as_people_write_it_where_that_can_be_told(url: str, host: str) -> None:
    found = resolve(url)
    assert isinstance(found, WebAddress)
    assert found.host == host


def test_only_files_of_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "1.jpg").write_bytes(b"1")
    assert resolve("1.jpg", str(tmp_path)) == FileAddress(tmp_path / "1.jpg")
    for url, reason in {"deep": "no_such_file", "2.jpg": "no_such_file", "x" * 300: "no_such_file"}.items():
        found = resolve(url, str(tmp_path))
        assert isinstance(found, Failed)
        assert found.reason == reason


def test_a_file_is_another_when_its_size_or_its_time_is_and_may_vanish_meanwhile(tmp_path: Path) -> None:
    address = FileAddress(tmp_path / "1.jpg")
    keys = [address.key]  # it is not there: a key all the same
    for content, time_ns in ((b"1", 10**18), (b"22", 10**18), (b"33", 2 * 10**18)):
        address.path.write_bytes(content)
        os.utime(address.path, ns=(time_ns, time_ns))
        keys.append(address.key)
    assert len(set(keys)) == 4


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8 always")
def test_a_folder_whose_name_is_no_text_can_be_the_base(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("bücher".encode("latin-1"))
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"1")
    check_base(str(folder))
    assert address_key(resolve("1.jpg", str(folder)))


def test_a_url_that_nobody_can_ask_says_why() -> None:
    assert asking_fault("http://a.example:80/") == ""
    assert asking_fault("http://a.example:0/") == "no such port is possible"
    assert asking_fault("ftp://a.example/") == "a URL begins with http:// or https://"
    assert asking_fault("http://[bad/") == "no such host or port is possible"


def test_a_file_is_found_whose_url_writes_its_name_in_percent(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").touch()
    (tmp_path / "100%25.jpg").touch()
    assert resolve("a%20b.jpg", str(tmp_path)) == FileAddress(tmp_path / "a b.jpg")
    assert resolve("100%25.jpg", str(tmp_path)) == FileAddress(tmp_path / "100%25.jpg")
    for url in ("%2e%2e/x.jpg", "%2fetc/passwd"):
        found = resolve(url, str(tmp_path / "below"))
        assert isinstance(found, Failed)
        assert found.reason in {"outside_folder", "no_such_file"}
