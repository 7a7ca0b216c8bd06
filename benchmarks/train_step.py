"""How long a training step takes, against a plain decoder: `python -m benchmarks.train_step [--device cuda]`.

Shapes of the paper preset: batch 32, ResNet-101's features of 256 px (8 x 8 x 2048, pooled to 14 x 14), captions of
8 to 30 words, vocabulary 6,004. On a GPU also the whole step, against the encoder alone and the plain step in fp32.
"""

import argparse
import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.reference import ReferenceDecoder
from benchmarks.timing import alternate, machine
from model.captioner import Captioner
from model.decoder import Decoder
from model.device import choose_device
from model.grid import attention_grid
from model.objective import caption_loss, total_loss
from model.settings import DecoderConfig, EncoderConfig

BATCH, OWN, GRID, ENCODER, VOCABULARY, SIZE_PX = 32, 8, 14, 2048, 6004, 256


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
    """Forward and backward of the decoder, three ways; each gives its loss and gradients."""
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(dropout=0.0), vocabulary_size=VOCABULARY, encoder_size=ENCODER).to(device)
    maps = torch.randn(BATCH, ENCODER, OWN, OWN, device=device, requires_grad=True)
    captions, lengths = captions_of_the_paper()
    captions = captions.to(device)

    def ours() -> Tensor:
        grid = attention_grid(maps.flatten(2).transpose(1, 2).contiguous(), (OWN, OWN), GRID)
        sums = caption_loss(decoder(grid, captions, lengths), captions=BATCH)
        return total_loss(sums, words=sums.words, captions=BATCH, weight=1.0)

    def gradients(loss: Callable[[], Tensor]) -> Callable[[], dict[str, Tensor]]:
        def run() -> dict[str, Tensor]:
            value = loss()
            names = [name for name, _ in decoder.named_parameters()]
            found = torch.autograd.grad(value, [maps, *decoder.parameters()])
            return {"loss": value.detach(), **dict(zip(["features", *names], found, strict=True))}

        return run

    plain, once = ReferenceDecoder(decoder), ReferenceDecoder(decoder, project_once=True)
    return {
        "plain": gradients(lambda: plain(maps, captions, lengths)),
        "plain, projected once": gradients(lambda: once(maps, captions, lengths)),
        "ours": gradients(ours),
    }


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> str:
    """The largest relative difference (in the 2-norm) and where."""
    differences = {name: float((one[name] - other[name]).norm() / one[name].norm()) for name in one}
    name = max(differences, key=differences.__getitem__)
    return f"{differences[name]:.1e} ({name})"


def whole_steps(device: torch.device) -> dict[str, Callable[[], object]]:
    """On a GPU: the encoder alone, our whole step, and the plain step in fp32."""
    torch.manual_seed(0)
    config = EncoderConfig(weights="none", grid=GRID)
    captioner = Captioner(encoder=config, decoder=DecoderConfig(), vocabulary_size=VOCABULARY).to(device)
    optimizer = torch.optim.Adam(captioner.parameters(), fused=True)
    reference = ReferenceDecoder(captioner.decoder)
    plain_optimizer = torch.optim.Adam(captioner.parameters())
    pictures = torch.randint(0, 256, (BATCH, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, device=device)
    captions, lengths = captions_of_the_paper()
    captions = captions.to(device)

    def encoder_alone() -> None:
        captioner.precision = torch.bfloat16
        with torch.autocast(device.type, torch.bfloat16):
            features, _ = captioner.encoder(pictures)
        features.float().sum().backward()

    def ours() -> None:
        captioner.precision = torch.bfloat16
        taught = captioner(pictures, captions, lengths)
        sums = caption_loss(taught, captions=BATCH)
        total_loss(sums, words=sums.words, captions=BATCH, weight=1.0).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_value_(captioner.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    def plain() -> None:
        torch.set_float32_matmul_precision("highest")
        features, (rows, columns) = captioner.encoder(pictures)
        maps = features.transpose(1, 2).unflatten(2, (rows, columns))
        reference(maps, captions, lengths).backward()
        nn.utils.clip_grad_value_(captioner.parameters(), 5.0)
        plain_optimizer.step()
        plain_optimizer.zero_grad()
        torch.set_float32_matmul_precision("high")

    return {"encoder alone, bf16": encoder_alone, "plain, fp32": plain, "ours, bf16": ours}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    print(machine(device))
    steps = decoder_steps(device)
    results = {name: run() for name, run in steps.items()}
    for name in ("plain, projected once", "ours"):
        print(f"loss and gradients, {name} against plain: {largest_difference(results['plain'], results[name])}")
    del results
    seconds = alternate(steps, rounds=arguments.rounds, device=device)
    for name, value in seconds.items():
        print(f"decoder, forward + backward, {name:22} {value * 1000:8.1f} ms  {seconds['plain'] / value:5.2f}x")
    if device.type == "cuda":
        seconds = alternate(whole_steps(device), rounds=4 * arguments.rounds, device=device)
        for name, value in seconds.items():
            print(f"whole step, {name:22} {value * 1000:8.1f} ms")
        print(f"whole step, ours: {seconds['encoder alone, bf16'] / seconds['ours, bf16']:.0%} of the encoder alone,")
        print(f"{seconds['plain, fp32'] / seconds['ours, bf16']:.2f}x the plain step in fp32")


if __name__ == "__main__":
    main()
