"""Pictures that look alike, across splits: a difference hash and the mean colour. Reported, never dropped.

Shapes: N pictures, B of them at once, C channels (RGB), S sides in px, R × K cells of the hash.
Difference hash (dHash): N. Krawetz, "Kind of like that", 2013: whether each cell of a small grey picture is brighter
than its left neighbour.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.store import PictureStore
from model.text import SPLITS

HASH_ROWS, HASH_COLUMNS = 8, 9
MAX_BITS = 4  # of 64 that may differ
MAX_COLOUR = 10.0  # of 255, by which each channel's mean may differ
PICTURES_AT_ONCE, ROWS_AT_ONCE = 256, 1024
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True, slots=True)
class SimilarPair:
    """Two records of different splits whose pictures look alike; `bits` of the hash differ."""

    record_id: str
    split: str
    other_id: str
    other_split: str
    bits: int


def similar_pairs(stores: list[Path]) -> list[SimilarPair]:
    """Pairs across splits, the training side first, closest first.

    Args:
        stores: picture stores; absent ones, and pictures smaller than the hash, are passed over.
    """
    ids: list[str] = []
    splits: list[str] = []
    hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    colours: list[npt.NDArray[np.float32]] = [np.zeros((0, 3), np.float32)]
    for path in stores:
        if not path.is_file():
            continue
        store = PictureStore(path)
        if store.info.size_px < HASH_COLUMNS:
            continue
        for start in range(0, len(store), PICTURES_AT_ONCE):
            pictures = store.read(slice(start, start + PICTURES_AT_ONCE))
            hashes.append(difference_hash(pictures))
            colours.append(pictures.mean(axis=(2, 3), dtype=np.float32))
        ids += store.record_ids
        splits += store.splits
        store.close()
    return _pairs(ids, splits, np.concatenate(hashes), np.concatenate(colours))


def difference_hash(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Hashes of pictures uint8 (B, C, S, S), S at least 9: (B,), 64 bits each."""
    grey = np.einsum("bchw,c->bhw", pictures.astype(np.float32), GREY)  # (B, S, S)
    size = grey.shape[-1]
    tall = np.add.reduceat(grey, np.arange(HASH_ROWS) * size // HASH_ROWS, axis=1)  # (B, R, S)
    edges = np.arange(HASH_COLUMNS + 1) * size // HASH_COLUMNS
    cells = np.add.reduceat(tall, edges[:-1], axis=2) / np.diff(edges)  # (B, R, K)
    brighter = cells[:, :, 1:] > cells[:, :, :-1]  # (B, R, K - 1)
    packed = np.packbits(brighter.reshape(len(pictures), -1), axis=1)  # (B, 8)
    return np.ascontiguousarray(packed).view(np.uint64)[:, 0]


def _pairs(
    ids: list[str], splits: list[str], hashes: npt.NDArray[np.uint64], colours: npt.NDArray[np.float32]
) -> list[SimilarPair]:
    rank = np.array([SPLITS.index(split) for split in splits], np.int64)
    pairs: list[SimilarPair] = []
    for low_rank in range(len(SPLITS) - 1):
        high = np.flatnonzero(rank > low_rank)
        every = np.flatnonzero(rank == low_rank)
        for start in range(0, len(every), ROWS_AT_ONCE):
            low = every[start : start + ROWS_AT_ONCE]
            bits = np.bitwise_count(hashes[low][:, None] ^ hashes[high][None, :])  # (low, high)
            for row, column in np.argwhere(bits <= MAX_BITS):
                one, other = low[row], high[column]
                if np.abs(colours[one] - colours[other]).max() <= MAX_COLOUR:
                    pairs.append(SimilarPair(ids[one], splits[one], ids[other], splits[other], int(bits[row, column])))
    return sorted(pairs, key=lambda pair: pair.bits)
