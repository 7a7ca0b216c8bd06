"""The decoder: an LSTM that looks at the picture before each word.

Xu et al., Show, Attend and Tell (arXiv 1502.03044), section 3.1.2: the LSTM of equations 1 to 3 fed with the word
before and the gated context; the word's probabilities come from the hidden state alone, as in the common code.
B batch, K beams, T words, R packed rows, P positions, D encoder, A attention, E embedding, H hidden, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from model.attention import SoftAttention
from model.grid import Grid
from model.recurrence import Recurrence, packed_slices
from model.settings import DecoderConfig
from model.word_head import WordHead


def padded(captions: Sequence[Sequence[int]]) -> Tensor:
    """Encoded captions (B, T), as long as the longest, padded with 0: what the decoder is taught with."""
    return pad_sequence([torch.tensor(caption) for caption in captions], batch_first=True)


@dataclass(frozen=True)
class State:
    """Where the decoder stands in each beam: hidden and cell (B, K, H). The word head's hint (B, K, V), if any."""

    hidden: Tensor
    cell: Tensor
    hint: Tensor | None

    def select(self, index: Tensor | tuple[Tensor, Tensor]) -> "State":
        """Some pictures only, or, by their rows (B, 1) and places (B, K), some of their beams."""
        return State(self.hidden[index], self.cell[index], None if self.hint is None else self.hint[index])


@dataclass(frozen=True)
class Taught:
    """What a batch of captions gives under teacher forcing, packed: word by word, the captions still alive.

    logits: (R, V). targets: (R,), the true next words. alphas: (R, P). caption: (R,), the caption of each row.
    answers: (2, B, V) of the word head, if there is one.
    """

    logits: Tensor
    targets: Tensor
    alphas: Tensor
    caption: Tensor
    answers: Tensor | None


class Decoder(nn.Module):
    """Features to words."""

    def __init__(self, config: DecoderConfig, *, vocabulary_size: int, encoder_size: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        self.attention = SoftAttention(
            encoder_size=encoder_size, hidden_size=config.hidden_size, attention_size=config.attention_size
        )
        self.first_hidden = nn.Linear(encoder_size, config.hidden_size)
        self.first_cell = nn.Linear(encoder_size, config.hidden_size)
        self.lstm = nn.LSTMCell(config.embedding_size + encoder_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, vocabulary_size)
        self.word_head = None
        if config.word_head:
            self.word_head = WordHead(encoder_size=encoder_size, vocabulary_size=vocabulary_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def first_state(self, grid: Grid) -> State:
        """The state before the first word, one beam (section 3.1.2: from the mean of the features)."""
        return self._begin(grid)[0]

    def _begin(self, grid: Grid) -> tuple[State, Tensor | None]:
        """The first state, and the word head's answers (2, B, V) if there is one."""
        mean, answers, hint = grid.mean(), None, None
        if self.word_head is not None:
            answers = self.word_head(grid)
            hint = self.word_head.hint(answers)[:, None]  # (B, V) -> (B, 1, V)
        return State(self.first_hidden(mean)[:, None], self.first_cell(mean)[:, None], hint), answers

    def step(self, grid: Grid, keys: Tensor, state: State, words: Tensor) -> tuple[Tensor, Tensor, State]:
        """Write one more word in every beam.

        Args:
            grid: B pictures.
            keys: (B, P, A), from ``attention.keys(grid)``.
            state: of B pictures with K beams.
            words: (B, K), the words before.

        Returns:
            Logits (B, K, V), alpha (B, K, P), the next state.
        """
        context, alpha = self.attention(grid, keys, state.hidden)  # (B, K, D), (B, K, P)
        inputs = torch.cat([self.embedding(words), context], -1)  # (B, K, E + D)
        hidden, cell = self.lstm(inputs.flatten(0, 1), (state.hidden.flatten(0, 1), state.cell.flatten(0, 1)))
        hidden, cell = hidden.unflatten(0, words.shape), cell.unflatten(0, words.shape)  # (B·K, H) -> (B, K, H)
        hint = state.hint
        if self.word_head is not None and hint is not None:
            hint = self.word_head.hint_after(hint, words)
        return self.logits(hidden, hint), alpha, State(hidden, cell, hint)

    def logits(self, hidden: Tensor, hint: Tensor | None) -> Tensor:
        """Hidden states (…, H) and the word head's hint (…, V) -> (…, V)."""
        dropped = functional.dropout(hidden, self.config.dropout, self.training)
        logits: Tensor = self.output(dropped)
        return logits if hint is None else logits + hint

    def forward(self, grid: Grid, captions: Tensor, lengths: list[int], precision: torch.dtype | None = None) -> Taught:
        """Write whole captions with the true word before each word.

        Args:
            grid: B pictures.
            captions: (B, T) indices, from ``<start>``, padded.
            lengths: of each caption, ``<start>`` and ``<end>`` counted; falling, at least 2.
            precision: the number format of the large matrix products; None: the weights' own.
        """
        words = packed_slices([length - 1 for length in lengths])
        caption, place = _packed_rows(lengths, captions.device)  # (R,) each
        attention, lstm = self.attention, self.lstm
        embedded = self.embedding(captions[caption, place])  # (R, E)
        for_word, for_context = torch.split(lstm.weight_ih, [self.config.embedding_size, grid.features.shape[2]], 1)
        state, answers = self._begin(grid)
        exact = grid.features.dtype
        precision = precision or exact
        fast = torch.autocast(captions.device.type, precision, enabled=precision != exact)
        with fast:
            keys = attention.keys(grid)
            inputs = functional.linear(embedded, for_word, lstm.bias_ih)  # (R, 4H)
        hiddens, alphas = Recurrence.apply(
            grid.features,
            keys.to(exact),
            grid.pooling,
            inputs.to(exact),
            state.hidden[:, 0],
            state.cell[:, 0],
            torch.cat([attention.project_hidden.weight, attention.gate.weight, lstm.weight_hh]),
            torch.cat([attention.project_hidden.bias, attention.gate.bias, lstm.bias_hh]),
            attention.score.weight[0],
            for_context,
            words,
            # On a GPU a product so small takes its start, in any format, and each change of format another one.
            exact if captions.is_cuda else precision,
        )
        with fast:
            hint = None
            if self.word_head is not None and state.hint is not None:
                hint = self.word_head.hints_along(state.hint, captions)[caption, place]  # (B, T, V) -> (R, V)
            logits = self.logits(hiddens, hint)
        return Taught(logits.to(exact), captions[caption, place + 1], alphas, caption, answers)


def _packed_rows(lengths: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The caption and the word (R,) of each packed row."""
    alive = torch.arange(1, lengths[0])[:, None] < torch.tensor(lengths)  # (T - 1, B)
    place, caption = alive.nonzero().t().contiguous().to(device, non_blocking=True)  # (R, 2) -> (2, R)
    return caption, place
