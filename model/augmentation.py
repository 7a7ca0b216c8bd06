"""Pictures as training sees them: mirrored, turned and moved a little, on their own device, by chances drawn before.

B batch, S picture side, V the view's side.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

STILL = torch.eye(2, 3)


def views(
    turn_degrees: NDArray[np.float64], zoom: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float32]:
    """From which place of a picture each place of its view is taken, as affine maps.

    Args:
        turn_degrees: (B,), counter-clockwise.
        zoom: (B,), the view's side as a share of the picture's: below 1 enlarges.
        shift: (B, 2), to the right and down, in halves of the picture's side.

    Returns:
        (B, 2, 3), on coordinates from -1 to 1.
    """
    cosine, sine = zoom * np.cos(np.deg2rad(turn_degrees)), zoom * np.sin(np.deg2rad(turn_degrees))
    rows = [np.stack([cosine, -sine, shift[:, 0]], 1), np.stack([sine, cosine, shift[:, 1]], 1)]
    return np.stack(rows, 1).astype(np.float32)  # (B, 2, 3)


def augment(pictures: Tensor, flip: Tensor, view: Tensor, *, view_px: int) -> Tensor:
    """Mirror, turn, move and shrink pictures; what is left empty repeats the border.

    Args:
        pictures: (B, 3, S, S), uint8.
        flip: (B,) bool, which to mirror.
        view: (B, 2, 3), see `views`; on the CPU, as looking at it would wait for a GPU.
        view_px: V, the side of what comes out.

    Returns:
        (B, 3, V, V): float if any picture is turned, moved or shrunk, else uint8.
    """
    pictures = torch.where(flip[:, None, None, None], pictures.flip(3), pictures)
    if view_px == pictures.shape[3] and (view == STILL).all():
        return pictures
    places = functional.affine_grid(
        view.to(pictures.device, non_blocking=True), [*pictures.shape[:2], view_px, view_px], align_corners=False
    )
    seen: Tensor = functional.grid_sample(
        pictures.float(), places, mode="bilinear", padding_mode="border", align_corners=False
    )
    return seen
