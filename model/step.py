"""One training step: a batch to its loss, gradients clipped by value, Adam."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model import distributed
from model.captioner import Captioner
from model.dataset import Batch, EpochBatches
from model.objective import caption_loss, total_loss
from model.settings import TrainConfig
from model.word_head import word_loss

TIMED_STEPS = 3


class Objective(nn.Module):
    """A batch to its loss: what DistributedDataParallel wraps."""

    def __init__(self, captioner: Captioner, config: TrainConfig, own: tuple[int, int] | None) -> None:
        super().__init__()
        self.captioner, self.config, self.own = captioner, config, own

    def forward(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        """The loss of this process's share, scaled so that the mean over processes is the whole batch's loss.

        Returns:
            What is learned from, and of it the captions' part, which is what training reports.
        """
        seen = batch.look(device, cached=self.own is not None)
        captions = batch.captions.to(device, non_blocking=True)
        taught = self.captioner(seen, captions, batch.lengths, self.own)
        loss = caption_loss(taught, captions=len(batch.lengths), label_smoothing=self.config.label_smoothing)
        share = 0 if batch.idle else distributed.processes()
        of_captions = share * total_loss(
            loss, words=batch.words, captions=batch.count, weight=self.config.regularisation
        )
        if taught.answers is None:
            return of_captions, of_captions
        of_words = share * self.config.word_loss * word_loss(taught.answers, captions) / batch.count
        return of_captions + of_words, of_captions


class Step:
    """The step of one stage, whose objective takes a batch to what is learned from, and to what is reported."""

    def __init__(
        self,
        captioner: Captioner,
        config: TrainConfig,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> None:
        self.captioner, self.config, self.optimizer, self.scaler = captioner, config, optimizer, scaler
        self.device = captioner.encoder.mean.device
        if distributed.processes() > 1:  # buffers are shared before validation, which alone looks at them
            objective = nn.parallel.DistributedDataParallel(objective, broadcast_buffers=False)
        self.objective = objective

    def __call__(self, batch: Batch, chances: Sequence[int]) -> Tensor:
        """Learn from a batch; all chance in it comes from `chances`, numbers of its own. Gives what is reported."""
        seed = np.random.SeedSequence(chances).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed >> np.uint64(1)))
        loss = self._backward(batch)
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_value_(self.captioner.parameters(), self.config.clip_value)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss

    def _backward(self, batch: Batch) -> Tensor:
        learned, reported = self.objective(batch, self.device)
        self.scaler.scale(learned).backward()
        told: Tensor = reported.detach()
        return told

    def measure_s(self, batches: EpochBatches) -> float:
        """Median seconds of a few steps that change nothing."""
        moved = {name: buffer.clone() for name, buffer in self.captioner.named_buffers()}
        times = []
        for index in range(TIMED_STEPS):
            start = time.perf_counter()
            self._backward(batches[index * len(batches) // TIMED_STEPS])
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        self.optimizer.zero_grad()
        for name, buffer in self.captioner.named_buffers():
            buffer.copy_(moved[name])
        return sorted(times)[TIMED_STEPS // 2]
