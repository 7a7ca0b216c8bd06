"""BERTScore (Zhang et al., 2020) by its authors' package. Reported, never relied on: it cannot fail a run.

N products.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.config import ScoreConfig

logger = logging.getLogger(__name__)
MAX_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class BertScore:
    """Precision, recall and F1 of each product, (N,), and what they were computed with."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    conditions: str


@dataclass(frozen=True)
class NotComputed:
    """A score that could not be computed, and why."""

    reason: str


def bertscore(
    references: Sequence[Sequence[str]], hypotheses: Sequence[str], config: ScoreConfig, *, device: str = "cpu"
) -> BertScore | NotComputed:
    """BERTScore of each product: its best reference counts, an empty description scores 0.

    Args:
        references: the reference sentences of each product.
        hypotheses: the sentence written for each.
        config: model, layer, language, idf, rescaling.
        device: where the language model runs.
    """
    if not any(text.strip() for text in hypotheses):
        zeros = np.zeros(len(hypotheses))
        return BertScore(precision=zeros, recall=zeros, f1=zeros, conditions="every description is empty")
    loaded = _scorer(
        config.bertscore_model, config.bertscore_layer, config.bertscore_language, config.bertscore_rescale, device
    )
    if isinstance(loaded, NotComputed):
        return loaded
    try:
        return _score(*loaded, references, hypotheses, config)
    except Exception as error:
        return _not_computed(error)


def _not_computed(error: Exception) -> NotComputed:
    """A third party's model, from a hub or a folder: anything may go wrong, and none of it may fail a run."""
    logger.debug("BERTScore", exc_info=error)
    reason = (str(error).strip().splitlines() or [""])[0][:200]
    return NotComputed(f"{type(error).__name__}: {reason}")


@lru_cache(maxsize=1)
def _scorer(model: str, layer: int, language: str, rescale: bool, device: str) -> tuple[Any, str] | NotComputed:
    """The language model and its settings in words; kept, or its absence, for the next epoch."""
    if Path(model).is_absolute() and not Path(model).exists():
        return NotComputed(f"there is no language model at {model}")
    try:
        return _load(model, layer, language, rescale, device)
    except Exception as error:
        return _not_computed(error)


def _load(model: str, layer: int, language: str, rescale: bool, device: str) -> tuple[Any, str]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with _quiet():
        import bert_score
        from bert_score.utils import lang2model, model2layers

        name = model or lang2model[language.lower()]
        if not layer:
            layer = model2layers[name] if name in model2layers else _last_layer(name)
        scorer = bert_score.BERTScorer(model_type=name, num_layers=layer, lang=language, device=device, nthreads=0)
    # Some tokenizers state no bound, and long texts then overflow the model's positions.
    scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, MAX_TOKENS)
    shown = Path(name).name if Path(name).exists() else name
    words = f"{shown}, layer {layer}, language {language}"
    if rescale:
        has_baseline = Path(scorer.baseline_path).is_file()
        scorer._rescale_with_baseline = has_baseline
        words += ", rescaled" if has_baseline else ", not rescaled (bert-score has no baseline for it)"
    else:
        words += ", not rescaled"
    return scorer, words


def _last_layer(model: str) -> int:
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(model).num_hidden_layers)


def _score(
    scorer: Any,
    conditions: str,
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    config: ScoreConfig,
) -> BertScore:
    filled = [place for place, text in enumerate(hypotheses) if text.strip()]
    groups = [[text for text in references[place] if text.strip()] or ["."] for place in filled]
    with _quiet():
        scorer._idf = config.bertscore_idf
        if config.bertscore_idf:
            scorer.compute_idf([text for group in references for text in group])
        found = scorer.score([hypotheses[place] for place in filled], groups, batch_size=config.bertscore_batch_size)
    columns = np.zeros((3, len(hypotheses)))
    for row, values in enumerate(found):
        columns[row, filled] = values.double().numpy()
    idf = "idf" if config.bertscore_idf else "no idf"
    return BertScore(precision=columns[0], recall=columns[1], f1=columns[2], conditions=f"{conditions}, {idf}")


@contextlib.contextmanager
def _quiet() -> Any:
    """Its packages print and warn about weights that the score does not use."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
