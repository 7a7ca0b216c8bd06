"""Where the model looked at each word: the product first, then one panel a word.

T words, S picture side in px.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.figures.style import cut, figure, fill, save

COLUMNS = 6
PANEL_IN = 1.6
MAX_PANELS = 59
WORD_LETTERS = 13  # have room above a panel
COLOUR_MAP = "plasma"  # even in lightness, told apart without red and green
STRENGTH = 0.85


def heat(attention: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """One map (rows, columns) to (S, S) in 0 … 1: bicubic, so that the cells do not show.

    1 is the map's peak, 0 its lowest place; a map that is all but even stays near 0, for then nothing was looked at.
    """
    image = Image.fromarray(np.ascontiguousarray(attention, dtype=np.float32))
    smooth = np.asarray(image.resize((size_px, size_px), Image.Resampling.BICUBIC))
    low, mean = float(attention.min()), float(attention.mean())
    return np.asarray(np.clip((smooth - low) / max(float(smooth.max()) - low, mean, 1e-12), 0, 1), dtype=np.float32)


def overlay(picture: NDArray[np.uint8], attention: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture (3, S, S) in pale grey, coloured where the model looked; returns RGB (S, S, 3)."""
    from matplotlib import colormaps

    pixels = picture.transpose(1, 2, 0).astype(np.float32) / 255  # (3, S, S) -> (S, S, 3)
    grey = 0.25 + 0.75 * (pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[..., None]
    warmth = heat(attention, picture.shape[-1])
    colours = colormaps[COLOUR_MAP](0.15 + 0.8 * warmth)[..., :3].astype(np.float32)
    cover = STRENGTH * warmth[..., None] ** 0.75
    # The picture's own light and shade stay visible through the colour.
    mixed = grey * (1 - cover) + colours * (0.5 + 0.5 * grey) * cover
    return np.asarray(np.clip(mixed * 255, 0, 255), dtype=np.uint8)


def draw_attention(
    picture: NDArray[np.uint8],
    words: Sequence[str],
    attention: NDArray[np.float32],
    path: Path,
    *,
    svg: bool = False,
) -> list[Path]:
    """Draw the product and a panel for each word, the description above them.

    Args:
        picture: uint8 (3, S, S), RGB.
        words: the T words of the description.
        attention: (T, rows, columns); each map sums to 1.
        path: without suffix, or with one that is replaced by .png (and .svg).
        svg: also as SVG.
    """
    shown = list(zip(words, attention, strict=True))[:MAX_PANELS]
    columns = min(COLUMNS, len(shown) + 1)
    rows = math.ceil((len(shown) + 1) / columns)
    heading = fill(" ".join(words), 15 * columns)
    if len(words) > len(shown):
        heading += f"\n(the first {len(shown)} of {len(words)} words have a panel)"
    height = rows * (PANEL_IN + 0.28) + 0.3 * (heading.count("\n") + 1) + 0.15
    with figure(max(columns * PANEL_IN, 3.2), height) as drawn:
        axes = drawn.subplots(rows, columns, squeeze=False).ravel()
        for place in axes:
            place.axis("off")
        axes[0].imshow(picture.transpose(1, 2, 0), interpolation="lanczos")
        axes[0].set_title("the product", fontsize=11, color="#555555", fontweight="normal", loc="center", pad=4)
        for place, (word, weights) in zip(axes[1:], shown, strict=False):
            place.imshow(overlay(picture, weights), interpolation="lanczos")
            place.set_title(cut(word, WORD_LETTERS), fontsize=12, loc="center", pad=4, parse_math=False)
        drawn.suptitle(heading, fontsize=12, x=0.01, ha="left", parse_math=False)
        return save(drawn, path, svg=svg)
