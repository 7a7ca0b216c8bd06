"""Which products a demo catalogue has, which type × colour pairs only its test split shows, what is planted where."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from model.text import normalise, split_of
from tasks.demo.copywriting import write_description
from tasks.demo.faults import planted_counts
from tasks.demo.products import COLOURS, GREYS, TYPES, Product, draw_product

Pair = tuple[str, str]
HELD_OUT_SHARE_OF_RECORDS = 0.04
_MOST_TRIES = 1000


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A product with its two wordings and its fault."""

    number: int
    product: Product
    description: str
    second_wording: str
    held_out: bool
    fault: str


def held_out_pairs(rng: random.Random) -> list[Pair]:
    """A quarter of the type × colour pairs: of every type and of every colour three of twelve."""
    types, colours = list(TYPES), list(COLOURS)
    rng.shuffle(types)
    rng.shuffle(colours)
    steps = rng.sample(range(len(colours)), len(colours) // 4)
    return [(kind, colours[(row + step) % len(colours)]) for row, kind in enumerate(types) for step in steps]


def plan_products(items: int, seed: int, split_seed: int) -> tuple[list[Planned], list[Pair]]:
    """The products that are drawn, and the held-out pairs. Records that repeat a description come on top of these.

    The wording of a product of a held-out pair is drawn anew until its hash falls into the test split.
    """
    rng = random.Random(f"{seed}/plan")
    held_out = held_out_pairs(rng)
    shown = [(kind, colour) for kind in TYPES for colour in COLOURS if (kind, colour) not in set(held_out)]
    counts = planted_counts(items)
    count = items - counts.pop("repeated_description")
    held_out_count = round(HELD_OUT_SHARE_OF_RECORDS * items)
    faults = [fault for fault, planted in counts.items() for _ in range(planted)]
    # Only grey products are photographed in grey: what colour would the words else be about?
    grey_pairs = [pair for pair in shown if pair[1] in GREYS]
    pairs = [rng.choice(grey_pairs) if fault == "grey" else rng.choice(shown) for fault in faults]
    faults += [""] * (count - len(faults))
    pairs += _evenly(shown, count - held_out_count - len(pairs), rng)
    pairs += _evenly(held_out, count - len(pairs), rng)
    taken: set[str] = set()
    planned = []
    for number, (fault, (kind, colour)) in enumerate(zip(faults, pairs, strict=True)):
        own = random.Random(f"{seed}/product/{number}")
        product = draw_product(own, kind, colour)
        while fault == "grey" and product.second_colour not in GREYS | {None}:
            product = draw_product(own, kind, colour)
        is_held_out = (kind, colour) in held_out
        text = _new_wording(product, own, taken, split_seed if is_held_out else None)
        second = write_description(product, random.Random(f"{seed}/second wording/{number}"))
        planned.append(
            Planned(
                number=number,
                product=product,
                description=text,
                second_wording=second,
                held_out=is_held_out,
                fault=fault,
            )
        )
    return planned, held_out


def _evenly(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[Pair]:
    """Every pair equally often, in a random order."""
    drawn: list[Pair] = []
    while len(drawn) < count:
        drawn += rng.sample(pairs, len(pairs))
    return drawn[: max(0, count)]


def _new_wording(product: Product, rng: random.Random, taken: set[str], split_seed: int | None) -> str:
    """A wording that no other product has; with a split seed, one that falls into the test split."""
    for _ in range(_MOST_TRIES):
        text = write_description(product, rng)
        key = normalise(text)
        if key not in taken and (split_seed is None or split_of(key, split_seed) == "test"):
            taken.add(key)
            return text
    raise AssertionError(f"no new wording for {product} in {_MOST_TRIES} tries")
