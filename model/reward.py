"""Learning from a score: the last epochs praise a sampled description for what it scores above its rivals.

The captions' loss teaches the next true word, and never what becomes of the model's own words. Here the model writes
several descriptions of a picture, as its probabilities have it, and each one's log-probability is raised by how much
better its CIDEr-D is than that of the others. Rennie et al., Self-critical sequence training (arXiv 1612.00563),
equation 8; the baseline is the mean of the other samples (Luo, arXiv 2003.09971), so nothing is written only to
compare with.

B pictures, K samples of each, T words, R packed rows, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model import distributed
from model.captioner import Captioner
from model.dataset import Batch, Split
from model.decoder import Decoder, State
from model.errors import RunError
from model.grid import Grid
from model.metrics.cider import CiderD
from model.search import NO_NUMBERS
from model.settings import TrainConfig
from model.vocabulary import END, Vocabulary

SAMPLES = 5  # descriptions of each picture
CAPTIONS_A_PICTURE = 2  # a step takes as many pictures as it took captions, divided by this: rewards are noisy
RATE = 0.025  # of the learning rates: rewards only refine, and four times as much took a captioner apart
# Probabilities are squared before a word is drawn: as captions taught them, they write sentences that none would keep.
SHARPNESS = 2.0


class Judge:
    """CIDEr-D of descriptions of training pictures; their end counts as a word, or none would learn to end well."""

    def __init__(self, training: Split, vocabulary: Vocabulary) -> None:
        self.words = vocabulary.words
        self.cider = CiderD([[[*words, END] for words in references] for references in training.references])

    def rewards(self, pictures: list[int], sampled: Tensor) -> Tensor:
        """CIDEr-D (B, K) of samples (B, K, T), padded with 0, of pictures of the split."""
        scores = [
            [self.cider.score(picture, [self.words[index] for index in sentence if index]) for sentence in sentences]
            for picture, sentences in zip(pictures, sampled.tolist(), strict=True)
        ]
        return torch.tensor(scores, device=sampled.device)


def policy(logits: Tensor, vocabulary: Vocabulary, *, first: bool) -> Tensor:
    """The logits (…, V) that words are drawn by: never ``<unk>``, and no end before the first word."""
    never = [*vocabulary.never_written, *([vocabulary.end] if first else [])]
    return (SHARPNESS * logits).index_fill(-1, torch.tensor(never, device=logits.device), -torch.inf)


@torch.no_grad()
def sample(decoder: Decoder, grid: Grid, vocabulary: Vocabulary, *, max_words: int) -> Tensor:
    """Write K descriptions of each picture, word by word by chance: (B, K, T), ends included, padded with 0.

    One that has `max_words` words has no end.

    Raises:
        RunError: the decoder's numbers are none any more.
    """
    keys, state = decoder.attention.keys(grid), decoder.first_state(grid)
    hidden, cell = (value.expand(-1, SAMPLES, -1) for value in (state.hidden, state.cell))  # (B, 1, H) -> (B, K, H)
    state = State(hidden, cell, None if state.hint is None else state.hint.expand(-1, SAMPLES, -1))
    last = torch.full(hidden.shape[:2], vocabulary.start, device=hidden.device)
    written: list[Tensor] = []
    while len(written) < max_words:
        logits, _, state = decoder.step(grid, keys, state, last)
        chances = policy(logits, vocabulary, first=not written).softmax(-1)
        if chances.isnan().any():
            raise RunError(NO_NUMBERS)
        drawn = torch.multinomial(chances.flatten(0, 1), 1).view_as(last)  # (B·K, V) -> (B, K)
        last = drawn.masked_fill((last == vocabulary.end) | (last == vocabulary.pad), vocabulary.pad)
        if not last.any():
            break
        written.append(last)
    return torch.stack(written, 2)


def praise(
    decoder: Decoder,
    grid: Grid,
    sampled: Tensor,
    rewards: Tensor,
    vocabulary: Vocabulary,
    precision: torch.dtype | None = None,
) -> Tensor:
    """What is minimised so that the expected reward rises: a sum over all samples.

    Args:
        decoder: what wrote them.
        grid: B pictures.
        sampled: (B, K, T), from `sample`.
        rewards: (B, K).
        vocabulary: its words.
        precision: see `Decoder.forward`.
    """
    others = (rewards.sum(1, keepdim=True) - rewards) / (SAMPLES - 1)
    captions = functional.pad(sampled.flatten(0, 1), (1, 0), value=vocabulary.start)  # (B, K, T) -> (B·K, 1 + T)
    lengths, order = (captions != vocabulary.pad).sum(1).sort(descending=True, stable=True)
    taught = decoder(grid.select(order // SAMPLES), captions[order], lengths.tolist(), precision)
    count = len(order)  # of the rows (R,), the first words' come first
    logits = torch.cat(
        [
            policy(taught.logits[:count], vocabulary, first=True),
            policy(taught.logits[count:], vocabulary, first=False),
        ]
    )  # (R, V)
    surprise = functional.cross_entropy(logits, taught.targets, reduction="none")  # (R,)
    better = (rewards - others).flatten()[order]  # (B, K) -> (B·K)
    return (better[taught.caption] * surprise).sum()


class RewardObjective(nn.Module):
    """A batch of pictures to its loss, as `model.step.Objective`; the batch's own captions are not looked at."""

    def __init__(
        self, captioner: Captioner, config: TrainConfig, own: tuple[int, int] | None, judge: Judge, words: Vocabulary
    ) -> None:
        super().__init__()
        self.captioner, self.config, self.own, self.judge, self.words = captioner, config, own, judge, words
        if (head := captioner.decoder.word_head) is not None:  # only true captions teach what its layers see
            head.whole.requires_grad_(False)
            head.places.requires_grad_(False)

    def forward(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        """The loss of this process's share, and the mean CIDEr-D of what it wrote, which is what training reports."""
        grid = self.captioner.grid(batch.look(device, cached=self.own is not None), self.own)
        decoder = self.captioner.decoder
        decoder.eval()  # it writes as it will, without dropout
        sampled = sample(decoder, grid, self.words, max_words=self.config.max_words)
        decoder.train()
        rewards = self.judge.rewards(batch.pictures, sampled)
        share = 0 if batch.idle else distributed.processes()
        scale = share / (batch.count * SAMPLES)
        loss = praise(decoder, grid, sampled, rewards, self.words, self.captioner.decoder_precision)
        return scale * loss, scale * rewards.sum()
