"""How all plots look: one palette that colour-blind people tell apart, legible labels, PNG and SVG.

The colours are Okabe and Ito's (2008); every line also has a marker of its own.
"""

import logging
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from model.files import atomic_path

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
CHOSEN = "#555555"
DPI = 144
FONT = "DejaVu Sans"  # which matplotlib carries: Latin, Greek, Cyrillic, Arabic and more
# For the letters that it lacks, those of these that the machine has.
OTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "IPAexGothic", "IPAGothic",
    "WenQuanYi Zen Hei", "Hiragino Sans", "Hiragino Sans GB", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Noto Sans Thai", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Emoji",
)  # fmt: skip
logger = logging.getLogger(__name__)
_RC: dict[str, Any] = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "ec-descr-gen",
}


@cache
def fonts() -> list[str]:
    """Where a letter's shape is looked for, in this order."""
    from matplotlib import font_manager

    logging.getLogger(font_manager.__name__).setLevel(logging.ERROR)  # that one of them has no bold letters is no news
    known = set(font_manager.get_font_names())
    return [FONT, *(name for name in OTHER_FONTS if name in known)]


@cache
def say_letters_are_missing() -> None:
    """Log it once a process, however many letters and pictures lack it."""
    logger.warning("figures show boxes for letters that no font here has: install one of %s", ", ".join(OTHER_FONTS))


def cut(text: str, most: int) -> str:
    """The text, or as much of its beginning as `most` letters leave room for."""
    return text if len(text) <= (room := _room(text, most)) else text[: room - 1] + "…"


def shorten(text: str, most: int) -> str:
    """The text on one line, or the first of its words; of one that is written without spaces, the beginning."""
    line = " ".join(text.split())
    words = textwrap.shorten(line, _room(line, most), placeholder=" …")
    return cut(line, most) if words == "…" else words


def fill(text: str, width: int) -> str:
    """The text in lines of at most so many letters."""
    return textwrap.fill(text, _room(text, width))


def _room(text: str, letters: int) -> int:
    """How many of the text's letters have the room of so many Latin ones: East Asian scripts' are twice as wide."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return max(2, letters * len(text) // (len(text) + wide)) if wide else letters


@contextmanager
def figure(width_in: float, height_in: float) -> Iterator[Any]:
    """A figure in the common style, without a screen and without pyplot's global state."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({**_RC, "font.family": fonts()}):
        drawn = Figure(figsize=(width_in, height_in), dpi=DPI)
        FigureCanvasAgg(drawn)
        yield drawn


def save(drawn: Any, path: Path, *, svg: bool = True) -> list[Path]:
    """Write `path`.png and, for plots, `path`.svg; the same numbers give the same bytes."""
    written = []
    for suffix in (".png", ".svg") if svg else (".png",):
        target = path.with_suffix(suffix)
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        with atomic_path(target) as partial, warnings.catch_warnings(record=True) as told:
            warnings.filterwarnings("always", "Glyph ", UserWarning)
            drawn.savefig(partial, format=suffix[1:], metadata=metadata)
        for warning in told:
            if "missing from font" in str(warning.message):  # one a letter
                say_letters_are_missing()
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        written.append(target)
    return written
