"""When the learning rate falls, and when training stops."""

import math
from dataclasses import dataclass

WARM_UP = 0.05  # share of all steps in which the cosine's learning rate rises


def cosine(share: float) -> float:
    """What multiplies the learning rate after a share of all steps: a straight rise, then half a cosine down to 0.

    Loshchilov and Hutter, SGDR (arXiv 1608.03983), equation 5, without restarts.
    """
    return min(share / WARM_UP, 0.5 * (1 + math.cos(math.pi * share)))


@dataclass
class Plateau:
    """Counts epochs without a better score. `scale` multiplies the configured learning rates."""

    decay: float
    decay_patience_epochs: int
    stop_patience_epochs: int
    best: float = float("-inf")
    best_epoch: int = 0
    bad_epochs: int = 0
    scale: float = 1.0

    def better(self, score: float, epoch: int) -> bool:
        """Take an epoch's score; say whether it is the best so far."""
        if score > self.best:
            self.best, self.best_epoch, self.bad_epochs = score, epoch, 0
            return True
        self.bad_epochs += 1
        if self.bad_epochs % self.decay_patience_epochs == 0:
            self.scale *= self.decay
        return False

    @property
    def stopped(self) -> bool:
        """Whether the score has not got better for too long."""
        return self.bad_epochs >= self.stop_patience_epochs
