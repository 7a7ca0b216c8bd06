"""How accessories look: bags, boots, hats and scarves."""

import math
import random
from itertools import pairwise

from tasks.demo.products import RGB, Product
from tasks.demo.studio import Canvas, Polygon, ellipse, mirrored, path, tone

GOLD: RGB = (206, 168, 84)
SILVER: RGB = (192, 195, 202)
SOLE: RGB = (58, 46, 40)


def bag(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """A body, something to carry it by, something that closes it."""
    look = product.details
    metal = rng.choice((GOLD, SILVER))
    top, bottom = -0.28, 0.72
    _bag_handle(canvas, look["handle"], top, metal)
    outline = {
        "tote": path((0.0, top), (0.84, top), (0.68, bottom - 0.06), (0.67, bottom, 0.6, bottom), (0.0, bottom)),
        "satchel": path(
            (0.0, top), (0.62, top), (0.78, top, 0.8, 0.0), (0.86, bottom, 0.66, bottom), (0.0, bottom + 0.02)
        ),
        "bucket": path(
            (0.0, top), (0.46, top), (0.62, 0.2, 0.7, bottom - 0.12), (0.68, bottom + 0.04, 0.0, bottom + 0.05)
        ),
    }[look["shape"]]
    canvas.fabric(mirrored(outline))
    canvas.fold([(-0.6, bottom - 0.08), (0.6, bottom - 0.08)], 0.14, 0.82)
    canvas.fold([(-0.45, 0.1), (-0.3, 0.5)], 0.12, 1.14)
    if look["shape"] == "satchel":
        flap = mirrored(path((0.0, top - 0.02), (0.64, top - 0.02), (0.8, top, 0.8, 0.02), (0.74, 0.3, 0.0, 0.34)))
        canvas.fabric(flap, 1.07)
        canvas.seam(path((0.8, 0.02), (0.74, 0.3, 0.0, 0.34), (-0.74, 0.3, -0.8, 0.02)), 0.035, 0.5)
    elif look["shape"] == "bucket":
        for i in range(-5, 6):
            canvas.seam([(i * 0.08, top), (i * 0.1, top + 0.26)], 0.024, 0.66)
        canvas.seam([(-0.48, top + 0.1), (0.48, top + 0.1)], 0.03, 0.6)
    else:
        canvas.seam([(-0.82, top + 0.09), (0.82, top + 0.09)], 0.02, 0.7)
        for side in (1, -1):
            canvas.seam([(0.6 * side, top), (0.52 * side, bottom)], 0.02, 0.8)
    _bag_closure(canvas, look["closure"], metal)


def _bag_handle(canvas: Canvas, kind: str, top: float, metal: RGB) -> None:
    if kind == "handles":
        for lift, shade in ((0.52, 0.72), (0.42, 0.95)):
            arch = path(
                (-0.34, top + 0.06),
                (-0.32, top - 2 * lift + 0.2, 0.0, top - 2 * lift + 0.2),
                (0.32, top - 2 * lift + 0.2, 0.34, top + 0.06),
            )
            canvas.line(arch, 0.075, tone(canvas.main, shade), shade)
    elif kind == "strap":
        strap = path((-0.56, top + 0.05), (-0.42, -1.2, 0.0, -1.24), (0.42, -1.2, 0.56, top + 0.05))
        canvas.line(strap, 0.055, tone(canvas.main, 0.8))
        for x in (-0.54, 0.54):
            canvas.dot((x, top + 0.02), 0.05, metal)
    else:
        curve = path((-0.56, top + 0.02), (-0.46, -1.1, 0.0, -1.14), (0.46, -1.1, 0.56, top + 0.02))
        for (x0, y0), (x1, y1) in pairwise(curve):
            for share in (0.25, 0.75):
                canvas.dot((x0 + (x1 - x0) * share, y0 + (y1 - y0) * share), 0.042, metal)


def _bag_closure(canvas: Canvas, kind: str, metal: RGB) -> None:
    if kind == "clasp":
        canvas.plain(ellipse((0.0, 0.26), 0.135, 0.135), tone(metal, 0.6))
        canvas.plain(ellipse((0.0, 0.25), 0.12, 0.12), metal, 1.05)
        canvas.plain(ellipse((0.0, 0.25), 0.05, 0.05), tone(metal, 0.55))
    elif kind == "buckle":
        strap = canvas.contrast
        canvas.plain([(-0.09, -0.2), (0.09, -0.2), (0.09, 0.48), (0.0, 0.56), (-0.09, 0.48)], strap, 0.97)
        canvas.plain([(-0.15, 0.16), (0.15, 0.16), (0.15, 0.4), (-0.15, 0.4)], metal, 1.03)
        canvas.plain([(-0.08, 0.22), (0.08, 0.22), (0.08, 0.34), (-0.08, 0.34)], strap)
    else:
        x = 0.36
        canvas.line([(x, -0.2), (x, 0.08)], 0.03, canvas.contrast)
        canvas.plain([(x - 0.045, 0.06), (x + 0.045, 0.06), (x + 0.11, 0.52), (x - 0.11, 0.52)], canvas.contrast)
        canvas.plain([(x - 0.065, 0.06), (x + 0.065, 0.06), (x + 0.065, 0.13), (x - 0.065, 0.13)], metal)
        for i in range(4):
            canvas.seam([(x - 0.03 + i * 0.02, 0.16), (x - 0.075 + i * 0.05, 0.52)], 0.014, 0.7)


def boots(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """A pair: the one behind a little to the side and in the shade."""
    lean = rng.uniform(0.3, 0.42)
    _boot(canvas, product, -lean, -0.1, 0.78)
    _boot(canvas, product, lean * 0.55, 0.06, 1.0)


def _boot(canvas: Canvas, product: Product, x: float, y: float, shade: float) -> None:
    look = product.details
    top = {"ankle": 0.0, "calf": -0.5, "knee": -1.12}[look["height"]] + y
    lift = {"flat": 0.0, "block": 0.2, "stiletto": 0.3}[look["heel"]]
    heel_y, toe_y = 0.84 + y - lift, 0.84 + y
    back, front = x - 0.3, x + 0.16
    slope = 0.05 if look["height"] == "knee" else 0.0
    outline = path(
        (back - slope, top),
        (front + slope, top),
        (front - 0.02, (top + heel_y) / 2, front + 0.02, heel_y - 0.36),
        (x + 0.4, heel_y - 0.26, x + 0.56, toe_y - 0.16),
        (x + 0.66, toe_y, x + 0.54, toe_y),
        (x + 0.24, toe_y),
        (x + 0.06, toe_y - 0.02, x - 0.06, heel_y + 0.02),
        (back - 0.02, heel_y + 0.02),
        (back - 0.04, heel_y - 0.2, back + 0.02, heel_y - 0.4),
        (back + 0.02, (top + heel_y) / 2, back - slope, top),
    )
    heels: dict[str, Polygon] = {
        "flat": [(back - 0.03, heel_y), (x + 0.0, heel_y), (x + 0.0, toe_y + 0.07), (back - 0.03, toe_y + 0.07)],
        "block": [
            (back - 0.02, heel_y - 0.02),
            (x - 0.06, heel_y - 0.02),
            (x - 0.08, toe_y + 0.06),
            (back, toe_y + 0.06),
        ],
        "stiletto": [
            (back - 0.01, heel_y - 0.02),
            (x - 0.1, heel_y),
            (back + 0.075, toe_y + 0.06),
            (back + 0.015, toe_y + 0.06),
        ],
    }
    canvas.plain(heels[look["heel"]], SOLE, shade)
    sole = path(
        (x + 0.6, toe_y - 0.04),
        (x + 0.62, toe_y + 0.06, x + 0.5, toe_y + 0.065),
        (x + 0.2, toe_y + 0.065),
        (x + 0.02, toe_y + 0.02, x - 0.1, heel_y + 0.05),
        (x - 0.1, heel_y - 0.02),
        (x + 0.2, toe_y - 0.04),
    )
    canvas.plain(sole, SOLE, shade)
    canvas.fabric(outline, shade)
    canvas.plain(ellipse(((back + front) / 2, top), (front - back) / 2 + slope, 0.045), canvas.dark, 0.8 * shade)
    canvas.fold([(back + 0.1, top + 0.1), (back + 0.12, heel_y - 0.3)], 0.08, 0.8)
    canvas.fold([(front - 0.1, top + 0.1), (front - 0.08, heel_y - 0.4)], 0.07, 1.2)
    canvas.seam(path((x + 0.2, heel_y - 0.22), (x + 0.22, heel_y - 0.06, x + 0.16, toe_y - 0.04)), 0.025, 0.62 * shade)
    if look["closure"] == "laces":
        rows = max(3, round((heel_y - 0.3 - max(top, -0.35)) / 0.13))
        for i in range(rows):
            at = heel_y - 0.34 - i * 0.13
            if at > top + 0.06:
                canvas.line([(front - 0.17, at), (front + 0.03, at - 0.07)], 0.036, canvas.contrast)
                canvas.line([(front - 0.17, at - 0.07), (front + 0.03, at)], 0.036, canvas.contrast)
    elif look["closure"] == "zip":
        canvas.line([((back + front) / 2 - 0.04, top + 0.06), ((back + front) / 2 - 0.06, heel_y - 0.14)], 0.06, SILVER)
        canvas.line(
            [((back + front) / 2 - 0.04, top + 0.06), ((back + front) / 2 - 0.06, heel_y - 0.14)], 0.018, (84, 86, 92)
        )
    else:
        at = max(top + 0.16, heel_y - 0.5)
        canvas.line([(back + 0.0, at), (front + 0.02, at + 0.02)], 0.085, canvas.contrast)
        canvas.plain([(x - 0.1, at - 0.08), (x + 0.08, at - 0.08), (x + 0.08, at + 0.1), (x - 0.1, at + 0.1)], GOLD)
        canvas.plain(
            [(x - 0.055, at - 0.035), (x + 0.035, at - 0.035), (x + 0.035, at + 0.055), (x - 0.055, at + 0.055)],
            canvas.contrast,
        )


def hat(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Brimmed, bucket, beanie or cap."""
    look = product.details
    accent = product.second_colour is not None and look["trim"] == "accent"
    rgb = canvas.second if accent else canvas.contrast
    {"brim": _brim, "sloped": _bucket, "beanie": _beanie, "cap": _cap}[look["shape"]](
        canvas, look["trim"] == "accent", rgb
    )
    canvas.fold([(-0.3, -0.4), (-0.2, 0.2)], 0.14, rng.choice((1.12, 1.18)))


def _brim(canvas: Canvas, accent: bool, rgb: RGB) -> None:
    canvas.fabric(ellipse((0.0, 0.34), 1.08, 0.3, 40), 0.92)
    canvas.seam(ellipse((0.0, 0.34), 1.05, 0.27, 40), 0.02, 0.76)
    canvas.fabric(
        mirrored(path((0.0, -0.52), (0.14, -0.64, 0.36, -0.54), (0.52, -0.3, 0.56, 0.3), (0.3, 0.44, 0.0, 0.44)))
    )
    canvas.fold([(0.0, -0.5), (0.0, -0.2)], 0.12, 0.76)
    canvas.seam(path((-0.56, 0.3), (-0.3, 0.44, 0.0, 0.44), (0.3, 0.44, 0.56, 0.3)), 0.03, 0.58)
    if accent:
        band = mirrored(path((0.0, 0.22), (0.3, 0.22, 0.535, 0.1), (0.56, 0.29), (0.3, 0.42, 0.0, 0.42)))
        canvas.plain(band, rgb)


def _bucket(canvas: Canvas, accent: bool, rgb: RGB) -> None:
    canvas.fabric(mirrored(path((0.0, 0.02), (0.52, -0.02), (0.72, 0.2, 0.9, 0.46), (0.5, 0.66, 0.0, 0.66))), 0.9)
    canvas.fabric(
        mirrored(path((0.0, -0.56), (0.36, -0.56, 0.44, -0.48), (0.5, -0.2, 0.54, 0.06), (0.3, 0.16, 0.0, 0.16)))
    )
    for share in (0.3, 0.6):
        canvas.seam(
            path(
                (-0.56 - share * 0.3, 0.08 + share * 0.36),
                (0.0, 0.3 + share * 0.5, 0.56 + share * 0.3, 0.08 + share * 0.36),
            ),
            0.018,
            0.76,
        )
    canvas.seam(path((-0.54, 0.06), (0.0, 0.24, 0.54, 0.06)), 0.028, 0.6)
    if accent:
        canvas.plain(
            mirrored(path((0.0, -0.06), (0.3, -0.06, 0.515, -0.14), (0.54, 0.05), (0.3, 0.14, 0.0, 0.14))), rgb
        )


def _beanie(canvas: Canvas, accent: bool, rgb: RGB) -> None:
    if accent:
        puff = [
            (
                0.22 * math.cos(i * 0.393) * (1.14 if i % 2 else 1.0),
                -0.8 + 0.22 * math.sin(i * 0.393) * (1.14 if i % 2 else 1.0),
            )
            for i in range(16)
        ]
        canvas.plain(puff, rgb, 1.0)
    canvas.fabric(mirrored(path((0.0, -0.66), (0.5, -0.66, 0.62, 0.3), (0.0, 0.36))))
    for i in range(-5, 6):
        canvas.seam(path((i * 0.03, -0.62), (i * 0.1, -0.4, i * 0.115, 0.24)), 0.022, 0.74)
    canvas.fabric(mirrored(path((0.0, 0.2), (0.66, 0.16), (0.67, 0.52), (0.3, 0.6, 0.0, 0.6))), 1.06)
    canvas.seam(path((-0.66, 0.17), (0.0, 0.24, 0.66, 0.17)), 0.03, 0.56)
    for i in range(-8, 9):
        canvas.seam([(i * 0.078, 0.24), (i * 0.078, 0.57)], 0.018, 0.78)


def _cap(canvas: Canvas, accent: bool, rgb: RGB) -> None:
    canvas.fabric(path((-0.66, 0.28), (-0.7, -0.5, -0.06, -0.54), (0.5, -0.5, 0.52, 0.24), (0.0, 0.4, -0.66, 0.28)))
    canvas.fabric(path((-0.06, 0.28), (0.3, 0.1, 0.52, 0.16), (0.98, 0.22, 1.06, 0.46), (0.6, 0.4, -0.02, 0.42)), 0.84)
    canvas.seam(path((-0.08, 0.32), (0.2, 0.14, 0.52, 0.18)), 0.028, 0.58)
    canvas.seam(path((-0.06, -0.54), (-0.36, -0.2, -0.34, 0.3)), 0.018, 0.74)
    canvas.seam(path((-0.06, -0.54), (0.18, -0.2, 0.2, 0.2)), 0.018, 0.74)
    canvas.dot((-0.06, -0.55), 0.05, tone(canvas.main, 0.8))
    if accent:
        star = []
        for i in range(10):
            radius = 0.2 if i % 2 == 0 else 0.085
            angle = -math.pi / 2 + i * math.pi / 5
            star.append((0.0 + radius * math.cos(angle), -0.1 + radius * math.sin(angle)))
        canvas.plain(star, rgb)


def scarf(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Looped around an unseen neck, or hung over a peg."""
    look = product.details
    if look["style"] == "looped":
        tails = (
            path((-0.26, -0.5), (0.16, -0.5), (0.1, 0.2, 0.14, 0.86), (-0.3, 0.9), (-0.32, 0.1, -0.26, -0.5)),
            path((0.0, -0.5), (0.36, -0.52), (0.5, 0.0, 0.52, 0.52), (0.14, 0.6), (0.12, 0.0, 0.0, -0.5)),
        )
        _tail(canvas, tails[1], 0.86, ((0.14, 0.6), (0.52, 0.52)), look["ends"])
        _tail(canvas, tails[0], 1.0, ((-0.3, 0.9), (0.14, 0.86)), look["ends"])
        ring = path(
            (-0.62, -0.72),
            (-0.66, -1.16, 0.0, -1.14),
            (0.66, -1.16, 0.62, -0.72),
            (0.56, -0.3, 0.0, -0.3),
            (-0.56, -0.3, -0.62, -0.72),
        )
        canvas.fabric(ring, 1.05)
        canvas.plain(ellipse((0.0, -0.88), 0.32, 0.13), canvas.dark, 0.72)
        for lift in (0.0, 0.12, 0.24):
            canvas.seam(
                path((-0.56 + lift, -0.74 + lift / 2), (0.0, -0.34 - lift, 0.56 - lift, -0.74 + lift / 2)), 0.026, 0.68
            )
        canvas.seam(path((-0.5, -0.46), (0.0, -0.2, 0.5, -0.46)), 0.04, 0.5)
    else:
        back = path((0.02, -1.1), (0.38, -1.08), (0.46, -0.3, 0.5, 0.66), (0.06, 0.72), (0.02, 0.0, 0.02, -1.1))
        front = path((-0.44, -1.06), (0.1, -1.14), (0.02, 0.0, 0.06, 0.98), (-0.5, 1.0), (-0.5, 0.0, -0.44, -1.06))
        _tail(canvas, back, 0.82, ((0.06, 0.72), (0.5, 0.66)), look["ends"])
        _tail(canvas, front, 1.0, ((-0.5, 1.0), (0.06, 0.98)), look["ends"])
        canvas.seam(path((-0.45, -1.0), (-0.1, -1.2, 0.38, -1.04)), 0.03, 0.7)
        for x in (-0.3, -0.12):
            canvas.seam(path((x, -1.0), (x + 0.05, 0.0, x - 0.02, 0.9)), 0.022, 0.74)
    canvas.fold([(-0.2, -0.3), (-0.16, 0.7)], 0.09, rng.choice((0.8, 1.16)))
    canvas.fold([(0.3, -0.3), (0.34, 0.4)], 0.08, 0.82)


def _tail(
    canvas: Canvas, outline: Polygon, shade: float, edge: tuple[tuple[float, float], tuple[float, float]], ends: str
) -> None:
    (x0, y0), (x1, y1) = edge
    if ends == "fringe":
        for i in range(12):
            share = (i + 0.5) / 12
            x, y = x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
            canvas.line(
                [(x, y - 0.02), (x + (0.015 if i % 2 else -0.015), y + 0.22)], 0.024, tone(canvas.main, 0.9), shade
            )
    canvas.fabric(outline, shade)
    if ends == "tassels":
        for share in (0.1, 0.5, 0.9):
            x, y = x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
            canvas.dot((x, y + 0.03), 0.055, canvas.contrast)
            canvas.plain(
                [(x - 0.03, y + 0.06), (x + 0.03, y + 0.06), (x + 0.07, y + 0.28), (x - 0.07, y + 0.28)],
                canvas.contrast,
            )
    elif ends == "plain":
        canvas.seam([(x0, y0 - 0.06), (x1, y1 - 0.06)], 0.02, 0.7)
