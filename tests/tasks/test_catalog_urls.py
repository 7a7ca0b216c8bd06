"""Urls: what counts as one, when two are the same, where a relative one leads."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalog.urls import PLAIN_URL, is_relative, normalise_url, resolve_url, url_fault, without_secrets


@pytest.mark.parametrize(
    "url",
    [
        "https://n.example.com/id/sr3/58d1.jpeg",
        "http://127.0.0.1:8000/a.jpg",
        "HTTPS://Example.com",
        "https://пример.рф/платье.jpg",
        "https://a.b/with space.jpg",
        "https://[::1]:80/x.png",
        "images/m/h/mh01.jpg",
        "/images/a.jpg",
        "images/my photo.jpg",
        "картинки/платье.webp",
        "a",
    ],
)
def test_these_are_urls_of_pictures(url: str) -> None:
    assert url_fault(url) == ""
    assert not (PLAIN_URL.fullmatch(url) and is_relative(url))


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://", "has no host"),
        ("http:///a.jpg", "has no host"),
        ("https:a.jpg", "has no host"),
        ("HTTPS:a.jpg", "has no host"),
        ("https://a.b\\c", "holds control characters or backslashes"),
        ("a\x7f.jpg", "holds control characters or backslashes"),
        ("https://user:secret@a.b/c", "names a user"),
        ("ftp://a.b/c.jpg", "is neither http nor https"),
        ("file:///etc/passwd", "is neither http nor https"),
        ("data:image/png;base64,AAAA", "is neither http nor https"),
        ("javascript:alert(1)", "is neither http nor https"),
        ("htp://broken", "is neither http nor https"),
        ("https://a.b/\nc", "holds control characters or backslashes"),
        ("images\\a.jpg", "holds control characters or backslashes"),
        ("../../etc/passwd", "leads out of its folder"),
        ("images/../../a.jpg", "leads out of its folder"),
        ("not a url", "is no path"),
    ],
)
def test_these_are_not_and_say_why(url: str, fault: str) -> None:
    assert url_fault(url) == fault
    assert not PLAIN_URL.fullmatch(url)


def test_fragment_and_the_hosts_case_make_no_other_url() -> None:
    assert normalise_url("HTTP://A.Example/Path/B.jpg#top") == "http://a.example/Path/B.jpg"
    assert normalise_url("https://A.Example") == "https://a.example"


def test_what_may_tell_two_pictures_apart_stays() -> None:
    assert normalise_url("https://A.b/image.php?id=Q1") == "https://a.b/image.php?id=Q1"
    assert normalise_url("https://A.b?id=Q1") == "https://a.b?id=Q1"
    assert normalise_url("photos/shoe #1.jpg") != normalise_url("photos/shoe #2.jpg")
    assert normalise_url("https://a.b/c") != normalise_url("https://a.b/C")


@given(st.text("aB:/?#. ", max_size=12).map("https://".__add__) | st.text("aB:/?#.", max_size=12))
def test_a_normalised_url_is_its_own_normal_form(url: str) -> None:
    assert normalise_url(normalise_url(url)) == normalise_url(url)


def test_relative_urls_lead_below_a_base_url_or_into_a_folder(tmp_path: Path) -> None:
    assert resolve_url("https://a.b/c", "") == "https://a.b/c"
    assert resolve_url("images/ö a.jpg", "https://x.example/shop") == "https://x.example/shop/images/%C3%B6%20a.jpg"
    assert resolve_url("/images/a%20b.jpg", "http://x.example/shop/") == "http://x.example/shop/images/a%20b.jpg"
    plain = "a=b&c;d,e+f~g@h!i$j'k(l)m*n?o%20p.jpg"  # what a url may hold as it is
    assert resolve_url(plain, "https://x.example") == f"https://x.example/{plain}"
    assert resolve_url("a.jpg", "https://x.example/shop?size=big") == "https://x.example/shop/a.jpg"
    assert resolve_url("images/a b.jpg", str(tmp_path)) == tmp_path.resolve() / "images" / "a b.jpg"
    assert resolve_url("/images/a.jpg", str(tmp_path)) == tmp_path.resolve() / "images" / "a.jpg"
    assert is_relative("images/a.jpg")
    assert not is_relative("https://a.b/c")


def test_a_url_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/")
    for url in ("../a.jpg", "a/../../b.jpg", "out/etc/passwd"):
        with pytest.raises(ValueError, match="leads out of"):
            resolve_url(url, str(tmp_path))
    with pytest.raises(ValueError, match="no --image-base-url"):
        resolve_url("a.jpg", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:secret@a.b/c.jpg", "https://a.b/c.jpg"),
        ("https://ann:se@cret@a.b/c.jpg?token=secret#secret", "https://a.b/c.jpg"),
        ("http://ann:secret@two words/", "http://two words/"),
        ("//secret@a.b/c", "//a.b/c"),
        ("https://a.b/thumb@2x.jpg", "https://a.b/thumb@2x.jpg"),
        ("a.jpg?key=secret", "a.jpg"),
        ("images/a.jpg", "images/a.jpg"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
