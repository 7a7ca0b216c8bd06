"""What a score against references does not show: sentences that repeat themselves, each other, or the training set."""

from collections.abc import Collection

from model.metrics.ngrams import Hypotheses, ngrams

REPEAT_N = 3


def diversity(hypotheses: Hypotheses, training: Collection[str] = ()) -> dict[str, float]:
    """Counts and shares of the sentences written.

    Args:
        hypotheses: the sentences, as words.
        training: the training descriptions, their words joined by one space.

    Returns:
        ``distinct_words`` and ``distinct_bigrams``: how many different ones in all sentences.
        ``distinct_sentences``: different sentences, share of all.
        ``repeated_ngrams``: share of sentences in which some run of three words stands twice.
        ``in_training``: share of sentences that also stand in training, word for word.
        ``mean_words``: mean length. ``empty``: share of sentences without a word.
    """
    words: set[str] = set()
    bigrams: set[tuple[str, ...]] = set()
    repeated = 0
    for sentence in hypotheses:
        words.update(sentence)
        bigrams.update(ngrams(sentence, 2))
        repeated += any(count > 1 for count in ngrams(sentence, REPEAT_N).values())
    count = max(1, len(hypotheses))
    known = set(training)
    joined = [" ".join(sentence) for sentence in hypotheses]
    return {
        "distinct_words": float(len(words)),
        "distinct_bigrams": float(len(bigrams)),
        "distinct_sentences": len(set(joined)) / count,
        "repeated_ngrams": repeated / count,
        "in_training": sum(sentence in known for sentence in joined) / count,
        "mean_words": sum(map(len, hypotheses)) / count,
        "empty": sum(not sentence for sentence in hypotheses) / count,
    }
