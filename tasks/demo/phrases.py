"""The words of the demo's copy. Each entry is a tuple of ways to say one thing; the first ways are the likelier ones.

`{c}` stands for the colour, `{s}` for the second colour. No phrase names a colour or a type that the product is not,
or `judge` would count it as a mistake.
"""

from collections.abc import Mapping

Ways = tuple[str, ...]

COLOUR_WORDS: Mapping[str, Ways] = {
    "black": ("black", "jet"),
    "white": ("white", "ivory"),
    "grey": ("grey", "charcoal"),
    "beige": ("beige", "sand"),
    "brown": ("brown", "chocolate"),
    "red": ("red", "scarlet"),
    "pink": ("pink", "rose"),
    "yellow": ("yellow", "lemon"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "navy": ("navy", "midnight"),
    "purple": ("purple", "violet"),
}
TYPE_WORDS: Mapping[str, Ways] = {
    "dress": ("dress", "frock"),
    "shirt": ("shirt", "blouse"),
    "tee": ("tee", "top"),
    "sweater": ("sweater", "pullover", "cardigan"),
    "coat": ("coat", "jacket", "parka"),
    "skirt": ("skirt",),
    "trousers": ("trousers", "pants"),
    "shorts": ("shorts",),
    "bag": ("bag", "handbag"),
    "boots": ("boots", "booties"),
    "hat": ("hat", "beanie", "cap"),
    "scarf": ("scarf", "wrap"),
}
# Nouns that a detail of the product allows: (type, slot, value).
SPECIAL_NOUNS: Mapping[tuple[str, str, str], Ways] = {
    ("sweater", "neckline", "cardigan"): ("cardigan",),
    ("coat", "collar", "hood"): ("parka", "coat"),
    ("coat", "length", "short"): ("jacket", "jacket", "coat"),
    ("hat", "shape", "beanie"): ("beanie", "beanie", "hat"),
    ("hat", "shape", "cap"): ("cap",),
    ("boots", "height", "ankle"): ("boots", "boots", "booties"),
}
NOUNS: Mapping[str, Ways] = {
    "dress": ("dress", "dress", "dress", "dress", "frock"),
    "shirt": ("shirt", "shirt", "shirt", "blouse"),
    "tee": ("tee", "tee", "tee", "top"),
    "sweater": ("sweater", "sweater", "pullover"),
    "coat": ("coat",),
    "skirt": ("skirt",),
    "trousers": ("trousers", "trousers", "trousers", "pants"),
    "shorts": ("shorts",),
    "bag": ("bag", "bag", "bag", "handbag"),
    "boots": ("boots",),
    "hat": ("hat",),
    "scarf": ("scarf", "scarf", "scarf", "scarf", "wrap"),
}

# The pattern before the noun, with and without the second colour, and after "with".
PATTERN_HEADS: Mapping[str, Ways] = {
    "solid": ("{c}", "{c}", "{c}", "plain {c}", "solid {c}"),
    "striped": ("striped {c}", "{c} striped"),
    "dotted": ("polka-dot {c}", "{c} polka-dot", "dotted {c}"),
    "checked": ("checked {c}", "{c} plaid"),
    "floral": ("floral {c}", "{c} floral"),
    "block": ("two-tone {c}", "{c} two-tone"),
}
PATTERN_HEADS_WITH_SECOND: Mapping[str, Ways] = {
    "striped": ("{c} and {s} striped", "{c}-and-{s} striped"),
    "dotted": ("{c} and {s} polka-dot", "{c} and {s} dotted"),
    "checked": ("{c} and {s} checked", "{c} and {s} plaid"),
    "floral": ("{c} and {s} floral", "{c} and {s} flowered"),
    "block": ("{c} and {s} two-tone", "two-tone {c} and {s}"),
}
PATTERN_NOUNS: Mapping[str, Ways] = {
    "striped": ("{s} stripes", "{s} stripes", "even {s} stripes", "bands of {s}"),
    "dotted": ("{s} polka dots", "{s} dots", "a scatter of {s} dots"),
    "checked": ("a {s} check", "{s} checks", "a bold {s} plaid"),
    "floral": ("{s} flowers", "{s} blooms", "a {s} floral print"),
    "block": ("a {s} lower half", "a {s} base", "a block of {s} below"),
}

# A detail before the noun.
HEADS: Mapping[tuple[str, str], Ways] = {
    ("neckline", "v"): ("V-neck",),
    ("neckline", "round"): ("scoop-neck",),
    ("neckline", "square"): ("square-neck",),
    ("neckline", "crew"): ("crew-neck",),
    ("neckline", "turtle"): ("turtleneck", "roll-neck"),
    ("sleeves", "straps"): ("strappy", "sleeveless"),
    ("sleeves", "short"): ("short-sleeve", "short-sleeved"),
    ("sleeves", "long"): ("long-sleeve", "long-sleeved"),
    ("sleeves", "puff"): ("puff-sleeve",),
    ("sleeves", "sleeveless"): ("sleeveless",),
    ("length", "mini"): ("mini", "short"),
    ("length", "knee"): ("knee-length",),
    ("length", "maxi"): ("maxi", "ankle-length"),
    ("length", "cropped"): ("cropped",),
    ("length", "short"): ("short",),
    ("length", "thigh"): ("high-cut",),
    ("waist", "belt"): ("belted",),
    ("waist", "drawstring"): ("drawstring",),
    ("hem", "cropped"): ("cropped",),
    ("knit", "cable"): ("cable-knit",),
    ("closure", "double"): ("double-breasted",),
    ("closure", "zip"): ("zip-up", "zipped"),
    ("closure", "laces"): ("lace-up",),
    ("closure", "buttons"): ("button-front",),
    ("collar", "hood"): ("hooded",),
    ("shape", "flared"): ("flared", "A-line"),
    ("shape", "pencil"): ("pencil", "slim"),
    ("shape", "pleated"): ("pleated",),
    ("shape", "tiered"): ("tiered",),
    ("cut", "slim"): ("slim", "slim-leg"),
    ("cut", "straight"): ("straight-leg",),
    ("cut", "wide"): ("wide-leg",),
    ("shape", "tote"): ("tote",),
    ("shape", "satchel"): ("satchel", "flap-front"),
    ("shape", "bucket"): ("bucket",),
    ("shape", "brim"): ("wide-brimmed", "wide-brim"),
    ("shape", "sloped"): ("bucket",),
    ("height", "ankle"): ("ankle",),
    ("height", "calf"): ("mid-calf",),
    ("height", "knee"): ("knee-high", "tall"),
    ("style", "looped"): ("looped",),
    ("ends", "fringe"): ("fringed",),
    ("ends", "tassels"): ("tasselled",),
}

# These details name a kind (ankle boots, a tote bag), which goes next to the noun.
KINDS = frozenset({"shape", "cut", "height"})

# A detail after "with".
NOUN_PHRASES: Mapping[tuple[str, str], Ways] = {
    ("neckline", "v"): ("a V-neckline", "a deep V-neckline", "a plunging neckline"),
    ("neckline", "round"): ("a scooped neckline", "a round neckline"),
    ("neckline", "square"): ("a square neckline", "a squared-off neckline"),
    ("neckline", "crew"): ("a crew neckline", "a neat round neck"),
    ("neckline", "turtle"): ("a tall turtleneck", "a folded roll neck"),
    ("neckline", "cardigan"): ("a buttoned front", "buttons down the front"),
    ("sleeves", "straps"): ("slim shoulder straps", "narrow straps"),
    ("sleeves", "short"): ("short sleeves",),
    ("sleeves", "long"): ("long sleeves", "full-length sleeves"),
    ("sleeves", "puff"): ("puff sleeves", "gathered puff sleeves"),
    ("sleeves", "sleeveless"): ("no sleeves", "a sleeveless cut"),
    ("length", "mini"): ("a short hem well above the knee", "a short mini length"),
    ("length", "knee"): ("a hem that falls to the knee", "a knee-length hem"),
    ("length", "maxi"): ("a hem that sweeps the ankle", "a long sweeping maxi length"),
    ("length", "cropped"): ("a leg that ends above the ankle", "a cropped leg"),
    ("length", "full"): ("a full-length leg",),
    ("length", "short"): ("a short cut that ends at the hip", "a cropped cut"),
    ("length", "thigh"): ("a short leg well above the knee", "a short high-cut leg"),
    ("waist", "belt"): ("a buckled belt", "a belt at the waist"),
    ("waist", "drawstring"): ("a drawstring waist", "a tied drawstring"),
    ("hem", "straight"): ("a straight hem",),
    ("hem", "cropped"): ("a cropped hem", "a waist-skimming hem"),
    ("hem", "cuffs"): ("turned-up cuffs", "rolled hems"),
    ("collar", "point"): ("a pointed collar", "a classic collar"),
    ("collar", "band"): ("a band collar", "a small stand-up collar"),
    ("collar", "lapels"): ("notched lapels", "wide notched lapels"),
    ("collar", "hood"): ("a roomy hood", "a hood"),
    ("collar", "stand"): ("a stand-up collar", "a high funnel neck"),
    ("pocket", "one"): ("a chest pocket", "one patch pocket"),
    ("pocket", "two"): ("two chest pockets", "a pair of patch pockets"),
    ("closure", "buttons"): ("a button front", "a row of buttons"),
    ("closure", "single"): ("a single row of buttons", "a buttoned front"),
    ("closure", "double"): ("a double-breasted front", "two rows of buttons"),
    ("closure", "zip"): ("a metal zip", "a zip front"),
    ("closure", "slit"): ("a slit at the hem", "a side slit"),
    ("closure", "plain"): ("a smooth fitted waistband", "a clean plain front"),
    ("closure", "clasp"): ("a round metal clasp", "a polished clasp"),
    ("closure", "buckle"): ("a buckled strap", "a shining buckle"),
    ("closure", "tassel"): ("a swinging tassel", "a hanging tassel"),
    ("closure", "laces"): ("criss-cross laces", "laces up the front"),
    ("knit", "cable"): ("chunky cables", "a cable-knit front"),
    ("trim", "ribbed"): ("ribbed edges", "ribbed cuffs and hem"),
    ("trim", "tipped"): ("contrast edges", "tipped cuffs and hem"),
    ("handle", "handles"): ("twin handles", "two rounded handles"),
    ("handle", "strap"): ("a long shoulder strap", "a slender strap"),
    ("handle", "chain"): ("a chain handle", "a metal chain"),
    ("shape", "satchel"): ("a rounded flap", "a fold-over flap"),
    ("shape", "bucket"): ("a gathered bucket shape", "softly gathered sides"),
    ("shape", "flared"): ("a flared shape", "an A-line shape"),
    ("shape", "pencil"): ("a narrow pencil shape",),
    ("shape", "pleated"): ("sharp pleats", "pleats all around"),
    ("shape", "tiered"): ("three gathered tiers", "ruffled tiers"),
    ("pockets", "slanted"): ("slanted pockets", "two side pockets"),
    ("cut", "slim"): ("a slim leg", "a tapered leg"),
    ("cut", "straight"): ("a straight leg",),
    ("cut", "wide"): ("a wide leg", "legs that flare wide"),
    ("heel", "flat"): ("a flat heel", "a low flat sole"),
    ("heel", "block"): ("a block heel", "a sturdy block heel"),
    ("heel", "stiletto"): ("a stiletto heel", "a slender high heel"),
    ("height", "knee"): ("a knee-high shaft",),
    ("height", "calf"): ("a mid-calf shaft",),
    ("shape", "brim"): ("a wide brim", "a broad brim"),
    ("shape", "sloped"): ("a soft sloping brim", "a stitched brim"),
    ("shape", "beanie"): ("a ribbed turn-up", "a folded cuff"),
    ("shape", "cap"): ("a curved peak", "a rounded peak"),
    ("brim trim", "accent"): ("a ribbon band", "a contrast band"),
    ("sloped trim", "accent"): ("a ribbon band", "a contrast band"),
    ("beanie trim", "accent"): ("a fluffy pompom", "a round pompom"),
    ("cap trim", "accent"): ("a star on the front", "a stitched star"),
    ("ends", "fringe"): ("a long fringe", "fringed ends"),
    ("ends", "tassels"): ("contrast tassels", "tassels at the ends"),
    ("ends", "plain"): ("clean hemmed ends",),
    ("style", "looped"): ("a generous loop", "a loop around the neck"),
    ("style", "draped"): ("two long ends",),
}
# Said of everything of its kind alike, so said less often.
RARELY = frozenset(
    {
        ("pockets", "slanted"),
        ("closure", "buttons"),
        ("hem", "straight"),
        ("length", "full"),
        ("style", "draped"),
        ("trim", "ribbed"),
        ("closure", "plain"),
    }
)

# Light flourish: nothing of it can be seen, so nothing of it depends on the product.
OPINIONS: Ways = ("easy", "classic", "modern", "polished", "timeless", "relaxed", "refined", "playful")
TAILS: Ways = (
    " for long weekends",
    " for the office and after",
    " for slow mornings",
    " for days on the move",
    " for every season",
    " to wear again and again",
    ", made to last",
    ", at home anywhere",
)
CLOSERS: Ways = (
    "An easy favourite.",
    "Made to be worn often.",
    "Simple, and all the better for it.",
    "Good company all year.",
)
