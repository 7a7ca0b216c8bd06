"""A product's picture: pose, colours, cloth, the product itself, light."""

import colorsys
import io
import random
from collections.abc import Callable, Mapping

from PIL import Image

from tasks.demo import accessories, bottoms, dresses_and_coats, tops
from tasks.demo.patterns import weave
from tasks.demo.products import COLOURS, RGB, Product
from tasks.demo.studio import Canvas, Pose, photograph

PAINTERS: Mapping[str, Callable[[Canvas, Product, random.Random], None]] = {
    "dress": dresses_and_coats.dress,
    "shirt": tops.shirt,
    "tee": tops.tee,
    "sweater": tops.sweater,
    "coat": dresses_and_coats.coat,
    "skirt": bottoms.skirt,
    "trousers": bottoms.trousers,
    "shorts": bottoms.shorts,
    "bag": accessories.bag,
    "boots": accessories.boots,
    "hat": accessories.hat,
    "scarf": accessories.scarf,
}
JPEG_QUALITY = 88


def _dyed(rgb: RGB, rng: random.Random) -> RGB:
    """No two dye lots are equal: a little off in hue, saturation and value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in rgb))
    hue = (hue + rng.gauss(0, 0.008)) % 1
    saturation = min(1.0, saturation * rng.uniform(0.9, 1.1))
    value = min(1.0, value * rng.uniform(0.94, 1.06))
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return (round(red * 255), round(green * 255), round(blue * 255))


def _middle(product: Product) -> float:
    """Where the product's middle is, so that a short skirt hangs in the middle of its picture too."""
    look = product.details
    if product.type == "skirt":
        return {"mini": -0.4, "knee": -0.15, "maxi": 0.15}[look["length"]]
    if product.type == "shorts":
        return {"thigh": -0.35, "knee": -0.15}[look["length"]]
    if product.type == "dress":
        return {"mini": -0.2, "knee": 0.0, "maxi": 0.15}[look["length"]]
    if product.type == "boots":
        return {"ankle": 0.4, "calf": 0.2, "knee": -0.1}[look["height"]]
    return -0.3 if look.get("hem") == "cropped" else -0.12 if product.type in ("scarf", "bag") else 0.0


def draw_picture(product: Product, rng: random.Random) -> Image.Image:
    """A studio picture of the product, RGB, 240 × 320 pixels. Another state of `rng` gives another picture."""
    main = _dyed(COLOURS[product.colour], rng)
    second = _dyed(COLOURS[product.second_colour], rng) if product.second_colour else main
    canvas = Canvas(Pose.draw(rng, _middle(product)), main, second)
    weave(canvas, product.type, product.pattern, rng)
    PAINTERS[product.type](canvas, product, rng)
    return photograph(canvas, rng)


def jpeg(picture: Image.Image) -> bytes:
    """The picture as the bytes of a JPEG file; CMYK and grey pictures stay what they are."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
