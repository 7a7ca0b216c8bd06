"""The loopback image server, asked over real connections."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from model.errors import UserError
from model.files import write_json
from tasks.demo.server import serve_images

PICTURE = b"\xff\xd8 a picture's bytes"
PAGE = b"\n<!DOCTYPE html><p>Back soon"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "images").mkdir(parents=True)
    for name in ("good.jpg", "shy.jpg"):
        (root / "images" / name).write_bytes(PICTURE)
    (root / "images" / "page.jpg").write_bytes(PAGE)
    (tmp_path / "secret.jpg").write_bytes(b"not to be served")
    write_json(root / "answers.json", {"fails_twice": ["images/shy.jpg"]})
    return root


def ask(url: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), b""


def test_a_picture_comes_with_its_bytes_and_its_type_whatever_the_query_says(folder: Path) -> None:
    with serve_images(folder) as base:
        assert base.startswith("http://127.0.0.1:")
        assert base.endswith("/")
        assert ask(base + "images/good.jpg") == (200, "image/jpeg", PICTURE)
        assert ask(base + "images/good.jpg?w=60&h=90") == (200, "image/jpeg", PICTURE)


def test_a_picture_fails_twice_and_then_comes_each_time_the_server_starts(folder: Path) -> None:
    for _ in range(2):
        with serve_images(folder) as base:
            assert [ask(base + "images/shy.jpg")[0] for _ in range(4)] == [503, 503, 200, 200]


def test_a_page_in_a_pictures_place_comes_with_status_200(folder: Path) -> None:
    with serve_images(folder) as base:
        assert ask(base + "images/page.jpg") == (200, "text/html", PAGE)


@pytest.mark.parametrize(
    "path",
    [
        "images/gone.jpg",
        "answers.json",
        "images",
        "../secret.jpg",
        "%2e%2e/secret.jpg",
        "images/..%2f..%2fsecret.jpg",
        "a%00.jpg",
        f"{'x' * 300}.jpg",
    ],
)
def test_nothing_but_pictures_of_the_folder_is_served(folder: Path, path: str) -> None:
    with serve_images(folder) as base:
        assert ask(base + path)[0] == 404


def test_a_folder_without_answers_is_served_as_it_is(folder: Path) -> None:
    (folder / "answers.json").unlink()
    with serve_images(folder) as base:
        assert ask(base + "images/shy.jpg")[0] == 200


@pytest.mark.parametrize("answers", ["[]", '{"fails_twice": 3}', "no JSON", '{"other": []}'])
def test_a_folder_with_answers_to_something_else_is_served_as_it_is(folder: Path, answers: str) -> None:
    (folder / "answers.json").write_text(answers)
    with serve_images(folder) as base:
        assert ask(base + "images/shy.jpg")[0] == 200


def test_a_taken_port_is_one_clear_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127.0.0.1:{port}.*choose another port"), serve_images(folder, port):
            pass


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make-catalog"), serve_images(tmp_path / "none"):
        pass


def test_the_port_is_free_again_when_the_block_ends(folder: Path) -> None:
    with serve_images(folder) as base:
        port = int(base.rsplit(":", 1)[1].strip("/"))
    with serve_images(folder, port) as again:
        assert again == base
