"""Leaving out the last bits of a progressive JPEG: only where a small picture does not show them, and never damage."""

import io
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.corpus import psnr_db
from model.jpeg import END, NOTHING, NOTHING_TABLE, START, last_bits_db, without_last_bits
from model.picture import LAST_BITS_DB, ImageConfig, PictureError, decode
from tests.tasks.faulty_server import encoded, picture

SMALL = ImageConfig(size_px=64)


def woven(seed: int, width: int = 400, height: int = 500) -> Image.Image:
    """A picture with much in all frequencies."""
    random = np.random.default_rng(seed)
    shading = np.asarray(picture(seed, width=width, height=height), np.float64) / 2
    stripes = 90 * (np.arange(width) * int(random.integers(10, 60)) // width % 2)[None, :, None]
    return Image.fromarray(
        np.clip(shading + stripes + random.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)
    )


def progressive(image: Image.Image, quality: int, **options: Any) -> bytes:
    return encoded(image, quality=quality, progressive=True, **options)


@pytest.mark.parametrize("quality", [40, 60, 75, 85, 95])
@pytest.mark.parametrize("shrunk", [2, 3, 4, 5, 8])
def test_what_is_left_out_is_as_small_as_foretold(shrunk: int, quality: int) -> None:
    for seed in range(4):
        image = woven(seed, 64 * shrunk, 64 * shrunk)
        whole = progressive(image, quality)
        steps = Image.open(io.BytesIO(whole)).quantization[0]  # type: ignore[attr-defined]
        before, after = (
            np.asarray(Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BICUBIC))
            for data in (whole, without_last_bits(whole))
        )
        foretold_db = last_bits_db(steps, shrunk, shrunk)
        # Above that, the rounding of both pictures counts as much.
        assert psnr_db(before, after) >= min(foretold_db, 44) - 1.5


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": "4:4:4"}, {"optimize": True}])
def test_only_the_last_scans_are_emptied(options: dict[str, Any]) -> None:
    whole = progressive(woven(1), 90, **options)
    less = without_last_bits(whole)
    assert len(less) < 0.7 * len(whole)
    assert less.count(NOTHING_TABLE) == 1
    assert less.partition(NOTHING_TABLE)[2].count(b"\xff\xda") == 3  # of the three components
    # As many scans as before: one that was missing would have libjpeg guess the rest, which takes time.
    assert less.count(b"\xff\xda") == whole.count(b"\xff\xda")
    # One colour has no frequencies, so nothing is missing; nor is there where one code does not reach to the end.
    flat = progressive(Image.new("RGB", (1600, 1600), (200, 30, 90)), 90, **options)
    assert (1600 // 8) ** 2 > 2**15
    before, after = (np.asarray(Image.open(io.BytesIO(data))) for data in (flat, without_last_bits(flat)))
    assert np.array_equal(before, after)


def test_a_fine_picture_that_is_shrunk_much_is_read_without_them_and_a_coarse_one_with_them() -> None:
    # The same numbers in one scan and in many: where all are read, all pixels are equal.
    for quality, equal in [(90, False), (30, True)]:
        many, one = (encoded(woven(2), quality=quality, progressive=way) for way in (True, False))
        assert np.array_equal(decode(many, SMALL), decode(one, SMALL)) == equal
        assert psnr_db(decode(many, SMALL), decode(one, SMALL)) >= LAST_BITS_DB


def test_a_picture_shrunk_little_is_read_whole() -> None:
    many, one = (encoded(woven(2, 150, 150), quality=90, progressive=way) for way in (True, False))
    assert np.array_equal(decode(many, SMALL), decode(one, SMALL))


def test_a_file_cut_short_is_found_even_where_only_last_bits_are_missing() -> None:
    whole = progressive(woven(3), 90)
    decode(whole, SMALL)
    for missing in (1, 2, 50, len(whole) // 4):
        with pytest.raises(PictureError) as caught:
            decode(whole[:-missing], SMALL)
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
def test_what_is_no_progressive_jpeg_comes_back_as_it_is(form: str) -> None:
    data = encoded(woven(4), form)
    assert without_last_bits(data) is data
    whole = progressive(woven(4), 90)
    for other in (b"\0" + whole[1:], whole + b"\0"):
        assert without_last_bits(other) is other


@pytest.mark.parametrize(
    ("scan", "emptied"),
    [
        (bytes([1, 1, 0, 1, 63, 0x10]), True),
        (bytes([1, 1, 0, 1, 63, 0x00]), False),  # all bits at once
        (bytes([1, 1, 0, 1, 63, 0x21]), False),  # the last but one
        (bytes([1, 1, 0, 0, 0, 0x10]), False),  # of the mean
        (bytes([2, 1, 0, 2, 0, 16, 63, 0x10]), False),  # of two components
    ],
)
def test_only_a_scan_of_one_component_s_last_bits_is_emptied(scan: bytes, emptied: bool) -> None:
    frame, header = (
        start + (2 + len(body)).to_bytes(2) + body for start, body in ((b"\xff\xc2", bytes(6)), (b"\xff\xda", scan))
    )
    whole = START + frame + header + b"bits" + END
    less = without_last_bits(whole)
    assert less == (
        START + frame + NOTHING_TABLE + header[:6] + b"\x03" + header[7:] + NOTHING + END if emptied else whole
    )


def test_a_byte_that_fills_up_behind_a_scan_is_passed_over() -> None:
    whole = progressive(woven(1), 90)
    assert without_last_bits(whole.removesuffix(END) + b"\xff" + END) == without_last_bits(whole) != whole


def test_a_scan_that_claims_more_components_than_the_file_has_bytes_raises_nothing() -> None:
    whole = progressive(woven(5, 80, 80), 90)
    last = whole.rindex(b"\xff\xda")
    damaged = whole[: last + 4] + b"\xff" + whole[last + 5 : last + 40] + END
    without_last_bits(damaged)


def test_no_damage_raises_anything() -> None:
    whole = np.frombuffer(progressive(woven(5, 80, 80), 90), np.uint8)
    random = np.random.default_rng(5)
    for _ in range(2000):
        damaged = whole.copy()
        damaged[random.integers(2, len(whole) - 2, 8)] = random.choice(np.array([0, 0xFF, 0xDA, 0xC2, 7], np.uint8), 8)
        without_last_bits(damaged.tobytes())
        without_last_bits(whole[: random.integers(0, len(whole))].tobytes() + b"\xff\xd9")


def test_without_any_step_that_is_shown_nothing_is_lost() -> None:
    assert last_bits_db([0] * 64, 4, 4) == math.inf
    assert last_bits_db([16, *[0] * 63], 4, 4) == math.inf, "the mean keeps its bits"
    upright = [0] * 5 + [16] + [0] * 58  # six frequencies to the right, in the first row
    assert last_bits_db(upright, 2, 16) < last_bits_db(upright, 16, 2) == math.inf
    steps = list(range(64))
    assert last_bits_db(steps, 0.5, 0.5) == last_bits_db(steps, 2, 2) < last_bits_db(steps, 2.5, 2.5)
