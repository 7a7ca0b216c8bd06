"""CIDEr-D (Vedantam et al., 2015, with the clipping and the length penalty of its released code).

The value is pycocoevalcap's: on its scale a perfect sentence gets 10, and document frequencies come from the
references that are being scored.
"""

from collections import Counter
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from model.metrics.ngrams import Hypotheses, References, Sentence, check_pairs, ngrams

MAX_N = 4
SIGMA_WORDS = 6.0
SCALE = 10.0

Gram = tuple[str, ...]


def cider_d(references: References, hypotheses: Hypotheses) -> float:
    """CIDEr-D of the corpus: the mean of `cider_d_each`, 0 for no product."""
    scores = cider_d_each(references, hypotheses)
    return float(scores.mean()) if len(scores) else 0.0


def cider_d_each(references: References, hypotheses: Hypotheses) -> NDArray[np.float64]:
    """CIDEr-D of each product, (N,), 0 to 10. With one product every weight is 0, and so is the score."""
    check_pairs(references, hypotheses)
    judge = CiderD(references)
    return np.array([judge.score(product, words) for product, words in enumerate(hypotheses)], dtype=np.float64)


class CiderD:
    """Scores sentences of a corpus's products, whose references say how rare an n-gram is."""

    def __init__(self, references: References) -> None:
        counted = [[_orders(reference) for reference in group] for group in references]
        frequency: Counter[Gram] = Counter()
        for group in counted:
            frequency.update({gram for orders in group for order in orders for gram in order})
        self._unseen = log(max(1, len(references)))
        self._weight = {gram: self._unseen - log(count) for gram, count in frequency.items()}
        self._references = [[self._vectors(orders) for orders in group] for group in counted]

    def score(self, product: int, words: Sentence) -> float:
        """CIDEr-D of a sentence for a product, 0 to 10."""
        mine, group = self._vectors(_orders(words)), self._references[product]
        return SCALE * sum(_similarity(mine, reference) for reference in group) / len(group)

    def _vectors(self, orders: list[Counter[Gram]]) -> "_Vectors":
        return _Vectors(orders, self._weight, unseen=self._unseen)


def _orders(words: Sentence) -> list[Counter[Gram]]:
    return [ngrams(words, n) for n in range(1, MAX_N + 1)]


class _Vectors:
    """The TF-IDF vectors of one sentence, one for each n, with their lengths."""

    def __init__(self, orders: list[Counter[Gram]], weight: dict[Gram, float], *, unseen: float) -> None:
        self.vectors = [{gram: count * weight.get(gram, unseen) for gram, count in order.items()} for order in orders]
        self.norms = [sqrt(sum(value * value for value in vector.values())) for vector in self.vectors]
        self.bigrams = orders[1].total()  # the released code takes this for the sentence's length


def _similarity(mine: _Vectors, other: _Vectors) -> float:
    total = 0.0
    for vector, reference, norm, reference_norm in zip(
        mine.vectors, other.vectors, mine.norms, other.norms, strict=True
    ):
        if norm and reference_norm:
            product = 0.0
            for gram, value in vector.items():
                if gram in reference:
                    product += min(value, reference[gram]) * reference[gram]
            total += product / (norm * reference_norm)
    difference = mine.bigrams - other.bigrams
    return total / MAX_N * exp(-(difference**2) / (2 * SIGMA_WORDS**2))
