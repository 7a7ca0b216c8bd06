"""The file of drafts, CSV or JSON: a row a picture. A person may have changed rows and added columns: they stay."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import UserError
from model.files import read_json, write_json, write_text

COLUMNS = ("id", "picture", "description", "confidence", "needs_review", "reasons")
SUFFIXES = (".csv", ".json")
Row = dict[str, Any]


def row_key(row: Mapping[str, Any]) -> str:
    """What tells a row from the others: the product's id, else the picture."""
    return str(row.get("id") or row.get("picture", ""))


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of drafts as they stand there, whatever a person changed or added; none if there is no file.

    Raises:
        UserError: it is no such file.
    """
    if not path.is_file():
        return []
    try:
        if path.suffix == ".json":
            rows = read_json(path)
        else:
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as drafts ({error}): name another --out") from None
    sound = isinstance(rows, list) and all(
        isinstance(row, dict) and row_key(row) and "description" in row and None not in row for row in rows
    )
    if not sound:
        raise UserError(f"{path} is there and holds no drafts: name another --out")
    return [_typed(row) for row in rows]


def _typed(row: Row) -> Row:
    """Our own columns with the types that JSON gives them."""
    try:
        if isinstance(row.get("confidence"), str) and math.isfinite(value := float(row["confidence"])):  # else no JSON
            row["confidence"] = value
    except ValueError:
        pass  # a person wrote something else there
    if str(row.get("needs_review")).lower() in {"true", "false"}:
        row["needs_review"] = str(row["needs_review"]).lower() == "true"
    if isinstance(row.get("reasons"), str):
        row["reasons"] = [reason for reason in row["reasons"].split("; ") if reason]
    return row


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a file of drafts, whole or not at all. Columns that are not ours stay."""
    if path.suffix == ".json":
        write_json(path, list(rows))
        return
    names = dict.fromkeys(name for row in rows for name in row) if rows else dict.fromkeys(COLUMNS)
    ordered = [*(name for name in COLUMNS if name in names), *(name for name in names if name not in COLUMNS)]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, ordered, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "; ".join(map(str, value)) if isinstance(value, list) else value
