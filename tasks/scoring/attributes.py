"""Does the description name the product's own attributes (colour, material, neckline, …)?"""

from collections.abc import Iterable, Sequence

from model.text import tokenize

Phrase = tuple[str, ...]


def phrases(attributes: Iterable[str]) -> set[Phrase]:
    """Attributes as runs of words, by the one text rule; an attribute without a word is none."""
    return {words for words in (tuple(tokenize(attribute)) for attribute in attributes) if words}


def named(words: Sequence[str], vocabulary: set[Phrase]) -> set[Phrase]:
    """The attributes that a sentence names, longest first: "navy blue" names navy blue, not also blue."""
    longest = max(map(len, vocabulary), default=0)
    found: set[Phrase] = set()
    place = 0
    while place < len(words):
        for length in range(min(longest, len(words) - place), 0, -1):
            phrase = tuple(words[place : place + length])
            if phrase in vocabulary:
                found.add(phrase)
                place += length
                break
        else:
            place += 1
    return found


def attribute_scores(attributes: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of the attributes named, over all products that have any (micro average).

    What counts as an attribute word is what some product of these has as one.

    Returns:
        attribute_precision, attribute_recall, attribute_f1; empty where no product has attributes.
    """
    own = [phrases(group) for group in attributes]
    vocabulary: set[Phrase] = set().union(*own)
    if not vocabulary:
        return {}
    said = [named(words, vocabulary) for words in hypotheses]
    pairs = [(mine, spoken) for mine, spoken in zip(own, said, strict=True) if mine]
    right = sum(len(mine & spoken) for mine, spoken in pairs)
    spoken_count, own_count = sum(len(spoken) for _, spoken in pairs), sum(len(mine) for mine, _ in pairs)
    precision = right / spoken_count if spoken_count else 0.0
    recall = right / own_count
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"attribute_precision": precision, "attribute_recall": recall, "attribute_f1": f1}
