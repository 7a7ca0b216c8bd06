"""What the copy may say can be seen in the picture, at the size that the model looks at."""

import random

import numpy as np
import pytest
from PIL import Image

from tasks.demo.drawing import PAINTERS, draw_picture
from tasks.demo.patterns import weave
from tasks.demo.products import COLOURS, PATTERNS, SECOND_COLOURS, SLOTS, TYPES, Product
from tasks.demo.studio import HEIGHT_PX, WIDTH_PX, Canvas, Pose

SEEN_PX = 96
POSE = Pose(xx=190, xy=0, yx=0, yy=190, x0=240, y0=320)


def product_of(kind: str, **changes: str) -> Product:
    details = {slot: values[0] for slot, values in SLOTS[kind].items()} | changes
    return Product(type=kind, colour="blue", pattern="solid", second_colour=None, details=details)


def seen(product: Product) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The paint and its shade, without light and backdrop, as small as the model sees it."""
    canvas = Canvas(POSE, COLOURS[product.colour], COLOURS[product.second_colour or product.colour])
    weave(canvas, product.type, product.pattern, random.Random(1))
    PAINTERS[product.type](canvas, product, random.Random(1))
    size = (SEEN_PX, SEEN_PX)
    paint = np.asarray(canvas.paint.resize(size, Image.Resampling.BICUBIC), np.float64)
    shade = np.asarray(canvas.crisp.resize(size, Image.Resampling.BICUBIC), np.float64)[..., None] / 128
    outline = np.asarray(canvas.outline.resize(size, Image.Resampling.BICUBIC), np.float64)[..., None] / 255
    return paint * shade * outline + 235 * (1 - outline)


DETAILS = [
    (kind, slot, value) for kind, slots in SLOTS.items() for slot, values in slots.items() for value in values[1:]
]


@pytest.mark.parametrize(("kind", "slot", "value"), DETAILS)
def test_each_detail_can_be_seen(kind: str, slot: str, value: str) -> None:
    plain, changed = seen(product_of(kind)), seen(product_of(kind, **{slot: value}))
    clearly = (np.abs(plain - changed).max(axis=2) > 25).sum()
    assert clearly >= 12, f"{clearly} of {SEEN_PX}² pixels differ clearly"


@pytest.mark.parametrize("kind", TYPES)
def test_each_pattern_shows_its_second_colour(kind: str) -> None:
    plain = seen(product_of(kind))
    area = (plain.min(axis=2) < 200).sum()
    for pattern in {*PATTERNS[kind]} - {"solid"}:
        product = Product(
            type=kind, colour="blue", pattern=pattern, second_colour="yellow", details=product_of(kind).details
        )
        changed = (np.abs(plain - seen(product)).max(axis=2) > 60).sum()
        assert 0.08 * area < changed < 0.62 * area, pattern


def test_the_second_colour_can_be_told_from_the_first() -> None:
    for colour, seconds in SECOND_COLOURS.items():
        for second in seconds:
            distance = np.linalg.norm(np.subtract(COLOURS[colour], COLOURS[second]))
            assert distance > 75, (colour, second)


@pytest.mark.parametrize("kind", TYPES)
def test_a_picture_is_the_products_alone_and_never_twice_the_same(kind: str) -> None:
    product = product_of(kind)
    first, again, other = (draw_picture(product, random.Random(seed)) for seed in ("a", "a", "b"))
    assert first.size == (WIDTH_PX, HEIGHT_PX)
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_every_product_fits_its_picture() -> None:
    for kind in TYPES:
        for number in range(25):
            rng = random.Random(f"{kind}{number}")
            details = {slot: rng.choice(values) for slot, values in SLOTS[kind].items()}
            edge = np.asarray(draw_picture(product_of(kind, **details), rng), np.int16)
            # The backdrop is light and nearly grey; the product is blue.
            border = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
            assert ((border[:, 2] - border[:, 0]) > 70).mean() < 0.02, (kind, number)
