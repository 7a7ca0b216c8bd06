"""Whether a challenger takes the champion's place: better by one score, beyond what chance would give."""

from dataclasses import dataclass

from model.configuration import check, check_choice, setting
from tasks.scoring.bootstrap import METRICS, Comparison


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When `retrain` makes the new model the champion. The defaults are measured: docs/experiments.md, The gate."""

    score: str = setting("cider_d", "the score that decides: bleu_1 … bleu_4, cider_d, rouge_l, bertscore_f1")
    confidence: float = setting(0.99, "share of the bootstrap's resamples in which the new model must be better")

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_choice("gate.score", self.score, METRICS)
        check(0.5 <= self.confidence < 1, "gate.confidence", self.confidence, "at least 0.5 and below 1")


# Of fewer, the bootstrap is surer than it may be: docs/experiments.md, The gate.
FEWEST_PRODUCTS = 20


def passes(found: Comparison) -> bool:
    """Whether the challenger takes the champion's place."""
    return found.second_is_better and found.products >= FEWEST_PRODUCTS


def in_words(found: Comparison, config: GateConfig) -> str:
    """'cider_d 1.234 against 1.100 (+0.134), better in 99.8 % of resamples of 431 products; 99.0 % are asked for'."""
    too_few = f", but fewer than {FEWEST_PRODUCTS} products tell nothing"
    return (
        f"{found.metric} {found.second:.3f} against {found.first:.3f} ({found.difference:+.3f}), better in "
        f"{found.confidence:.1%} of resamples of {found.products:,} products; {config.confidence:.1%} are asked for"
        + (too_few if found.products < FEWEST_PRODUCTS else "")
    )
