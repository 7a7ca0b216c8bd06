"""ROUGE-L (Lin, 2004) as pycocoevalcap computes it for captions.

The best precision and the best recall of the longest common subsequence over the references, joined with beta 1.2.
"""

import numpy as np
from numpy.typing import NDArray

from model.metrics.ngrams import Hypotheses, References, Sentence, check_pairs

BETA = 1.2


def rouge_l(references: References, hypotheses: Hypotheses) -> float:
    """ROUGE-L of the corpus, 0 to 1: the mean of `rouge_l_each`, 0 for no product."""
    scores = rouge_l_each(references, hypotheses)
    return float(scores.mean()) if len(scores) else 0.0


def rouge_l_each(references: References, hypotheses: Hypotheses) -> NDArray[np.float64]:
    """ROUGE-L of each product, (N,), 0 to 1. An empty sentence scores 0."""
    check_pairs(references, hypotheses)
    scores = []
    for group, words in zip(references, hypotheses, strict=True):
        common = [longest_common_subsequence(words, reference) for reference in group]
        precision = max(common) / max(1, len(words))
        recall = max(length / max(1, len(reference)) for length, reference in zip(common, group, strict=True))
        both = precision > 0 and recall > 0
        scores.append((1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if both else 0.0)
    return np.array(scores, dtype=np.float64)


def longest_common_subsequence(first: Sentence, second: Sentence) -> int:
    """How many words the two sentences have in common, in order.

    Bit-parallel (Hyyrö, 2004): one integer holds a row of the usual table, a zero bit where the length grows.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    row = full = (1 << len(first)) - 1
    for word in second:
        here = row & places.get(word, 0)
        row = (row + here) | (row - here)
    return (~row & full).bit_count()
