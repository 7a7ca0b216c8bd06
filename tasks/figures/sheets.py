"""Sheets of pictures: predictions beside their references, and one augmented training batch.

B pictures, S picture side in px.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.figures.style import figure, fill, save, shorten

TITLE_IN = 6.0  # what the title takes, though there be a single picture
GOOD, POOR = "#009E73", "#D55E00"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One product of a contact sheet: its picture uint8 (3, S, S), what was written, what should have been."""

    picture: NDArray[np.uint8]
    written: str
    reference: str
    score: str = ""


def draw_predictions(cards: Sequence[Card], path: Path, *, title: str, good: bool = True) -> list[Path]:
    """Products in rows of two: the picture, the model's words, the reference beneath them."""
    columns = min(2, max(1, len(cards)))
    rows = math.ceil(len(cards) / columns)
    with figure(6.2 * columns, 1.95 * rows + 0.5) as drawn:
        grid = drawn.subplots(
            max(1, rows), 2 * columns, squeeze=False, gridspec_kw={"width_ratios": [1, 2.3] * columns}
        )
        for axes in grid.ravel():
            axes.axis("off")
        for place, card in enumerate(cards):
            left, right = grid[place // columns][2 * (place % columns) : 2 * (place % columns) + 2]
            left.imshow(card.picture.transpose(1, 2, 0), interpolation="lanczos")
            written = shorten(card.written or "(nothing)", 170)
            reference = shorten(card.reference, 170)
            lines = fill(written, 42)
            right.text(
                0, 1, lines, va="top", fontsize=11, fontweight="bold", transform=right.transAxes, parse_math=False
            )
            below = 1 - 0.125 * (lines.count("\n") + 1) - 0.06
            note = f"reference: {reference}" + (f"  [{card.score}]" if card.score else "")
            right.text(
                0,
                below,
                fill(note, 48),
                va="top",
                fontsize=10,
                color="#555555",
                transform=right.transAxes,
                parse_math=False,
            )
        drawn.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left", color=GOOD if good else POOR)
        return save(drawn, path, svg=False)


def draw_batch(pictures: NDArray[np.uint8], captions: Sequence[str], path: Path, *, title: str) -> list[Path]:
    """A training batch (B, 3, S, S) as the model sees it, with its captions."""
    columns = min(6, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    with figure(max(2.05 * columns, TITLE_IN), 2.6 * rows + 0.45) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.axis("off")
        for axes, picture, caption in zip(grid, pictures, captions, strict=False):
            axes.imshow(picture.transpose(1, 2, 0), interpolation="lanczos")
            short = shorten(caption, 62)
            axes.set_title(fill(short, 25), fontsize=8, fontweight="normal", loc="center", pad=3, parse_math=False)
        drawn.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
        return save(drawn, path, svg=False)
