"""Scoring 3,000 descriptions: BLEU-1 to 4, CIDEr-D and ROUGE-L, against pycocoevalcap's Bleu + Cider + Rouge.

    python -m benchmarks.scores [--products 3000] [--references 1]

Both are given the same sentences in the same process, alternating, the best of five; the aim is at most 3 times
pycocoevalcap's time. The values are compared too. BERTScore and the bootstrap are timed apart, without a reference.
"""

import argparse
import contextlib
import io
import os
import platform
import random
import time
from collections.abc import Callable
from typing import Any

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from model.metrics import bleu, cider_d, rouge_l
from tasks.scoring.bootstrap import intervals, per_product

ROUNDS = 5
WORDS_IN_ALL = 6000
MEAN_WORDS = 21


def corpus(products: int, references: int, seed: int) -> tuple[list[list[list[str]]], list[list[str]]]:
    """Sentences as a fashion catalogue has them: 6,000 words of falling frequency, 21 words a description."""
    draw = random.Random(seed)
    words = [f"w{number}" for number in range(WORDS_IN_ALL)]
    weights = [1 / (rank + 3) for rank in range(WORDS_IN_ALL)]
    groups = [
        [draw.choices(words, weights, k=draw.randint(8, 2 * MEAN_WORDS - 8)) for _ in range(references)]
        for _ in range(products)
    ]
    written = [
        [word if draw.random() < 0.5 else draw.choices(words, weights)[0] for word in group[0]] for group in groups
    ]
    return groups, written


def ours(groups: list[list[list[str]]], written: list[list[str]]) -> list[float]:
    """BLEU-1 to 4, CIDEr-D, ROUGE-L."""
    return [*bleu(groups, written).values(), cider_d(groups, written), rouge_l(groups, written)]


def theirs(groups: list[list[list[str]]], written: list[list[str]]) -> list[float]:
    """The same by pycocoevalcap, which takes sentences and splits them itself."""
    truth = {place: [" ".join(words) for words in group] for place, group in enumerate(groups)}
    found = {place: [" ".join(words)] for place, words in enumerate(written)}
    with contextlib.redirect_stdout(io.StringIO()):
        values = Bleu(4).compute_score(truth, found, verbose=0)[0]
        return [*values, Cider().compute_score(truth, found)[0], Rouge().compute_score(truth, found)[0]]


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Processor seconds of this process, and the result."""
    start = time.process_time()
    result = call(*arguments)
    return time.process_time() - start, result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=3000)
    parser.add_argument("--references", type=int, default=1)
    options = parser.parse_args()
    groups, written = corpus(options.products, options.references, seed=0)
    own, other = [], []
    for _ in range(ROUNDS):
        seconds, mine = timed(ours, groups, written)
        own.append(seconds)
        seconds, reference = timed(theirs, groups, written)
        other.append(seconds)
    difference = max(abs(one - two) for one, two in zip(mine, reference, strict=True))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{options.products:,} descriptions, {options.references} reference(s) each, "
        f"processor seconds, best of {ROUNDS}"
    )
    print(f"  ours           {min(own):6.2f} s")
    print(f"  pycocoevalcap  {min(other):6.2f} s")
    print(f"  ratio          {min(own) / min(other):6.2f}  (aim: at most 3)")
    print(f"  largest difference of a value: {difference:.1e}")
    seconds, each = timed(per_product, groups, written)
    resampling, _ = timed(lambda: intervals(each, resamples=1000, seed=0))
    print(f"  95 % intervals, 1,000 resamples: {resampling:.2f} s beside {seconds:.2f} s for the scores")


if __name__ == "__main__":
    main()
