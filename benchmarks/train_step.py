"""How long a training step takes, against a plain decoder: `python -m benchmarks.train_step [--device cuda]`.

Shapes of the paper preset: batch 32, ResNet-101's features of 256 px (8 x 8 x 2048, pooled to 14 x 14), captions of
8 to 30 words, vocabulary 6,004. On a GPU also the whole step of training, against the encoder alone and the plain step
in fp32. What is compared for equality is in fp32 throughout (a GPU's products not in TF32 either).
"""

import argparse
import itertools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from benchmarks.reference import ReferenceDecoder
from benchmarks.timing import alternate, machine
from model.augmentation import views
from model.captioner import Captioner
from model.dataset import Batch
from model.decoder import Decoder
from model.device import choose_device
from model.grid import attention_grid
from model.objective import caption_loss, total_loss
from model.settings import DecoderConfig, EncoderConfig, TrainConfig
from model.step import Objective, Step

BATCH, OWN, GRID, ENCODER, VOCABULARY, SIZE_PX = 32, 8, 14, 2048, 6004, 256
AGREE = 1e-3  # of each gradient's norm
ENCODER_ALONE, OURS, PLAIN = "the encoder alone, bf16", "ours, bf16", "plain, fp32"


def captions_of_the_paper(seed: int = 0) -> tuple[Tensor, list[int]]:
    """Captions of 8 to 30 words by falling length; ``<start>`` and ``<end>`` counted."""
    generator = random.Random(seed)
    lengths = sorted((generator.randint(8, 30) + 2 for _ in range(BATCH)), reverse=True)
    captions = torch.zeros(BATCH, lengths[0], dtype=torch.long)
    for row, length in enumerate(lengths):
        captions[row, :length] = torch.tensor([generator.randrange(1, VOCABULARY - 3) for _ in range(length)])
        captions[row, 0], captions[row, length - 1] = VOCABULARY - 2, VOCABULARY - 1
    return captions, lengths


def decoder_steps(device: torch.device) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """Forward and backward of the decoder, several ways; each gives its loss and gradients."""
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(dropout=0.0), vocabulary_size=VOCABULARY, encoder_size=ENCODER).to(device)
    maps = torch.randn(BATCH, ENCODER, OWN, OWN, device=device, requires_grad=True)
    captions, lengths = captions_of_the_paper()
    captions = captions.to(device)

    def ours(precision: torch.dtype | None = None) -> Tensor:
        grid = attention_grid(maps.flatten(2).transpose(1, 2).contiguous(), (OWN, OWN), GRID)
        sums = caption_loss(decoder(grid, captions, lengths, precision), captions=BATCH)
        return total_loss(sums, words=sums.words, captions=BATCH, weight=1.0)

    def gradients(loss: Callable[[], Tensor]) -> Callable[[], dict[str, Tensor]]:
        def run() -> dict[str, Tensor]:
            value = loss()
            names = [name for name, _ in decoder.named_parameters()]
            found = torch.autograd.grad(value, [maps, *decoder.parameters()])
            return {"loss": value.detach(), **dict(zip(["features", *names], found, strict=True))}

        return run

    plain, once = ReferenceDecoder(decoder), ReferenceDecoder(decoder, project_once=True)
    steps = {
        "plain": gradients(lambda: plain(maps, captions, lengths)),
        "plain, projected once": gradients(lambda: once(maps, captions, lengths)),
        "ours": gradients(ours),
    }
    if device.type == "cuda":  # as training computes there
        steps["ours, bf16 and TF32"] = in_tf32(gradients(lambda: ours(torch.bfloat16)))
    return steps


def in_tf32(run: Callable[[], dict[str, Tensor]]) -> Callable[[], dict[str, Tensor]]:
    """The same with float32 products in TF32, as `choose_device` sets it for training."""

    def faster() -> dict[str, Tensor]:
        torch.set_float32_matmul_precision("high")
        found = run()
        torch.set_float32_matmul_precision("highest")
        return found

    return faster


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, str]:
    """The largest relative difference (in the 2-norm) and where."""
    differences = {name: float((one[name] - other[name]).norm() / one[name].norm()) for name in one}
    name = max(differences, key=differences.__getitem__)
    return differences[name], name


def paper_captioner(folder: Path, device: torch.device) -> Captioner:
    """The paper preset's model: given weights (random, which costs the same), so that batch norms stand still."""
    weights = folder / "resnet101.safetensors"
    # without zero_init_residual, random weights in evaluation mode overflow
    safetensors.torch.save_file(torchvision.models.resnet101(zero_init_residual=True).state_dict(), weights)
    config = EncoderConfig(weights=str(weights), grid=GRID)
    captioner = Captioner(encoder=config, decoder=DecoderConfig(), vocabulary_size=VOCABULARY)
    captioner.precision = torch.bfloat16
    return captioner.to(device).train()


def training_step(captioner: Captioner) -> Step:
    """Training's own step."""
    config = TrainConfig()
    groups = [{"params": list(part.parameters()), "lr": 1e-5} for part in (captioner.encoder, captioner.decoder)]
    optimizer = torch.optim.Adam(groups, fused=True)
    objective = Objective(captioner, config, None)
    return Step(captioner, config, objective, optimizer, torch.amp.GradScaler(enabled=False))


def whole_steps(folder: Path, device: torch.device) -> dict[str, Callable[[], object]]:
    """On a GPU: the encoder alone, training's own step, and the plain step in fp32, convolutions in TF32 and not."""
    torch.manual_seed(0)
    captioner = paper_captioner(folder, device)
    reference = ReferenceDecoder(captioner.decoder)
    plain_optimizer = torch.optim.Adam(captioner.parameters())
    captions, lengths = captions_of_the_paper()
    batch = Batch(
        pictures=list(range(BATCH)),
        seen=torch.randint(0, 256, (BATCH, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8),
        captions=captions,
        lengths=lengths,
        flip=torch.arange(BATCH) % 2 == 0,
        view=torch.from_numpy(views(np.linspace(-10, 10, BATCH), np.ones(BATCH), np.zeros((BATCH, 2)))),
        view_px=SIZE_PX,
        words=sum(lengths) - BATCH,
        count=BATCH,
        idle=False,
    ).pin_memory()
    pictures, captions = batch.seen.to(device), captions.to(device)
    step, number = training_step(captioner), itertools.count()

    def encoder_alone() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            features, _ = captioner.encoder(pictures)
        features.float().sum().backward()
        plain_optimizer.zero_grad()

    def ours() -> None:
        torch.set_float32_matmul_precision("high")
        step(batch, (1, next(number)))
        torch.set_float32_matmul_precision("highest")

    def plain(*, tf32: bool) -> Callable[[], None]:
        def run() -> None:
            torch.backends.cudnn.allow_tf32 = tf32
            features, (rows, columns) = captioner.encoder(pictures)
            reference(features.transpose(1, 2).unflatten(2, (rows, columns)), captions, lengths).backward()
            nn.utils.clip_grad_value_(captioner.parameters(), 5.0)
            plain_optimizer.step()
            plain_optimizer.zero_grad()
            torch.backends.cudnn.allow_tf32 = True

        return run

    return {
        ENCODER_ALONE: encoder_alone,
        OURS: ours,
        PLAIN: plain(tf32=False),
        f"{PLAIN}, convolutions in TF32": plain(tf32=True),  # PyTorch's default
    }


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    torch.set_float32_matmul_precision("highest")  # PyTorch's default, which the plain code has
    rounds = arguments.rounds * (4 if device.type == "cuda" else 1)
    print(machine(device))
    steps = decoder_steps(device)
    results = {name: run() for name, run in steps.items()}
    for name in list(steps)[1:]:
        difference, where = largest_difference(results["plain"], results[name])
        print(f"loss and gradients, {name} against plain: {difference:.1e} ({where})")
        assert difference < AGREE or "TF32" in name, f"{name} and plain are not the same"
    del results
    seconds = alternate(steps, rounds=rounds, device=device)
    for name, value in seconds.items():
        print(f"decoder, forward + backward, {name:22} {value * 1000:8.1f} ms  {seconds['plain'] / value:5.2f}x")
    if device.type == "cuda":
        with tempfile.TemporaryDirectory() as folder:
            seconds = alternate(whole_steps(Path(folder), device), rounds=rounds, device=device)
        for name, value in seconds.items():
            print(f"whole step, {name:40} {value * 1000:8.1f} ms  {value / seconds[OURS]:5.2f}x ours")
        print(f"whole step, ours: {seconds[ENCODER_ALONE] / seconds[OURS]:.0%} of the encoder alone")


if __name__ == "__main__":
    main()
