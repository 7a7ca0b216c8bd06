"""`describe`: descriptions of pictures that a person names."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import show
from model.describer import Describer
from model.errors import UserError
from model.picture import PictureError, decode
from model.search import SearchConfig
from tasks.figures.attention import draw_attention
from tasks.runs import latest_tracking

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


def describe(options: argparse.Namespace) -> "tuple[Any, Callable[[Any], None]]":
    """Describe pictures: files, folders of pictures, URLs."""
    import numpy as np

    addresses = [address for given in options.pictures for address in _expand(given)]
    if options.attention is not None and len(addresses) != 1:
        raise UserError(f"--attention draws one picture's attention, and {len(addresses)} pictures are given: give one")
    describer = Describer.load(find_model(options.model, options.workdir))
    search = SearchConfig(**describer.config.get("search", {}))
    if options.beam_size is not None:
        search = replace(search, beam_size=options.beam_size)
    pictures = []
    for address in addresses:
        try:
            pictures.append(decode(read_bytes(address), describer.image))
        except PictureError as error:
            raise UserError(f"{address} is not a picture that can be read: {error}") from None
    found = describer.describe(np.stack(pictures), search)  # (B, 3, S, S)
    if options.attention is not None:
        draw_attention(pictures[0], found[0].words, found[0].attention, options.attention)
    return [
        {"picture": address, "description": one.text, "confidence": round(one.confidence, 4)}
        for address, one in zip(addresses, found, strict=True)
    ], show.descriptions


def _expand(given: str) -> list[str]:
    """A folder stands for the pictures in it."""
    if "://" in given:
        return [given]
    path = Path(given)
    if path.is_dir():
        inside = sorted(str(one) for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
        if not inside:
            raise UserError(f"the folder {given} holds no pictures ({', '.join(sorted(SUFFIXES))})")
        return inside
    if not path.is_file():
        raise UserError(f"the picture {given} does not exist: give a file, a folder or a URL")
    return [given]


def read_bytes(address: str) -> bytes:
    """A picture's bytes, from disk or by the same client that fetches catalogues. The user named it: any host is asked.

    Raises:
        UserError: it cannot be read.
    """
    if "://" not in address:
        try:
            return Path(address).read_bytes()
        except OSError as error:
            raise UserError(f"{address} cannot be read: {error.strerror}") from None
    from tasks.pictures.single import fetch_bytes

    return fetch_bytes(address)


def find_model(given: str | None, workdir: Path) -> Path:
    """The folder of the model to use: the one named, else the champion, else that of the latest finished run.

    Raises:
        UserError: there is none.
    """
    if given is not None and not given.startswith("models:/"):
        return Path(given)
    if given is None and not (workdir / "runs").is_dir():
        raise UserError(f"no model in {workdir}: run the pipeline first, or name one with --model")
    from tasks.tracking.registry import Registry

    registry = Registry(latest_tracking(workdir), workdir)
    if given is None:
        champion = registry.champion()
        if champion is None:
            raise UserError(f"no model is registered in {workdir}: run the pipeline first, or name one with --model")
        given = champion["model_uri"]
    return registry.fetch(given, workdir / "models")
