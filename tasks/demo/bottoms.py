"""How skirts, trousers and shorts look, with the details that the product has."""

import random

from tasks.demo.products import Product
from tasks.demo.studio import Canvas, mirrored, other_side, path, tone
from tasks.demo.tailoring import belt, buttons, folds


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
        folds(canvas, rng, top, bottom, 0.34, 3)
        if look["shape"] == "flared":
            for x in (-0.7, -0.3, 0.25, 0.65):
                canvas.fold([(x * 0.4, top + 0.1), (x * wide, bottom)], 0.1, rng.choice((0.76, 0.84)))
    if look["closure"] == "buttons":
        canvas.seam([(0.09, top), (0.09, bottom)], 0.016, 0.72)
        buttons(canvas, 0.0, top + 0.2, bottom - 0.1, max(3, round(drop / 0.24)), 0.05)
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


def _waist(canvas: Canvas, kind: str, top: float) -> None:
    canvas.plain(
        [(-0.39, top), (0.39, top), (0.4, top + 0.14), (-0.4, top + 0.14)],
        tone(canvas.main, 0.88 if sum(canvas.main) > 240 else 1.08),
    )
    canvas.seam([(-0.4, top + 0.14), (0.4, top + 0.14)], 0.02, 0.66)
    if kind == "belt":
        belt(canvas, top + 0.01, 0.4)
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


def _waist_wide(canvas: Canvas, kind: str) -> None:
    canvas.plain([(-0.42, -0.82), (0.42, -0.82), (0.45, -0.66), (-0.45, -0.66)], tone(canvas.main, 0.88))
    _waist(canvas, kind, -0.81)
