"""Colours by family: a title that says teal allows green or blue, not red; navy does not allow blue.

English words; in other languages no colour is known, and none contradicts.
"""

from collections.abc import Mapping, Sequence

# A word of several families allows each of them.
COLOURS: Mapping[str, frozenset[str]] = {
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
# Of what things are made as often as of what colour they are: such a word allows its colours, and contradicts none.
MATERIALS = frozenset(
    ["denim", "chambray", "stone", "gold", "silver", "bronze", "copper", "steel", "pewter", "pearl", "camel"]
)
_FAMILIES_OF: Mapping[str, frozenset[str]] = {
    word: frozenset(family for family, words in COLOURS.items() if word in words)
    for word in frozenset().union(*COLOURS.values())
}


def colour_words(words: Sequence[str]) -> list[str]:
    """The colours among the words, each once, in order."""
    return list(dict.fromkeys(word for word in words if word in _FAMILIES_OF))


def ruled_out(said: Sequence[str], known: Sequence[str]) -> list[str]:
    """Of the colours said, those that share no family with any of the known ones."""
    allowed = frozenset[str]().union(*(_FAMILIES_OF[word] for word in known))
    return [word for word in said if not _FAMILIES_OF[word] & allowed]
