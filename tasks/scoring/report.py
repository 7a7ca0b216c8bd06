"""The score report: every number beside what it was measured on, and what a writer who never looks would get.

N products.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics import diversity
from model.metrics.ngrams import Hypotheses, References, Sentence
from tasks.scoring.attributes import attribute_scores
from tasks.scoring.baselines import shuffled
from tasks.scoring.bertscore import NotComputed, bertscore
from tasks.scoring.bootstrap import PerProduct, corpus_scores, intervals, per_product
from tasks.scoring.config import CONSTANT, SHUFFLED, ScoreConfig
from tasks.scoring.meteor import METEOR_NOTE, meteor


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a report's numbers were measured on. Stated with them wherever they stand.

    Attributes:
        data: the catalogue or dataset, by name or id.
        split: train, validation, test, all.
        decoding: free-running always; the search in words ("beam 5, at most 50 words").
        excluded: products that were left out because the model was trained on them.
        chose_epoch: the model's best epoch was chosen on these products, which flatters it a little.
    """

    data: str
    split: str
    decoding: str
    excluded: int = 0
    chose_epoch: bool = False

    @property
    def choice(self) -> str:
        """What must stand behind the name of the split: nothing if the products had no part in making the model."""
        return ", which chose the epoch" if self.chose_epoch else ""

    def sentence(self, products: int, references: float) -> str:
        """One line that can stand under a table."""
        left_out = f"; {self.excluded:,} left out, as the model was trained on them" if self.excluded else ""
        return (
            f"{self.split} split of {self.data}: {products:,} products{self.choice}, "
            f"{references:.1f} reference(s) each{left_out}; "
            f"free-running, {self.decoding}; corpus BLEU as nltk computes it, without smoothing"
        )


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """Scores of one model on one split.

    Attributes:
        conditions: what on.
        products: N.
        scores: fractions 0 to 1 under their names; `cider_d` on pycocoevalcap's scale; counts for distinct words.
        intervals: 95 % bootstrap intervals of the main ones.
        baselines: name (constant, shuffled, others given) -> scores.
        constant_sentence: the constant baseline's sentence.
        not_computed: score -> reason.
        notes: how scores that others compute otherwise were computed (bertscore, meteor).
    """

    conditions: Conditions
    products: int
    references_per_product: float
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    constant_sentence: str = ""
    not_computed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The conditions in one line."""
        return self.conditions.sentence(self.products, self.references_per_product)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` makes the report again."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ScoreReport":
        """The report that `to_json` was asked of."""
        conditions = Conditions(**value["conditions"])
        pairs = {name: (float(low), float(high)) for name, (low, high) in value["intervals"].items()}
        return cls(**{**value, "conditions": conditions, "intervals": pairs})


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A report, and the score of each product that it was made from."""

    report: ScoreReport
    each: PerProduct


def score(
    references: References,
    hypotheses: Hypotheses,
    config: ScoreConfig,
    conditions: Conditions,
    *,
    training: Collection[str] = (),
    constant: Sentence | None = None,
    attributes: Sequence[Sequence[str]] | None = None,
    ended: Sequence[bool] | None = None,
    teacher_forced_bleu_4: float | None = None,
    others: Mapping[str, Hypotheses] | None = None,
    device: str = "cpu",
) -> Scored:
    """Score free-running descriptions against their references.

    Args:
        references: of each product, as words; never cut.
        hypotheses: what was written for each, as words.
        config: which scores, and how.
        conditions: what on.
        training: the training descriptions, words joined by a space, for the share that stands there.
        constant: the constant baseline's sentence (`baselines.constant_sentence`).
        attributes: of each product, where the catalogue has them.
        ended: whether each description ended by itself before the limit of words.
        teacher_forced_bleu_4: the score with the true words fed in, reported under its own name.
        others: more writers to score beside the model, e.g. {"ceiling": …}.
        device: where BERTScore's language model runs.
    """
    measured = _measure(references, hypotheses, config, device=device)
    each = per_product(references, hypotheses, bertscore_f1=measured.f1)
    scores = corpus_scores(each) | measured.scores | diversity(hypotheses, training)
    if teacher_forced_bleu_4 is not None:
        scores["bleu_4_teacher_forced"] = teacher_forced_bleu_4
    if attributes is not None:
        scores |= attribute_scores(attributes, hypotheses)
    if ended:
        scores["ended"] = sum(ended) / len(ended)
    writers: dict[str, Hypotheses] = dict(others or {})
    if constant is not None:
        writers[CONSTANT] = [constant] * len(hypotheses)
    if len(hypotheses) > 1:
        writers[SHUFFLED] = shuffled(hypotheses, seed=config.seed)
    baselines = {}
    for name, sentences in writers.items():
        theirs = _measure(references, sentences, config, device=device, with_bertscore=measured.f1 is not None)
        baselines[name] = corpus_scores(per_product(references, sentences)) | theirs.scores
        if attributes is not None:
            baselines[name] |= attribute_scores(attributes, sentences)
    report = ScoreReport(
        conditions=conditions,
        products=len(hypotheses),
        references_per_product=sum(map(len, references)) / max(1, len(references)),
        scores=scores,
        intervals=intervals(each, resamples=config.intervals, seed=config.seed),
        baselines=baselines,
        constant_sentence=" ".join(constant or ()),
        not_computed=measured.not_computed,
        notes=measured.notes,
    )
    return Scored(report=report, each=each)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """The scores that need another's model or word data, as far as it is there."""

    f1: NDArray[np.float64] | None
    scores: dict[str, float]
    not_computed: dict[str, str]
    notes: dict[str, str]


def _measure(
    references: References, hypotheses: Hypotheses, config: ScoreConfig, *, device: str, with_bertscore: bool = True
) -> _Measured:
    f1: NDArray[np.float64] | None = None
    scores: dict[str, float] = {}
    not_computed: dict[str, str] = {}
    notes: dict[str, str] = {}
    if with_bertscore and config.bertscore != "never" and len(hypotheses):
        texts = [[" ".join(words) for words in group] for group in references]
        found = bertscore(texts, [" ".join(words) for words in hypotheses], config, device=device)
        if isinstance(found, NotComputed):
            not_computed["bertscore_f1"] = found.reason
        else:
            f1, notes["bertscore"] = found.f1, found.conditions
            scores["bertscore_precision"] = float(found.precision.mean())
            scores["bertscore_recall"] = float(found.recall.mean())
            scores["bertscore_f1"] = float(found.f1.mean())
    if config.meteor and len(hypotheses):
        each = meteor(references, hypotheses)
        if isinstance(each, NotComputed):
            not_computed["meteor"] = each.reason
        else:
            scores["meteor"] = float(each.mean())
            notes["meteor"] = METEOR_NOTE
    return _Measured(f1=f1, scores=scores, not_computed=not_computed, notes=notes)
