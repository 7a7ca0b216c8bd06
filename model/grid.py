"""The encoder's positions, and the attention grid that is pooled from them.

Adaptive average pooling is linear, and its weights at a grid position sum to 1. So whatever is linear in the features
(the positions' projection, the context vector) can be taken on the encoder's own positions, and only what is not (the
attention's scores) needs the grid. At 256 px that is 64 positions instead of 196.

B batch, N the encoder's own positions, P positions of the attention grid, D encoder, A attention.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

TINY = 1e-6  # keeps gradients finite where nothing was seen


@dataclass(frozen=True)
class Grid:
    """Features on the encoder's own positions and the map to the attention grid.

    features: (B, N, D). pooling: (P, N), its rows sum to 1; None where the two grids are one.
    shape: P as rows, columns.
    """

    features: Tensor
    pooling: Tensor | None
    shape: tuple[int, int]

    @property
    def positions(self) -> int:
        """How many positions attention has."""
        return self.shape[0] * self.shape[1]

    def pool(self, values: Tensor) -> Tensor:
        """(B, N, A) on the encoder's own positions -> (B, P, A) on the attention grid."""
        return values if self.pooling is None else self.pooling @ values

    def unpool(self, weights: Tensor) -> Tensor:
        """Weights (…, P) over the attention grid -> (…, N) over the positions, the same weighted sum of features."""
        return weights if self.pooling is None else weights @ self.pooling

    def mean(self) -> Tensor:
        """(B, D): the mean over the attention grid."""
        if self.pooling is None:
            return self.features.mean(1)
        return torch.einsum("n,bnd->bd", self.pooling.mean(0), self.features)

    def pooled(self) -> Tensor:
        """(B, P, D): the features on the attention grid, written out."""
        return self.pool(self.features)

    def normalised(self) -> "Grid":
        """Square roots of the features, signs kept, then each position at a root mean square of 1.

        A few large features otherwise outvote the many small ones (Perronnin et al., ECCV 2010, section 3.1 and 3.2).
        """
        roots = self.features.sign() * (self.features.abs() + TINY).sqrt()
        scale = (roots.square().mean(-1, keepdim=True) + TINY).rsqrt()  # (B, N, 1)
        return Grid(roots * scale, self.pooling, self.shape)

    def select(self, rows: Tensor) -> "Grid":
        """The grid of some pictures, by their rows (or a mask) in the batch."""
        return Grid(self.features[rows], self.pooling, self.shape)


def attention_grid(features: Tensor, own: tuple[int, int], size: int) -> Grid:
    """Put features on a size x size attention grid.

    Args:
        features: (B, N, D), N row by row over `own` rows x columns.
        own: the encoder's own grid.
        size: side of the attention grid; 0 keeps the encoder's own.
    """
    target = (size, size) if size else own
    if target == own:
        return Grid(features, None, own)
    pooling = pooling_map(own, target, features.device)
    if target[0] * target[1] <= own[0] * own[1]:  # fewer positions: pool at once
        return Grid(pooling.to(features.dtype) @ features, None, target)
    return Grid(features, pooling, target)


@lru_cache(maxsize=64)
def pooling_map(own: tuple[int, int], target: tuple[int, int], device: torch.device) -> Tensor:
    """(P, N): what `torch.nn.functional.adaptive_avg_pool2d` does from `own` to `target`, as a matrix."""
    rows, columns = (_axis_map(n, p) for n, p in zip(own, target, strict=True))
    return torch.kron(rows, columns).to(device)


def _axis_map(own: int, target: int) -> Tensor:
    weights = torch.zeros(target, own)
    for index in range(target):
        first, last = index * own // target, -(-(index + 1) * own // target)
        weights[index, first:last] = 1 / (last - first)
    return weights
