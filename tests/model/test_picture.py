"""Decoding: every form of a picture becomes the same upright RGB, by one function; a JPEG faster, not worse."""

import io
import math
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from benchmarks.corpus import psnr_db
from model.bicubic import resize, with_pillow
from model.jpeg import END, NOTHING, NOTHING_TABLE, TABLE
from model.picture import FORMATS, RESIZE_RULES, ImageConfig, PictureError, decode, decode_with_size
from tests.catalogs import real_catalog
from tests.tasks.faulty_server import encoded, picture, png_bomb, png_header_only

CONFIG = ImageConfig(size_px=64)
SHARP = np.random.default_rng(7).integers(0, 256, (80, 60, 3), np.uint8)


def plainly(data: bytes, size_px: int, *, by: Callable[..., Image.Image] = with_pillow) -> NDArray[np.uint8]:
    """The slow reference: decode in full, turn, convert, squash."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    return np.asarray(by(image, (size_px, size_px), (0, 0, *image.size))).transpose(2, 0, 1)


def upright() -> NDArray[np.uint8]:
    return decode(encoded(picture(3), "PNG"), CONFIG)


def test_a_picture_becomes_rgb_channels_first() -> None:
    red = decode(encoded(Image.new("RGB", (30, 50), (200, 10, 20)), "PNG"), ImageConfig(size_px=32))
    assert red.shape == (3, 32, 32)
    assert red.dtype == np.uint8
    assert red.reshape(3, -1).T.tolist() == [[200, 10, 20]] * 32 * 32


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"JPEG", "GIF"}))
def test_every_format_gives_the_same_picture(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {"quality": 100} if form == "AVIF" else {}
    assert psnr_db(decode(encoded(picture(3), form, **options), CONFIG), upright()) > 38


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "I", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = picture(3)
    grey = image.convert("L")
    if mode in {"I;16", "I"}:
        values = np.asarray(grey).astype(np.uint16 if mode == "I;16" else np.int32) * 257
        data, expected = encoded(Image.fromarray(values), "TIFF"), grey
    elif mode == "P":
        data, expected = encoded(image.quantize(64), "PNG"), image.quantize(64)
    else:
        data = encoded(
            image.convert(mode), "JPEG" if mode == "CMYK" else "TIFF", **({"quality": 98} if mode == "CMYK" else {})
        )
        expected = image.convert(mode)
    assert psnr_db(decode(data, CONFIG), decode(encoded(expected.convert("RGB"), "PNG"), CONFIG)) > 38


@pytest.mark.parametrize("form", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pixels_are_white(form: str) -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    if form == "P":
        data = encoded(Image.new("RGB", (20, 20), (9, 9, 9)).quantize(4), "PNG", transparency=0)
    elif form == "RGB":
        data = encoded(Image.new("RGB", (20, 20), (9, 9, 9)), "PNG", transparency=(9, 9, 9))
    else:
        data = encoded(clear.convert(form), "PNG")
    assert (decode(data, CONFIG) == 255).all()


@pytest.mark.parametrize(
    ("kind", "clear", "opaque"), [(0, (0x1234,), (0x1235,)), (2, (0x1234, 0, 0x99), (0x9234, 0, 0x99))]
)
def test_the_transparent_colour_of_a_png_of_16_bits_is_white(
    kind: int, clear: tuple[int, ...], opaque: tuple[int, ...]
) -> None:
    left, right = (struct.pack(f">{len(colour)}H", *colour) * 8 for colour in (clear, opaque))

    header = struct.pack(">IIBBBBB", 16, 16, 16, kind, 0, 0, 0)
    colour, pixels = struct.pack(f">{len(clear)}H", *clear), zlib.compress((b"\0" + left + right) * 16)
    shown = decode(png(header, (b"tRNS", colour), (b"IDAT", pixels)), ImageConfig(size_px=16))
    assert (shown[:, :, :8] == 255).all()
    assert shown[:, 0, 15].tolist() == [value >> 8 for value in (opaque * 3)[:3]]


def png(header: bytes, *blocks: tuple[bytes, bytes]) -> bytes:
    def block(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + b"".join(block(*one) for one in ((b"IHDR", header), *blocks, (b"IEND", b"")))


def test_a_palette_with_more_transparencies_than_colours_is_read_as_far_as_it_goes() -> None:
    header = struct.pack(">IIBBBBB", 16, 16, 8, 3, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(16)) * 16)
    data = png(header, (b"PLTE", bytes([200, 10, 30]) * 256), (b"tRNS", b"\xff" * 300), (b"IDAT", pixels))
    assert decode(data, ImageConfig(size_px=16))[:, 0, 0].tolist() == [200, 10, 30]


def test_large_pictures_of_a_format_that_hides_its_orientation_are_decoded_two_at_a_time_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To say how it is turned, a PNG is decoded as a whole."""
    monkeypatch.setattr("model.picture.LARGE_PIXELS", 100)
    data, load = encoded(Image.new("RGB", (32, 32)), "PNG"), PngImagePlugin.PngImageFile.load
    now, most = [0], [0]
    lock = threading.Lock()

    def counted(image: PngImagePlugin.PngImageFile) -> Any:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        try:
            return load(image)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: decode(data, ImageConfig(size_px=16)), range(16)))
    assert most[0] == 2


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    data = encoded(Image.new("RGBA", (20, 20), (0, 0, 100, 51)), "PNG")
    assert decode(data, CONFIG)[:, 0, 0].tolist() == [204, 204, 224]


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("#ff0000", "#00ff00")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, CONFIG)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", RESIZE_RULES)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_exif_orientation_is_turned_upright(orientation: int, resize: str, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    config = ImageConfig(size_px=40, resize=resize)
    data = encoded(Image.fromarray(SHARP), kind, exif=exif)
    turned = decode_with_size(data, config)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(Image.fromarray(SHARP), "PNG", exif=exif))))
    assert psnr_db(turned.pixels, decode(encoded(expected, "PNG"), config)) > 38
    assert (turned.width_px, turned.height_px) == expected.size


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_exif_block_does_not_lose_the_picture() -> None:
    whole = decode(encoded(picture(3), quality=95), CONFIG)
    damaged = encoded(picture(3), quality=95, exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert np.array_equal(decode(damaged, CONFIG), whole)


def test_squash_ignores_the_aspect_crop_takes_the_middle_and_pad_adds_white() -> None:
    # Left third red, middle third green, right third blue.
    thirds = np.zeros((30, 90, 3), np.uint8)
    for third in range(3):
        thirds[:, third * 30 : third * 30 + 30, third] = 255
    data = encoded(Image.fromarray(thirds), "PNG")
    squash, crop, pad = (decode(data, ImageConfig(size_px=30, resize=rule)) for rule in RESIZE_RULES)
    assert squash[:, 15, [2, 15, 27]].T.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert crop[:, 15, [2, 15, 27]].T.tolist() == [[0, 255, 0]] * 3
    assert pad[:, 15, [2, 15, 27]].T.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert pad[:, [2, 27], 15].T.tolist() == [[255, 255, 255]] * 2


@pytest.mark.parametrize(
    "size", [(1274, 1580), (600, 900), (845, 845), (769, 1537), (320, 400), (257, 2000), (4000, 300), (100, 100)]
)
@pytest.mark.parametrize("progressive", [True, False])
def test_a_jpeg_decoded_at_a_smaller_scale_is_as_good_as_in_full(size: tuple[int, int], progressive: bool) -> None:
    shading = np.asarray(picture(5, width=size[0], height=size[1]), np.float64)
    weave = np.random.default_rng(1).normal(0, 8, (size[1], size[0], 3))
    stripes = 90 * (np.arange(size[0]) * 40 // size[0] % 2)[None, :, None]  # the hardest: an edge every few pixels
    image = Image.fromarray(np.clip(shading / 2 + weave + stripes, 0, 255).astype(np.uint8))
    data = encoded(image, quality=90, progressive=progressive)
    assert psnr_db(decode(data, ImageConfig(size_px=256)), plainly(data, 256)) >= 38
    in_full = decode_with_size(data, ImageConfig(), margin=math.inf).pixels
    assert np.array_equal(in_full, plainly(data, 256, by=resize))
    assert psnr_db(in_full, plainly(data, 256)) >= 48


def test_the_same_bytes_give_the_same_pixels() -> None:
    data = encoded(picture(3, width=700, height=900))
    assert np.array_equal(decode(data, CONFIG), decode(data, CONFIG))


def many_scans(count: int) -> bytes:
    """A progressive JPEG with so many more scans, each of which brings nothing new to any of its pixels."""
    header = bytes([1, 1, TABLE, 1, 63, 0x10])  # of one component, its last bits
    scan = b"\xff\xda" + (2 + len(header)).to_bytes(2, "big") + header + NOTHING
    whole = encoded(picture(3, width=2000, height=2000), progressive=True)
    return whole.removesuffix(END) + NOTHING_TABLE + scan * count + END


WHOLE = encoded(picture(3, width=300, height=300), quality=90)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_a_picture"),
        (b"<html>", "not_a_picture"),
        (WHOLE[:20], "not_a_picture"),
        (WHOLE[: len(WHOLE) // 2], "truncated"),
        (encoded(picture(3), "PNG")[:-200], "truncated"),
        (png_header_only(), "not_a_picture"),
        (png_bomb(), "too_many_pixels"),
        (many_scans(20_000), "too_many_scans"),
        (encoded(Image.new("RGB", (1, 1)), "PNG"), "too_small"),
        (encoded(Image.new("RGB", (500, 3)), "PNG"), "too_small"),
        (encoded(Image.new("F", (20, 20)), "TIFF"), "unsupported_mode"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_a_picture"),
    ],
)
def test_what_is_no_picture_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode(data, CONFIG)
    assert caught.value.reason == reason


@pytest.mark.parametrize("resize", RESIZE_RULES)
def test_the_narrowest_picture_is_shown_by_every_rule(resize: str) -> None:
    red = decode(encoded(Image.new("RGB", (1000, 4), "red"), "PNG"), ImageConfig(size_px=64, resize=resize))
    assert red[:, 31, 32].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_is_none_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_with_size(encoded(Image.fromarray(SHARP), "PNG", exif=exif), CONFIG)
    assert (found.width_px, found.height_px) == (60, 80)
    assert np.array_equal(found.pixels, decode(encoded(Image.fromarray(SHARP), "PNG"), CONFIG))


def test_grey_values_beyond_16_bits_are_white_and_below_none_black() -> None:
    values = np.repeat(np.array([[-5, 70_000]], np.int32), 8).reshape(1, 16).repeat(16, 0)
    shown = decode(encoded(Image.fromarray(values), "TIFF"), ImageConfig(size_px=16))
    assert (shown[:, 8, 2].tolist(), shown[:, 8, 13].tolist()) == ([0] * 3, [255] * 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_damage_raises_anything_but_a_picture_error() -> None:
    random = np.random.default_rng(5)
    for form in FORMATS:
        whole = np.frombuffer(encoded(picture(3), form), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[random.integers(0, len(whole), 8)] = random.integers(0, 256, 8)
            cut = damaged[: random.integers(1, len(whole) + 1)].tobytes()
            with suppress(PictureError):
                assert decode(cut, CONFIG).shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"size_px": 7}, r"image.size_px is 7: must be in \[8, 2048\]"), ({"resize": "zoom"}, "image.resize is 'zoom'")],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageConfig(**values)  # type: ignore[arg-type]
    assert ImageConfig(size_px=8).size_px == 8


def test_the_real_apparel_pictures_decode() -> None:
    paths = sorted((real_catalog("apparel/catalog.json").parent / "images").rglob("*.jpg"))[::20]
    assert paths
    for path in paths:
        data = path.read_bytes()
        for size_px in (256, 100, 50):  # in full, at a half, at a quarter
            assert psnr_db(decode(data, ImageConfig(size_px=size_px)), plainly(data, size_px)) >= 38
