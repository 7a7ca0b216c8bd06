"""More than one look at a picture: at its mirror image, and at both enlarged. All looks choose each word together.

B pictures, S their side, P positions of the attention grid.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from model.grid import Grid, attention_grid

if TYPE_CHECKING:
    from model.captioner import Captioner

ENLARGED = 1.25  # times as wide and high: a quarter more positions along each side, so the network sees other borders


@dataclass(frozen=True)
class Look:
    """What one look at B pictures shows. `mirrored`: left and right are exchanged in it."""

    grid: Grid
    mirrored: bool = False


@torch.no_grad()
def looks(captioner: "Captioner", pictures: Tensor, *, mirrored: bool = False, enlarged: bool = False) -> list[Look]:
    """Look at pictures (B, 3, S, S): as they are, and as asked for besides. All on the first look's attention grid."""
    found = [Look(captioner.grid(pictures))]
    if mirrored:
        found.append(Look(captioner.grid(pictures.flip(3)), mirrored=True))
    if enlarged:
        side = round(ENLARGED * pictures.shape[3])
        larger = interpolate(pictures.float(), size=(side, side), mode="bicubic", antialias=True).clamp(0, 255)
        found += looks(captioner, larger, mirrored=mirrored)
        found = [Look(_on(look.grid, found[0].grid.shape[0]), look.mirrored) for look in found]
    return found


def _on(grid: Grid, size: int) -> Grid:
    """The grid with its features written out on size x size positions."""
    if grid.shape != (size, size):  # the encoder's own grid, which grows with the picture
        grid = attention_grid(grid.features, grid.shape, size)
    return Grid(grid.pooled(), None, grid.shape)
