"""What a model must beat to have looked at the pictures: one sentence for all, and its own sentences shuffled."""

import random
from collections import Counter
from collections.abc import Sequence
from math import sqrt

import numpy as np

from model.metrics.bleu import bleu_counts, bleu_of_counts
from model.metrics.ngrams import Sentence, ngrams

SENTENCES = 20_000  # 300 MB
CANDIDATES = 40
COMPARED = 1000


def constant_sentence(training: Sequence[Sentence], *, seed: int) -> list[str]:
    """The training sentence closest to the others: the best that a writer who never looks can say.

    Of up to `SENTENCES` of them, the nearest to the centre (cosine of the counts of 1- to 4-grams, each sentence at
    length 1) are tried as the description of up to `COMPARED` other training products; the one with the highest BLEU-4
    is it.

    Args:
        training: the training sentences, as words; at least one.
        seed: of both choices.
    """
    assert training, "no training sentence"
    distinct = list(dict.fromkeys(tuple(sentence) for sentence in training))
    if len(distinct) > SENTENCES:
        distinct = random.Random(seed).sample(distinct, SENTENCES)
    vectors = [_unit_vector(sentence) for sentence in distinct]
    centre: Counter[tuple[str, ...]] = Counter()
    for vector in vectors:
        for gram, value in vector.items():
            centre[gram] += value  # type: ignore[assignment]
    nearness = [sum(value * centre[gram] for gram, value in vector.items()) for vector in vectors]
    order = sorted(range(len(distinct)), key=lambda place: (-nearness[place], distinct[place]))[:CANDIDATES]
    others = random.Random(seed).sample(list(training), min(COMPARED, len(training)))
    references = [[other] for other in others]
    best = max(order, key=lambda place: _bleu_4(references, distinct[place]))
    return list(distinct[best])


def _unit_vector(sentence: Sentence) -> dict[tuple[str, ...], float]:
    counts = {gram: count for n in range(1, 5) for gram, count in ngrams(sentence, n).items()}
    length = sqrt(sum(count * count for count in counts.values())) or 1.0
    return {gram: count / length for gram, count in counts.items()}


def _bleu_4(references: Sequence[Sequence[Sentence]], sentence: Sentence) -> float:
    return float(bleu_of_counts(bleu_counts(references, [sentence] * len(references)).sum(axis=0))[3])


def shuffled(hypotheses: Sequence[Sentence], *, seed: int) -> list[list[str]]:
    """Each product gets the sentence that was written for another one's picture.

    The same as describing shuffled pictures, as a description depends on its picture alone.
    """
    count = len(hypotheses)
    order = np.random.default_rng(seed).permutation(count)
    source = {int(place): int(order[(index + 1) % count]) for index, place in enumerate(order)}
    return [list(hypotheses[source[place]]) for place in range(count)]
