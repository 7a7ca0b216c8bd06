"""The plots over epochs, drawn from the logged numbers: loss, BLEU-1 to 4, CIDEr-D, BERTScore with BLEU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.figures.style import CHOSEN, COLOURS, MARKERS, figure, save

History = Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot: which metrics, under which labels."""

    name: str
    title: str
    y_label: str
    lines: Mapping[str, str]


PLOTS = (
    Plot(
        name="loss",
        title="Loss on training and validation data",
        y_label="loss per word (nats), all terms",
        lines={"train/loss": "training", "validation/loss": "validation"},
    ),
    Plot(
        name="bleu",
        title="BLEU on validation data, free-running",
        y_label="corpus BLEU (0–1)",
        lines={f"validation/bleu_{n}": f"BLEU-{n}" for n in range(1, 5)},
    ),
    Plot(
        name="cider_d",
        title="CIDEr-D, free-running",
        y_label="CIDEr-D (0–10)",
        lines={"validation/cider_d": "validation", "train/cider_d_sampled": "training, sampled"},
    ),
    Plot(
        name="bertscore",
        title="BERTScore beside BLEU-4 on validation data, free-running",
        y_label="score",
        lines={"validation/bertscore_f1": "BERTScore F1", "validation/bleu_4": "BLEU-4"},
    ),
)


def draw_curves(history: History, folder: Path, *, best_epoch: int | None, chosen_by: str) -> list[Path]:
    """Draw every plot that has a number; returns the files.

    Args:
        history: metric -> (epoch, value) in order of epochs.
        folder: where the files go.
        best_epoch: the chosen epoch, marked in each.
        chosen_by: the score that chose it.
    """
    chosen = None if best_epoch is None else (best_epoch, f"chosen: epoch {best_epoch}\n(by {chosen_by})")
    written: list[Path] = []
    for plot in PLOTS:
        lines = {label: history[name] for name, label in plot.lines.items() if history.get(name)}
        if next(iter(plot.lines)) in history and lines:
            written += _draw(plot, lines, folder, chosen)
    return written


def _draw(
    plot: Plot, lines: Mapping[str, Sequence[tuple[int, float]]], folder: Path, chosen: tuple[int, str] | None
) -> list[Path]:
    from matplotlib.ticker import MaxNLocator

    with figure(7.5, 4.2) as drawn:
        axes = drawn.subplots()
        for (label, points), colour, marker in zip(lines.items(), COLOURS, MARKERS, strict=False):
            epochs, values = zip(*points, strict=True)
            axes.plot(epochs, values, color=colour, marker=marker, markevery=max(1, len(epochs) // 12), label=label)
        axes.set_title(plot.title)
        axes.set_xlabel("epoch")
        axes.set_ylabel(plot.y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if plot.name != "loss":
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if chosen is not None:
            _mark_best(axes, lines, *chosen)
        axes.margins(x=0.03)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return save(drawn, folder / plot.name)


def _mark_best(axes: Any, lines: Mapping[str, Sequence[tuple[int, float]]], best_epoch: int, label: str) -> None:
    axes.axvline(best_epoch, color=CHOSEN, linestyle="--", linewidth=1.3, zorder=1, label=label)
    for points, colour in zip(lines.values(), COLOURS, strict=False):
        value = dict(points).get(best_epoch)
        if value is not None:
            axes.plot([best_epoch], [value], marker="o", markersize=10, mfc="none", mec=colour, mew=2, zorder=3)
