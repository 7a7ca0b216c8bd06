"""Scores of sentences against references: plain functions on lists of words.

In every function `references[i]` holds the reference sentences of product i (at least one), and `hypotheses[i]` the
one sentence that was written for it. A sentence is a list of words.
"""

from model.metrics.bleu import bleu
from model.metrics.cider import cider_d
from model.metrics.diversity import diversity
from model.metrics.rouge import rouge_l

__all__ = ["bleu", "cider_d", "diversity", "rouge_l"]
