"""A second, simpler lesson for an encoder that starts from nothing: the picture, and some place of it, names each word.

The caption's own loss reaches the encoder through attention and a half-trained LSTM, and teaches it slowly. Layers that
are asked for every word of the caption at once teach it what to look for. One reads the features' mean, which shows
what the whole is (a coat). One reads each position, and its answer is a smooth maximum over them (log-sum-exp, as in
Pinheiro and Collobert, arXiv 1411.6228), which finds what stands in few of them (the second colour of a print), as the
word detectors of Fang et al. (arXiv 1411.4952, section 3) do. Describing does without them, so no model directory holds
them. B batch, T words, N positions, D encoder, V vocabulary.
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

    def loss(self, grid: Grid, captions: Tensor) -> Tensor:
        """Binary cross-entropy of both answers, summed over the vocabulary and over the captions.

        Args:
            grid: B pictures.
            captions: (B, T) indices, padded with 0, which is no word.
        """
        places = self.places(grid.features)  # (B, N, V)
        somewhere = places.logsumexp(1) - math.log(places.shape[1])  # (B, V)
        logits = torch.stack([self.whole(grid.mean()), somewhere])  # (2, B, V)
        present = torch.zeros_like(somewhere).scatter_(1, captions, 1.0).expand_as(logits)  # (2, B, V)
        return functional.binary_cross_entropy_with_logits(logits[..., 1:], present[..., 1:], reduction="sum")
