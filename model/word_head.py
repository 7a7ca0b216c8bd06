"""A second, simpler lesson for an encoder that starts from nothing: the picture as a whole names the caption's words.

The caption's own loss reaches the encoder through attention and a half-trained LSTM, and teaches it slowly. A layer
over the features' mean that is asked for every word at once (multi-label classification, as in Wu et al.,
arXiv 1506.01144, section 3.1) teaches it what to look for. Describing does without it, so no model directory holds it.
B batch, T words, D encoder, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.grid import Grid


class WordHead(nn.Linear):
    """Which words stand in the caption, from the mean of a picture's features."""

    def __init__(self, *, encoder_size: int, vocabulary_size: int) -> None:
        super().__init__(encoder_size, vocabulary_size)

    def loss(self, grid: Grid, captions: Tensor) -> Tensor:
        """Binary cross-entropy, summed over the vocabulary and over the captions.

        Args:
            grid: B pictures.
            captions: (B, T) indices, padded with 0, which is no word.
        """
        logits = self(grid.mean())  # (B, V)
        present = torch.zeros_like(logits).scatter_(1, captions, 1.0)  # (B, V)
        return functional.binary_cross_entropy_with_logits(logits[:, 1:], present[:, 1:], reduction="sum")
