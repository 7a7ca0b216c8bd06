"""N-grams of a sentence, and the shape that every score takes its sentences in."""

from collections import Counter
from collections.abc import Sequence

Sentence = Sequence[str]
References = Sequence[Sequence[Sentence]]
Hypotheses = Sequence[Sentence]


def ngrams(words: Sentence, n: int) -> Counter[tuple[str, ...]]:
    """How often each run of `n` words stands in the sentence; none in a shorter one."""
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def check_pairs(references: References, hypotheses: Hypotheses) -> None:
    """Assert one hypothesis for each product, and at least one reference for each."""
    assert len(references) == len(hypotheses), f"{len(references)} products, {len(hypotheses)} hypotheses"
    assert all(references), "a product without a reference"
