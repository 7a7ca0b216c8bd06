"""BLEU-4 with the true words fed in and the true length given: only to compare with papers that report it so.

B pictures, T words, R packed rows, V vocabulary.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.describer import Describer
from model.metrics import bleu
from model.metrics.ngrams import References, Sentence

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

    As in `model.validation`: one sentence a reference, compared with all references of its product.

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
        pairs.sort(key=lambda pair: -len(pair[1]))
        for first in range(0, len(pairs), BATCH):
            some = pairs[first : first + BATCH]
            lengths = [len(indices) for _, indices in some]
            captions = torch.zeros(len(some), lengths[0], dtype=torch.long)  # (B, T)
            for place, (_, indices) in enumerate(some):
                captions[place, : lengths[place]] = torch.tensor(indices)
            chosen = grid.select(torch.tensor([row for row, _ in some], device=describer.device))
            taught = describer.captioner.decoder(chosen, captions.to(describer.device), lengths)
            written: list[list[str]] = [[] for _ in some]
            for caption, index in zip(taught.caption.tolist(), taught.logits.argmax(1).tolist(), strict=True):  # (R,)
                if index != vocabulary.end:
                    written[caption].append(vocabulary.words[index])
            hypotheses += written
            groups += [references[start + row] for row, _ in some]
    return bleu(groups, hypotheses)["bleu_4"]
