"""What is wrong with real catalogues, planted in known numbers."""

import io
import random
from collections.abc import Mapping

from PIL import Image

from tasks.demo.drawing import jpeg

# Shares of the records; at least one of each in catalogues of 24 records and more.
SHARES: Mapping[str, float] = {
    "repeated_description": 0.09,
    "no_description": 0.015,
    "no_text": 0.005,
    "null_url": 0.006,
    "malformed_url": 0.004,
    "dead_link": 0.006,
    "fails_twice": 0.01,
    "truncated": 0.004,
    "html_page": 0.003,
    "cmyk": 0.005,
    "palette": 0.005,
    "grey": 0.005,
    "very_large": 0.001,
}
FEWEST_RECORDS = 24
MALFORMED_URLS = ("http://", "https:///image.jpg", "ftp://pictures.invalid/image.jpg", "htp:/shop/image.jpg")
HTML_PAGE = b"""<!doctype html>
<html><head><title>Back soon</title></head><body><h1>We are tidying our shelves.</h1></body></html>
"""
LARGE_PX = (3000, 4000)
PICTURE_MODES = {"cmyk": "CMYK", "grey": "L"}


def planted_counts(records: int) -> dict[str, int]:
    """How many records of a catalogue get each fault."""
    if records < FEWEST_RECORDS:
        return dict.fromkeys(SHARES, 0)
    return {fault: max(1, round(share * records)) for fault, share in SHARES.items()}


def picture_suffix(fault: str) -> str:
    """The file name's ending: palettes live in PNG files."""
    return ".png" if fault == "palette" else ".jpg"


def picture_file(picture: Image.Image, fault: str, rng: random.Random) -> bytes | None:
    """The bytes of a picture's file as its fault wants it; None where there is no file at all."""
    if fault == "dead_link":
        return None
    if fault == "html_page":
        return HTML_PAGE
    if fault == "palette":
        buffer = io.BytesIO()
        picture.quantize(256).save(buffer, "PNG")
        return buffer.getvalue()
    if fault in PICTURE_MODES:
        picture = picture.convert(PICTURE_MODES[fault])
    elif fault == "very_large":
        picture = picture.resize(LARGE_PX, Image.Resampling.BICUBIC)
    content = jpeg(picture)
    return content[: round(len(content) * rng.uniform(0.3, 0.6))] if fault == "truncated" else content
