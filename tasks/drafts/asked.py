"""What shall be described: pictures that a person names, or the products of a catalogue."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import UserError
from model.text import is_utf8
from tasks.catalog.reader import CatalogConfig, read_catalog
from tasks.catalog.records import HAS_DESCRIPTION
from tasks.catalog.table_formats import FORMULA
from tasks.catalog.urls import without_secrets
from tasks.pictures.address import Address, FileAddress, resolve
from tasks.pictures.outcome import Failed

logger = logging.getLogger(__name__)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One picture to describe.

    Attributes:
        picture: how it is shown: the file, or the url without user, password and query.
        address: where it is, or why it can be nowhere.
        id: the product's; empty for a picture that a person named.
        title, attributes: the product's own.
    """

    picture: str
    address: Address | Failed
    id: str = ""
    title: str = ""
    attributes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return self.id or self.picture


def named_pictures(given: Sequence[str]) -> list[Asked]:
    """Files, URLs and the pictures in folders, each once.

    Raises:
        UserError: a file is not there, a folder holds no picture, or two urls could not be told apart.
    """
    names = dict.fromkeys(one for name in given for one in _expand(name))
    found = [
        Asked(picture=without_secrets(one), address=resolve(one))
        if "://" in one
        else Asked(picture=one, address=FileAddress(Path(one)))
        for one in names
    ]
    several = [picture for picture, count in Counter(one.picture for one in found).items() if count > 1]
    if several:
        raise UserError(
            f"two urls differ in their query alone, which is not shown: {several[0]}; describe one at a time"
        )
    return found


def _expand(given: str) -> list[str]:
    """A folder stands for the pictures in it."""
    if "://" in given:
        return [given]
    if not given:
        raise UserError("an empty name stands for no picture: give a file, a folder or a URL")
    path = Path(given)
    if path.is_dir():
        # Not ._a.jpg, which macOS puts beside a.jpg on other systems' disks.
        found = (one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and not one.name.startswith("._"))
        inside = sorted(map(str, found))
        if not inside:
            raise UserError(f"the folder {given} holds no pictures ({', '.join(sorted(SUFFIXES))})")
        if odd := [one for one in inside if not is_utf8(one)]:
            raise UserError(f"the name of {odd[0]!a} is not UTF-8: rename the file")
        return inside
    if not path.is_file():
        raise UserError(f"the picture {given} does not exist: give a file, a folder or a URL")
    return [given]


@dataclass(frozen=True)
class OfCatalog:
    """The products of a catalogue, smallest id first, then those that cannot be had; records left out, by reason."""

    asked: list[Asked]
    left_out: dict[str, int]


def products(catalog: Path, config: CatalogConfig, *, image_base_url: str, only_missing: bool) -> OfCatalog:
    """The products of a catalogue, those with a picture that cannot be had included: each shall have its row.

    Args:
        catalog: the file.
        config: how it is read.
        image_base_url: what relative urls resolve against; empty without one.
        only_missing: only the products without a description.

    Raises:
        UserError: the catalogue cannot be read, or no record can be used.
    """
    found = read_catalog(
        catalog, config, image_base_url=image_base_url, descriptions="missing" if only_missing else "any"
    )
    rejected = found.rejected.to_pylist()
    # A product of several rows, a picture or a size each, often has its description in one of them alone.
    described = {row["id"] for row in rejected if row["reason"] == HAS_DESCRIPTION}
    if only_missing and not described:
        logger.warning(
            "no product of %s has a description in the column '%s': if another one holds them, name it with "
            "--set catalog.columns.description=COLUMN", catalog.name, config.columns.get("description", "description"),
        )  # fmt: skip
    asked = {}
    left_out: Counter[str] = Counter()
    for row in found.records.select(["record_id", "url", "title", "attr"]).to_pylist():
        if row["record_id"] in described:
            continue
        address = resolve(row["url"], image_base_url)
        asked[row["record_id"]] = Asked(
            picture="" if isinstance(address, Failed) else address.shown,
            address=address,
            id=row["record_id"],
            title=row["title"],
            attributes=tuple(row["attr"]),
        )
    for row in rejected:
        reason = row["reason"]
        if row["id"] and row["id"] in described:
            continue
        if row["id"] and row["id"] not in asked:
            asked[row["id"]] = Asked(picture="", address=Failed(reason=reason, detail=row["detail"]), id=row["id"])
        else:
            left_out[reason] += 1
    for unsafe in [key for key in asked if FORMULA.match(key)]:  # a spreadsheet would run it
        del asked[unsafe]
        left_out["formula"] += 1
    return OfCatalog(list(asked.values()), dict(left_out))
