"""Which words the picture calls for: a lesson of its own for the encoder, and a hint for the decoder.

The caption's own loss reaches an encoder through attention and a half-trained LSTM, and teaches one that starts from
nothing slowly. Layers that are asked for every word of the caption at once teach it what to look for. One reads the
features' mean, which shows what the whole is (a coat). One reads each position, and its answer is a smooth maximum over
them (log-sum-exp, as in Pinheiro and Collobert, arXiv 1411.6228), which finds what stands in few of them (the second
colour of a print), as the word detectors of Fang et al. (arXiv 1411.4952, section 3) do.

Their answers are then added to the decoder's, each word's by weights that are learned, until the word is written. An
LSTM alone prefers what it has read before: it has never read "navy scarf". The layers see navy, and a scarf, without
reading. B batch, T words, N positions, D encoder, V vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.grid import Grid


class WordHead(nn.Module):
    """Which words stand in the caption, by the whole picture and by its places."""

    def __init__(self, *, encoder_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.whole = nn.Linear(encoder_size, vocabulary_size)
        self.places = nn.Linear(encoder_size, vocabulary_size)
        self.trust = nn.Parameter(torch.tensor([0.25, 0.75]).repeat(vocabulary_size, 1))  # (V, 2): places tell more
        self.again = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, grid: Grid) -> Tensor:
        """Log-odds of each word, (2, B, V): by the whole, and by the places."""
        places = self.places(grid.features)  # (B, N, V)
        somewhere = places.logsumexp(1) - math.log(places.shape[1])  # (B, V)
        return torch.stack([self.whole(grid.mean()), somewhere])

    def hint(self, answers: Tensor) -> Tensor:
        """What is added to a word's logit until it is written, (B, V), of `forward`'s answers (2, B, V).

        The captions' loss teaches how far to trust the answers, but not the answers.
        """
        return torch.einsum("kbv,vk->bv", answers.detach(), self.trust)

    def hint_after(self, hint: Tensor, words: Tensor) -> Tensor:
        """The hint (B, K, V) once the words (B, K) are written too: for them, how often such words stand twice."""
        return hint.scatter(2, words[:, :, None], self.again[words][:, :, None])

    def hints_along(self, hint: Tensor, captions: Tensor) -> Tensor:
        """The hint (B, 1, V) at each place of known captions (B, T): (B, T, V)."""
        batch, length = captions.shape
        written = torch.zeros(batch, length, hint.shape[2], dtype=torch.bool, device=hint.device)
        written = written.scatter_(2, captions[:, :, None], True).cummax(1).values  # (B, T, V)
        return torch.where(written, self.again, hint)


def word_loss(answers: Tensor, captions: Tensor) -> Tensor:
    """Binary cross-entropy of both answers, summed over the vocabulary and over the captions.

    Args:
        answers: (2, B, V), from `WordHead.forward`.
        captions: (B, T) indices, padded with 0, which is no word.
    """
    present = torch.zeros_like(answers[0]).scatter_(1, captions, 1.0).expand_as(answers)  # (B, V) -> (2, B, V)
    return functional.binary_cross_entropy_with_logits(answers[..., 1:], present[..., 1:], reduction="sum")
