"""`describe`: descriptions of pictures that a person names, or of a catalogue's products that lack one."""

import argparse
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flows import show
from flows.champion import champions_catalog
from flows.commands import source_of
from flows.settings import SECTIONS, Settings, compose
from flows.show import Shown
from model.describer import Describer
from model.errors import UserError
from model.settings import SearchConfig
from tasks.drafts.asked import Asked, named_pictures, products
from tasks.drafts.drafting import Drafted, Drafter
from tasks.drafts.table import SUFFIXES
from tasks.figures.attention import draw_attention
from tasks.runs import tracking_of_models
from tasks.tracking import TrackingConfig
from tasks.tracking.config import SQLITE
from tasks.tracking.registry import Registry

logger = logging.getLogger(__name__)
OTHER_PICTURES = {".jpg", ".jpeg", ".webp", ".gif", ".pdf"}
LONGEST_NAME_BYTES = 200  # file systems take 255, of which a number and an ending need some
USED_SECTIONS = ("catalog", "fetch", "tracking")


def describe(options: argparse.Namespace) -> Shown:
    """Describe pictures: files, folders, URLs, or the products of a catalogue."""
    out: Path | None = options.out
    if out is not None and out.suffix not in SUFFIXES:
        raise UserError(f"--out {out} ends in neither {' nor '.join(SUFFIXES)}: name the file of drafts so")
    if out is not None and out.is_dir():
        raise UserError(f"--out {out} is a folder: name a file")
    catalog = Path(options.catalog or "")
    if out is not None and out.is_file() and catalog.is_file() and out.samefile(catalog):
        raise UserError(f"--out {out} is the catalogue itself, and drafts are no descriptions yet: name another file")
    settings = _settings(options)
    asked, named = _asked(options, settings)
    on_drafted = _attention(options.attention, len(asked)) if options.attention is not None else lambda _: None
    if not asked:
        return [], lambda _: show.message("every product has a description: nothing to draft")
    describer = Describer.load(find_model(options.model, options.workdir, settings.tracking))
    search = SearchConfig(**describer.config.get("search", {}))
    if options.beam_size is not None:
        search = replace(search, beam_size=options.beam_size)
    drafter = Drafter(describer=describer, search=search, fetch=settings.fetch, named=named, on_drafted=on_drafted)
    if out is None:
        return drafter.rows(asked), show.drafts
    return drafter.write(asked, out), lambda rows: show.drafts_written(rows, out)


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of fetching, reading and tracking; the model brings the others with it.

    For the champion, a catalogue is read as the one that it learned from, unless the options say otherwise.
    """
    default = Settings()
    if options.catalog is not None and options.model is None and (known := champions_catalog(options.workdir)):
        default = replace(default, catalog=known)
    settings = compose(preset=None, file=options.config, assignments=options.assignments, base=default)
    idle = [
        name for name in SECTIONS if name not in USED_SECTIONS and getattr(settings, name) != getattr(default, name)
    ]
    if idle:
        raise UserError(
            f"{', '.join(f'{name}.*' for name in idle)}: describe takes these from the model; "
            f"it can be given {', '.join(f'{name}.*' for name in USED_SECTIONS)}"
        )
    return settings


def _asked(options: argparse.Namespace, settings: Settings) -> tuple[list[Asked], list[str]]:
    """What to describe, and the URLs that the user named."""
    if options.catalog is None:
        if options.only_missing or options.image_base_url:
            raise UserError("--only-missing and --image-base-url belong to a catalogue: give it with --catalog FILE")
        if not options.pictures:
            raise UserError("nothing to describe: name pictures, URLs, folders, or a catalogue with --catalog FILE")
        return named_pictures(options.pictures), [one for one in options.pictures if "://" in one]
    if options.pictures:
        raise UserError("--catalog and pictures are given: describe one of the two at a time")
    catalog, base = source_of(options)
    found = products(catalog, settings.catalog, image_base_url=base, only_missing=options.only_missing)
    for reason, count in found.left_out.items():
        logger.warning("%s records are left out: %s", f"{count:,}", reason)
    return found.asked, [base] if base else []


def file_name(asked: Asked) -> str:
    """What a product's, or else a picture's, own file may be called, but for its ending."""
    picture = Path(asked.picture.rstrip("/").rpartition("/")[2].partition("?")[0]).stem
    name = re.sub(r"[^\w.-]+|^[.]+", "-", asked.id or picture)
    return name.encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")


def _attention(target: Path, count: int) -> Callable[[Drafted], None]:
    """Draws where the model looked: one picture's into the file named, several pictures' into a folder."""
    one_file = target.suffix in {".png", ".svg"}
    if target.suffix.lower() in OTHER_PICTURES:
        raise UserError(f"--attention {target} ends in neither .png nor .svg: name the file so, or a folder")
    if one_file and count != 1:
        raise UserError(
            f"--attention {target} draws one picture's attention, and {count:,} pictures are asked for: name a folder"
        )
    folder = target.parent if one_file else target
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if (one_file and target.is_dir()) or not there.is_dir():
        in_the_way = target if there.is_dir() else there
        raise UserError(f"--attention {target} cannot be written: {in_the_way} is in its place")

    def draw(drafted: Drafted) -> None:
        found = drafted.description
        if found is None or drafted.pixels is None:
            return
        name = file_name(drafted.asked)
        path = target if one_file else target / f"{name}.png"
        number = 1
        while not one_file and path.exists():
            number += 1
            path = target / f"{name}-{number}.png"
        draw_attention(drafted.pixels, found.words, found.attention, path, svg=path.suffix == ".svg")

    return draw


def find_model(given: str | None, workdir: Path, tracking: TrackingConfig) -> Path:
    """The folder of the model to use: the one named, else the champion.

    Args:
        given: models:/…, a folder, or None.
        workdir: of the registry and of the models fetched from it.
        tracking: see `tracking_of_models`.

    Raises:
        UserError: there is none.
    """
    if given is not None and not given.startswith("models:/"):
        return Path(given)
    tracking = tracking_of_models(workdir, tracking)
    uri = tracking.tracking_uri(workdir)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():  # asking would make it
        raise UserError(f"no model in {workdir}: run the pipeline first, or name a folder with --model (no {uri})")
    registry = Registry(tracking, workdir)
    if given is None:
        champion = registry.champion()
        if champion is None:
            raise UserError(f"no model is registered in {workdir}: run the pipeline first, or name one with --model")
        given = champion["model_uri"]
    return registry.fetch(given, workdir / "models")
