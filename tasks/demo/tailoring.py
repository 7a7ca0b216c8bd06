"""What garments share: sleeves, necks, armholes, belts, buttons, folds."""

import random

from tasks.demo.studio import Canvas, Point, Polygon, mirrored, other_side, path, tone

SHOULDER: Point = (0.5, -0.9)
ARMPIT: Point = (0.5, -0.38)


def folds(canvas: Canvas, rng: random.Random, top: float, bottom: float, half_width: float, count: int = 5) -> None:
    """Cloth falls in soft folds."""
    for _ in range(count):
        x = rng.uniform(-half_width, half_width)
        y = rng.uniform(top, (top + bottom) / 2)
        end = rng.uniform((top + bottom) / 2, bottom)
        bend = x + rng.uniform(-0.16, 0.16)
        light = rng.choice((0.78, 0.84, 0.88, 1.12, 1.18))
        canvas.fold(path((x, y), (bend, (y + end) / 2, x + rng.uniform(-0.1, 0.1), end)), 0.07, light)


def sleeves(canvas: Canvas, kind: str, *, width: float = 0.0, shoulder: Point = SHOULDER) -> None:
    """A pair of sleeves, if the garment has any."""
    sx, sy = shoulder
    shapes: dict[str, Polygon] = {
        "short": path((sx - 0.1, sy - 0.01), (sx + 0.12, sy + 0.04, 0.93 + width, -0.36), (0.66, -0.16), (0.42, -0.42)),
        "long": path(
            (sx - 0.1, sy - 0.01),
            (sx + 0.16, sy + 0.04, 0.8 + width, -0.25),
            (0.94 + width, 0.3, 0.97 + width, 0.78),
            (0.72, 0.83),
            (0.66, 0.3, 0.42, -0.3),
        ),
        "puff": path(
            (sx - 0.12, sy),
            (0.62, -1.14, 0.86, -0.86),
            (1.08, -0.6, 0.86, -0.36),
            (0.6, -0.27),
            (0.5, -0.4, 0.42, -0.45),
        ),
    }
    if kind not in shapes:
        return
    sleeve = shapes[kind]
    for side in (sleeve, other_side(sleeve)):
        canvas.fabric(side, 0.9)
    for turn in (1, -1):
        if kind == "puff":
            cuff = [(0.57 * turn, -0.28), (0.9 * turn, -0.38)]
            canvas.seam(cuff, 0.06, 0.66)
            for x in (0.62, 0.72, 0.8):
                canvas.seam([(x * turn, -0.36), ((x + 0.01) * turn, -0.62)], 0.02, 0.8)
        elif kind == "long":
            canvas.seam([(0.72 * turn, 0.7), ((0.97 + width) * turn, 0.65)], 0.025, 0.75)
            canvas.fold([(0.62 * turn, -0.2), (0.8 * turn, 0.5)], 0.08, 0.86)
        else:
            canvas.seam([(0.65 * turn, -0.22), ((0.92 + width) * turn, -0.42)], 0.02, 0.78)


def armholes(canvas: Canvas, shoulder: Point, waist: float, hem: float, bottom: float, *, long: bool) -> None:
    """The seam that sets the sleeve off, and below it the gap between sleeve and body."""
    for turn in (1, -1):
        (sx, sy), (ax, ay) = shoulder, ARMPIT
        canvas.seam(path((sx * turn, sy), (0.46 * turn, -0.6, ax * turn, ay)), 0.022, 0.68)
        if long:
            low = min(bottom, 0.8)
            canvas.seam(path((ax * turn, ay), (waist * turn, (ay + low) / 2, hem * turn, low)), 0.034, 0.56)


def neck(canvas: Canvas, kind: str, *, trim: bool = True) -> None:
    """The opening, through which the inside of the back is seen."""
    back = path((0.3, -0.95), (0.0, -0.86, -0.3, -0.95))
    fronts: dict[str, Polygon] = {
        "crew": path((-0.29, -0.95), (-0.22, -0.66, 0.0, -0.66), (0.22, -0.66, 0.29, -0.95)),
        "round": path((-0.32, -0.94), (-0.28, -0.52, 0.0, -0.52), (0.28, -0.52, 0.32, -0.94)),
        "v": path((-0.29, -0.95), (-0.2, -0.6, 0.0, -0.3), (0.2, -0.6, 0.29, -0.95)),
        "square": path((-0.32, -0.93), (-0.3, -0.52), (0.3, -0.52), (0.32, -0.93)),
    }
    front = fronts[kind]
    canvas.plain(front + back, canvas.dark, 0.92)
    if trim:
        edge = tone(canvas.main, 0.78) if sum(canvas.main) > 240 else tone(canvas.main, 1.22)
        canvas.line(front, 0.05, edge)


def straight_body(
    canvas: Canvas,
    bottom: float,
    *,
    waist: float,
    hem: float,
    shoulder: Point = SHOULDER,
    armhole: Point = (0.46, -0.6),
) -> None:
    """A body without a waist, open at the neck."""
    body = mirrored(
        path(
            (0.0, -0.88),
            (0.15, -0.88, 0.29, -0.96),
            shoulder,
            (*armhole, *ARMPIT),
            (waist, (ARMPIT[1] + bottom) / 2, hem, bottom),
            (hem / 2, bottom + 0.04, 0.0, bottom + 0.04),
        )
    )
    canvas.fabric(body)


def belt(canvas: Canvas, y: float, half_width: float) -> None:
    """A belt with its buckle."""
    rgb = tone(canvas.main, 0.45) if sum(canvas.main) > 240 else (170, 140, 96)
    band = [(-half_width, y), (half_width, y), (half_width, y + 0.12), (-half_width, y + 0.12)]
    canvas.plain(band, rgb, 0.98)
    canvas.plain([(-0.09, y - 0.02), (0.09, y - 0.02), (0.09, y + 0.14), (-0.09, y + 0.14)], (206, 170, 92))
    canvas.plain([(-0.045, y + 0.025), (0.045, y + 0.025), (0.045, y + 0.095), (-0.045, y + 0.095)], rgb)


def buttons(canvas: Canvas, x: float, top: float, bottom: float, count: int, radius: float = 0.045) -> None:
    """A column of buttons."""
    for i in range(count):
        canvas.dot((x, top + (bottom - top) * i / (count - 1)), radius, canvas.contrast)
