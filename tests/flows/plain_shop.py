"""A catalogue of plain records whose pictures the faulty server has, for the tests of what interrupts a download."""

import json
import random
from collections.abc import Callable
from pathlib import Path

WORDS = [
    f"{first}{second}{third}" for first in "bdfglmnprst" for second in "aeiou" for third in ("lo", "ra", "ni", "k")
]


def write_catalog(path: Path, records: int, *, kind: Callable[[int], str] = lambda _: "ok", base: str = "") -> Path:
    """Write a catalogue in JSON Lines; record n's picture is `/KIND/n`, relative unless a base is given."""
    draw = random.Random(5)
    lines = [
        {
            "id": str(number),
            "image_url": f"{base}/{kind(number)}/{number}".lstrip("/"),
            "description": " ".join(draw.choices(WORDS, k=12)),
        }
        for number in range(records)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
