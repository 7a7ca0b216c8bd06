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


def read_manifest(folder: Path, stage: str, *, verify: bool = False) -> dict[str, Any] | None:
    """The facts of a complete stage; None if it is not complete or a file is missing or has another size.

    Args:
        folder: the folder that the stage's files stand in.
        stage: its name.
        verify: also compare every digest; reads every byte.
    """
    path = manifest_path(folder, stage)
    if not path.is_file():
        return None
    manifest = read_json(path)
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != expected["bytes"]:
            return None
        if verify and sha256_file(file) != expected["sha256"]:
            return None
    facts: dict[str, Any] = manifest["facts"]
    return facts
