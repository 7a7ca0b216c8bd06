"""A running average of the weights: what is validated and saved, while training goes on with the weights themselves.

The average of many steps forgets the noise of single ones, as a falling learning rate would.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential average of all of a model's tensors that hold fractions, batch-norm statistics included."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Average `model` with weight `decay` for the past; 0 keeps no average."""
        self.decay, self.steps = decay, 0
        self.live = [value for value in model.state_dict().values() if value.is_floating_point()] if decay else []
        self.average = [value.clone() for value in self.live]

    def update(self) -> None:
        """Take the weights after a step. The first steps weigh more, so that the beginning is soon forgotten."""
        if self.live:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(self.average, self.live, 1 - decay)
            self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average for as long as the block runs."""
        kept = [value.clone() for value in self.live]
        self._fill(self.live, self.average)
        try:
            yield
        finally:
            self._fill(self.live, kept)

    def state_dict(self) -> dict[str, int | list[Tensor]]:
        """For a checkpoint."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: dict[str, int | list[Tensor]]) -> None:
        """From a checkpoint."""
        assert isinstance(state["steps"], int)
        assert isinstance(state["average"], list)
        self.steps = state["steps"]
        self._fill(self.average, state["average"])

    @staticmethod
    @torch.no_grad()
    def _fill(targets: list[Tensor], values: list[Tensor]) -> None:
        for target, value in zip(targets, values, strict=True):
            target.copy_(value)
