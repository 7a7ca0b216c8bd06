"""How long describing takes, against picture-by-picture beam search: `python -m benchmarks.describe`.

256 pictures' features (8 x 8 x 2048, pooled to 14 x 14), vocabulary 6,004, 5 beams, 20 words each: `<end>` is kept
from being written, so that both do the same work and must find the same sentences. The plain search is timed on some
of the pictures, since its time is proportional to their number.
"""

import argparse

import torch

from benchmarks.reference import ReferenceDecoder
from benchmarks.timing import alternate, machine
from benchmarks.train_step import ENCODER, GRID, OWN, VOCABULARY
from model.decoder import Decoder
from model.describer import BATCH
from model.device import choose_device
from model.grid import attention_grid
from model.search import search
from model.settings import DecoderConfig, SearchConfig
from model.vocabulary import END, PAD, START, UNKNOWN, Vocabulary

PICTURES, BEAMS, WORDS = 256, 5, 20


@torch.no_grad()
def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-pictures", type=int, default=8)
    arguments = parser.parse_args()
    device, some = choose_device(arguments.device), arguments.plain_pictures
    print(machine(device))
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(), vocabulary_size=VOCABULARY, encoder_size=ENCODER).to(device).eval()
    decoder.output.weight.mul_(20)  # else every word is as likely as every other
    vocabulary = Vocabulary(
        {word: index for index, word in enumerate([PAD, *map(str, range(6000)), UNKNOWN, START, END])}
    )
    decoder.output.bias[vocabulary.end] = -1e9
    maps = torch.randn(PICTURES, ENCODER, OWN, OWN, device=device)
    features = maps.flatten(2).transpose(1, 2).contiguous()
    config = SearchConfig(beam_size=BEAMS, max_words=WORDS)

    def ours() -> list[list[int]]:
        found = []
        for first in range(0, PICTURES, BATCH):
            grid = attention_grid(features[first : first + BATCH], (OWN, OWN), GRID)
            found += [hypothesis.words for hypothesis in search(decoder, grid, vocabulary, config)]
        return found

    def plain(reference: ReferenceDecoder) -> list[list[int]]:
        never = [vocabulary.pad, vocabulary.unknown, vocabulary.start]
        settings = {"start": vocabulary.start, "end": vocabulary.end, "beams": BEAMS, "words": WORDS}
        return [reference.beam_search(maps[row : row + 1], never=never, **settings) for row in range(some)]

    reference, once = ReferenceDecoder(decoder).eval(), ReferenceDecoder(decoder, project_once=True).eval()
    same = sum(a == b for a, b in zip(ours(), plain(reference), strict=False))
    print(f"{same} of {some} sentences are the same")
    candidates = {"plain": lambda: plain(reference), "plain, projected once": lambda: plain(once), "ours": ours}
    seconds = alternate(candidates, rounds=arguments.rounds, device=device)
    each = {name: value / (PICTURES if name == "ours" else some) for name, value in seconds.items()}
    for name, value in each.items():
        print(f"beam search, {name:22} {value * 1000:8.1f} ms a picture  {each['plain'] / value:5.2f}x")


if __name__ == "__main__":
    main()
