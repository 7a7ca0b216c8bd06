"""The same validation products again and again as training goes on: description, picture, attention at each word.

Composed from pixels directly: sixteen products with twenty panels each would take a plotting library half a minute.
B products, T words, S picture side in px.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.files import atomic_path
from tasks.figures.attention import overlay
from tasks.figures.style import cut

PANEL_PX = 104
GAP_PX = 6
WORD_PX = 20
WORD_LETTERS = 12  # have room above a panel
LINE_PX = 24
PANELS_A_ROW = 11
MARGIN_PX = 14
INK, GREY = "#222222", "#777777"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One product: its picture uint8 (3, S, S), the words written, where the model looked (T, rows, columns)."""

    picture: NDArray[np.uint8]
    words: Sequence[str]
    attention: NDArray[np.float32]
    reference: str


def draw_epoch(products: Sequence[Seen], path: Path, *, title: str) -> Path:
    """Draw all products, one below the other, as one PNG."""
    blocks = [_block(product) for product in products]
    width = 2 * MARGIN_PX + (PANELS_A_ROW + 1) * (PANEL_PX + GAP_PX)
    height = 2 * MARGIN_PX + 34 + sum(block.height + 16 for block in blocks)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, MARGIN_PX), title, fill=INK, font=_font(20, bold=True))
    top = MARGIN_PX + 34
    for block in blocks:
        sheet.paste(block, (MARGIN_PX, top))
        top += block.height + 16
    target = path.with_suffix(".png")
    with atomic_path(target) as partial:
        sheet.save(partial, format="PNG")
    return target


def _block(product: Seen) -> Image.Image:
    """The product at the left; beside it the description, its reference and a panel for each word."""
    panels = list(zip(product.words, product.attention, strict=True))
    rows = max(1, -(-len(panels) // PANELS_A_ROW))
    written = textwrap.wrap(" ".join(product.words) or "(nothing)", 118)
    reference = textwrap.shorten(f"reference: {product.reference}", 150, placeholder=" …")
    head = LINE_PX * len(written) + LINE_PX
    width = (PANELS_A_ROW + 1) * (PANEL_PX + GAP_PX)
    block = Image.new("RGB", (width, head + rows * (PANEL_PX + WORD_PX + GAP_PX)), "white")
    draw = ImageDraw.Draw(block)
    left = PANEL_PX + GAP_PX
    block.paste(_panel(product.picture.transpose(1, 2, 0)), (0, 4))
    for number, line in enumerate(written):
        draw.text((left, LINE_PX * number), line, fill=INK, font=_font(16, bold=True))
    draw.text((left, LINE_PX * len(written)), reference, fill=GREY, font=_font(14))
    for number, (word, weights) in enumerate(panels):
        x = left + number % PANELS_A_ROW * (PANEL_PX + GAP_PX)
        y = head + number // PANELS_A_ROW * (PANEL_PX + WORD_PX + GAP_PX)
        draw.text((x + PANEL_PX / 2, y + WORD_PX - 4), cut(word, WORD_LETTERS), fill=INK, font=_font(14), anchor="ms")
        block.paste(_panel(overlay(product.picture, weights)), (x, y + WORD_PX))
    return block


def _panel(pixels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))  # (S, S, 3)
    return image.resize((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)


@lru_cache
def _font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: Latin, Greek, Cyrillic and more."""
    from matplotlib import font_manager

    weight = "bold" if bold else "normal"
    return ImageFont.truetype(
        font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight=weight)), size_px
    )
