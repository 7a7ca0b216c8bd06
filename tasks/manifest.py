"""A stage's manifest: written last, it says that the stage is complete, and with which bytes."""

from pathlib import Path
from typing import Any

from model.files import read_json, sha256_file, write_json


def manifest_path(folder: Path, stage: str) -> Path:
    """Where the manifest of a stage stands."""
    return folder / "manifests" / f"{stage}.json"


def write_manifest(folder: Path, stage: str, *, files: list[Path], facts: dict[str, Any]) -> None:
    """Mark a stage as complete: the digests of its files (below `folder`) and the facts that later stages report."""
    digests = {
        file.relative_to(folder).as_posix(): {"sha256": sha256_file(file), "bytes": file.stat().st_size}
        for file in files
    }
    write_json(manifest_path(folder, stage), {"stage": stage, "files": digests, "facts": facts})


def read_manifest(folder: Path, stage: str) -> dict[str, Any] | None:
    """The facts of a complete stage; None if it is not complete, or a file is missing or not the one that was written.

    A file is known by its digest; the picture files, which are gigabytes, by their size.
    """
    path = manifest_path(folder, stage)
    if not path.is_file():
        return None
    try:
        manifest = read_json(path)
        files = [(folder / name, one["bytes"], one["sha256"]) for name, one in manifest["files"].items()]
        facts = dict(manifest["facts"])
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged: the stage is done again
        return None
    for file, size, digest in files:
        if not file.is_file() or file.stat().st_size != size:
            return None
        if file.suffix != ".h5" and sha256_file(file) != digest:
            return None
    return facts
