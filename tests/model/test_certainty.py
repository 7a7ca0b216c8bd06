"""How sure the model was of a word: the fast way against step by step; the wording around it does not matter."""

import math

import pytest
import torch

from model.certainty import certainties
from tests.model.parts import random_decoder, random_grid, small_vocabulary

WORDS = small_vocabulary(8)
KINDS = {"a": {"w0", "w1"}, "b": {"w2", "nowhere"}, "c": {"w3", "w1"}}
SENTENCES = [[3, 1, 6], [2, 8, 1, 2, 5], [7], []]


@pytest.mark.parametrize("count", [1, 3])
@torch.no_grad()
def test_it_is_what_step_by_step_probabilities_give_and_the_mean_of_all_looks(count: int) -> None:
    torch.manual_seed(3)
    decoder = random_decoder(len(WORDS), sharpness=3.0)
    looks = [random_grid(len(SENTENCES)) for _ in range(count)]
    found = certainties(decoder, looks, SENTENCES, WORDS, KINDS)
    of_kind = {name for names in KINDS.values() for name in names if name in WORDS.indices}
    for row, sentence in enumerate(SENTENCES):
        ones = [look.select(torch.tensor([row])) for look in looks]
        keys = [decoder.attention.keys(one) for one in ones]
        states, last = [decoder.first_state(one) for one in ones], WORDS.start
        expected: dict[str, float] = {}
        for word in sentence:
            name, shares = WORDS.words[word], []
            own = {other for names in KINDS.values() if name in names for other in names} & of_kind
            for place, one in enumerate(ones):
                logits, _, states[place] = decoder.step(one, keys[place], states[place], torch.tensor([[last]]))
                chances = logits[0, 0].softmax(-1).tolist()
                mine, all_kinds = (sum(chances[WORDS.indices[name]] for name in names) for names in (own, of_kind))
                shares.append(mine / all_kinds)
            if name in of_kind:
                expected[name] = min(sum(shares) / count, expected.get(name, math.inf))
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
