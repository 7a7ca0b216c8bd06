"""METEOR (Banerjee and Lavie, 2005) by nltk, where its word data is on this machine: it is never downloaded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.metrics.ngrams import Hypotheses, References
from tasks.scoring.bertscore import NotComputed

METEOR_NOTE = "as nltk computes it (exact, stem and WordNet matches), the mean over products"


def meteor(references: References, hypotheses: Hypotheses) -> NDArray[np.float64] | NotComputed:
    """METEOR of each product, (N,): its best reference counts, an empty description scores 0.

    Reported, never relied on: it cannot fail a run.
    """
    from nltk.corpus import wordnet
    from nltk.translate.meteor_score import meteor_score

    try:
        wordnet.ensure_loaded()
        return np.array(
            [
                meteor_score([_plain(reference) for reference in group], _plain(words)) if words else 0.0
                for group, words in zip(references, hypotheses, strict=True)
            ]
        )
    except LookupError:
        return NotComputed("nltk finds no WordNet here: python -m nltk.downloader wordnet")
    except Exception as error:  # as after a download that was cut short: its tables are read only when they are asked
        return NotComputed(f"nltk's WordNet cannot be read ({error}): python -m nltk.downloader --force wordnet")


def _plain(words: Sequence[str]) -> list[str]:
    return list(words)
