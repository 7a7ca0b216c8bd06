"""Checkpoints: folders that appear whole or not at all; the newest is where an interrupted run goes on.

``weights.safetensors``, ``optimizer.pt`` (loadable with ``weights_only=True``) and ``state.json``.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from model.captioner import Captioner
from model.directory import load_weights, save_weights
from model.errors import RunError, UserError, first_line
from model.files import CHECKPOINT_PREFIX, atomic_path, read_json, sync_folder, write_json

STATE = {"settings", "epoch", "step", "loss_sum", "seconds", "plateau", "history"}  # what state.json holds


def save_checkpoint(
    run: Path, name: str, captioner: Captioner, optimizer: dict[str, Any], state: dict[str, Any]
) -> None:
    """Write a checkpoint, then remove the older ones.

    Args:
        run: the run's folder.
        name: sorts behind the names before it.
        captioner: the model.
        optimizer: tensors, numbers and texts only.
        state: JSON values.

    Raises:
        RunError: the disk has too little room.
    """
    assert state.keys() == STATE, f"a checkpoint's state has {sorted(state)}"
    run.mkdir(parents=True, exist_ok=True)
    # weights, their average and Adam's two moments, while the last checkpoint still stands
    needed = 4 * sum(value.nbytes for value in captioner.state_dict().values())
    free = shutil.disk_usage(run).free
    if free < needed:
        raise RunError(
            f"{run} has {free / 1e6:.0f} MB free, a checkpoint needs {needed / 1e6:.0f} MB: make room, then resume"
        )
    final = run / f"{CHECKPOINT_PREFIX}{name}"
    partial = run / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_weights(partial / "weights.safetensors", captioner)
    with atomic_path(partial / "optimizer.pt") as path:
        try:
            torch.save(optimizer, path)
        except RuntimeError as error:  # of its writer, which an interruption left in the middle
            if error.__context__ is not None and not isinstance(error.__context__, Exception):
                raise error.__context__ from None
            raise
    write_json(partial / "state.json", state)
    shutil.rmtree(final, ignore_errors=True)
    os.rename(partial, final)  # noqa: PTH104 - the one step that makes it count
    sync_folder(run)
    for older in run.glob(f"{CHECKPOINT_PREFIX}*"):
        if older != final:
            shutil.rmtree(older)


def newest_checkpoint(run: Path) -> Path | None:
    """The folder of the newest whole checkpoint; what was left half-written is removed."""
    for partial in run.glob(f".{CHECKPOINT_PREFIX}*.partial"):
        shutil.rmtree(partial)
    return max(run.glob(f"{CHECKPOINT_PREFIX}*"), default=None)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The JSON values of a checkpoint. Raises UserError if it is damaged."""
    try:
        state = read_json(checkpoint / "state.json")
    except (OSError, ValueError) as error:
        raise _damaged(checkpoint, first_line(error)) from None
    if not isinstance(state, dict) or not state.keys() >= STATE:
        raise _damaged(checkpoint, "state.json lacks values")
    return state


def load_checkpoint(checkpoint: Path, captioner: Captioner, device: torch.device) -> dict[str, Any]:
    """Fill the model; give the optimizer's part back. Raises UserError if it is damaged, or of another model."""
    load_weights(checkpoint / "weights.safetensors", captioner)
    try:
        optimizer: dict[str, Any] = torch.load(checkpoint / "optimizer.pt", map_location=device, weights_only=True)
    except Exception as error:  # torch raises nearly anything on damaged bytes
        raise _damaged(checkpoint, first_line(error)) from None
    return optimizer


def _damaged(checkpoint: Path, why: str) -> UserError:
    return UserError(f"{checkpoint} cannot be read ({why}): delete it to start again")
