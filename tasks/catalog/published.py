"""Catalogues that were handed to the running system: copies in the working directory, and which is the latest."""

import shutil
from pathlib import Path

from model.errors import UserError
from model.files import atomic_path, read_json, write_json

FOLDER, LATEST_FILE = "catalogs", "latest.json"


def keep(source: Path, workdir: Path, *, fingerprint: str, image_base_url: str) -> Path:
    """Copy a catalogue into the working directory, whole or not at all; the same content has one place. Returns it.

    Raises:
        UserError: the working directory cannot be written.
    """
    folder = workdir.resolve() / FOLDER
    path = folder / fingerprint[:16] / source.name
    try:
        with atomic_path(path) as partial:
            shutil.copyfile(source, partial)
        latest = {"path": path.relative_to(folder).as_posix(), "image_base_url": image_base_url}
        write_json(folder / LATEST_FILE, latest, private=True)
    except OSError as error:
        raise UserError(f"cannot copy the catalogue to {path}: {error.strerror or error}") from None
    return path


def latest(workdir: Path) -> tuple[Path, str]:
    """The catalogue that was published last, and what its relative urls resolve against.

    Raises:
        UserError: none was.
    """
    folder = workdir.resolve() / FOLDER
    if not (folder / LATEST_FILE).is_file():
        raise UserError(f"no catalogue was published in {workdir}: `ec-descr-gen publish FILE`, or name one")
    found = read_json(folder / LATEST_FILE)
    return folder / found["path"], found["image_base_url"]
