"""A plain decoder in the manner of the common PyTorch code for this paper, to hold ours against.

The projection of all positions is taken at each word, on the 14 x 14 grid; the batch is sorted and shrinks as captions
end; predictions are packed with `pack_padded_sequence`; beam search goes picture by picture, its positions repeated
for every beam. `project_once` takes the projection before the first word, and leaves the rest as it is.

B batch, T words, P positions, D encoder, A attention, E embedding, H hidden, V vocabulary, K beams.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from model.decoder import Decoder


class ReferenceDecoder(nn.Module):
    """Has our decoder's weights, and computes the same numbers."""

    def __init__(self, ours: Decoder, *, grid: int = 14, project_once: bool = False) -> None:
        super().__init__()
        self.grid, self.project_once, self.dropout = grid, project_once, ours.config.dropout
        self.vocabulary_size = ours.output.out_features
        self.embedding, self.output, self.lstm = ours.embedding, ours.output, ours.lstm
        self.first_hidden, self.first_cell = ours.first_hidden, ours.first_cell
        self.encoder_attention = ours.attention.project_position
        self.decoder_attention = ours.attention.project_hidden
        self.full_attention, self.gate = ours.attention.score, ours.attention.gate

    def positions(self, maps: Tensor) -> Tensor:
        """Encoder output (B, D, rows, columns) -> (B, P, D)."""
        return functional.adaptive_avg_pool2d(maps, self.grid).flatten(2).permute(0, 2, 1).contiguous()

    def attend(self, positions: Tensor, projected: Tensor | None, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Context (B, D) and alpha (B, P)."""
        first = self.encoder_attention(positions) if projected is None else projected  # (B, P, A)
        scores = self.full_attention(functional.relu(first + self.decoder_attention(hidden)[:, None])).squeeze(2)
        alpha = functional.softmax(scores, 1)
        return (positions * alpha[:, :, None]).sum(1), alpha

    def forward(self, maps: Tensor, captions: Tensor, lengths: list[int]) -> Tensor:
        """The loss of a batch; captions (B, T) by falling length, ``<start>`` and ``<end>`` counted."""
        positions = self.positions(maps)
        projected = self.encoder_attention(positions) if self.project_once else None
        embedded = self.embedding(captions)  # (B, T, E)
        mean = positions.mean(1)
        hidden, cell = self.first_hidden(mean), self.first_cell(mean)
        steps = [length - 1 for length in lengths]
        predictions = torch.zeros(len(captions), max(steps), self.vocabulary_size, device=maps.device)
        alphas = torch.zeros(len(captions), max(steps), positions.shape[1], device=maps.device)
        for step in range(max(steps)):
            alive = sum(length > step for length in steps)
            context, alpha = self.attend(
                positions[:alive], None if projected is None else projected[:alive], hidden[:alive]
            )
            context = torch.sigmoid(self.gate(hidden[:alive])) * context
            inputs = torch.cat([embedded[:alive, step], context], 1)  # (B, E + D)
            hidden, cell = self.lstm(inputs, (hidden[:alive], cell[:alive]))
            predictions[:alive, step] = self.output(functional.dropout(hidden, self.dropout, self.training))
            alphas[:alive, step] = alpha
        scores = pack_padded_sequence(predictions, steps, batch_first=True).data
        targets = pack_padded_sequence(captions[:, 1:], steps, batch_first=True).data
        return functional.cross_entropy(scores, targets) + ((1 - alphas.sum(1)) ** 2).mean()

    @torch.no_grad()
    def beam_search(self, maps: Tensor, *, start: int, end: int, never: list[int], beams: int, words: int) -> list[int]:
        """The likeliest sentence of one picture (1, D, rows, columns)."""
        positions = self.positions(maps).expand(beams, -1, -1)  # (K, P, D)
        projected = self.encoder_attention(positions) if self.project_once else None
        mean = positions.mean(1)
        hidden, cell = self.first_hidden(mean), self.first_cell(mean)
        sentences = torch.full((beams, 1), start, device=maps.device)
        totals = torch.zeros(beams, 1, device=maps.device)
        finished: list[tuple[float, list[int]]] = []
        for step in range(words):
            context, _ = self.attend(positions, projected, hidden)
            context = torch.sigmoid(self.gate(hidden)) * context
            inputs = torch.cat([self.embedding(sentences[:, -1]), context], 1)
            hidden, cell = self.lstm(inputs, (hidden, cell))
            scores = functional.log_softmax(self.output(hidden), 1)
            scores[:, never] = -torch.inf
            scores = totals + scores  # (K, V)
            if step == 0:  # all beams are the same
                best, flat = scores[0].topk(beams)
                parent = torch.zeros_like(flat)
            else:
                best, flat = scores.flatten().topk(beams)
                parent, flat = flat // self.vocabulary_size, flat % self.vocabulary_size
            sentences = torch.cat([sentences[parent], flat[:, None]], 1)
            for total, sentence in zip(best[flat == end].tolist(), sentences[flat == end].tolist(), strict=True):
                finished.append((total, sentence[1:-1]))
            kept = (flat != end).nonzero().flatten()
            beams = len(kept)
            if not beams:
                break
            parent = parent[kept]
            sentences, totals = sentences[kept], best[kept, None]
            hidden, cell, positions = hidden[parent], cell[parent], positions[parent]
            projected = None if projected is None else projected[parent]
        if finished:
            return max(finished)[1]
        unended: list[int] = sentences[int(totals.argmax()), 1:].tolist()
        return unended
