"""The studio: a product's parts are painted in its own coordinates, posed, lit and photographed.

A product stands in a box of about x -1 … 1 and y -1.35 … 1.35, y pointing down, whatever the picture's size. Parts
are painted at twice the size and halved (antialiasing); light and shade are two grey layers that multiply the paint:
one crisp (seams, parts that lie over others), one soft (folds).
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tasks.demo.products import RGB

Point = tuple[float, float]
Polygon = list[Point]
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

WIDTH_PX, HEIGHT_PX = 240, 320
FINE = 2  # the paint's pixels a picture's pixel, each way
NEUTRAL = 128


def path(start: Point, *steps: tuple[float, ...]) -> Polygon:
    """Points along a line: a step is (x, y), straight there, or (cx, cy, x, y), a quadratic Bézier curve there."""
    points = [start]
    for step in steps:
        if len(step) == 2:
            points.append((step[0], step[1]))
            continue
        (x0, y0), (cx, cy, x1, y1) = points[-1], step
        for i in range(1, 9):
            t = i / 8
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            points.append((a * x0 + b * cx + c * x1, a * y0 + b * cy + c * y1))
    return points


def mirrored(half: Polygon) -> Polygon:
    """The closed outline whose right half is given from top to bottom."""
    return half + [(-x, y) for x, y in reversed(half)]


def other_side(points: Polygon) -> Polygon:
    """The same points on the left."""
    return [(-x, y) for x, y in points]


def ellipse(centre: Point, rx: float, ry: float, count: int = 24) -> Polygon:
    """Points around an ellipse."""
    turn = 2 * math.pi / count
    return [(centre[0] + rx * math.cos(i * turn), centre[1] + ry * math.sin(i * turn)) for i in range(count)]


def tone(rgb: RGB, factor: float) -> RGB:
    """A colour made darker (factor < 1) or mixed with white (factor > 1, by factor - 1)."""
    if factor <= 1:
        return (round(rgb[0] * factor), round(rgb[1] * factor), round(rgb[2] * factor))
    share = factor - 1
    return (
        round(rgb[0] + (255 - rgb[0]) * share),
        round(rgb[1] + (255 - rgb[1]) * share),
        round(rgb[2] + (255 - rgb[2]) * share),
    )


def luminance(rgb: RGB) -> float:
    """0 (black) to 255 (white)."""
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where and how the product stands: an affine map from its coordinates to the paint's pixels."""

    xx: float
    xy: float
    yx: float
    yy: float
    x0: float
    y0: float

    @classmethod
    def draw(cls, rng: random.Random, middle: float) -> "Pose":
        """Small rotation, size and place, flipped half of the time; `middle` is the y that comes to the middle."""
        angle = math.radians(rng.uniform(-7, 7))
        size = 100 * FINE * rng.uniform(0.84, 1.04)
        wide = size * rng.uniform(0.94, 1.06) * rng.choice((-1, 1))
        return cls(
            xx=wide * math.cos(angle),
            xy=-size * math.sin(angle),
            yx=wide * math.sin(angle),
            yy=size * math.cos(angle),
            x0=FINE * (WIDTH_PX / 2 + rng.uniform(-9, 9)),
            y0=FINE * (HEIGHT_PX / 2 + rng.uniform(-10, 10)) - middle * size,
        )

    def place(self, points: Sequence[Point], divide_by: int = 1) -> Polygon:
        """Pixels of the points; `divide_by` for layers smaller than the paint."""
        xx, xy, yx, yy = self.xx / divide_by, self.xy / divide_by, self.yx / divide_by, self.yy / divide_by
        x0, y0 = self.x0 / divide_by, self.y0 / divide_by
        return [(xx * x + xy * y + x0, yx * x + yy * y + y0) for x, y in points]

    def pixels(self, length: float, divide_by: int = 1) -> int:
        """A length in the product's coordinates as whole pixels, at least one."""
        return max(1, round(length * abs(self.yy) / divide_by))


class Canvas:
    """Paint, outline and shade of one product."""

    def __init__(self, pose: Pose, main: RGB, second: RGB) -> None:
        self.pose, self.main, self.second = pose, main, second
        size = (WIDTH_PX * FINE, HEIGHT_PX * FINE)
        self.paint = Image.new("RGB", size, main)
        self.outline = Image.new("L", size, 0)
        self.crisp = Image.new("L", (WIDTH_PX, HEIGHT_PX), NEUTRAL)
        self.soft = Image.new("L", (WIDTH_PX // 2, HEIGHT_PX // 2), NEUTRAL)
        self.cloth = Image.new("RGB", size, main)
        self.on_paint = ImageDraw.Draw(self.paint)
        self.on_outline = ImageDraw.Draw(self.outline)
        self.on_crisp = ImageDraw.Draw(self.crisp)
        self.on_soft = ImageDraw.Draw(self.soft)

    @property
    def dark(self) -> RGB:
        """The inside of the product, in the shade."""
        return tone(self.main, 0.55)

    @property
    def contrast(self) -> RGB:
        """For buttons and stitches: light on dark, dark on light."""
        return (247, 243, 234) if luminance(self.main) < 135 else (46, 42, 44)

    def fabric(self, points: Polygon, shade: float = 1.0) -> None:
        """A part cut from the product's cloth, pattern and all."""
        placed = self.pose.place(points)
        xs, ys = [x for x, _ in placed], [y for _, y in placed]
        left, top = max(0, int(min(xs))), max(0, int(min(ys)))
        right, bottom = min(self.paint.width, int(max(xs)) + 2), min(self.paint.height, int(max(ys)) + 2)
        if right <= left or bottom <= top:
            return
        mask = Image.new("1", (right - left, bottom - top), 0)
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in placed], fill=1)
        self.paint.paste(self.cloth.crop((left, top, right, bottom)), (left, top), mask)
        self._shade(points, placed, shade)

    def plain(self, points: Polygon, rgb: RGB | None = None, shade: float = 1.0) -> None:
        """A part in one colour; the product's own where none is given."""
        placed = self.pose.place(points)
        self.on_paint.polygon(placed, fill=rgb or self.main)
        self._shade(points, placed, shade)

    def _shade(self, points: Polygon, placed: Polygon, shade: float) -> None:
        self.on_outline.polygon(placed, fill=255)
        self.on_crisp.polygon(self.pose.place(points, FINE), fill=round(NEUTRAL * shade))

    def line(self, points: Polygon, width: float, rgb: RGB, shade: float = 1.0) -> None:
        """A strap, lace or stitch."""
        placed, wide = self.pose.place(points), self.pose.pixels(width)
        self.on_paint.line(placed, fill=rgb, width=wide, joint="curve")
        self.on_outline.line(placed, fill=255, width=wide, joint="curve")
        small = self.pose.place(points, FINE)
        self.on_crisp.line(small, fill=round(NEUTRAL * shade), width=self.pose.pixels(width, FINE))

    def dot(self, centre: Point, radius: float, rgb: RGB) -> None:
        """A button: round, with a shaded rim."""
        self.plain(ellipse((centre[0] + 0.008, centre[1] + 0.012), radius * 1.15, radius * 1.15, 14), tone(rgb, 0.5))
        self.plain(ellipse(centre, radius, radius, 14), rgb, 1.04)

    def seam(self, points: Polygon, width: float = 0.022, shade: float = 0.72) -> None:
        """A dark line in the cloth, where parts meet."""
        placed = self.pose.place(points, FINE)
        self.on_crisp.line(placed, fill=round(NEUTRAL * shade), width=self.pose.pixels(width, FINE))

    def fold(self, points: Polygon, width: float, light: float) -> None:
        """A soft fold, darker (light < 1) or brighter."""
        placed = self.pose.place(points, 2 * FINE)
        self.on_soft.line(placed, fill=round(NEUTRAL * light), width=self.pose.pixels(width, 2 * FINE), joint="curve")


_GRAIN: list[Pixels] = []


def _grain(rng: random.Random) -> Pixels:
    """Film grain: a window, drawn at random, of one fixed tile of noise: (H, W)."""
    if not _GRAIN:
        tile = np.random.default_rng(0).normal(0, 1, (HEIGHT_PX + 64, WIDTH_PX + 64))
        _GRAIN.append(tile.astype(np.float32))
    y, x = rng.randrange(64), rng.randrange(64)
    return _GRAIN[0][y : y + HEIGHT_PX, x : x + WIDTH_PX]


_Y = np.linspace(-1, 1, HEIGHT_PX, dtype=np.float32)[:, None]  # (H, 1)
_X = np.linspace(-1, 1, WIDTH_PX, dtype=np.float32)[None, :]  # (1, W)


def _background(rng: random.Random, product_luminance: float) -> tuple[Pixels, Pixels]:
    """A seamless paper backdrop, lit from one side: its colour (3, 1, 1), 0–255, and its light (H, W)."""
    level = rng.uniform(196, 236) if product_luminance > 205 else rng.uniform(214, 250)
    warmth, tint = rng.gauss(0, 5), rng.gauss(0, 2.5)
    base = np.array([level + warmth, level + tint, level - warmth], np.float32).reshape(3, 1, 1)
    lit = 1 + rng.uniform(-0.05, 0.05) * _X + rng.uniform(-0.06, 0.03) * _Y
    lit -= rng.uniform(0.01, 0.07) * (_X * _X + _Y * _Y)
    floor_y = rng.uniform(0.55, 0.8)
    lit -= rng.uniform(0, 0.07) / (1 + np.exp(-(_Y - floor_y) * rng.uniform(8, 30)))
    return base, lit.astype(np.float32)


def photograph(canvas: Canvas, rng: random.Random) -> Image.Image:
    """Light the product and put it before a backdrop: (W, H) = (240, 320), RGB."""
    # Colours are kept as planes, (3, H, W): numpy multiplies those by a grey layer several times as fast as (H, W, 3).
    bands = canvas.paint.reduce(FINE).split()
    photo = np.stack([np.asarray(band) for band in bands]).astype(np.float32)
    outline = canvas.outline.reduce(FINE)
    alpha = np.asarray(outline, np.float32) / 255
    crisp = np.asarray(canvas.crisp.filter(ImageFilter.GaussianBlur(0.8)), np.float32)
    soft_layer = canvas.soft.filter(ImageFilter.BoxBlur(3)).filter(ImageFilter.BoxBlur(2))
    soft = np.asarray(soft_layer.resize(outline.size, Image.Resampling.BILINEAR), np.float32)
    # Light falls off towards the product's edges: that makes it round.
    small = outline.reduce(2)
    rounded = small.filter(ImageFilter.BoxBlur(4)).filter(ImageFilter.BoxBlur(4))
    rim = np.asarray(rounded.resize(outline.size, Image.Resampling.BILINEAR), np.float32) / 255
    lit = rng.uniform(0.93, 1.06) + rng.uniform(-0.09, 0.09) * _X + rng.uniform(-0.08, 0.02) * _Y
    shade = (crisp * soft / (NEUTRAL * NEUTRAL)) * lit * (0.66 + 0.4 * rim)
    photo *= shade
    # Even black cloth shines a little, or its folds would not be seen.
    photo += np.maximum(shade - 0.8, 0) * 26

    base, light = _background(rng, float(luminance(canvas.main)))
    blur, dx, dy = rng.uniform(4, 9), rng.randint(-5, 5), rng.randint(3, 9)
    shadow = small.filter(ImageFilter.BoxBlur(blur / 2)).filter(ImageFilter.BoxBlur(blur / 2))
    shadow_px = np.asarray(shadow.resize(outline.size, Image.Resampling.BILINEAR), np.float32) / 255
    light *= 1 - rng.uniform(0.2, 0.42) * np.roll(shadow_px, (dy, dx), (0, 1))
    photo *= alpha
    photo += base * (light * (1 - alpha))

    white = np.array([1 + rng.gauss(0, 0.012), 1, 1 + rng.gauss(0, 0.012)], np.float32).reshape(3, 1, 1)
    photo *= white
    photo += _grain(rng) * rng.uniform(0.6, 2.2)
    planes = np.clip(photo, 0, 255, out=photo).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(plane) for plane in planes])
