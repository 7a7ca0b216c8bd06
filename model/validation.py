"""How good the model is on the validation split: free-running scores, and loss under teacher forcing.

Processes share the pictures; the scores are those of one process alone.
B pictures, C captions of theirs, T words, R packed rows, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model import distributed
from model.captioner import Captioner
from model.dataset import Seen, Split
from model.decoder import Taught, padded
from model.grid import Grid
from model.metrics.bleu import REFERENCE_WORDS, bleu, bleu_counts, bleu_of_counts
from model.metrics.cider import cider_d
from model.objective import Loss, caption_loss, total_loss
from model.search import search
from model.settings import SearchConfig
from model.vocabulary import Vocabulary

COUNTS = REFERENCE_WORDS + 1


@dataclass(frozen=True)
class Validation:
    """What validation found.

    loss: as in training, without dropout and label smoothing. scores: bleu_1 … bleu_4, cider_d (free-running) and
    bleu_4_teacher_forced (the true words and the true length given, as older work reports it).
    hypotheses: the words written for each picture, in the split's order.
    """

    loss: float
    scores: dict[str, float]
    hypotheses: list[list[str]]


@torch.no_grad()
def validate(
    captioner: Captioner,
    seen: Seen,
    own: tuple[int, int] | None,
    split: Split,
    vocabulary: Vocabulary,
    *,
    search_config: SearchConfig,
    batch_size: int,
    regularisation: float,
    on_progress: Callable[[int, int], None],
) -> Validation:
    """Describe every picture of a split and compare with its references.

    Args:
        captioner: the model; left in evaluation mode.
        seen: pictures, or cached features of grid `own`.
        own: None for pictures.
        split: what to validate on.
        vocabulary: the model's words.
        search_config: how descriptions are searched for.
        batch_size: pictures at a time.
        regularisation: weight of the attention's term in the loss.
        on_progress: called with pictures done, and their number.
    """
    captioner.eval()
    device = captioner.encoder.mean.device
    rank, processes = distributed.rank(), distributed.processes()
    count = len(split.rows)
    # every process describes as many, so that they meet in `gather_rows`; what is doubled is dropped there
    mine = np.arange(rank, -(-count // processes) * processes, processes) % count
    real = np.arange(rank, rank + len(mine) * processes, processes) < count
    captions_of: list[list[int]] = [[] for _ in range(count)]
    for caption, picture in enumerate(split.owner):
        captions_of[picture].append(caption)

    written = torch.full((len(mine), search_config.max_words), -1, dtype=torch.long, device=device)
    entropy = term = words = captions = 0.0
    forced = np.zeros(COUNTS, np.int64)
    for first in range(0, len(mine), batch_size):
        pictures = mine[first : first + batch_size]
        rows = split.rows[pictures]
        grid = captioner.grid(torch.from_numpy(seen.read(rows, np.zeros(len(rows), bool))).to(device), own)
        for place, hypothesis in enumerate(search(captioner.decoder, grid, vocabulary, search_config)):
            written[first + place, : len(hypothesis.words)] = torch.tensor(hypothesis.words, device=device)
        pairs = [
            (place, caption)
            for place, picture in enumerate(pictures)
            if real[first + place]
            for caption in captions_of[picture]
        ]
        for start in range(0, len(pairs), batch_size):
            some = pairs[start : start + batch_size]
            taught, order = teach(
                captioner, grid, [place for place, _ in some], [split.captions[own] for _, own in some]
            )
            loss = caption_loss(taught, captions=len(some))
            entropy, term = entropy + loss.entropy.item(), term + loss.regularisation.item()
            words, captions = words + loss.words, captions + loss.captions
            references = [split.references[split.owner[some[place][1]]] for place in order]
            forced += bleu_counts(references, forced_words(taught, len(some), vocabulary)).sum(0)
        on_progress(min((first + len(pictures)) * processes, count), count)

    hypotheses = [
        [vocabulary.words[index] for index in row if index >= 0]
        for row in distributed.gather_rows(written)[:count].tolist()
    ]
    entropy, term, words, captions, *summed = distributed.total([entropy, term, words, captions, *forced], device)
    sums = Loss(torch.tensor(entropy), torch.tensor(term), int(words), int(captions))
    loss_value = float(total_loss(sums, words=sums.words, captions=sums.captions, weight=regularisation))
    scores = bleu(split.references, hypotheses) | {
        "bleu_4_teacher_forced": float(bleu_of_counts(np.array(summed))[3]),
        "cider_d": cider_d(split.references, hypotheses),
    }
    return Validation(loss_value, scores, hypotheses)


def teach(
    captioner: Captioner, grid: Grid, rows: Sequence[int], captions: Sequence[Sequence[int]]
) -> tuple[Taught, list[int]]:
    """Feed captions in, each with its row of the grid.

    Returns:
        What that gives, by falling length of the captions, and the place of each among those given.
    """
    order = sorted(range(len(captions)), key=lambda place: -len(captions[place]))
    lengths = [len(captions[place]) for place in order]
    inputs = padded([captions[place] for place in order])  # (C, T)
    device = grid.features.device
    chosen = grid.select(torch.tensor([rows[place] for place in order], device=device))  # (C, N, D)
    taught: Taught = captioner.decoder(chosen, inputs.to(device), lengths)
    return taught, order


def forced_words(taught: Taught, count: int, vocabulary: Vocabulary) -> list[list[str]]:
    """The likeliest word at each place of each caption."""
    hypotheses: list[list[str]] = [[] for _ in range(count)]
    likeliest: Tensor = taught.logits.argmax(1)  # (R, V) -> (R,)
    for caption, index in zip(taught.caption.tolist(), likeliest.tolist(), strict=True):
        if index != vocabulary.end:
            hypotheses[caption].append(vocabulary.words[index])
    return hypotheses
