"""Cloth: a product's pattern, painted in its own coordinates so that it turns with the product."""

import math
import random

from PIL import ImageDraw

from tasks.demo.products import RGB
from tasks.demo.studio import Canvas, Point, ellipse, tone

REACH = 1.9  # how far from the middle the cloth is painted

# Where the second colour of a two-tone product begins; the main colour keeps the larger part.
BLOCK_FROM = {"tee": 0.1, "sweater": 0.24, "coat": 0.24, "bag": 0.3, "boots": 0.46}


def _mix(one: RGB, other: RGB) -> RGB:
    return ((one[0] + other[0]) // 2, (one[1] + other[1]) // 2, (one[2] + other[2]) // 2)


def _band(draw: ImageDraw.ImageDraw, canvas: Canvas, at: float, width: float, rgb: RGB, *, upright: bool) -> None:
    corners = [(-REACH, at), (REACH, at), (REACH, at + width), (-REACH, at + width)]
    draw.polygon(canvas.pose.place([(y, x) for x, y in corners] if upright else corners), fill=rgb)


def _positions(pitch: float, offset: float) -> list[float]:
    count = int(2 * REACH / pitch) + 1
    return [-REACH + offset * pitch + i * pitch for i in range(count)]


def _grid(pitch: float, rng: random.Random) -> list[Point]:
    """Points of a staggered grid."""
    x0, y0 = rng.random(), rng.random()
    rows = _positions(pitch * 0.86, y0)
    return [(x + (pitch / 2 if row % 2 else 0), y) for row, y in enumerate(rows) for x in _positions(pitch, x0)]


def _striped(canvas: Canvas, draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    pitch, upright = rng.uniform(0.22, 0.32), rng.random() < 0.35
    for at in _positions(pitch, rng.random()):
        _band(draw, canvas, at, pitch * 0.4, canvas.second, upright=upright)


def _checked(canvas: Canvas, draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    pitch = rng.uniform(0.28, 0.4)
    columns, rows = _positions(pitch, rng.random()), _positions(pitch, rng.random())
    width, mixed = pitch * 0.42, _mix(canvas.main, canvas.second)
    for at in columns:
        _band(draw, canvas, at, width, mixed, upright=True)
    for at in rows:
        _band(draw, canvas, at, width, mixed, upright=False)
    for x in columns:
        for y in rows:
            square = [(x, y), (x + width, y), (x + width, y + width), (x, y + width)]
            draw.polygon(canvas.pose.place(square), fill=canvas.second)


def _dotted(canvas: Canvas, draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    radius = rng.uniform(0.07, 0.092)
    for centre in _grid(radius * 3.7, rng):
        draw.polygon(canvas.pose.place(ellipse(centre, radius, radius, 12)), fill=canvas.second)


def _floral(canvas: Canvas, draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    petal, heart = rng.uniform(0.066, 0.084), tone(canvas.second, 0.62)
    for column, row in _grid(petal * 5.8, rng):
        x, y = column + rng.uniform(-0.05, 0.05), row + rng.uniform(-0.05, 0.05)
        turn = rng.uniform(0, math.tau)
        for i in range(5):
            angle = turn + i * math.tau / 5
            centre = (x + petal * 1.15 * math.cos(angle), y + petal * 1.15 * math.sin(angle))
            draw.polygon(canvas.pose.place(ellipse(centre, petal, petal, 9)), fill=canvas.second)
        draw.polygon(canvas.pose.place(ellipse((x, y), petal * 0.6, petal * 0.6, 8)), fill=heart)


WEAVES = {"striped": _striped, "checked": _checked, "dotted": _dotted, "floral": _floral}


def weave(canvas: Canvas, kind: str, pattern: str, rng: random.Random) -> None:
    """Paint the canvas's cloth for a type of product and a pattern."""
    draw = ImageDraw.Draw(canvas.cloth)
    if pattern == "block":
        at = BLOCK_FROM[kind] + rng.uniform(-0.04, 0.06)
        draw.polygon(
            canvas.pose.place([(-REACH, at), (REACH, at), (REACH, REACH), (-REACH, REACH)]), fill=canvas.second
        )
    elif pattern != "solid":
        WEAVES[pattern](canvas, draw, rng)
