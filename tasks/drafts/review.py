"""Which drafts a person must read before they go out: the model was unsure, or the product's own data say otherwise.

A wrong colour is a shop's legal risk, so colours get an eye of their own. Attributes list what the product is: a colour
that neither they nor the title allow is wrong. A title names the main colour, and a draft that names others instead is
wrong; a further colour (of a print) it neither confirms nor rules out, so there the model's certainty decides.
"""

from collections.abc import Collection
from dataclasses import dataclass

from model.configuration import check
from model.describer import Description
from model.text import tokenize
from tasks.drafts.colours import MATERIALS, colour_words, ruled_out


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Below these a model counts as unsure; from its validation split, kept in the model directory (`calibrate`).

    Attributes:
        least_confidence: of the whole description.
        least_colour_certainty: of a colour against the others.
    """

    least_confidence: float = 0.0
    least_colour_certainty: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check(0 <= value <= 1, name, value, "in [0, 1]")


def review_reasons(
    draft: Description, bounds: Bounds, *, title: str = "", attributes: Collection[str] = ()
) -> list[str]:
    """Why a draft needs a person's eye; empty if nothing speaks for it.

    Args:
        draft: with the certainty of its colours (`colours.COLOURS` as the describer's rivals).
        bounds: of the model.
        title: the product's own.
        attributes: the product's own.
    """
    if not draft.words:
        return ["nothing was written"]
    reasons = []
    if not draft.ended:
        reasons.append("cut at the longest length")
    if draft.confidence < bounds.least_confidence:
        reasons.append(f"confidence {draft.confidence:.4f} is below {bounds.least_confidence:.4f}")
    titled = colour_words(tokenize(title))
    listed = colour_words([word for text in attributes for word in tokenize(text)])
    said = colour_words(draft.words)
    plain = [word for word in said if word not in MATERIALS]
    if listed and (wrong := ruled_out(plain, [*titled, *listed])):
        own = " and ".join(dict.fromkeys([*titled, *listed]))
        return reasons + [f"says {word}, the product is {own}" for word in wrong]
    if titled and plain and set(titled) == set(ruled_out(titled, said)):
        return [*reasons, f"says {' and '.join(said)}, the title says {' and '.join(titled)}"]
    unconfirmed = [] if listed else ruled_out(said, titled)
    unsure = [word for word in unconfirmed if draft.certainty.get(word, 1.0) < bounds.least_colour_certainty]
    return reasons + [f"unsure of {word}: {draft.certainty[word]:.0%}" for word in unsure]


def readable(text: str) -> str:
    """A draft as a person would write it: a capital at the start, a full stop at the end."""
    plain = " ".join(text.split())
    if not plain:
        return ""
    return plain[0].upper() + plain[1:] + ("" if plain.endswith((".", "!", "?", "…", "。")) else ".")
