"""Beam search is exact where it can be told, and never writes what it must not."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from model.decoder import Decoder
from model.errors import SettingError
from model.grid import Grid
from model.looks import Look
from model.search import Hypothesis, search
from model.settings import SearchConfig
from model.vocabulary import Vocabulary
from tests.model.parts import random_decoder, random_grid, small_vocabulary

WORDS = small_vocabulary(3)


@torch.no_grad()
def log_probability(decoder: Decoder, grid: Grid, vocabulary: Vocabulary, words: list[int], *, ended: bool) -> float:
    """Of one sentence for one picture, word by word."""
    state, keys = decoder.first_state(grid), decoder.attention.keys(grid)
    total, last = 0.0, vocabulary.start
    for word in [*words, *([vocabulary.end] if ended else [])]:
        logits, _, state = decoder.step(grid, keys, state, torch.tensor([[last]]))
        total += float(logits[0, 0].log_softmax(-1)[word])
        last = word
    return total


def exhaustive(decoder: Decoder, grid: Grid, vocabulary: Vocabulary, config: SearchConfig) -> tuple[list[int], float]:
    """The best ended sentence of all."""
    candidates = []
    for length in range(config.min_words, config.max_words):
        for words in itertools.product(range(1, vocabulary.unknown), repeat=length):
            total = log_probability(decoder, grid, vocabulary, list(words), ended=True)
            candidates.append((total / (length + 1) ** config.length_penalty, list(words), total))
    _, best, total = max(candidates)
    return best, total


def greedy(decoder: Decoder, grid: Grid, vocabulary: Vocabulary, max_words: int) -> tuple[list[int], bool]:
    state, keys = decoder.first_state(grid), decoder.attention.keys(grid)
    words: list[int] = []
    while len(words) < max_words:
        last = words[-1] if words else vocabulary.start
        logits, _, state = decoder.step(grid, keys, state, torch.tensor([[last]]))
        logits[..., [vocabulary.pad, vocabulary.unknown, vocabulary.start]] = -math.inf
        if not words:
            logits[..., vocabulary.end] = -math.inf
        word = int(logits[0, 0].argmax())
        if word == vocabulary.end:
            return words, True
        words.append(word)
    return words, False


@torch.no_grad()
def plain_beams(decoder: Decoder, grid: Grid, vocabulary: Vocabulary, config: SearchConfig) -> tuple[list[int], bool]:
    """Beam search by its definition for one picture: its words, and whether they end."""
    alive, ended, keys = [(0.0, [vocabulary.start], decoder.first_state(grid))], [], decoder.attention.keys(grid)
    for length in range(1, config.max_words + 1):
        candidates = []
        for total, words, state in alive:
            logits, _, after = decoder.step(grid, keys, state, torch.tensor([[words[-1]]]))
            chances = logits[0, 0].log_softmax(-1).tolist()
            ends = [vocabulary.end] if length > config.min_words else []
            candidates += [(total + chances[w], [*words, w], after) for w in (*range(1, vocabulary.unknown), *ends)]
        candidates.sort(key=lambda one: -one[0])
        ended += [one for one in candidates[: config.beam_size] if one[1][-1] == vocabulary.end]
        alive = [one for one in candidates if one[1][-1] != vocabulary.end][: config.beam_size]
        if len(ended) >= config.beam_size:
            break
    if not ended:
        return alive[0][1][1:], False
    return max(ended, key=lambda one: one[0] / (len(one[1]) - 1) ** config.length_penalty)[1][1:-1], True


@torch.no_grad()
def found(
    seed: int, config: SearchConfig, pictures: int = 1, vocabulary: Vocabulary = WORDS
) -> tuple[Decoder, Grid, list[Hypothesis]]:
    torch.manual_seed(seed)
    decoder = random_decoder(len(vocabulary), sharpness=4.0, word_head=seed % 2 == 1)
    grid = random_grid(pictures)
    decoder.output.bias[vocabulary.end] += 2.0  # so that sentences of all lengths end
    return decoder, grid, search(decoder, grid, vocabulary, config)


def one(grid: Grid, row: int) -> Grid:
    return grid.select(torch.tensor([row]))


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("min_words", [0, 1, 2])
def test_a_wide_beam_on_a_small_vocabulary_is_exhaustive_search(penalty: float, min_words: int) -> None:
    config = SearchConfig(beam_size=81, max_words=4, min_words=min_words, length_penalty=penalty)
    for seed in range(2):
        decoder, grid, hypotheses = found(seed, config, pictures=2)
        for row, hypothesis in enumerate(hypotheses):
            words, total = exhaustive(decoder, one(grid, row), WORDS, config)
            assert (hypothesis.words, hypothesis.ended) == (words, True)
            assert hypothesis.log_probability == pytest.approx(total)


def test_one_beam_is_greedy_search() -> None:
    vocabulary = small_vocabulary(8)
    config = SearchConfig(beam_size=1, max_words=12, length_penalty=1.0)
    seen = set()
    for seed in range(20):
        decoder, grid, hypotheses = found(seed, config, pictures=3, vocabulary=vocabulary)
        for row, hypothesis in enumerate(hypotheses):
            with torch.no_grad():
                expected = greedy(decoder, one(grid, row), vocabulary, 12)
            assert (hypothesis.words, hypothesis.ended) == expected
            seen.add(expected[1])
    assert seen == {True, False}, "sentences that end and sentences that do not must occur"


@pytest.mark.parametrize(("beam_size", "words", "min_words"), [(2, 8, 1), (3, 8, 1), (5, 8, 1), (5, 3, 2)])
def test_a_few_beams_find_what_beam_search_by_its_definition_finds(beam_size: int, words: int, min_words: int) -> None:
    vocabulary = small_vocabulary(words)
    config = SearchConfig(beam_size=beam_size, max_words=5, min_words=min_words, length_penalty=0.8)
    seen = set()
    for seed in range(20):
        decoder, grid, hypotheses = found(seed, config, pictures=3, vocabulary=vocabulary)
        for row, hypothesis in enumerate(hypotheses):
            expected = plain_beams(decoder, one(grid, row), vocabulary, config)
            assert (hypothesis.words, hypothesis.ended) == expected
            seen.add(expected[1])
    assert seen == {True, False}, "sentences that end and sentences that do not must occur"


@pytest.mark.parametrize("beam_size", [1, 3, 5])
def test_a_batch_is_its_pictures_one_by_one(beam_size: int) -> None:
    config = SearchConfig(beam_size=beam_size, max_words=10)
    decoder, grid, together = found(1, config, pictures=9, vocabulary=small_vocabulary(8))
    for row, hypothesis in enumerate(together):
        (alone,) = search(decoder, one(grid, row), small_vocabulary(8), config)
        assert (alone.words, alone.ended) == (hypothesis.words, hypothesis.ended)
        torch.testing.assert_close(alone.attention, hypothesis.attention)


def test_the_log_probability_is_that_of_the_sentence_and_the_maps_sum_to_one() -> None:
    for hypothesis_row in range(5):
        decoder, grid, hypotheses = found(2, SearchConfig(beam_size=4, max_words=6), pictures=5)
        hypothesis = hypotheses[hypothesis_row]
        with torch.no_grad():
            expected = log_probability(
                decoder, one(grid, hypothesis_row), WORDS, hypothesis.words, ended=hypothesis.ended
            )
        assert hypothesis.log_probability == pytest.approx(expected)
        assert hypothesis.attention.shape == (len(hypothesis.words), 16)
        torch.testing.assert_close(hypothesis.attention.sum(1), torch.ones(len(hypothesis.words), dtype=torch.float64))


def test_five_beams_find_likelier_sentences_than_one() -> None:
    vocabulary = small_vocabulary(8)
    better = worse = 0
    for seed in range(30):
        (greedy_one,) = found(seed, SearchConfig(beam_size=1, max_words=8), vocabulary=vocabulary)[2]
        (beamed,) = found(seed, SearchConfig(beam_size=5, max_words=8), vocabulary=vocabulary)[2]
        if greedy_one.ended and beamed.ended:
            better += beamed.log_probability > greedy_one.log_probability + 1e-9
            worse += beamed.log_probability < greedy_one.log_probability - 1e-9
    assert better > 3 * worse + 2


def biased(decoder: Decoder, word: int, bias: float) -> Decoder:
    with torch.no_grad():
        decoder.output.bias[word] += bias
    return decoder


@pytest.mark.parametrize("beam_size", [1, 3])
def test_what_is_no_word_is_never_written_however_likely(beam_size: int) -> None:
    torch.manual_seed(4)
    decoder = random_decoder(len(WORDS))
    for never in (WORDS.unknown, WORDS.pad, WORDS.start):
        biased(decoder, never, 50.0)
    for hypothesis in search(decoder, random_grid(6), WORDS, SearchConfig(beam_size=beam_size, max_words=6)):
        assert set(hypothesis.words) <= {1, 2, 3}
        assert hypothesis.words


@pytest.mark.parametrize("beam_size", [1, 3])
def test_where_no_beam_ends_the_best_unended_sentence_comes_back(beam_size: int) -> None:
    torch.manual_seed(5)
    decoder = biased(random_decoder(len(WORDS)), WORDS.end, -1e9)
    for hypothesis in search(decoder, random_grid(4), WORDS, SearchConfig(beam_size=beam_size, max_words=5)):
        assert (len(hypothesis.words), hypothesis.ended) == (5, False)


def test_a_description_is_no_shorter_than_asked() -> None:
    torch.manual_seed(6)
    decoder = biased(random_decoder(len(WORDS)), WORDS.end, 50.0)
    for min_words in (1, 4):
        config = SearchConfig(beam_size=3, max_words=6, min_words=min_words)
        assert {len(hypothesis.words) for hypothesis in search(decoder, random_grid(4), WORDS, config)} == {min_words}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_sequence_of_n_words_stands_twice(n: int) -> None:
    vocabulary = small_vocabulary(4)
    config = SearchConfig(beam_size=3, max_words=30, min_words=20)
    free = found(7, config, 5, vocabulary)[2]
    kept = found(7, replace(config, no_repeat_ngram=n), 5, vocabulary)[2]

    def repeats(hypothesis: Hypothesis) -> bool:
        grams = list(zip(*(hypothesis.words[start:] for start in range(n)), strict=False))
        return len(set(grams)) < len(grams)

    assert any(repeats(hypothesis) for hypothesis in free)
    assert not any(repeats(hypothesis) for hypothesis in kept)


def test_length_normalisation_lengthens() -> None:
    def words(penalty: float) -> int:
        config = SearchConfig(beam_size=20, max_words=12, length_penalty=penalty)
        return sum(len(found(seed, config)[2][0].words) for seed in range(10))

    assert words(0.0) < words(1.0) < words(2.0)


def test_searching_leaves_no_gradient() -> None:
    hypotheses = search(random_decoder(len(WORDS)), random_grid(2), WORDS, SearchConfig(max_words=3))
    assert not any(hypothesis.attention.requires_grad for hypothesis in hypotheses)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3])
def test_with_more_looks_every_word_has_the_mean_of_all_probabilities(count: int) -> None:
    for seed in range(4):
        config = SearchConfig(beam_size=81, max_words=4, length_penalty=0.7)
        decoder, grid, _ = found(seed, SearchConfig(beam_size=1, max_words=1))
        others = [random_grid(1) for _ in range(count)]
        (hypothesis,) = search(decoder, grid, WORDS, config, others=[Look(other) for other in others])

        def total(words: list[int], looks: tuple[Grid, ...] = (grid, *others), by: Decoder = decoder) -> float:
            chances = [
                [log_probability(by, look, WORDS, words[: n + 1], ended=False) for n in range(len(words))]
                for look in looks
            ]  # of the first words, summed up
            steps = [[math.exp(b - a) for a, b in itertools.pairwise([0.0, *sums])] for sums in chances]
            return sum(math.log(sum(each) / len(each)) for each in zip(*steps, strict=True))

        candidates = [
            [*words, WORDS.end] for length in range(1, 4) for words in itertools.product((1, 2, 3), repeat=length)
        ]
        best = max(candidates, key=lambda words: total(words) / len(words) ** 0.7)
        assert hypothesis.words == best[:-1]
        assert hypothesis.log_probability == pytest.approx(total(best))


def test_equal_looks_are_one_and_the_mirrored_ones_attention_is_turned_back() -> None:
    config = SearchConfig(beam_size=3, max_words=6)
    decoder, grid, plain = found(3, config, pictures=7)
    rows, columns = grid.shape
    others = [Look(grid, mirrored=True), Look(grid), Look(grid, mirrored=True)]
    for hypothesis, four in zip(plain, search(decoder, grid, WORDS, config, others=others), strict=True):
        assert (four.words, four.ended) == (hypothesis.words, hypothesis.ended)
        assert four.log_probability == pytest.approx(hypothesis.log_probability)
        alpha = hypothesis.attention.reshape(-1, rows, columns)  # (T, P) -> (T, rows, columns)
        torch.testing.assert_close(four.attention, (alpha + alpha.flip(2)).flatten(1) / 2)


@pytest.mark.parametrize("penalty", [-0.1, 400.0, float("inf")])
def test_a_length_penalty_whose_powers_no_number_holds_is_refused(penalty: float) -> None:
    with pytest.raises(SettingError, match=r"search\.length_penalty is .*: must be in \[0, 10\]"):
        SearchConfig(length_penalty=penalty)
