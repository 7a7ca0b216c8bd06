"""What people read first, in Markdown: the note of a run, the card of a model, a comparison of two models."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tasks.markdown import escape, fitted
from tasks.scoring.bootstrap import Comparison
from tasks.scoring.config import CONSTANT, SHUFFLED, TITLES
from tasks.scoring.report import ScoreReport

SHOWN = 3
NOTE_CHARACTERS = 7800  # MLflow cuts a note of more than 8,000, wherever that is; a picture's address is added
NOTED = {"bertscore": "BERTScore", "meteor": "METEOR"}
WRITERS = {
    CONSTANT: "one sentence for all: the training sentence closest to the others",
    SHUFFLED: "the model, pictures shuffled",
    "ceiling": "ceiling: a writer who knows every attribute",
}
PLACES = (
    "Charts, and pictures by epoch (step 0: the model that was kept): *Model metrics*; all parameters stand above a "
    "picture until its menu's *Configure* hides them. Tables, figures, reports: *Artifacts*. The model: *Models*."
)
REST = "… The rest did not fit here: `predictions.json` and `scores`, in *Artifacts*."
SHORT = {CONSTANT: "one sentence for all", SHUFFLED: "pictures shuffled"}


def headline(report: ScoreReport) -> str:
    """The main score with its interval, its conditions and the baselines, in one line."""
    low_high = report.intervals.get("bleu_4")
    around = f" ({_range(low_high)})" if low_high else ""
    others = [f"{SHORT.get(name, name)} {scores['bleu_4']:.3f}" for name, scores in report.baselines.items()]
    beside = f"; {', '.join(others)}" if others else ""
    conditions = report.conditions
    return (
        f"**BLEU-4 {report.scores['bleu_4']:.3f}**{around} on {report.products:,} {conditions.split} products"
        f"{conditions.choice}, free-running, {conditions.decoding}{beside}"
    )


def score_table(report: ScoreReport) -> str:
    """The model's scores with their intervals, and the baselines' beneath them."""
    columns = {name: title for name, title in TITLES.items() if name in report.scores}
    lines = ["| writer | " + " | ".join(columns.values()) + " |", "|---|" + "---:|" * len(columns)]
    lines.append("| **the model** | " + " | ".join(f"**{report.scores[name]:.3f}**" for name in columns) + " |")
    if report.intervals:
        ranges = [_range(report.intervals.get(name)) for name in columns]
        lines.append("| 95 % interval | " + " | ".join(ranges) + " |")
    for writer, scores in report.baselines.items():
        cells = [f"{scores[name]:.3f}" if name in scores else "–" for name in columns]
        lines.append(f"| {WRITERS.get(writer, writer)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _range(pair: tuple[float, float] | None) -> str:
    return f"{pair[0]:.3f}–{pair[1]:.3f}" if pair else "–"


def conditions_text(report: ScoreReport) -> str:
    """What the numbers were measured on, what could not be computed, how the sentences look."""
    scores = report.scores
    measured = f"Measured on the {escape(report.sentence)}."
    lines = [f"{measured} Scores are fractions; CIDEr-D is on pycocoevalcap's scale (0 to 10)."]
    if "bleu_4_teacher_forced" in scores:
        lines.append(
            f"Teacher-forced BLEU-4, with the true words fed in, only to compare with older papers: "
            f"{scores['bleu_4_teacher_forced']:.3f}."
        )
    lines += [f"{NOTED[name]}: {escape(note)}." for name, note in report.notes.items()]
    lines += [f"{TITLES.get(name, name)} was not computed: {escape(why)}." for name, why in report.not_computed.items()]
    facts = [f"{scores['mean_words']:.1f} words on average", f"{scores['distinct_words']:.0f} different words"]
    if "ended" in scores:
        facts.append(f"{scores['ended']:.1%} ended by themselves")
    facts.append(f"{scores['in_training']:.1%} also stand in training")
    facts.append(f"{scores['repeated_ngrams']:.1%} repeat three words")
    lines.append("Descriptions: " + ", ".join(facts) + ".")
    if report.constant_sentence:
        lines.append(f"The one sentence for all is: *{escape(report.constant_sentence)}*.")
    return "\n\n".join(lines)


def examples(predictions: pd.DataFrame) -> str:
    """The three best and the three worst descriptions, of a table sorted with the best first; none stands in both."""
    lines = []
    worst = min(SHOWN, len(predictions) // 2)
    best = min(SHOWN, len(predictions) - worst)
    for title, rows in (("Best", predictions.head(best)), ("Worst", predictions.tail(worst).iloc[::-1])):
        lines += [f"**{title}**", ""] if len(rows) else []
        for _, row in rows.iterrows():
            written = escape(row["description"]) or "(nothing)"
            lines += [f"- **{written}**  ", f"  reference: {escape(row['reference'])} (CIDEr-D {row['cider_d']:.2f})"]
        lines.append("")
    return "\n".join(lines)


def run_note(
    report: ScoreReport, predictions: pd.DataFrame, *, title: str, facts: Mapping[str, Any], links: Mapping[str, str]
) -> str:
    """What a run's page shows first.

    Args:
        report: of the held-out split.
        predictions: of `tasks.scoring.evaluation.Evaluation`, the best first.
        title: one line.
        facts: short facts, such as dataset, epochs, decision.
        links: words -> address (the Prefect run).
    """
    # The page folds all but the first lines away, so the result stands there.
    lines = [f"**{escape(title)}** · {headline(report)}", ""]
    lines += [" · ".join(f"{name}: {escape(str(value))}" for name, value in facts.items()), ""] if facts else []
    lines += [" · ".join(f"[{name}]({address})" for name, address in links.items()), ""] if links else []
    lines += [score_table(report), "", conditions_text(report), "", examples(predictions), PLACES]
    return fitted("\n".join(lines), NOTE_CHARACTERS, f"{REST} {PLACES}")


def model_card(report: ScoreReport, *, name: str, config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What the model is, what it was trained on, how good it is and where it is not to be trusted.

    Args:
        report: of the held-out split.
        name: of the registered model.
        config: `config.json` of the model directory.
        facts: dataset, training and validation products, epochs; as a list of short lines.
    """
    encoder, image = config["encoder"], config["image"]
    lines = [
        "# Writes the description of a product from its picture",
        "",
        (
            f"*Show, Attend and Tell* (soft attention): encoder {encoder['name']}, "
            f"weights {escape(encoder['weights'])}; "
            f"pictures {image['size_px']} × {image['size_px']} px, {image['resize']}."
        ),
        "",
        "## Data",
        "",
        *[f"- {name}: {escape(str(value))}" for name, value in facts.items()],
        (
            "- Licence: the pictures and texts belong to the catalogue's owner, and so may claims on what was learned "
            "from them; the code is MIT."
        ),
        "",
        "## Scores",
        "",
        score_table(report),
        "",
        conditions_text(report),
        "",
        "## Limits",
        "",
        "- It writes what products like those of its training are said to be, in their language; of others it guesses.",
        "- It can name a wrong colour, material or cut with full confidence. Have a person read what it writes.",
        "- Its confidence compares its own descriptions with each other; it is no probability of being right.",
        "",
        "## Use",
        "",
        (
            f'`mlflow models serve -m "models:/{name}@champion"`, then POST `{{"inputs": ["<picture, base64>"], '
            '"params": {"beam_size": 5, "max_words": 50}}` to `/invocations`.'
        ),
    ]
    return "\n".join(lines)


def comparison_note(comparisons: Mapping[str, Comparison], *, first: str, second: str, decoding: str) -> str:
    """Two models side by side on the same products."""
    lines = [
        f"| score | {escape(first)} | {escape(second)} | difference | 95 % interval | second is better |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, found in comparisons.items():
        lines.append(
            f"| {TITLES.get(name, name)} | {found.first:.3f} | {found.second:.3f} | {found.difference:+.3f} | "
            f"{found.low:+.3f} … {found.high:+.3f} | {found.confidence:.1%} of resamples |"
        )
    count = next((found.products for found in comparisons.values()), 0)
    return "\n".join([*lines, "", f"Paired bootstrap over the same {count:,} products; both free-running, {decoding}."])
