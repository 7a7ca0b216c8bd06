"""How all plots look: one palette that colour-blind people tell apart, legible labels, PNG and SVG.

The colours are Okabe and Ito's (2008); every line also has a marker of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.files import atomic_path

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
CHOSEN = "#555555"
DPI = 144
_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
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


def cut(word: str, most: int) -> str:
    """The word, or as much of its beginning as `most` letters leave room for; a longer one runs into its neighbour."""
    return word if len(word) <= most else word[: most - 1] + "…"


@contextmanager
def figure(width_in: float, height_in: float) -> Iterator[Any]:
    """A figure in the common style, without a screen and without pyplot's global state."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC):
        drawn = Figure(figsize=(width_in, height_in), dpi=DPI)
        FigureCanvasAgg(drawn)
        yield drawn


def save(drawn: Any, path: Path, *, svg: bool = True) -> list[Path]:
    """Write `path`.png and, for plots, `path`.svg; the same numbers give the same bytes."""
    written = []
    for suffix in (".png", ".svg") if svg else (".png",):
        target = path.with_suffix(suffix)
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        with atomic_path(target) as partial:
            drawn.savefig(partial, format=suffix[1:], metadata=metadata)
        written.append(target)
    return written
