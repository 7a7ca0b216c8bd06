"""Validation is what the decoder gives word by word: the loss, the words under teacher forcing, free descriptions."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import corpus_bleu
from numpy.typing import NDArray

from model.captioner import Captioner
from model.dataset import Split
from model.search import search
from model.settings import SearchConfig
from model.validation import validate
from tests.model.parts import DECODER, ENCODER, random_decoder, small_vocabulary

OWN = (2, 2)  # rows and columns of the features
WORDS = small_vocabulary(5)
LENGTHS = [[4, 9], [6, 6], [3, 8], [7, 5], [9, 4]]  # words of each picture's captions, in no order


class Kept:
    """Features (rows, N, D) as a source of what is looked at."""

    def __init__(self, features: NDArray[np.float32]) -> None:
        self.features = features

    def read(self, rows: NDArray[np.int64], flip: NDArray[np.bool_]) -> NDArray[Any]:
        """The rows, none of them mirrored."""
        assert not flip.any()
        return self.features[rows]


@pytest.mark.parametrize("batch_size", [2, 5])
@torch.no_grad()
def test_loss_and_scores_are_those_of_each_caption_fed_in_word_by_word(batch_size: int) -> None:
    torch.manual_seed(5)
    captioner = Captioner(encoder=replace(ENCODER, grid=2), decoder=DECODER, vocabulary_size=len(WORDS)).train()
    size = captioner.encoder.size
    captioner.decoder = random_decoder(len(WORDS), encoder_size=size, dtype=torch.float32, sharpness=3.0)
    captioner.decoder.embedding.weight *= 5.0  # so that what is likeliest depends on the words before
    features = torch.randn(9, OWN[0] * OWN[1], size) / 20
    rows = np.array([7, 2, 8, 4, 0])
    captions = [
        [WORDS.start, *torch.randint(1, WORDS.unknown, (length,)).tolist(), WORDS.end]
        for several in LENGTHS
        for length in several
    ]
    owner = np.repeat(np.arange(len(rows)), 2)

    forced: list[list[str]] = []
    entropies, terms, ends = [], [], 0
    for caption, picture in zip(captions, owner, strict=True):
        grid = captioner.grid(features[[rows[picture]]], OWN)
        state, keys = captioner.decoder.first_state(grid), captioner.decoder.attention.keys(grid)
        likeliest, looked = [], torch.zeros(grid.positions)
        for word, following in itertools.pairwise(caption):
            logits, alpha, state = captioner.decoder.step(grid, keys, state, torch.tensor([[word]]))
            entropies.append(-logits[0, 0].log_softmax(-1)[following].item())
            likeliest.append(int(logits[0, 0].argmax()))
            looked += alpha[0, 0]
        terms.append(((1 - looked) ** 2).mean().item())
        ends += likeliest.count(WORDS.end)
        forced.append([WORDS.words[index] for index in likeliest if index != WORDS.end])
    # each picture's own words but the last ones
    references = [[[*words[:-1], "w0"] for words in forced[2 * picture : 2 * picture + 2]] for picture in range(5)]

    split = Split(rows, [f"r{row}" for row in rows], references, captions, owner, 0)
    config, told = SearchConfig(beam_size=3, max_words=12, length_penalty=1.0), []
    found = validate(
        captioner, Kept(features.numpy()), OWN, split, WORDS, search_config=config, batch_size=batch_size,
        regularisation=0.3, on_progress=lambda *progress: told.append(progress),
    )  # fmt: skip
    assert found.loss == pytest.approx(np.mean(entropies) + 0.3 * np.mean(terms), rel=1e-5)
    expected = corpus_bleu([references[picture] for picture in owner], forced)
    assert found.scores["bleu_4_teacher_forced"] == pytest.approx(expected, abs=1e-9)
    assert (0.2 < expected < 0.9, ends > 3) == (True, True), (expected, ends)
    assert len({len(words) for words in found.hypotheses}) > 1
    for row, words in zip(rows, found.hypotheses, strict=True):
        (alone,) = search(captioner.decoder, captioner.grid(features[[row]], OWN), WORDS, config)
        assert words == [WORDS.words[index] for index in alone.words]
    assert told == [(min(done + batch_size, 5), 5) for done in range(0, 5, batch_size)]
    assert not captioner.training
