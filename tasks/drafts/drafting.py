"""Describes what is asked for, batch by batch: each picture a row, one that cannot be had with its reason."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from model.describer import Describer, Description
from model.errors import RunError, UserError
from model.settings import SearchConfig
from tasks.drafts.asked import Asked
from tasks.drafts.calibrate import bounds_of
from tasks.drafts.colours import COLOURS
from tasks.drafts.kept import Kept
from tasks.drafts.review import readable, review_reasons
from tasks.drafts.table import Row, read_rows, row_key, write_rows
from tasks.pictures.outcome import Failed, in_words
from tasks.pictures.settings import FetchConfig
from tasks.pictures.stream import Pixels, stream_pictures
from tasks.progress import progress

BATCH = 32
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """What became of one picture: pixels and description, or the failure."""

    asked: Asked
    pixels: Pixels | None = None
    description: Description | None = None
    failed: Failed | None = None
    reasons: tuple[str, ...] = ()

    def row(self) -> Row:
        """Plain values: id (of a catalogue's product), picture, description, confidence, needs_review, reasons."""
        found = self.description
        return {
            **({"id": self.asked.id} if self.asked.id else {}),
            "picture": self.asked.picture,
            "description": readable(found.text) if found else "",
            "confidence": round(found.confidence, 4) if found else 0.0,
            "needs_review": bool(self.reasons),
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, kw_only=True)
class Drafter:
    """A model that writes drafts.

    Attributes:
        describer: the model.
        search: how descriptions are searched for.
        fetch: how pictures are fetched.
        named: URLs that the user named, whose hosts are trusted.
        on_drafted: told of each picture as it is done.
    """

    describer: Describer
    search: SearchConfig
    fetch: FetchConfig
    named: Collection[str]
    on_drafted: Callable[[Drafted], None] = lambda _: None

    def batches(self, asked: Sequence[Asked]) -> Iterator[list[Drafted]]:
        """Describe pictures in batches, as they come."""
        bounds = bounds_of(self.describer.config)
        addresses = [one.address for one in asked]
        stream = stream_pictures(
            addresses, image=self.describer.image, config=self.fetch, named=self.named, batch=BATCH
        )
        with closing(stream), progress("Describing pictures", len(asked), unit="pictures") as bar:
            for some in stream:
                done = [_failure(asked[place], found) for place, found in some if isinstance(found, Failed)]
                seen = [(asked[place], found) for place, found in some if not isinstance(found, Failed)]
                if seen:
                    pictures = np.stack([pixels for _, pixels in seen])  # (B, 3, S, S)
                    written = self.describer.describe(pictures, self.search, rivals=COLOURS)
                    for (one, pixels), found in zip(seen, written, strict=True):
                        reasons = review_reasons(found, bounds, title=one.title, attributes=one.attributes)
                        done.append(Drafted(asked=one, pixels=pixels, description=found, reasons=tuple(reasons)))
                for drafted in done:
                    self.on_drafted(drafted)
                bar.advance(len(some))
                yield done

    def rows(self, asked: Sequence[Asked]) -> list[Row]:
        """Rows in the order asked for.

        Raises:
            UserError: no picture can be had, for good.
            RunError: none can be had now.
        """
        rows: dict[str, Row] = {}
        failed: dict[str, Drafted] = {}
        for batch in self.batches(asked):
            rows |= {one.asked.key: one.row() for one in batch}
            failed |= {one.asked.key: one for one in batch if one.failed}
        if failed and len(failed) == len(asked):
            raise _nothing_had([failed[one.key] for one in asked])
        return [rows[one.key] for one in asked]

    def write(self, asked: Sequence[Asked], out: Path) -> list[Row]:
        """Write the rows to a file of drafts, which appears whole; killed and called again, it goes on.

        A row of the file that has a description stays as it is, with what a person changed in it.

        Returns:
            The rows asked for, in that order.

        Raises:
            UserError: the file is there and holds no drafts, another process writes it, or no picture can be had.
            RunError: no picture can be had now.
        """
        old = read_rows(out)  # a person may have given a product several
        before = {row_key(row): row for row in sorted(old, key=lambda row: bool(row["description"]))}
        there = {key for key, row in before.items() if row["description"]}
        config = self.describer.config
        made_by = {"model": config["sha256"], "review": config.get("review"), "search": asdict(self.search)}
        with closing(Kept(out, made_by)) as kept:
            kept.forget_others({one.key: one.picture for one in asked})
            missing = [one for one in asked if one.key not in there | kept.rows.keys()]
            if len(missing) < len(asked):
                logger.info("%s of %s drafts are there already", f"{len(asked) - len(missing):,}", f"{len(asked):,}")
            failed: dict[str, Drafted] = {}
            for batch in self.batches(missing):
                kept.add([one.row() for one in batch if one.description])
                failed |= {one.asked.key: one for one in batch if one.failed}
            if failed and not there and not kept.rows:
                raise _nothing_had([failed[one.key] for one in missing])
            new = kept.rows | {key: one.row() for key, one in failed.items()}
            # A column that a person added stays, with what stands in it, where the draft comes only now.
            drafted = {key: row for key, row in new.items() if key not in there}
            rows = before | {key: before.get(key, {}) | row for key, row in drafted.items()}
            first = [row | drafted.get(row_key(row), {}) for row in old]
            write_rows(out, first + [rows[one.key] for one in asked if one.key not in before])
            kept.remove()
        return [rows[one.key] for one in asked]


def _nothing_had(failures: Sequence[Drafted]) -> RunError | UserError:
    """What to say where every picture failed."""
    kind = RunError if any(one.failed and one.failed.passing for one in failures) else UserError
    first = failures[0]
    if len(failures) == 1:
        return kind(f"{first.asked.picture or first.asked.id} cannot be described: {first.reasons[0]}")
    reasons = in_words(one.failed.reason for one in failures if one.failed)
    return kind(f"none of the {len(failures):,} pictures can be had ({reasons}), such as {first.asked.key}")


def _failure(asked: Asked, failed: Failed) -> Drafted:
    detail = f" ({failed.detail})" if failed.detail else ""
    return Drafted(asked=asked, failed=failed, reasons=(f"no picture: {failed.reason}{detail}",))
