"""Writing descriptions: beam search over many pictures at once; one beam is greedy search.

B pictures, L looks at each (see `model.looks`), K beams, T words, P positions, V vocabulary.
A score of -inf marks a beam that holds nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.decoder import Decoder, State
from model.errors import RunError
from model.grid import Grid
from model.looks import Look
from model.settings import SearchConfig
from model.vocabulary import Vocabulary

NO_NUMBERS = (
    "The model's probabilities are no numbers: it was not trained well. "
    "Lower train.encoder_learning_rate and train.decoder_learning_rate"
)


@dataclass(frozen=True)
class Hypothesis:
    """One found sentence.

    words: indices, without ``<start>`` and ``<end>``. log_probability: of all words, and of ``<end>`` if `ended`.
    attention: (T, P) alpha of each word.
    """

    words: list[int]
    log_probability: float
    ended: bool
    attention: Tensor


@dataclass
class _Beams:
    """What is alive: `picture` (B,) says which picture of the batch each row belongs to."""

    picture: Tensor
    grid: Grid  # of L·B looks: all pictures, then all of the second look, ...
    keys: Tensor  # (L·B, P, A)
    state: State  # (L·B, K, H)
    scores: Tensor  # (B, K)
    words: Tensor  # (B, K, T)
    alphas: Tensor  # (B, K, T, P)

    def select(self, rows: Tensor) -> "_Beams":
        """Some pictures only, by a mask (B,)."""
        looks = rows.repeat(len(self.keys) // len(rows))  # (B,) -> (L·B,)
        rest = (self.scores[rows], self.words[rows], self.alphas[rows])
        return _Beams(self.picture[rows], self.grid.select(looks), self.keys[looks], self.state.select(looks), *rest)


@torch.no_grad()
def search(
    decoder: Decoder, grid: Grid, vocabulary: Vocabulary, config: SearchConfig, *, others: Sequence[Look] = ()
) -> list[Hypothesis]:
    """The best sentence of each picture.

    A picture is done when `beam_size` of its sentences have ended, or at `max_words`. The best ended sentence by
    normalised score wins; if none has ended, the best unended one. ``<unk>`` is never written.

    Args:
        decoder: in evaluation mode.
        grid: of B pictures.
        vocabulary: the model's words.
        config: how to search.
        others: more looks at them, on the same grid: a word's probability is then the mean of what all looks give it,
            and its attention the mean of all, mirrored ones turned back.

    Raises:
        RunError: the decoder's numbers are none.
    """
    batch, k, looks = len(grid.features), config.beam_size, 1 + len(others)
    device = grid.features.device
    features = torch.cat([grid.features, *(look.grid.features for look in others)])  # (L·B, N, D)
    seen = Grid(features, grid.pooling, grid.shape)
    ended: list[list[Hypothesis]] = [[] for _ in range(batch)]
    found: list[Hypothesis | None] = [None] * batch
    beams = _Beams(
        torch.arange(batch, device=device),
        seen,
        decoder.attention.keys(seen),
        decoder.first_state(seen),
        torch.zeros(batch, 1, device=device),
        torch.empty(batch, 1, 0, dtype=torch.long, device=device),
        torch.empty(batch, 1, 0, grid.positions, device=device),
    )
    for length in range(1, config.max_words + 1):
        last = beams.words[:, :, -1] if length > 1 else torch.full_like(beams.picture, vocabulary.start)[:, None]
        logits, alpha, state = decoder.step(beams.grid, beams.keys, beams.state, last.repeat(looks, 1))
        log_probabilities = logits.log_softmax(-1)  # (L·B, K, V)
        if others:
            each = torch.stack(log_probabilities.chunk(looks))  # (L·B, K, V) -> (L, B, K, V)
            log_probabilities = each.logsumexp(0) - math.log(looks)
            alpha = _mean_attention(alpha, grid.shape, others)
        _forbid(log_probabilities, beams.words, vocabulary, config, length)
        totals = beams.scores[:, :, None] + log_probabilities
        # K sentences may end at once, so 2K candidates hold K that go on
        scores, flat = totals.flatten(1).topk(min(2 * k, totals[0].numel()))  # (B, K·V) -> (B, 2K)
        if scores.isnan().any():  # such a score counts as the highest
            raise RunError(NO_NUMBERS)
        parent, word = flat // len(vocabulary), flat % len(vocabulary)
        ends = word == vocabulary.end
        for row, place in (ends[:, :k] & scores[:, :k].isfinite()).nonzero().tolist():
            beam = int(parent[row, place])
            hypothesis = _hypothesis(beams.words[row, beam], scores[row, place], beams.alphas[row, beam], ended=True)
            ended[int(beams.picture[row])].append(hypothesis)
        scores, order = scores.masked_fill(ends, -torch.inf).topk(min(k, scores.shape[1]))  # (B, K)
        parent, word = parent.gather(1, order), word.gather(1, order)
        row = torch.arange(len(parent), device=device)[:, None]
        beams.scores = scores
        every = torch.arange(looks * len(parent), device=device)[:, None]
        beams.state = state.select((every, parent.repeat(looks, 1)))
        beams.words = torch.cat([beams.words[row, parent], word[:, :, None]], 2)
        beams.alphas = torch.cat([beams.alphas, alpha[:, :, None]], 2)[row, parent]

        alive = torch.tensor([len(ended[picture]) < k for picture in beams.picture.tolist()], device=device)
        if length == config.max_words:
            for place in alive.nonzero().flatten().tolist():
                found[int(beams.picture[place])] = _hypothesis(
                    beams.words[place, 0], scores[place, 0], beams.alphas[place, 0], ended=False
                )
        elif not alive.any():
            break
        elif not alive.all():
            beams = beams.select(alive)

    def score(one: Hypothesis) -> float:
        # its ``<end>`` counts as a word
        return one.log_probability / math.pow(len(one.words) + 1, config.length_penalty)

    best = [max(several, key=score) if several else found[i] for i, several in enumerate(ended)]
    assert all(hypothesis is not None for hypothesis in best), "a picture without a description"
    return [hypothesis for hypothesis in best if hypothesis is not None]


def _mean_attention(alpha: Tensor, shape: tuple[int, int], others: Sequence[Look]) -> Tensor:
    """Of all looks (L·B, K, P), mirrored ones turned back: (B, K, P)."""
    maps = alpha.reshape(1 + len(others), -1, alpha.shape[1], *shape)  # (L·B, K, P) -> (L, B, K, rows, columns)
    turned = [maps[0], *(one.flip(3) if look.mirrored else one for one, look in zip(maps[1:], others, strict=True))]
    return torch.stack(turned).mean(0).flatten(2)  # (B, K, rows, columns) -> (B, K, P)


def _hypothesis(words: Tensor, log_probability: Tensor, attention: Tensor, *, ended: bool) -> Hypothesis:
    # a copy, as a view would keep the maps of all beams
    return Hypothesis(words.tolist(), float(log_probability), ended, attention.clone())


def _forbid(
    log_probabilities: Tensor, words: Tensor, vocabulary: Vocabulary, config: SearchConfig, length: int
) -> None:
    """Take what may not come next out of (B, K, V), in place."""
    end = log_probabilities[..., vocabulary.end].clone()
    log_probabilities[..., vocabulary.never_written] = -torch.inf
    if length <= config.min_words:
        log_probabilities[..., vocabulary.end] = -torch.inf
    n = config.no_repeat_ngram
    if n and words.shape[2] >= n:
        windows = words.unfold(2, n, 1)  # (B, K, T) -> (B, K, T - n + 1, n)
        suffix = words[:, :, words.shape[2] - n + 1 :]  # (B, K, n - 1)
        repeats = (windows[..., :-1] == suffix[:, :, None]).all(-1)
        row, beam, place = repeats.nonzero(as_tuple=True)
        log_probabilities[row, beam, windows[row, beam, place, -1]] = -torch.inf
    stuck = log_probabilities.isneginf().all(-1)  # every word is forbidden: then it may end
    log_probabilities[..., vocabulary.end] = torch.where(stuck, end, log_probabilities[..., vocabulary.end])
