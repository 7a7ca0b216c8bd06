"""Which drafts a person must read before they go out: the model was unsure, or the product's own data say otherwise.

A wrong colour is a shop's legal risk, so colours are compared by families: a title that says teal allows green or blue
in the description, not red; navy does not allow blue, for a buyer tells them apart.
"""

from collections.abc import Collection, Sequence

from model.text import tokenize

# English colour words by family. A word of several families allows each of them.
COLOUR_FAMILIES: dict[str, frozenset[str]] = {
    family: frozenset(words.split())
    for family, words in {
        "black": "black jet onyx ebony noir ink",
        "white": "white ivory cream ecru chalk snow pearl alabaster eggshell",
        "grey": "grey gray charcoal silver slate ash heather graphite pewter stone smoke steel",
        "navy": "navy midnight indigo ink",
        "blue": "blue cobalt indigo azure denim sapphire royal sky cyan turquoise teal aqua chambray",
        "green": "green olive khaki emerald mint sage forest lime teal turquoise aqua moss jade pistachio army",
        "red": "red scarlet crimson ruby burgundy wine maroon cherry brick cranberry oxblood bordeaux rust",
        "pink": "pink rose blush fuchsia magenta coral salmon peach raspberry mauve",
        "purple": "purple violet lilac lavender plum aubergine mauve magenta eggplant orchid amethyst",
        "yellow": "yellow mustard gold lemon amber saffron canary butter",
        "orange": "orange rust tangerine apricot coral peach terracotta copper pumpkin",
        "beige": "beige sand tan camel khaki taupe nude stone ecru oatmeal",
        "brown": "brown chocolate tan camel cognac coffee mocha taupe chestnut bronze caramel",
    }.items()
}
_FAMILIES_OF: dict[str, frozenset[str]] = {
    word: frozenset(family for family, words in COLOUR_FAMILIES.items() if word in words)
    for word in frozenset().union(*COLOUR_FAMILIES.values())
}


def review_reasons(
    words: Sequence[str],
    *,
    confidence: float,
    ended: bool,
    title: str = "",
    attributes: Collection[str] = (),
    least_confidence: float = 0.0,
) -> list[str]:
    """Why a draft needs a person's eye; empty if nothing speaks for it.

    Args:
        words: of the draft.
        confidence: of the describer.
        ended: whether the draft ended by itself.
        title: the product's own.
        attributes: the product's own.
        least_confidence: below this the model counts as unsure; see `least_confidence`.
    """
    reasons = []
    if not words:
        return ["nothing was written"]
    if not ended:
        reasons.append("cut at the longest length")
    if confidence < least_confidence:
        reasons.append(f"confidence {confidence:.2f} is below {least_confidence:.2f}")
    own = tokenize(title)
    for attribute in attributes:
        own += tokenize(attribute)
    reasons += [f"says {word}, the product is {known}" for word, known in _wrong_colours(words, own)]
    return reasons


def _wrong_colours(words: Sequence[str], own: Sequence[str]) -> list[tuple[str, str]]:
    """Colours that the draft names and the product's own data rule out; none where those name no colour."""
    known = [word for word in own if word in _FAMILIES_OF]
    allowed = frozenset().union(*(_FAMILIES_OF[word] for word in known))
    if not allowed:
        return []
    said = dict.fromkeys(word for word in words if word in _FAMILIES_OF and word not in own)
    return [(word, " and ".join(dict.fromkeys(known))) for word in said if not _FAMILIES_OF[word] & allowed]


def least_confidence(confidences: Sequence[float], scores: Sequence[float], *, share: float = 0.2) -> float:
    """The confidence below which validation descriptions were poor: where the worst `share` of them would be caught.

    Takes the confidence that separates best the worst `share` of descriptions (by `scores`) from the rest, by the
    largest difference of the two groups' shares below it (Youden, 1950); 0 where confidence tells nothing.

    Args:
        confidences: of the validation descriptions.
        scores: how good each was, for example its CIDEr-D.
        share: how many count as poor.
    """
    order = sorted(range(len(scores)), key=lambda place: scores[place])
    poor = set(order[: max(1, round(share * len(order)))]) if order else set()
    good = len(order) - len(poor)
    if not good:
        return 0.0
    best, bound, poor_below, good_below = 0.0, 0.0, 0, 0
    ranked = sorted(range(len(confidences)), key=lambda place: confidences[place])
    for rank, place in enumerate(ranked):
        poor_below += place in poor
        good_below += place not in poor
        last_of_equals = rank + 1 == len(ranked) or confidences[ranked[rank + 1]] > confidences[place]
        gain = poor_below / len(poor) - good_below / good
        if last_of_equals and rank + 1 < len(ranked) and gain > best:
            best, bound = gain, (confidences[place] + confidences[ranked[rank + 1]]) / 2
    return bound


def readable(text: str) -> str:
    """A draft as a person would write it: a capital at the start, a full stop at the end."""
    plain = " ".join(text.split())
    if not plain:
        return ""
    return plain[0].upper() + plain[1:] + ("" if plain.endswith((".", "!", "?", "…", "。")) else ".")
