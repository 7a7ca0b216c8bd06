"""How sure a score is: 95 % intervals, and whether one model is better than another, by resampling products.

N products, R resamples, S counts a product.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics.bleu import bleu_counts, bleu_of_counts
from model.metrics.cider import cider_d_each
from model.metrics.ngrams import Hypotheses, References
from model.metrics.rouge import rouge_l_each

LEVEL = 0.95
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider_d", "rouge_l", "bertscore_f1")
RESAMPLES_AT_ONCE = 250  # in memory, a weight for each product


@dataclass(frozen=True, kw_only=True)
class PerProduct:
    """What the scores of a corpus are made of, product by product: sums and means of rows give the corpus's.

    Attributes:
        bleu: counts (N, S).
        means: score name -> (N,); the corpus's value is the mean.
    """

    bleu: NDArray[np.int64]
    means: Mapping[str, NDArray[np.float64]]

    def scores(self, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Scores of R resamples: weights (R, N) say how often each product stands in each."""
        found = {}
        bleu = bleu_of_counts(weights @ self.bleu)  # (R, N) @ (N, S) -> (R, S) -> (R, 4)
        for n in range(4):
            found[f"bleu_{n + 1}"] = bleu[:, n]
        for name, values in self.means.items():
            found[name] = weights @ values / weights.sum(axis=1)  # (R,)
        return found


def per_product(
    references: References, hypotheses: Hypotheses, *, bertscore_f1: NDArray[np.float64] | None = None
) -> PerProduct:
    """Score each product once. CIDEr-D keeps the document frequencies of the whole set in every resample."""
    means = {"cider_d": cider_d_each(references, hypotheses), "rouge_l": rouge_l_each(references, hypotheses)}
    if bertscore_f1 is not None:
        means["bertscore_f1"] = bertscore_f1
    return PerProduct(bleu=bleu_counts(references, hypotheses), means=means)


def corpus_scores(products: PerProduct) -> dict[str, float]:
    """The scores of all products."""
    count = len(products.bleu)
    if not count:
        return dict.fromkeys(("bleu_1", "bleu_2", "bleu_3", "bleu_4", *products.means), 0.0)
    return {name: float(values[0]) for name, values in products.scores(np.ones((1, count))).items()}


def intervals(products: PerProduct, *, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of every score; none for fewer than two products."""
    if len(products.bleu) < 2 or not resamples:
        return {}
    parts = [products.scores(weights) for weights in _weights(len(products.bleu), resamples, seed)]
    low, high = (1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2
    found = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        found[name] = (float(np.quantile(values, low)), float(np.quantile(values, high)))
    return found


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One score of two models on the same products.

    Attributes:
        metric: which score.
        first, second: its values.
        difference: second - first.
        low, high: 95 % interval of the difference.
        confidence: the share of resamples in which the second is better.
        second_is_better: whether `confidence` reaches the level asked for.
        products: how many products were compared on.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    confidence: float
    second_is_better: bool
    products: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(
    first: PerProduct,
    second: PerProduct,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int,
    seed: int,
    level: float = LEVEL,
) -> dict[str, Comparison]:
    """Paired bootstrap (Koehn, 2004): the same resamples for both models. Scores that either lacks are left out."""
    count = len(first.bleu)
    assert count == len(second.bleu), f"{count} products against {len(second.bleu)}"
    mine, theirs = corpus_scores(first), corpus_scores(second)
    names = [name for name in metrics if name in mine and name in theirs]
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for weights in _weights(count, resamples, seed) if count else ():
        before, after = first.scores(weights), second.scores(weights)
        for name in names:
            drawn[name].append(after[name] - before[name])
    found = {}
    for name in names:
        differences = np.concatenate(drawn[name]) if drawn[name] else np.zeros(1)
        confidence = float((differences > 0).mean())
        found[name] = Comparison(
            metric=name,
            first=mine[name],
            second=theirs[name],
            difference=theirs[name] - mine[name],
            low=float(np.quantile(differences, (1 - LEVEL) / 2)),
            high=float(np.quantile(differences, 1 - (1 - LEVEL) / 2)),
            confidence=confidence,
            second_is_better=confidence >= level,
            products=count,
        )
    return found


def _weights(count: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each of `count` products stands in each resample, (R, N): a part in memory at a time."""
    draw = np.random.default_rng(seed)
    even = np.full(count, 1 / count)
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        yield draw.multinomial(count, even, size=min(RESAMPLES_AT_ONCE, resamples - start)).astype(np.float64)
