"""Training data: pictures of `train.h5` with their captions, cut into batches.

A batch's content depends on the seed, the epoch and its place alone: not on workers, processes or an interruption.
B batch, T words, S picture side, N the encoder's own positions, D encoder.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.augmentation import augment, views
from model.decoder import padded
from model.errors import UserError, first_line
from model.store import PictureStore
from model.vocabulary import Vocabulary

# Captions are sorted by length inside windows of this many batches: little padding, and still much chance.
BUCKET_BATCHES = 16


@dataclass(frozen=True)
class Split:
    """One split's pictures and captions.

    rows: (pictures,) rows of the picture file. references: each picture's captions, in words. captions: all captions
    encoded, and owner: (captions,) the picture of each, an index into rows.
    """

    rows: NDArray[np.int64]
    record_ids: list[str]
    references: list[list[list[str]]]
    captions: list[list[int]]
    owner: NDArray[np.int64]
    cut: int

    def one_caption_each(self) -> "Split":
        """The same pictures, each with its first caption alone."""
        pictures = np.arange(len(self.rows))
        first = np.searchsorted(self.owner, pictures)
        return replace(self, captions=[self.captions[place] for place in first], owner=pictures)

    def lengths(self, captions: Sequence[int]) -> list[int]:
        """How long captions are, ``<start>`` and ``<end>`` counted."""
        return [len(self.captions[caption]) for caption in captions]


def read_splits(
    store: PictureStore, captions: Path, vocabulary: Vocabulary, *, max_words: int
) -> tuple[Split, Split, str]:
    """The training and the validation split, and the digest of their captions.

    Raises:
        UserError: the captions are missing, belong to other pictures, or a split is empty.
    """
    try:
        table = pyarrow.parquet.read_table(captions, columns=["record_id", "split", "tokens"])
    except FileNotFoundError:
        raise UserError(f"{captions} does not exist: run the data stages first") from None
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise UserError(f"{captions} cannot be read ({reason}): run the data stages again") from None
    table = table.filter(np.array([split != "test" for split in table["split"].to_pylist()], bool))
    record_ids, splits, tokens = (table[name].to_pylist() for name in ("record_id", "split", "tokens"))
    if len(record_ids) != len(store):
        raise UserError(
            f"{captions} has captions of {len(record_ids)} training and validation pictures, {store.path} has "
            f"{len(store)} pictures: they are of different runs, run the data stages again"
        )
    if record_ids != store.record_ids or splits != store.splits:
        raise UserError(f"{captions} and {store.path} hold different records: run the data stages again")
    digest = hashlib.sha256(repr((record_ids, splits, tokens)).encode()).hexdigest()
    found = []
    for name in ("train", "validation"):
        rows = np.array([row for row, split in enumerate(splits) if split == name], np.int64)
        if not len(rows):
            raise UserError(f"{store.path} has no {name} pictures: raise sample.{name} or give more records")
        references = [tokens[row] for row in rows]
        owner = [picture for picture, several in enumerate(references) for _ in several]
        encoded = [vocabulary.encode(one, max_words) for several in references for one in several]
        found.append(
            Split(
                rows=rows,
                record_ids=[record_ids[row] for row in rows],
                references=references,
                captions=encoded,
                owner=np.array(owner, np.int64),
                cut=sum(len(one) > max_words for several in references for one in several),
            )
        )
    return found[0], found[1], digest


@dataclass
class Batch:
    """One process's share of a batch, captions by falling length.

    pictures: their places in the split. seen: pictures uint8 (B, 3, S, S), or cached features float16 (B, N, D).
    captions: (B, T), padded. flip: (B,) bool. view: (B, 2, 3), view_px: see `model.augmentation`. words, count: what
    the whole batch holds over all processes. idle: this process's share is empty; it computes one caption that counts
    nothing.
    """

    pictures: list[int]
    seen: Tensor
    captions: Tensor
    lengths: list[int]
    flip: Tensor
    view: Tensor
    view_px: int
    words: int
    count: int
    idle: bool

    def look(self, device: torch.device, *, cached: bool) -> Tensor:
        """What the model is shown: cached features as they are, pictures as `augment` makes them."""
        seen = self.seen.to(device, non_blocking=True)
        if cached:
            return seen
        return augment(seen, self.flip.to(device, non_blocking=True), self.view, view_px=self.view_px)

    def pin_memory(self) -> "Batch":
        """Called by the DataLoader, so that the copy to the GPU overlaps with computing."""
        self.seen, self.captions = self.seen.pin_memory(), self.captions.pin_memory()
        return self


class Seen(Protocol):
    """What a batch looks at: the picture file, or the feature cache."""

    def read(self, rows: NDArray[np.int64], flip: NDArray[np.bool_]) -> NDArray[Any]:
        """The rows, mirrored where `flip` says so if the source can, in the order asked for."""


class Pictures:
    """The picture file as a source; mirroring is left to the device."""

    def __init__(self, store: PictureStore) -> None:
        self.store = store

    def read(self, rows: NDArray[np.int64], flip: NDArray[np.bool_]) -> NDArray[Any]:  # noqa: ARG002
        """Pictures uint8 (B, 3, S, S)."""
        return self.store.read(rows)


class EpochBatches(torch.utils.data.Dataset[Batch]):
    """The batches of one epoch, one process's share of each. Every worker opens the files itself."""

    def __init__(
        self,
        seen: Seen,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        horizontal_flip: bool,
        rotation_degrees: float,
        jitter: float,
        view_px: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.seen, self.split, self.view_px = seen, split, view_px
        self.rank, self.processes = rank, processes
        generator = np.random.default_rng([seed, epoch])
        count = len(split.captions)
        self.batches = _bucket(split, batch_size, generator)
        self.flip = generator.random(count) < (0.5 if horizontal_flip else 0.0)
        turn_degrees = generator.uniform(-rotation_degrees, rotation_degrees, count)
        zoom = np.exp(generator.uniform(-jitter, jitter, count))
        self.view = views(turn_degrees, zoom, generator.uniform(-jitter, jitter, (count, 2)))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        whole = self.batches[index]
        whole = whole[np.argsort([-length for length in self.split.lengths(whole.tolist())], kind="stable")]
        mine = whole[self.rank :: self.processes]
        idle = not len(mine)
        mine = whole[-1:] if idle else mine
        pictures = self.split.owner[mine]
        return Batch(
            pictures=pictures.tolist(),
            seen=torch.from_numpy(self.seen.read(self.split.rows[pictures], self.flip[mine])),
            captions=padded([self.split.captions[caption] for caption in mine]),
            lengths=self.split.lengths(mine.tolist()),
            flip=torch.from_numpy(self.flip[mine]),
            view=torch.from_numpy(self.view[mine]),
            view_px=self.view_px,
            words=sum(self.split.lengths(whole.tolist())) - len(whole),
            count=len(whole),
            idle=idle,
        )


def _bucket(split: Split, batch_size: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    order = generator.permutation(len(split.captions))
    lengths = np.array([len(caption) for caption in split.captions])
    batches = []
    for first in range(0, len(order), BUCKET_BATCHES * batch_size):
        window = order[first : first + BUCKET_BATCHES * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[start : start + batch_size] for start in range(0, len(window), batch_size)]
    return [batches[place] for place in generator.permutation(len(batches))]
