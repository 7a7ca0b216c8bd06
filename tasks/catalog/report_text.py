"""The catalogue's report in Markdown (for Prefect and MLflow) and as a table for the terminal."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tasks.markdown import escape

REPORT_JSON, REPORT_MARKDOWN = "report.json", "report.md"
BAR_CELLS = 30
WORDS_SHOWN, CATEGORIES_SHOWN = 15, 10


def report_markdown(report: Mapping[str, Any]) -> str:
    """The whole report, from `catalog_report`, as Markdown."""
    words, categories, captions = report["words"], report["categories"], report["captions"]
    parts = ["# The catalogue", _table(("records", "count"), _count_rows(report))]
    parts += ["## Splits have in common (must be none)", _table(("", "distinct"), _overlap_rows(report))]
    if pictures := report.get("pictures"):
        parts += ["## Pictures that repeat", _table(("", "count"), _picture_rows(pictures))]
        examples = [(row["id"], row["split"], row["repeats_id"]) for row in pictures["equal_examples"]]
        if examples:
            parts.append(_table(("equal to another", "split", "the other"), examples))
    parts += ["## Length of descriptions", _table(("descriptions", ""), _caption_rows(captions))]
    parts.append("```\n" + "\n".join(_histogram(captions["histogram"])) + "\n```")
    parts.append(f"## Most frequent of {words['distinct']:,} words ({words['more_than_once']:,} occur more than once)")
    parts.append(", ".join(f"{escape(word)} ({count:,})" for word, count in words["most_frequent"].items()))
    parts.append(f"## Largest of {categories['distinct']:,} categories")
    parts.append(_table(("category", "records"), categories["largest"].items()))
    parts.append("## Share of kept records without a field")
    parts.append(_table(("field", "missing"), ((name, f"{share:.1%}") for name, share in report["missing"].items())))
    return "\n\n".join(parts) + "\n"


def report_table(report: Mapping[str, Any]) -> Group:
    """The same for the terminal, with fewer words and categories."""
    table = Table(title="The catalogue", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    sections: list[Iterator[tuple[str, Any]]] = [_count_rows(report), _caption_rows(report["captions"])]
    sections += [_missing_rows(report), _overlap_rows(report)]
    if pictures := report.get("pictures"):
        sections.append(_picture_rows(pictures))
    for section in sections:
        for name, value in section:
            table.add_row(name, _shown(value))
        table.add_section()
    words, categories = report["words"], report["categories"]
    return Group(
        table,
        Text("\nWords a description"),
        Text("\n".join(_histogram(report["captions"]["histogram"]))),
        Text(f"\nMost frequent of {words['distinct']:,} words: {_first(words['most_frequent'], WORDS_SHOWN)}"),
        Text(f"Largest of {categories['distinct']:,} categories: {_first(categories['largest'], CATEGORIES_SHOWN)}"),
    )


def _count_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    counts = report["counts"]
    yield "read", counts["read"]
    for reason, count in counts["rejected"].items():
        yield f"rejected: {reason}", count
    for rule, count in counts["dropped"].items():
        yield f"dropped: {rule}", count
    yield "kept", counts["kept"]
    for split, numbers in counts["splits"].items():
        yield f"{split}: sampled of kept", f"{numbers['sampled']:,} of {numbers['kept']:,}"


def _overlap_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for what, pairs in report["overlap"].items():
        for pair, count in pairs.items():
            yield f"{what} in {pair}", count


def _picture_rows(pictures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "dropped: equal to another, pixel for pixel", pictures["dropped"]
    yield "pictures", pictures["rows"]
    yield "equal to another, pixel for pixel", pictures["equal"]
    yield "pairs that look alike across splits", pictures["similar_across_splits"]


def _caption_rows(captions: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "descriptions", captions["references"]
    yield "words: mean", captions["mean_words"]
    yield "words: median", captions["median_words"]
    yield "words: longest", captions["longest_words"]
    yield "with at most 30 words", f"{captions['share_up_to_30_words']:.1%}"


def _missing_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, share in report["missing"].items():
        yield f"without {name}", f"{share:.1%}"


def _first(counts: Mapping[str, int], number: int) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in islice(counts.items(), number)) or "none"


def _histogram(histogram: Mapping[str, int]) -> Iterator[str]:
    most = max(histogram.values())
    for name, count in histogram.items():
        yield f"{name:>8} {'█' * round(count / most * BAR_CELLS):<{BAR_CELLS}} {count:,}"


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(escape(_shown(cell)) for cell in line) + " |" for line in lines)


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
