"""Pictures as training sees them: mirrored, turned a little. Runs on the pictures' device, with chances drawn before.

B batch, S picture side.
"""

import torch
from torch import Tensor
from torch.nn import functional


def augment(pictures: Tensor, flip: Tensor, turn_degrees: Tensor) -> Tensor:
    """Mirror and turn pictures; what a turn leaves empty repeats the border.

    Args:
        pictures: (B, 3, S, S), uint8.
        flip: (B,) bool, which to mirror.
        turn_degrees: (B,), counter-clockwise.

    Returns:
        (B, 3, S, S): float if any picture is turned, else uint8.
    """
    pictures = torch.where(flip[:, None, None, None], pictures.flip(3), pictures)
    if not turn_degrees.any():
        return pictures
    angle = turn_degrees.deg2rad()
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)  # (B, 2, 3)
    places = functional.affine_grid(turn, list(pictures.shape), align_corners=False)
    turned: Tensor = functional.grid_sample(
        pictures.float(), places, mode="bilinear", padding_mode="border", align_corners=False
    )
    return turned
