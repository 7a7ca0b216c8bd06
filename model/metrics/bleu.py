"""Corpus BLEU with several references (Papineni et al., 2002), without smoothing.

The value is that of nltk's `corpus_bleu`, which the tests hold it to, empty and short sentences included. It is kept
as counts a sentence, because a bootstrap has only to add up other sentences' counts.

N products, S = 10 counts a product: matches of 1- to 4-grams, 1- to 4-grams written, words written, words in the
reference of the closest length.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics.ngrams import Hypotheses, References, Sentence, check_pairs, ngrams

MAX_N = 4
WORDS, REFERENCE_WORDS = 2 * MAX_N, 2 * MAX_N + 1


def bleu(references: References, hypotheses: Hypotheses) -> dict[str, float]:
    """BLEU-1 to BLEU-4 of the corpus, 0 to 1, under ``bleu_1`` … ``bleu_4``.

    A sentence of fewer than n words counts as one n-gram written that matches nothing: nltk's rule. (sacrebleu counts
    none, so it gives more where sentences of fewer than four words occur; elsewhere the two agree.)
    """
    counts = bleu_counts(references, hypotheses).sum(axis=0)
    return {f"bleu_{n}": float(value) for n, value in enumerate(bleu_of_counts(counts), start=1)}


def bleu_counts(references: References, hypotheses: Hypotheses) -> NDArray[np.int64]:
    """The counts that BLEU is made of, (N, S): sums over products give the corpus's."""
    check_pairs(references, hypotheses)
    rows = [_counts(group, words) for group, words in zip(references, hypotheses, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(len(rows), 2 * MAX_N + 2)


def _counts(references: Sequence[Sentence], words: Sentence) -> list[int]:
    matches, written = [], []
    for n in range(1, MAX_N + 1):
        found = 0
        mine = ngrams(words, n)
        if mine:
            allowed = ngrams(references[0], n)
            for other in references[1:]:
                allowed |= ngrams(other, n)
            found = sum(min(count, allowed[gram]) for gram, count in mine.items() if gram in allowed)
        matches.append(found)
        written.append(max(1, len(words) - n + 1))
    closest = min((abs(len(reference) - len(words)), len(reference)) for reference in references)[1]
    return [*matches, *written, len(words), closest]


def bleu_of_counts(counts: NDArray[Any]) -> NDArray[np.float64]:
    """BLEU-1 to BLEU-4, (…, 4), of summed counts (…, S): geometric mean of the precisions × brevity penalty."""
    matches, written = counts[..., :MAX_N], counts[..., MAX_N : 2 * MAX_N]
    words, reference_words = counts[..., WORDS], counts[..., REFERENCE_WORDS]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_precision = np.log(matches / written)  # (…, 4); no match: -inf
        log_brevity = np.where(words > reference_words, 0.0, 1.0 - reference_words / words)
        log_mean = np.cumsum(log_precision, axis=-1) / np.arange(1, MAX_N + 1)
        values = np.exp(log_mean + log_brevity[..., None])
    return np.asarray(np.where(matches[..., :1] > 0, values, 0.0), dtype=np.float64)
