"""How sure the model was of a word: the fast way against step by step; the wording around it does not matter."""

import math

import pytest
import torch

from model.certainty import certainties
from tests.model.parts import random_decoder, random_grid, small_vocabulary

WORDS = small_vocabulary(8)
KINDS = {"a": {"w0", "w1"}, "b": {"w2", "nowhere"}, "c": {"w3", "w1"}}
SENTENCES = [[3, 1, 6], [2, 8, 1, 2, 5], [7], []]


@torch.no_grad()
def test_it_is_what_step_by_step_probabilities_give() -> None:
    torch.manual_seed(3)
    decoder, grid = random_decoder(len(WORDS), sharpness=3.0), random_grid(len(SENTENCES))
    found = certainties(decoder, [grid], SENTENCES, WORDS, KINDS)
    for row, sentence in enumerate(SENTENCES):
        one = grid.select(torch.tensor([row]))
        state, keys, last = decoder.first_state(one), decoder.attention.keys(one), WORDS.start
        expected: dict[str, float] = {}
        for word in sentence:
            logits, _, state = decoder.step(one, keys, state, torch.tensor([[last]]))
            chances = logits[0, 0].softmax(-1).tolist()
            of_kind = {name for names in KINDS.values() for name in names if name in WORDS.indices}
            name = WORDS.words[word]
            if name in of_kind:
                own = {other for names in KINDS.values() if name in names for other in names} & of_kind
                share = sum(chances[WORDS.indices[other]] for other in own)
                share /= sum(chances[WORDS.indices[other]] for other in of_kind)
                expected[name] = min(share, expected.get(name, math.inf))
            last = word
        assert found[row] == pytest.approx(expected, abs=1e-6), sentence


@torch.no_grad()
def test_what_other_words_might_have_stood_there_does_not_matter() -> None:
    torch.manual_seed(3)
    decoder, grid = random_decoder(len(WORDS)), random_grid(1)
    before = certainties(decoder, [grid], [[3, 1, 6]], WORDS, KINDS)
    decoder.output.bias[[5, 6, 7, 8]] += 3.0
    assert certainties(decoder, [grid], [[3, 1, 6]], WORDS, KINDS) == [pytest.approx(before[0])]
    assert certainties(decoder, [grid], [[3, 1]], WORDS, {}) == [{}]
