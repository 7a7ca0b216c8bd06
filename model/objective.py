"""What training minimises: the captions' cross-entropy, and attention that looks everywhere about equally often.

Xu et al., Show, Attend and Tell (arXiv 1502.03044), equation 14: doubly stochastic attention.
R packed rows, P positions, V vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from model.decoder import Taught


@dataclass(frozen=True)
class Loss:
    """Sums over a batch, so that parts of a batch add up: words' cross-entropy, captions' regularisation, counts."""

    entropy: Tensor
    regularisation: Tensor
    words: int
    captions: int


def caption_loss(taught: Taught, *, captions: int, label_smoothing: float = 0.0) -> Loss:
    """The two sums of a batch.

    The regularisation of one caption is the mean over positions of (1 - Σ_t α_t)².
    """
    entropy = functional.cross_entropy(taught.logits, taught.targets, reduction="sum", label_smoothing=label_smoothing)
    totals = taught.alphas.new_zeros(captions, taught.alphas.shape[1])  # (captions, P)
    totals = totals.index_add(0, taught.caption, taught.alphas)
    return Loss(entropy, ((1 - totals) ** 2).mean(1).sum(), len(taught.targets), captions)


def total_loss(loss: Loss, *, words: int, captions: int, weight: float) -> Tensor:
    """Mean cross-entropy a word plus the weighted mean regularisation a caption, of a batch of that many."""
    total: Tensor = loss.entropy / words + weight * loss.regularisation / captions
    return total
