"""A frozen encoder's features, computed once and kept on disk.

B batch, N positions (the attention grid's if these are fewer than the encoder's own), D encoder, M the mirrored copies
(1 or 2).
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.encoder import Encoder
from model.errors import RunError, UserError, first_line
from model.files import atomic_path, read_json, remove_partial_files, sha256_file, write_json
from model.grid import attention_grid
from model.store import PictureStore

BATCH = 32
logger = logging.getLogger(__name__)


class FeatureCache:
    """A file of features float16 (M, rows, N, D). Every process and worker maps it itself."""

    def __init__(self, path: Path) -> None:
        facts = read_json(path.with_suffix(".json"))
        self.path = path
        self.own: tuple[int, int] = (facts["rows"], facts["columns"])
        self._features: NDArray[Any] | None = np.load(path, mmap_mode="r")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_features": None}

    def read(self, rows: NDArray[np.int64], flip: NDArray[np.bool_]) -> NDArray[Any]:
        """Features float16 (B, N, D), of the mirrored pictures where `flip` says so."""
        if self._features is None:
            self._features = np.load(self.path, mmap_mode="r")
        features: NDArray[Any] = self._features[flip.astype(np.int64), rows]
        return features


@torch.no_grad()
def cached_features(
    folder: Path,
    encoder: Encoder,
    store: PictureStore,
    *,
    mirrored: bool,
    on_progress: Callable[[str, int, int, str], None],
) -> FeatureCache:
    """The features of all pictures of a file, from the folder if they stand there, else computed.

    Args:
        folder: where the cache is kept.
        encoder: its weights are a part of the cache's name, as are the pictures' bytes.
        store: the pictures.
        mirrored: also those of the mirrored pictures, for training with flips.
        on_progress: called with (step, done, total, note).

    Raises:
        UserError: the disk has too little room.
        RunError: the features are no numbers.
    """
    path = folder / f"features-{_digest(encoder, store, mirrored)}.npy"
    if path.with_suffix(".json").is_file() and path.is_file():
        try:
            return FeatureCache(path)
        except (OSError, EOFError, ValueError, LookupError, TypeError) as error:  # copied in part, say
            logger.warning("%s cannot be read (%s): the features are computed again", path, first_line(error))
    encoder.eval()
    device = encoder.mean.device
    sample, own = _look(encoder, torch.from_numpy(store.read(slice(0, 1))).to(device))
    shape = (1 + mirrored, len(store), *sample.shape[1:])
    needed = int(np.prod(shape, dtype=np.int64)) * 2
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    logger.info("the frozen encoder's features take %.1f GB in %s", needed / 1e9, folder)
    if free < needed * 1.05:
        raise UserError(
            f"{folder} has {free / 1e9:.1f} GB free, the frozen encoder's features need {needed / 1e9:.1f} GB: "
            "make room, or set train.cache_features=false"
        )
    remove_partial_files(folder)
    with atomic_path(path) as partial:
        features = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
        if hasattr(os, "posix_fallocate"):  # the file has its room now: where a map's page has none, the process dies
            with partial.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
        for first in range(0, len(store), BATCH):
            pictures = torch.from_numpy(store.read(slice(first, first + BATCH))).to(device)
            for copy in range(shape[0]):
                seen, _ = _look(encoder, pictures.flip(3) if copy else pictures)
                half = seen.half()
                if not half.isfinite().all():
                    raise RunError(
                        "The frozen encoder's features do not fit half precision, or its weights are damaged: "
                        "set train.cache_features=false"
                    )
                features[copy, first : first + len(pictures)] = half.cpu().numpy()
            on_progress("features of the frozen encoder", min(first + BATCH, len(store)), len(store), "")
        features.flush()
        del features
    write_json(path.with_suffix(".json"), {"rows": own[0], "columns": own[1]})
    return FeatureCache(path)


def _look(encoder: Encoder, pictures: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Features (B, N, D) and their rows and columns: pooled already where the attention grid is the smaller one."""
    features, own = encoder(pictures)
    grid = attention_grid(features, own, encoder.config.grid)
    return grid.features, own if grid.pooling is not None else grid.shape


def _digest(encoder: Encoder, store: PictureStore, mirrored: bool) -> str:
    config = replace(encoder.config, weights="none")  # those are counted by their values
    looks = (sha256_file(Path(store.path)), config, mirrored)
    digest = hashlib.sha256(repr(looks).encode())
    for name, value in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
