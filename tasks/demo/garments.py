"""How garments look: each function paints one type on a canvas, with the details that the product has."""

import random

from tasks.demo.products import Product
from tasks.demo.studio import Canvas, Point, Polygon, ellipse, mirrored, other_side, path, tone

SHOULDER: Point = (0.5, -0.9)
ARMPIT: Point = (0.5, -0.38)


def _folds(canvas: Canvas, rng: random.Random, top: float, bottom: float, half_width: float, count: int = 5) -> None:
    """Cloth falls in soft folds."""
    for _ in range(count):
        x = rng.uniform(-half_width, half_width)
        y = rng.uniform(top, (top + bottom) / 2)
        end = rng.uniform((top + bottom) / 2, bottom)
        bend = x + rng.uniform(-0.16, 0.16)
        light = rng.choice((0.78, 0.84, 0.88, 1.12, 1.18))
        canvas.fold(path((x, y), (bend, (y + end) / 2, x + rng.uniform(-0.1, 0.1), end)), 0.07, light)


def _sleeves(canvas: Canvas, kind: str, *, width: float = 0.0, shoulder: Point = SHOULDER) -> None:
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


def _armholes(canvas: Canvas, shoulder: Point, waist: float, hem: float, bottom: float, *, long: bool) -> None:
    """The seam that sets the sleeve off, and below it the gap between sleeve and body."""
    for turn in (1, -1):
        (sx, sy), (ax, ay) = shoulder, ARMPIT
        canvas.seam(path((sx * turn, sy), (0.46 * turn, -0.6, ax * turn, ay)), 0.022, 0.68)
        if long:
            low = min(bottom, 0.8)
            canvas.seam(path((ax * turn, ay), (waist * turn, (ay + low) / 2, hem * turn, low)), 0.034, 0.56)


def _neck(canvas: Canvas, kind: str, *, trim: bool = True) -> None:
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


def _body(
    canvas: Canvas,
    bottom: float,
    *,
    waist: float,
    hem: float,
    shoulder: Point = SHOULDER,
    armhole: Point = (0.46, -0.6),
) -> None:
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


def _belt(canvas: Canvas, y: float, half_width: float, *, second: bool) -> None:
    rgb = canvas.second if second else tone(canvas.main, 0.45) if sum(canvas.main) > 240 else (170, 140, 96)
    band = [(-half_width, y), (half_width, y), (half_width, y + 0.12), (-half_width, y + 0.12)]
    canvas.plain(band, rgb, 0.98)
    canvas.plain([(-0.09, y - 0.02), (0.09, y - 0.02), (0.09, y + 0.14), (-0.09, y + 0.14)], (206, 170, 92))
    canvas.plain([(-0.045, y + 0.025), (0.045, y + 0.025), (0.045, y + 0.095), (-0.045, y + 0.095)], rgb)


def _buttons(canvas: Canvas, x: float, top: float, bottom: float, count: int, radius: float = 0.045) -> None:
    for i in range(count):
        canvas.dot((x, top + (bottom - top) * i / (count - 1)), radius, canvas.contrast)


def dress(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Bodice and skirt, cut at the waist."""
    look = product.details
    bottom, hem = {"mini": (0.52, 0.56), "knee": (0.9, 0.68), "maxi": (1.32, 0.8)}[look["length"]]
    straps = look["sleeves"] == "straps"
    _sleeves(canvas, look["sleeves"])
    skirt = mirrored(
        path((0.0, -0.02), (0.36, -0.02), (0.46, 0.3, hem, bottom), (hem / 2, bottom + 0.07, 0.0, bottom + 0.07))
    )
    canvas.fabric(skirt)
    if straps:
        top = {"v": -0.36, "round": -0.5, "square": -0.62}[look["neckline"]]
        rise = -0.66
        edge = {
            "v": path((0.0, top), (0.36, rise)),
            "round": path((0.0, top), (0.3, top, 0.36, rise)),
            "square": path((0.0, top), (0.26, top), (0.3, rise)),
        }[look["neckline"]]
        for side in (1, -1):
            canvas.line([(0.33 * side, rise + 0.04), (0.27 * side, -1.05)], 0.065, tone(canvas.main, 0.92))
        canvas.fabric(mirrored(edge + path((0.42, rise + 0.02), (0.44, -0.3, 0.36, 0.02), (0.0, 0.02))))
    else:
        canvas.fabric(
            mirrored(
                path(
                    (0.0, -0.88),
                    (0.15, -0.88, 0.29, -0.96),
                    SHOULDER,
                    (0.45, -0.6, 0.46, -0.38),
                    (0.42, -0.2, 0.36, 0.02),
                    (0.0, 0.02),
                )
            )
        )
        _armholes(canvas, SHOULDER, 0.42, 0.37, 0.0, long=look["sleeves"] == "long")
        _neck(canvas, look["neckline"])
    canvas.seam([(-0.36, 0.0), (0.36, 0.0)], 0.025, 0.7)
    for x in (-0.55, -0.25, 0.05, 0.3, 0.6):
        shift = rng.uniform(-0.05, 0.05)
        canvas.fold([(x * 0.5 + shift, 0.05), (x * hem * 1.5 + shift, bottom)], 0.08, rng.choice((0.78, 0.86, 1.15)))
    _folds(canvas, rng, -0.5, 0.0, 0.3, 2)
    if look["waist"] == "belt":
        _belt(canvas, -0.06, 0.375, second=False)


def shirt(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Buttoned, with a collar and a curved hem."""
    look = product.details
    _sleeves(canvas, look["sleeves"])
    canvas.fabric(
        mirrored(
            path(
                (0.0, -0.86),
                (0.15, -0.88, 0.28, -0.98),
                SHOULDER,
                (0.47, -0.6, 0.5, -0.38),
                (0.48, 0.3, 0.54, 0.78),
                (0.5, 0.98, 0.2, 1.02),
                (0.0, 1.02),
            )
        )
    )
    _armholes(canvas, SHOULDER, 0.48, 0.54, 0.78, long=look["sleeves"] == "long")
    _folds(canvas, rng, -0.4, 1.0, 0.42)
    canvas.seam([(0.07, -0.8), (0.07, 1.02)], 0.016, 0.76)
    canvas.seam([(-0.07, -0.8), (-0.07, 1.02)], 0.016, 0.84)
    canvas.plain(
        path((-0.26, -0.98), (0.0, -0.86, 0.26, -0.98), (0.1, -0.78, 0.0, -0.7), (-0.1, -0.78, -0.26, -0.98)),
        canvas.dark,
    )
    if look["collar"] == "point":
        flap = path((0.27, -1.04), (0.37, -0.93), (0.3, -0.58), (0.02, -0.76), (0.14, -0.84, 0.24, -1.02))
        for side in (flap, other_side(flap)):
            canvas.fabric(side, 1.08)
            canvas.seam([*side, side[0]], 0.02, 0.66)
    else:
        band = path((0.27, -1.05), (0.34, -0.95), (0.2, -0.74, 0.0, -0.7), (0.0, -0.8), (0.16, -0.86, 0.22, -1.02))
        for side in (band, other_side(band)):
            canvas.fabric(side, 1.06)
            canvas.seam(side, 0.02, 0.7)
    _buttons(canvas, 0.0, -0.58, 0.86, 6, 0.04)
    pockets: dict[str, tuple[int, ...]] = {"none": (), "one": (1,), "two": (1, -1)}
    for turn in pockets[look["pocket"]]:
        x = 0.27 * turn
        pocket = [(x - 0.14, -0.36), (x + 0.14, -0.36), (x + 0.14, -0.08), (x, -0.01), (x - 0.14, -0.08)]
        canvas.plain(pocket, tone(canvas.main, 0.9 if sum(canvas.main) > 240 else 1.12))
        canvas.seam([*pocket, pocket[0]], 0.026, 0.62)
        canvas.seam([(x - 0.14, -0.28), (x + 0.14, -0.28)], 0.022, 0.68)


def tee(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Jersey, straight and simple."""
    look = product.details
    bottom = 0.88 if look["hem"] == "straight" else 0.22
    _sleeves(canvas, look["sleeves"], width=0.02)
    if look["sleeves"] == "sleeveless":
        _body(canvas, bottom, waist=0.46, hem=0.52, shoulder=(0.43, -0.92), armhole=(0.3, -0.5))
    else:
        _body(canvas, bottom, waist=0.47, hem=0.52)
        _armholes(canvas, SHOULDER, 0.47, 0.52, bottom, long=look["sleeves"] == "long")
    _folds(canvas, rng, -0.3, bottom, 0.42, 4)
    canvas.seam([(-0.52, bottom - 0.06), (0.52, bottom - 0.06)], 0.016, 0.8)
    _neck(canvas, look["neckline"])


def sweater(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Heavier and wider than a tee, with ribbed edges."""
    look = product.details
    bottom, tipped = 0.86, look["trim"] == "tipped"
    edge = canvas.contrast if tipped else tone(canvas.main, 0.82 if sum(canvas.main) > 240 else 1.14)
    _sleeves(canvas, "long", width=0.04, shoulder=(0.54, -0.88))
    _body(canvas, bottom, waist=0.58, hem=0.56, shoulder=(0.54, -0.88))
    _armholes(canvas, (0.54, -0.88), 0.58, 0.56, bottom, long=True)
    if look["knit"] == "cable":
        for x in (-0.34, 0.34) if look["neckline"] in ("cardigan", "v") else (-0.34, 0.0, 0.34):
            for y in range(9):
                top = -0.52 + y * 0.15
                canvas.seam(
                    path(
                        (x - 0.07, top),
                        (x - 0.07, top + 0.08, x, top + 0.1),
                        (x + 0.07, top + 0.12, x + 0.07, top + 0.19),
                    ),
                    0.04,
                    0.66,
                )
                canvas.seam(path((x + 0.07, top), (x + 0.07, top + 0.07, x + 0.02, top + 0.1)), 0.035, 0.74)
            for side in (-0.13, 0.13):
                canvas.seam([(x + side, -0.55), (x + side, bottom - 0.1)], 0.022, 0.74)
    _folds(canvas, rng, -0.4, bottom, 0.45, 4)
    for turn in (1, -1):
        cuff = [(0.72 * turn, 0.72), (1.0 * turn, 0.67), (1.02 * turn, 0.84), (0.74 * turn, 0.89)]
        canvas.plain(cuff, edge, 0.96)
        if not tipped:
            for i in range(5):
                x = (0.76 + i * 0.055) * turn
                canvas.seam([(x, 0.7), (x + 0.015 * turn, 0.86)], 0.014, 0.78)
    canvas.plain(
        [(-0.57, bottom - 0.1), (0.57, bottom - 0.1), (0.55, bottom + 0.07), (-0.55, bottom + 0.07)], edge, 0.96
    )
    if not tipped:
        for i in range(17):
            x = -0.52 + i * 0.065
            canvas.seam([(x, bottom - 0.09), (x, bottom + 0.06)], 0.014, 0.78)
    _sweater_neck(canvas, look["neckline"], bottom, edge)


def _sweater_neck(canvas: Canvas, kind: str, bottom: float, edge: tuple[int, int, int]) -> None:
    if kind == "turtle":
        roll = mirrored(
            path((0.0, -1.22), (0.2, -1.22, 0.25, -1.18), (0.29, -1.0, 0.31, -0.88), (0.15, -0.76, 0.0, -0.76))
        )
        canvas.plain(roll, edge, 1.03)
        canvas.seam(path((-0.31, -0.88), (-0.15, -0.76, 0.0, -0.76), (0.15, -0.76, 0.31, -0.88)), 0.03, 0.6)
        canvas.seam(path((-0.27, -1.02), (0.0, -0.93, 0.27, -1.02)), 0.02, 0.75)
        canvas.plain(ellipse((0.0, -1.19), 0.22, 0.035), canvas.dark, 0.85)
        return
    _neck(canvas, "v" if kind == "cardigan" else kind, trim=False)
    front = {
        "crew": path((-0.29, -0.95), (-0.22, -0.66, 0.0, -0.66), (0.22, -0.66, 0.29, -0.95)),
        "v": path((-0.29, -0.95), (-0.2, -0.6, 0.0, -0.3), (0.2, -0.6, 0.29, -0.95)),
    }["crew" if kind == "crew" else "v"]
    canvas.line(front, 0.085, edge)
    if kind == "cardigan":
        canvas.plain([(-0.065, -0.3), (0.065, -0.3), (0.065, bottom + 0.06), (-0.065, bottom + 0.06)], edge)
        canvas.seam([(0.07, -0.28), (0.07, bottom + 0.06)], 0.018, 0.66)
        rgb = (
            canvas.contrast
            if sum(map(abs, (edge[0] - canvas.contrast[0], edge[1] - canvas.contrast[1]))) > 120
            else tone(canvas.main, 0.5)
        )
        for i in range(5):
            canvas.dot((0.0, -0.18 + i * 0.23), 0.052, rgb)


def coat(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Long sleeves, an opening down the front, and one of three collars."""
    look = product.details
    bottom, hem = {"short": (0.62, 0.6), "knee": (0.98, 0.66), "maxi": (1.34, 0.72)}[look["length"]]
    belted = look["waist"] == "belt"
    if look["collar"] == "hood":
        canvas.fabric(mirrored(path((0.0, -1.36), (0.36, -1.36, 0.42, -1.02), (0.4, -0.85, 0.0, -0.8))), 0.94)
        canvas.plain(ellipse((0.0, -1.04), 0.27, 0.22), canvas.dark, 0.8)
        canvas.seam(ellipse((0.0, -1.04), 0.28, 0.23), 0.03, 0.75)
    _sleeves(canvas, "long", width=0.02, shoulder=(0.53, -0.88))
    waist = 0.44 if belted else 0.56
    canvas.fabric(
        mirrored(
            path(
                (0.0, -0.86),
                (0.15, -0.88, 0.28, -0.97),
                (0.53, -0.88),
                (0.5, -0.6, 0.52, -0.38),
                (waist, -0.1, waist + 0.02, 0.1),
                (waist + 0.04, 0.3, hem, bottom),
                (0.0, bottom + 0.03),
            )
        )
    )
    _armholes(canvas, (0.53, -0.88), waist, waist + 0.06, 0.62, long=True)
    _folds(canvas, rng, -0.2, bottom, 0.45, 5)
    pocket_y = 0.32
    for side in (1, -1):
        canvas.seam([(0.22 * side, pocket_y + 0.08), (0.4 * side, pocket_y)], 0.04, 0.62)
    _coat_closure(canvas, look["closure"], bottom)
    if look["collar"] == "lapels":
        lapel = path(
            (0.2, -1.0),
            (0.33, -0.93),
            (0.4, -0.66),
            (0.27, -0.62),
            (0.3, -0.54),
            (0.0, -0.12),
            (0.05, -0.5, 0.14, -0.86),
        )
        canvas.plain(path((-0.22, -0.98), (0.0, -0.88, 0.22, -0.98), (0.0, -0.3)), canvas.dark, 0.9)
        for part in (lapel, other_side(lapel)):
            canvas.fabric(part, 1.1)
            canvas.seam([*part, part[0]], 0.024, 0.58)
    elif look["collar"] == "stand":
        canvas.plain(ellipse((0.0, -1.08), 0.25, 0.07), canvas.dark, 0.85)
        collar = path((0.27, -1.14), (0.34, -0.9), (0.12, -0.78, 0.02, -0.78), (0.02, -0.94), (0.2, -0.98, 0.27, -1.14))
        for part in (collar, other_side(collar)):
            canvas.fabric(part, 1.06)
            canvas.seam([*part, part[0]], 0.022, 0.62)
    if belted:
        _belt(canvas, 0.03, waist + 0.025, second=False)


def _coat_closure(canvas: Canvas, kind: str, bottom: float) -> None:
    if kind == "zip":
        canvas.line([(0.0, -0.8), (0.0, bottom)], 0.075, (196, 198, 203))
        canvas.line([(0.0, -0.8), (0.0, bottom)], 0.02, (90, 92, 98))
        canvas.plain([(-0.04, -0.62), (0.04, -0.62), (0.03, -0.44), (-0.03, -0.44)], (205, 172, 96))
        return
    canvas.seam([(0.12 if kind == "double" else 0.08, -0.4), (0.12 if kind == "double" else 0.08, bottom)], 0.022, 0.62)
    rows = (-0.28, -0.06, 0.22, 0.46)
    for y in rows:
        if y > bottom - 0.1:
            continue
        for x in (-0.17, 0.17) if kind == "double" else (0.0,):
            canvas.dot((x, y), 0.058, canvas.contrast)


def skirt(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """A waistband and what hangs from it."""
    look = product.details
    bottom = {"mini": 0.02, "knee": 0.5, "maxi": 1.14}[look["length"]]
    drop = bottom + 0.78
    hem = {
        "flared": 0.4 + 0.36 * min(1.0, drop),
        "pencil": 0.42,
        "pleated": 0.4 + 0.26 * min(1.0, drop),
        "tiered": 0.42 + 0.3 * min(1.0, drop),
    }
    wide = hem[look["shape"]]
    hip = 0.5 if look["shape"] == "pencil" else 0.4 + (wide - 0.4) * 0.5
    top = -0.8
    if look["shape"] == "pleated":
        edge = [(wide - i * wide / 6, bottom + (0.05 if i % 2 else 0.0)) for i in range(7)]
    else:
        edge = path((wide, bottom), (wide / 2, bottom + 0.07, 0.0, bottom + 0.07))
    canvas.fabric(mirrored([(0.0, top), *path((0.36, top), (hip, (top + bottom) / 2 - 0.1, wide, bottom)), *edge]))
    if look["shape"] == "pleated":
        for i in range(-5, 6):
            canvas.seam([(i * 0.066, top), (i * wide / 6, bottom)], 0.035, 0.68)
    elif look["shape"] == "tiered":
        for share in (0.36, 0.68):
            y = top + drop * share
            half = 0.36 + (wide - 0.36) * share + 0.03
            canvas.seam(path((-half, y), (0.0, y + 0.08, half, y)), 0.05, 0.6)
            for i in range(-5, 6):
                x = i * half / 5.6
                canvas.seam([(x, y + 0.03), (x * 1.04, y + 0.16)], 0.02, 0.78)
    else:
        _folds(canvas, rng, top, bottom, 0.34, 3)
        if look["shape"] == "flared":
            for x in (-0.7, -0.3, 0.25, 0.65):
                canvas.fold([(x * 0.4, top + 0.1), (x * wide, bottom)], 0.1, rng.choice((0.76, 0.84)))
    if look["closure"] == "buttons":
        canvas.seam([(0.09, top), (0.09, bottom)], 0.016, 0.72)
        _buttons(canvas, 0.0, top + 0.2, bottom - 0.1, max(3, round(drop / 0.24)), 0.05)
    elif look["closure"] == "slit":
        canvas.plain(
            [(0.2, bottom - drop * 0.42), (0.28, bottom + 0.07), (0.12, bottom + 0.07)], tone(canvas.dark, 0.6), 0.75
        )
    canvas.plain(
        [(-0.37, top - 0.08), (0.37, top - 0.08), (0.38, top + 0.05), (-0.38, top + 0.05)],
        tone(canvas.main, 0.86 if sum(canvas.main) > 240 else 1.1),
    )
    canvas.seam([(-0.38, top + 0.05), (0.38, top + 0.05)], 0.02, 0.66)


def trousers(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Two legs, to the ankle or above it."""
    look = product.details
    bottom = {"cropped": 0.72, "full": 1.24}[look["length"]]
    inner, outer = {"slim": (0.14, 0.38), "straight": (0.1, 0.47), "wide": (0.04, 0.72)}[look["cut"]]
    leg = path(
        (0.0, -1.14),
        (0.38, -1.14),
        (0.5, -0.8, 0.48, -0.4),
        (0.46, 0.1, outer, bottom),
        (inner, bottom + 0.02),
        (0.04, -0.34),
        (0.0, -0.42),
    )
    for side in (leg, other_side(leg)):
        canvas.fabric(side)
    canvas.seam([(0.0, -1.1), (0.0, -0.4)], 0.025, 0.66)
    for turn in (1, -1):
        canvas.seam(path((0.24 * turn, -1.02), (0.34 * turn, -0.9, 0.44 * turn, -0.82)), 0.03, 0.62)
        middle = (inner + outer) / 2
        canvas.seam([(0.22 * turn, -0.8), (middle * turn, bottom)], 0.014, 0.84)
        canvas.fold([(0.12 * turn, -0.2), (0.34 * turn, 0.1)], 0.06, 0.86)
        canvas.fold([((inner + 0.06) * turn, 0.2), ((inner + 0.08) * turn, bottom)], 0.07, rng.choice((0.8, 1.14)))
        canvas.seam([(inner * turn, bottom - 0.06), (outer * turn, bottom - 0.07)], 0.018, 0.78)
    _waist(canvas, look["waist"], -1.2)


def _waist(canvas: Canvas, kind: str, top: float) -> None:
    canvas.plain(
        [(-0.39, top), (0.39, top), (0.4, top + 0.14), (-0.4, top + 0.14)],
        tone(canvas.main, 0.88 if sum(canvas.main) > 240 else 1.08),
    )
    canvas.seam([(-0.4, top + 0.14), (0.4, top + 0.14)], 0.02, 0.66)
    if kind == "belt":
        _belt(canvas, top + 0.01, 0.4, second=False)
    elif kind == "drawstring":
        for i in range(13):
            canvas.seam([(-0.36 + i * 0.06, top + 0.01), (-0.36 + i * 0.06, top + 0.13)], 0.016, 0.76)
        for side in (1, -1):
            cord = path((0.0, top + 0.1), (0.16 * side, top + 0.2, 0.1 * side, top + 0.46))
            canvas.line(cord, 0.042, canvas.contrast)
            canvas.dot((0.1 * side, top + 0.48), 0.034, canvas.contrast)
        canvas.dot((0.0, top + 0.1), 0.05, canvas.contrast)
    else:
        canvas.dot((0.0, top + 0.07), 0.042, canvas.contrast)


def shorts(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Trousers that end above the knee, or at it."""
    look = product.details
    bottom = {"thigh": 0.08, "knee": 0.52}[look["length"]]
    leg = path(
        (0.0, -0.74), (0.44, -0.74), (0.58, -0.4, 0.66, bottom), (0.08, bottom + 0.05), (0.03, -0.06), (0.0, -0.1)
    )
    for side in (leg, other_side(leg)):
        canvas.fabric(side)
    canvas.seam([(0.0, -0.7), (0.0, -0.08)], 0.025, 0.66)
    for turn in (1, -1):
        canvas.seam(path((0.26 * turn, -0.62), (0.36 * turn, -0.48, 0.52 * turn, -0.4)), 0.03, 0.62)
        canvas.fold([(0.3 * turn, -0.3), (0.36 * turn, bottom)], 0.09, rng.choice((0.82, 0.88, 1.12)))
        if look["hem"] == "cuffs":
            cuff = [
                (0.05 * turn, bottom - 0.1),
                (0.66 * turn, bottom - 0.15),
                (0.685 * turn, bottom + 0.02),
                (0.07 * turn, bottom + 0.08),
            ]
            canvas.plain(cuff, tone(canvas.main, 0.8 if sum(canvas.main) > 240 else 1.16), 1.03)
            canvas.seam(cuff[:2], 0.03, 0.56)
        else:
            canvas.seam([(0.07 * turn, bottom - 0.03), (0.65 * turn, bottom - 0.08)], 0.016, 0.8)
    _waist_wide(canvas, look["waist"])


def _waist_wide(canvas: Canvas, kind: str) -> None:
    canvas.plain([(-0.42, -0.82), (0.42, -0.82), (0.45, -0.66), (-0.45, -0.66)], tone(canvas.main, 0.88))
    _waist(canvas, kind, -0.81)
