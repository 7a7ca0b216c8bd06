"""A second, simpler lesson for an encoder that starts from nothing: some place of the picture names each caption word.

The caption's own loss reaches the encoder through attention and a half-trained LSTM, and teaches it slowly. A layer
that is asked for every word of the caption at once teaches it what to look for, as the word detectors of Fang et al.
(arXiv 1411.4952, section 3) are taught: each position answers for itself, and the picture's answer is a smooth maximum
over positions (log-sum-exp, as in Pinheiro and Collobert, arXiv 1411.6228), since a collar, or the second colour
of a print, stands in few of them. Describing does without it, so no model directory holds it.
B batch, T words, N positions, D encoder, V vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.grid import Grid


class WordHead(nn.Linear):
    """Which words stand in the caption, from the features of each position."""

    def __init__(self, *, encoder_size: int, vocabulary_size: int) -> None:
        super().__init__(encoder_size, vocabulary_size)

    def loss(self, grid: Grid, captions: Tensor) -> Tensor:
        """Binary cross-entropy, summed over the vocabulary and over the captions.

        Args:
            grid: B pictures.
            captions: (B, T) indices, padded with 0, which is no word.
        """
        answers = self(grid.features)  # (B, N, V)
        logits = answers.logsumexp(1) - math.log(answers.shape[1])  # (B, V)
        present = torch.zeros_like(logits).scatter_(1, captions, 1.0)  # (B, V)
        return functional.binary_cross_entropy_with_logits(logits[:, 1:], present[:, 1:], reduction="sum")
