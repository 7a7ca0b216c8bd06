"""From which confidence on a model counts as sure: measured on its validation split, kept in its directory.

The validation split chose the epoch, but the model never learned from it, and what is measured later (the test split,
a new catalogue) plays no part.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from model.describer import Describer, Description
from model.directory import add_facts
from model.settings import SearchConfig
from tasks.drafts.colours import COLOURS, colour_words, ruled_out
from tasks.drafts.review import Bounds
from tasks.scoring.evaluation import describe_products
from tasks.scoring.products import Pictures, Products

UNSURE_SHARE = 0.1  # of the validation descriptions count as unsure: the least confident tenth
CAUGHT_SHARE = 0.9  # of the validation descriptions with a wrong colour must lie below the bound
FEWEST_WRONG = 5  # fewer say nothing of where the bound should be


def calibrate(
    model_dir: Path,
    products: Products,
    *,
    search: SearchConfig,
    device: str = "auto",
    on_progress: Callable[[int], None] | None = None,
) -> Bounds:
    """Describe the validation split, find the bounds and add them to the model's ``config.json``, under ``review``.

    Args:
        model_dir: the model.
        products: of the validation split.
        search: how descriptions will be searched for.
        device: where the model runs.
        on_progress: called with how many products are described.
    """
    describer = Describer.load(model_dir, device=device)
    pictures = Pictures(products, describer.image)
    found = describe_products(describer, pictures, search, rivals=COLOURS, on_progress=on_progress)
    bounds = Bounds(
        least_confidence=least_confidence([one.confidence for one in found]),
        least_colour_certainty=least_colour_certainty(found, products.references),
    )
    add_facts(model_dir, review={**vars(bounds), "products": len(found)})
    return bounds


def bounds_of(config: dict[str, object]) -> Bounds:
    """The bounds that a model's ``config.json`` keeps; without them it never counts as unsure."""
    kept = config.get("review")
    known = kept if isinstance(kept, dict) else {}
    return Bounds(**{name: float(known[name]) for name in Bounds.__dataclass_fields__ if name in known})


def least_confidence(confidences: Sequence[float]) -> float:
    """What nine in ten validation descriptions reach; 0 without any."""
    return round(float(np.quantile(confidences, UNSURE_SHARE)), 4) if confidences else 0.0


def least_colour_certainty(found: Sequence[Description], references: Sequence[Sequence[Sequence[str]]]) -> float:
    """The certainty below which nine in ten of the descriptions with a wrong colour have their least certain colour.

    A colour is wrong where the product's references name colours and none of its family. Where too few are wrong, a
    colour must be likelier than all its rivals together.
    """
    wrong = []
    for one, group in zip(found, references, strict=True):
        known = colour_words([word for words in group for word in words])
        said = colour_words(one.words)
        if known and ruled_out(said, known):
            wrong.append(min(one.certainty[word] for word in said))
    if len(wrong) < FEWEST_WRONG:
        return 0.5
    return round(float(np.quantile(wrong, CAUGHT_SHARE)), 4)
