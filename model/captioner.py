"""Encoder and decoder, joined: pictures and captions in, taught words out.

B batch, S picture side, N the encoder's own positions, D encoder, T words.
"""

import torch
from torch import Tensor, nn

from model.decoder import Decoder, Taught
from model.encoder import Encoder
from model.grid import Grid, attention_grid
from model.settings import DecoderConfig, EncoderConfig


class Captioner(nn.Module):
    """The whole model.

    `precision` is the number format of training's matrix products (float16: the encoder's alone). Weights, gradients,
    the loss, and all of validation and inference are float32 (GPUs that can multiply such matrices in TF32).
    """

    precision = torch.float32

    def __init__(
        self, *, encoder: EncoderConfig, decoder: DecoderConfig, vocabulary_size: int, load_weights: bool = True
    ) -> None:
        super().__init__()
        self.encoder = Encoder(encoder, load_weights=load_weights)
        self.decoder = Decoder(decoder, vocabulary_size=vocabulary_size, encoder_size=self.encoder.size)

    @property
    def decoder_precision(self) -> torch.dtype | None:
        """The number format of the decoder's products as it is; None: the weights' own. float16 is not for it."""
        return torch.bfloat16 if self.training and self.precision == torch.bfloat16 else None

    def grid(self, seen: Tensor, own: tuple[int, int] | None = None) -> Grid:
        """The attention grid of pictures (B, 3, S, S), or of features (B, N, D) on a known grid."""
        if own is None:
            fast = self.training and self.precision != torch.float32
            with torch.autocast(seen.device.type, self.precision, enabled=fast):
                seen, own = self.encoder(seen)
        grid = attention_grid(seen.float(), own, self.encoder.config.grid)  # outside: in float32
        return grid.normalised() if self.encoder.config.normalise else grid

    def forward(self, seen: Tensor, captions: Tensor, lengths: list[int], own: tuple[int, int] | None = None) -> Taught:
        """Teach a batch; see `Decoder.forward`. The captions' pictures are `seen`, row by row."""
        grid = self.grid(seen, own)
        taught: Taught = self.decoder(grid, captions, lengths, self.decoder_precision)
        return taught
