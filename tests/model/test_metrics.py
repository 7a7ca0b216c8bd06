"""The scores against those who defined them: nltk, sacrebleu, pycocoevalcap."""

import random
import warnings

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import corpus_bleu
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge

from model.metrics import bleu, cider_d, diversity, rouge_l
from model.metrics.bleu import bleu_counts, bleu_of_counts
from model.metrics.cider import cider_d_each
from model.metrics.rouge import longest_common_subsequence, rouge_l_each

VOCABULARY = "a the red blue long short sleeve dress skirt with collar and buttons cotton soft line"
WORDS = VOCABULARY.split()
WEIGHTS = [(1.0,), (0.5, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.25, 0.25, 0.25, 0.25)]


def corpus(seed: int, shortest: int) -> tuple[list[list[list[str]]], list[list[str]]]:
    """Products with 1 to 5 references, and hypotheses that repeat parts of them."""
    draw = random.Random(seed)
    references, hypotheses = [], []
    for _ in range(draw.randint(1, 12)):
        group = [draw.choices(WORDS, k=draw.randint(1, 14)) for _ in range(draw.randint(1, 5))]
        hypothesis = list(draw.choice(group))
        for _ in range(draw.randint(0, 4)):
            hypothesis[draw.randrange(len(hypothesis))] = draw.choice(WORDS)
        hypothesis = hypothesis[: draw.randint(shortest, 16)]
        while len(hypothesis) < shortest:
            hypothesis.append(draw.choice(WORDS))
        references.append(group)
        hypotheses.append(hypothesis)
    return references, hypotheses


def nltk_bleu(references: list[list[list[str]]], hypotheses: list[list[str]]) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nltk warns where nothing matches
        values = corpus_bleu(references, hypotheses, weights=WEIGHTS)
    return [float(value) for value in values]


@pytest.mark.parametrize("block", range(10))
def test_bleu_is_sacrebleus_where_every_hypothesis_has_four_words(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        references, hypotheses = corpus(seed, shortest=4)
        most = max(map(len, references))
        columns = [
            [" ".join(group[column]) if column < len(group) else None for group in references] for column in range(most)
        ]
        lines = [" ".join(words) for words in hypotheses]
        for n in range(1, 5):
            oracle = sacrebleu.metrics.BLEU(
                tokenize="none", smooth_method="none", max_ngram_order=n, effective_order=False, force=True
            )
            expected = oracle.corpus_score(lines, columns).score / 100
            assert bleu(references, hypotheses)[f"bleu_{n}"] == pytest.approx(expected, abs=1e-6)


def test_bleu_is_nltks_with_short_and_empty_sentences_too() -> None:
    for seed in range(400):
        references, hypotheses = corpus(seed, shortest=0)
        assert list(bleu(references, hypotheses).values()) == pytest.approx(
            nltk_bleu(references, hypotheses), abs=1e-12
        )


def test_bleu_of_nothing_written_is_zero() -> None:
    assert set(bleu([[["a", "b"]]], [[]]).values()) == {0.0}
    assert set(bleu([[["a"]], [["b"]]], [["x"], ["y"]]).values()) == {0.0}


def test_bleu_of_the_reference_itself_is_one_and_a_short_hypothesis_is_punished() -> None:
    assert bleu([[WORDS]], [WORDS])["bleu_4"] == pytest.approx(1.0)
    # Worked by hand: all four of 4 words match, 8 in the reference: brevity penalty exp(1 - 8/4).
    assert bleu([[WORDS[:8]]], [WORDS[:4]])["bleu_4"] == pytest.approx(0.36787944117)


def test_summed_counts_of_a_part_give_the_bleu_of_that_part() -> None:
    references, hypotheses = corpus(7, shortest=0)
    counts = bleu_counts(references, hypotheses)
    for size in range(1, len(references) + 1):
        expected = list(bleu(references[:size], hypotheses[:size]).values())
        assert bleu_of_counts(counts[:size].sum(axis=0)).tolist() == pytest.approx(expected)


def test_cider_d_is_pycocoevalcaps() -> None:
    for seed in range(300):
        references, hypotheses = corpus(seed, shortest=0)
        oracle = CiderScorer(n=4, sigma=6.0)
        for group, words in zip(references, hypotheses, strict=True):
            oracle += (" ".join(words), [" ".join(reference) for reference in group])
        expected, each = oracle.compute_score()
        assert cider_d(references, hypotheses) == pytest.approx(float(expected), abs=1e-6)
        assert cider_d_each(references, hypotheses).tolist() == pytest.approx(each.tolist(), abs=1e-6)


def test_rouge_l_is_pycocoevalcaps() -> None:
    for seed in range(300):
        references, hypotheses = corpus(seed, shortest=0)
        truth = {i: [" ".join(reference) for reference in group] for i, group in enumerate(references)}
        written = {i: [" ".join(words)] for i, words in enumerate(hypotheses)}
        expected, each = Rouge().compute_score(truth, written)
        assert rouge_l(references, hypotheses) == pytest.approx(float(expected), abs=1e-6)
        assert rouge_l_each(references, hypotheses).tolist() == pytest.approx(each.tolist(), abs=1e-6)


def plain_longest_common_subsequence(first: list[str], second: list[str]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, word in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if word == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from("abcde"), max_size=90), st.lists(st.sampled_from("abcde"), max_size=90))
def test_the_bit_parallel_common_subsequence_equals_the_plain_table(first: list[str], second: list[str]) -> None:
    assert longest_common_subsequence(first, second) == plain_longest_common_subsequence(first, second)


def test_scores_of_no_product_are_zero() -> None:
    assert bleu([], [])["bleu_4"] == 0.0
    assert cider_d([], []) == 0.0
    assert rouge_l([], []) == 0.0
    assert diversity([])["mean_words"] == 0.0


def test_a_product_without_reference_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="without a reference"):
        bleu([[]], [["a"]])


def test_diversity_counts_what_repeats() -> None:
    written = [["a", "red", "dress"], ["a", "red", "dress"], ["a", "b", "c", "a", "b", "c"], []]
    found = diversity(written, training=["a red dress"])
    assert found == {
        "distinct_words": 5.0,
        "distinct_bigrams": 5.0,
        "distinct_sentences": 0.75,
        "repeated_ngrams": 0.25,
        "in_training": 0.5,
        "mean_words": 3.0,
        "empty": 0.25,
    }
