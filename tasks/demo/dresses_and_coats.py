"""How dresses and coats look, with the details that the product has."""

import random

from tasks.demo.products import Product
from tasks.demo.studio import Canvas, ellipse, mirrored, other_side, path, tone
from tasks.demo.tailoring import SHOULDER, armholes, belt, folds, neck, sleeves


def dress(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Bodice and skirt, cut at the waist."""
    look = product.details
    bottom, hem = {"mini": (0.62, 0.64), "knee": (0.97, 0.74), "maxi": (1.34, 0.84)}[look["length"]]
    straps = look["sleeves"] == "straps"
    sleeves(canvas, look["sleeves"])
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
        armholes(canvas, SHOULDER, 0.42, 0.37, 0.0, long=look["sleeves"] == "long")
        neck(canvas, look["neckline"])
    canvas.seam([(-0.36, 0.0), (0.36, 0.0)], 0.025, 0.7)
    for x in (-0.55, -0.25, 0.05, 0.3, 0.6):
        shift = rng.uniform(-0.05, 0.05)
        canvas.fold([(x * 0.5 + shift, 0.05), (x * hem * 1.5 + shift, bottom)], 0.08, rng.choice((0.78, 0.86, 1.15)))
    folds(canvas, rng, -0.5, 0.0, 0.3, 2)
    if look["waist"] == "belt":
        belt(canvas, -0.06, 0.375)


def coat(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Long sleeves, an opening down the front, and one of three collars."""
    look = product.details
    bottom, hem = {"short": (0.62, 0.6), "knee": (0.98, 0.66), "maxi": (1.34, 0.72)}[look["length"]]
    belted = look["waist"] == "belt"
    if look["collar"] == "hood":
        canvas.fabric(mirrored(path((0.0, -1.36), (0.36, -1.36, 0.42, -1.02), (0.4, -0.85, 0.0, -0.8))), 0.94)
        canvas.plain(ellipse((0.0, -1.04), 0.27, 0.22), canvas.dark, 0.8)
        canvas.seam(ellipse((0.0, -1.04), 0.28, 0.23), 0.03, 0.75)
    sleeves(canvas, "long", width=0.02, shoulder=(0.53, -0.88))
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
    armholes(canvas, (0.53, -0.88), waist, waist + 0.06, 0.62, long=True)
    folds(canvas, rng, -0.2, bottom, 0.45, 5)
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
        belt(canvas, 0.03, waist + 0.025)


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
