"""How tops look: shirts, tees and sweaters, with the details that the product has."""

import random

from tasks.demo.products import Product
from tasks.demo.studio import Canvas, ellipse, mirrored, other_side, path, tone
from tasks.demo.tailoring import SHOULDER, armholes, buttons, folds, neck, sleeves, straight_body


def shirt(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Buttoned, with a collar and a curved hem."""
    look = product.details
    sleeves(canvas, look["sleeves"])
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
    armholes(canvas, SHOULDER, 0.48, 0.54, 0.78, long=look["sleeves"] == "long")
    folds(canvas, rng, -0.4, 1.0, 0.42)
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
    buttons(canvas, 0.0, -0.58, 0.86, 6, 0.04)
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
    sleeves(canvas, look["sleeves"], width=0.02)
    if look["sleeves"] == "sleeveless":
        straight_body(canvas, bottom, waist=0.46, hem=0.52, shoulder=(0.43, -0.92), armhole=(0.3, -0.5))
    else:
        straight_body(canvas, bottom, waist=0.47, hem=0.52)
        armholes(canvas, SHOULDER, 0.47, 0.52, bottom, long=look["sleeves"] == "long")
    folds(canvas, rng, -0.3, bottom, 0.42, 4)
    canvas.seam([(-0.52, bottom - 0.06), (0.52, bottom - 0.06)], 0.016, 0.8)
    neck(canvas, look["neckline"])


def sweater(canvas: Canvas, product: Product, rng: random.Random) -> None:
    """Heavier and wider than a tee, with ribbed edges."""
    look = product.details
    bottom, tipped = 0.86, look["trim"] == "tipped"
    edge = canvas.contrast if tipped else tone(canvas.main, 0.82 if sum(canvas.main) > 240 else 1.14)
    sleeves(canvas, "long", width=0.04, shoulder=(0.54, -0.88))
    straight_body(canvas, bottom, waist=0.58, hem=0.56, shoulder=(0.54, -0.88))
    armholes(canvas, (0.54, -0.88), 0.58, 0.56, bottom, long=True)
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
    folds(canvas, rng, -0.4, bottom, 0.45, 4)
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
    neck(canvas, "v" if kind == "cardigan" else kind, trim=False)
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
