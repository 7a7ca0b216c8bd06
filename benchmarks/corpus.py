"""Draws the two corpora of the fetch benchmark, like a shop's studio photographs; tells how near two pictures are."""

import io
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter


def psnr_db(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two pictures."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return math.inf if error == 0 else float(10 * np.log10(255**2 / error))


@dataclass(frozen=True)
class Corpus:
    """What its pictures are like."""

    name: str
    width_px: int
    height_px: int
    progressive: bool
    quality: int


STUDIO = Corpus("studio", 1274, 1580, progressive=True, quality=78)
BASELINE = Corpus("baseline", 600, 900, progressive=False, quality=88)


def draw(corpus: Corpus, number: int) -> bytes:
    """One garment on a light background, as a JPEG. The same number gives the same bytes."""
    random = np.random.default_rng([number, corpus.width_px])
    width, height = corpus.width_px, corpus.height_px
    mask = _silhouette(random, width, height)
    cloth = _cloth(random, width, height)
    light = (235 + 18 * _smooth(random, width, height, 3))[..., None]
    mixed = light + (cloth - light) * mask[..., None]
    mixed += 1.2 * _noise(random, width, height)[..., None]  # the sensor's
    image = Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=corpus.quality, progressive=corpus.progressive, optimize=corpus.progressive)
    return buffer.getvalue()


@cache
def _noise_table() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((2400, 2400), np.float32)


def _noise(random: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Normal noise, (height, width): a part of one table, as drawing it anew would take most of the time."""
    top, left = random.integers(0, 2400 - height), random.integers(0, 2400 - width)
    return _noise_table()[top : top + height, left : left + width]


def _smooth(random: np.random.Generator, width: int, height: int, cells: int) -> NDArray[np.float32]:
    """Noise in [-1, 1] that changes over width / cells pixels."""
    coarse = Image.fromarray(random.uniform(-1, 1, (cells + 1, cells)).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _silhouette(random: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """A dress, shirt or trousers: 1 inside, 0 outside."""
    image = Image.new("L", (width, height))
    pen = ImageDraw.Draw(image)
    middle, top, bottom = width / 2, height * random.uniform(0.08, 0.18), height * random.uniform(0.75, 0.95)
    shoulder, waist, hem = (width * random.uniform(*span) for span in ((0.18, 0.25), (0.12, 0.2), (0.15, 0.36)))
    half_way = (top + bottom) / 2
    right = [(shoulder * 0.4, top), (shoulder, top * 1.2), (waist, half_way), (hem, bottom)]
    outline = [(middle + x, y) for x, y in right] + [(middle - x, y) for x, y in reversed(right)]
    pen.polygon(outline, fill=255)
    sleeve = width * random.uniform(0.02, 0.2)
    for side in (-1, 1):
        arm = [
            (shoulder * 0.8, top),
            (shoulder + sleeve, half_way),
            (shoulder + sleeve * 0.6, half_way * 1.1),
            (waist, top * 2.4),
        ]
        pen.polygon([(middle + side * x, y) for x, y in arm], fill=255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.float32) / np.float32(255)


def _cloth(random: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Colour with folds, a pattern and the structure of the weave, (height, width, 3)."""
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    colour, second = random.uniform(20, 230, (2, 3)).astype(np.float32)
    period = np.float32(random.uniform(18, 90))
    columns, rows = np.sin(x * 2 * np.pi / period) > 0, np.sin(y * 2 * np.pi / period) > 0.6
    pattern = [columns & False, columns, rows, columns ^ rows][random.integers(4)].astype(np.float32)
    folds = 30 * _smooth(random, width, height, 7) + 14 * _smooth(random, width, height, 25)
    weave = 5 * np.sin(x * 2.1) * np.sin(y * 1.9) + np.float32(random.uniform(1, 4)) * _noise(random, width, height)
    cloth = colour + (second - colour) * pattern[..., None] + (folds + weave)[..., None]
    return np.asarray(cloth, np.float32)


def _write(corpus: Corpus, number: int, folder: Path) -> None:
    (folder / f"{number:05}.jpg").write_bytes(draw(corpus, number))


def make_corpus(corpus: Corpus, count: int, folder: Path) -> Path:
    """Draw what is missing of the corpus's first `count` pictures; returns their folder."""
    place = folder / corpus.name
    place.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not (place / f"{number:05}.jpg").is_file()]
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(_write, [corpus] * len(missing), missing, [place] * len(missing), chunksize=8):
            pass
    return place
