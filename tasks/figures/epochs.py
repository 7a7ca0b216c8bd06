"""The same validation products again and again as training goes on: description, picture, attention at each word.

Composed from pixels directly: sixteen products with twenty panels each would take a plotting library half a minute.
B products, T words, S picture side in px.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.files import atomic_path
from tasks.figures.attention import overlay
from tasks.figures.style import FONT, cut, fill, fonts, say_letters_are_missing, shorten

PANEL_PX = 104
GAP_PX = 6
WORD_PX = 20
WORD_LETTERS = 12  # have room above a panel
LINE_PX = 24
PANELS_A_ROW = 11
PANELS_IN_A_NOTE = 5  # MLflow shows a note's pictures at their own size, in a column of some 700 px
MARGIN_PX = 14
LETTER_PX, SMALL_LETTER_PX = 10.25, 8.06  # in the mean, with some room
INK, GREY = "#222222", "#777777"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One product: its picture uint8 (3, S, S), the words written, where the model looked (T, rows, columns)."""

    picture: NDArray[np.uint8]
    words: Sequence[str]
    attention: NDArray[np.float32]
    reference: str


def draw_epoch(products: Sequence[Seen], path: Path, *, title: str, panels_a_row: int = PANELS_A_ROW) -> Path:
    """Draw all products, one below the other, as one PNG."""
    blocks = [_block(product, panels_a_row) for product in products]
    width = 2 * MARGIN_PX + (panels_a_row + 1) * (PANEL_PX + GAP_PX)
    height = 2 * MARGIN_PX + 34 + sum(block.height + 16 for block in blocks)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, MARGIN_PX), title, fill=INK, font=_font(title, 20, bold=True))
    top = MARGIN_PX + 34
    for block in blocks:
        sheet.paste(block, (MARGIN_PX, top))
        top += block.height + 16
    target = path.with_suffix(".png")
    with atomic_path(target) as partial:
        sheet.save(partial, format="PNG")
    return target


def _block(product: Seen, panels_a_row: int) -> Image.Image:
    """The product at the left; beside it the description, its reference and a panel for each word."""
    panels = list(zip(product.words, product.attention, strict=True))
    rows = max(1, -(-len(panels) // panels_a_row))
    room_px = panels_a_row * (PANEL_PX + GAP_PX)
    written = fill(" ".join(product.words) or "(nothing)", int(room_px / LETTER_PX)).splitlines()
    reference = shorten(f"reference: {product.reference}", int(room_px / SMALL_LETTER_PX))
    head = LINE_PX * len(written) + LINE_PX
    width = room_px + PANEL_PX + GAP_PX
    block = Image.new("RGB", (width, head + rows * (PANEL_PX + WORD_PX + GAP_PX)), "white")
    draw = ImageDraw.Draw(block)
    left = PANEL_PX + GAP_PX
    block.paste(_panel(product.picture.transpose(1, 2, 0)), (0, 4))
    for number, line in enumerate(written):
        draw.text((left, LINE_PX * number), line, fill=INK, font=_font(line, 16, bold=True))
    draw.text((left, LINE_PX * len(written)), reference, fill=GREY, font=_font(reference, 14))
    for number, (word, weights) in enumerate(panels):
        x = left + number % panels_a_row * (PANEL_PX + GAP_PX)
        y = head + number // panels_a_row * (PANEL_PX + WORD_PX + GAP_PX)
        shown = cut(word, WORD_LETTERS)
        draw.text((x + PANEL_PX / 2, y + WORD_PX - 4), shown, fill=INK, font=_font(shown, 14), anchor="ms")
        block.paste(_panel(overlay(product.picture, weights)), (x, y + WORD_PX))
    return block


def _panel(pixels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))  # (S, S, 3)
    return image.resize((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)


def _font(text: str, size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The first font that has all letters of a text."""
    letters = {ord(letter) for letter in text if not letter.isspace()}
    for family in fonts():
        font, known = _loaded(family, size_px, bold=bold)
        if letters <= known:
            return font
    say_letters_are_missing()
    return _loaded(FONT, size_px, bold=bold)[0]


@lru_cache
def _loaded(family: str, size_px: int, *, bold: bool) -> tuple[ImageFont.FreeTypeFont, frozenset[int]]:
    """A font, and the letters that it has."""
    from matplotlib import font_manager

    weight = "bold" if bold else "normal"
    path = font_manager.findfont(font_manager.FontProperties(family=family, weight=weight))
    return ImageFont.truetype(path, size_px), frozenset(font_manager.get_font(path).get_charmap())
