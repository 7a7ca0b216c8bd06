"""What a demo product is: its type, its colours, its pattern and the details that can be seen in its picture."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

RGB = tuple[int, int, int]

COLOURS: Mapping[str, RGB] = {
    "black": (36, 36, 39),
    "white": (246, 245, 242),
    "grey": (140, 142, 146),
    "beige": (214, 188, 148),
    "brown": (112, 70, 40),
    "red": (202, 30, 38),
    "pink": (243, 148, 180),
    "yellow": (244, 202, 44),
    "green": (38, 134, 72),
    "blue": (62, 138, 222),
    "navy": (28, 42, 104),
    "purple": (124, 60, 158),
}
GREYS = frozenset({"black", "white", "grey"})

# What may stand beside a colour in a pattern: far enough from it to be told apart in a small picture.
SECOND_COLOURS: Mapping[str, tuple[str, ...]] = {
    "black": ("white", "white", "yellow", "pink", "red"),
    "white": ("black", "navy", "red", "blue", "green"),
    "grey": ("white", "black", "yellow", "pink"),
    "beige": ("white", "black", "navy", "red"),
    "brown": ("white", "white", "yellow", "pink", "blue"),
    "red": ("white", "white", "black", "yellow", "navy"),
    "pink": ("white", "black", "red", "navy"),
    "yellow": ("white", "black", "navy", "red"),
    "green": ("white", "white", "yellow", "black", "pink"),
    "blue": ("white", "white", "black", "yellow", "red"),
    "navy": ("white", "white", "yellow", "pink", "red"),
    "purple": ("white", "white", "yellow", "black", "pink"),
}

SLOTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "dress": {
        "neckline": ("v", "round", "square"),
        "sleeves": ("straps", "short", "puff", "long"),
        "length": ("mini", "knee", "maxi"),
        "waist": ("plain", "belt"),
    },
    "shirt": {
        "collar": ("point", "band"),
        "sleeves": ("short", "long"),
        "pocket": ("none", "one", "two"),
        "closure": ("buttons",),
    },
    "tee": {
        "neckline": ("crew", "v"),
        "sleeves": ("short", "long", "sleeveless"),
        "hem": ("straight", "cropped"),
    },
    "sweater": {
        "neckline": ("crew", "v", "turtle", "cardigan"),
        "knit": ("plain", "cable"),
        "trim": ("ribbed", "tipped"),
    },
    "coat": {
        "closure": ("single", "double", "zip"),
        "collar": ("lapels", "hood", "stand"),
        "length": ("short", "knee", "maxi"),
        "waist": ("plain", "belt"),
    },
    "skirt": {
        "shape": ("flared", "pencil", "pleated", "tiered"),
        "length": ("mini", "knee", "maxi"),
        "closure": ("plain", "buttons", "slit"),
    },
    "trousers": {
        "pockets": ("slanted",),
        "cut": ("slim", "straight", "wide"),
        "length": ("cropped", "full"),
        "waist": ("plain", "drawstring", "belt"),
    },
    "shorts": {
        "pockets": ("slanted",),
        "length": ("thigh", "knee"),
        "waist": ("plain", "drawstring", "belt"),
        "hem": ("plain", "cuffs"),
    },
    "bag": {
        "shape": ("tote", "satchel", "bucket"),
        "handle": ("handles", "strap", "chain"),
        "closure": ("clasp", "buckle", "tassel"),
    },
    "boots": {
        "height": ("ankle", "calf", "knee"),
        "heel": ("flat", "block", "stiletto"),
        "closure": ("laces", "zip", "buckle"),
    },
    "hat": {
        "shape": ("brim", "sloped", "beanie", "cap"),
        "trim": ("plain", "accent"),
    },
    "scarf": {
        "style": ("looped", "draped"),
        "ends": ("fringe", "plain", "tassels"),
    },
}
TYPES: tuple[str, ...] = tuple(SLOTS)
PLURAL = frozenset({"trousers", "shorts", "boots"})

_PRINTS = ("solid", "solid", "striped", "dotted", "checked", "floral")
PATTERNS: Mapping[str, tuple[str, ...]] = {
    "dress": _PRINTS,
    "shirt": _PRINTS,
    "tee": ("solid", "solid", "striped", "dotted", "floral", "block"),
    "sweater": ("solid", "solid", "striped", "dotted", "block"),
    "coat": ("solid", "solid", "solid", "checked", "block"),
    "skirt": _PRINTS,
    "trousers": ("solid", "solid", "solid", "striped", "checked"),
    "shorts": _PRINTS,
    "bag": ("solid", "solid", "block", "checked", "dotted"),
    "boots": ("solid", "solid", "block"),
    "hat": ("solid", "solid", "striped", "checked"),
    "scarf": _PRINTS,
}


@dataclass(frozen=True, kw_only=True)
class Product:
    """One product. All of it can be seen in the picture."""

    type: str
    colour: str
    pattern: str
    second_colour: str | None
    details: Mapping[str, str] = field(default_factory=dict)


def draw_product(rng: random.Random, kind: str, colour: str) -> Product:
    """A product of a type and a colour; the rest is drawn."""
    pattern = rng.choice(PATTERNS[kind])
    second = None if pattern == "solid" else rng.choice(SECOND_COLOURS[colour])
    details = {slot: rng.choice(values) for slot, values in SLOTS[kind].items()}
    return Product(type=kind, colour=colour, pattern=pattern, second_colour=second, details=details)
