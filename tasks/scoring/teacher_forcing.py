"""BLEU-4 with the true words fed in and the true length given: only to compare with papers that report it so.

B pictures.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.describer import Describer
from model.metrics import bleu
from model.metrics.ngrams import References, Sentence
from model.validation import forced_words, teach

BATCH = 32


@torch.no_grad()
def teacher_forced_bleu_4(
    describer: Describer,
    references: References,
    pictures: Callable[[Sequence[int]], NDArray[np.uint8]],
    *,
    max_words: int,
) -> float:
    """BLEU-4 of the likeliest word at each place of each reference, the true words before it given.

    One sentence a reference, compared with all references of its product.

    Args:
        describer: the model.
        references: of each product, as words.
        pictures: reads the pictures uint8 (B, 3, S, S) of some products.
        max_words: references are fed in up to here.
    """
    groups: list[Sequence[Sentence]] = []
    hypotheses: list[list[str]] = []
    vocabulary = describer.vocabulary
    for start in range(0, len(references), BATCH):
        rows = range(start, min(start + BATCH, len(references)))
        grid = describer.captioner.grid(torch.from_numpy(pictures(rows)).to(describer.device))
        pairs = [(row - start, vocabulary.encode(words, max_words)) for row in rows for words in references[row]]
        for first in range(0, len(pairs), BATCH):
            some = pairs[first : first + BATCH]
            taught, order = teach(describer.captioner, grid, [row for row, _ in some], [own for _, own in some])
            hypotheses += forced_words(taught, len(some), vocabulary)
            groups += [references[start + some[place][0]] for place in order]
    return bleu(groups, hypotheses)["bleu_4"]
