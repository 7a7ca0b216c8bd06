"""Soft attention: how much the decoder looks at each position before it writes a word.

Xu et al., Show, Attend and Tell (arXiv 1502.03044), equations 4, 5 and 13, section 4.2.1 for the gate β.
B batch, K beams, N the encoder's own positions, P positions of the attention grid, D encoder, A attention, H hidden.
"""

import torch
from torch import Tensor, nn

from model.grid import Grid


class SoftAttention(nn.Module):
    """f_att of equation 4: one hidden layer with a rectifier; the gate β scales what was seen.

    β is a number for each feature, as in the common code; the paper has one for all.
    """

    def __init__(self, *, encoder_size: int, hidden_size: int, attention_size: int) -> None:
        super().__init__()
        self.project_position = nn.Linear(encoder_size, attention_size)
        self.project_hidden = nn.Linear(hidden_size, attention_size)
        # no bias: a constant added to every score changes no softmax
        self.score = nn.Linear(attention_size, 1, bias=False)
        self.gate = nn.Linear(hidden_size, encoder_size)

    def keys(self, grid: Grid) -> Tensor:
        """(B, P, A): the positions' projections, the same for all words, so taken once a picture."""
        keys: Tensor = grid.pool(self.project_position(grid.features))
        return keys

    def forward(self, grid: Grid, keys: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Look at each picture with the state of each of its beams.

        Args:
            grid: B pictures.
            keys: (B, P, A), from `keys`.
            hidden: (B, K, H).

        Returns:
            The gated context β·z (B, K, D) and alpha (B, K, P), which sums to 1 over P.
        """
        query = self.project_hidden(hidden)  # (B, K, A)
        # relu(k + q) = max(k, -q) + q, and score·q is one number for all positions, which no softmax sees
        scores = [self.score(torch.maximum(keys, -query[:, beam, None])) for beam in range(query.shape[1])]
        alpha = torch.cat(scores, -1).transpose(1, 2).softmax(-1)  # (B, P, K) -> (B, K, P)
        context = grid.unpool(alpha) @ grid.features  # (B, K, N) @ (B, N, D) -> (B, K, D)
        return torch.sigmoid(self.gate(hidden)) * context, alpha
