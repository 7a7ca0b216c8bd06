"""The decoder's recurrence over whole captions, with its gradient written out.

`model.decoder.Decoder.step` says the same in plain modules; this is what training runs. Four things make it fast:

- captions stand sorted by length and only the rows still alive are computed, as in ``pack_padded_sequence``;
- the hidden state is multiplied once a word by all matrices that wait for it (attention, gate, LSTM);
- in the backward pass the gradient of every weight, and of the features, is one matrix product over all words instead
  of a large matrix added up at each word;
- what can be taken for all words at once stands outside the loops, and results are written where they are kept: on a
  GPU each operation on so few numbers costs its start.

B captions, T words, R packed rows (word by word, the alive captions of each), n alive at a word, N the encoder's own
positions, P positions of the attention grid, D encoder, A attention, H hidden.
"""

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


def packed_slices(lengths: list[int]) -> list[slice]:
    """Where each word's rows stand among the packed rows, for captions sorted by falling length."""
    assert all(a >= b for a, b in itertools.pairwise(lengths)), "captions must be sorted by falling length"
    alive = [sum(length > word for length in lengths) for word in range(lengths[0])]
    stops = itertools.accumulate(alive)
    return [slice(stop - n, stop) for n, stop in zip(alive, stops, strict=True)]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The product in the number format of `b`; added to float32 it becomes that."""
    return a.to(b.dtype) @ b


def _plus_product(total: Tensor, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """The same, added to `total` and kept in its format: one operation where the formats are one."""
    if a.dtype == b.dtype:
        return torch.addmm(total, a, b, out=out)
    return torch.add(total, _product(a, b), out=out)


def _padded(packed: Tensor, words: list[slice]) -> Tensor:
    """(R, …) -> (B, T, …), zero where a caption has ended."""
    sequence = PackedSequence(packed, torch.tensor([word.stop - word.start for word in words]))
    return pad_packed_sequence(sequence, batch_first=True)[0]


class Recurrence(torch.autograd.Function):
    """Attention, gate and LSTM cell at every word, under teacher forcing."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        keys: Tensor,
        pooling: Tensor | None,
        inputs: Tensor,
        hidden: Tensor,
        cell: Tensor,
        state_weight: Tensor,
        state_bias: Tensor,
        score: Tensor,
        context_weight: Tensor,
        words: list[slice],
        precision: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Run all words.

        Args:
            ctx: autograd's.
            features: (B, N, D).
            keys: (B, P, A), the positions' projections.
            pooling: (P, N) or None, see `model.grid.Grid`.
            inputs: (R, 4H), the embedded words' share of the LSTM's gates, biases included.
            hidden: (B, H), the first state.
            cell: (B, H), the first state.
            state_weight: (A + D + 4H, H), the matrices of attention, gate β and LSTM, one above the other.
            state_bias: (A + D + 4H).
            score: (A), the attention's last layer.
            context_weight: (4H, D), the context's share of the LSTM's gates.
            words: see `packed_slices`.
            precision: the number format of the products with the weights.

        Returns:
            The hidden states (R, H) and alphas (R, P).
        """
        (_, own, encoder_size), (_, positions, attention_size) = features.shape, keys.shape
        rows, hidden_size = len(inputs), hidden.shape[1]
        sizes = [attention_size, encoder_size, 4 * hidden_size]
        queries = inputs.new_empty(rows, attention_size)  # their negatives
        gates, betas = inputs.new_empty(rows, 4 * hidden_size), inputs.new_empty(rows, encoder_size)
        contexts = inputs.new_empty(rows, encoder_size)
        hiddens, cells = inputs.new_empty(rows, hidden_size), inputs.new_empty(rows, hidden_size)
        alphas = inputs.new_empty(rows, positions)
        weights = alphas if pooling is None else inputs.new_empty(rows, own)
        buffer = torch.empty_like(keys)
        fast_state, fast_context = state_weight.to(precision).t(), context_weight.to(precision).t()

        h, c = hidden, cell
        for word in words:
            n = word.stop - word.start
            state = _plus_product(state_bias, h[:n], fast_state)  # (n, A + D + 4H)
            query, beta, gate = torch.split(state, sizes, 1)
            query = torch.neg(query, out=queries[word])
            # relu(k + q) = max(k, -q) + q, and score·q is one number for all positions, which no softmax sees
            seen = torch.maximum(keys[:n], query[:, None], out=buffer[:n])  # (n, P, A)
            alpha = torch.softmax(seen @ score, -1, out=alphas[word])  # (n, P)
            weight = alpha if pooling is None else torch.mm(alpha, pooling, out=weights[word])  # (n, N)
            context = contexts[word]
            torch.bmm(weight[:, None], features[:n], out=context[:, None])  # (n, 1, N) @ (n, N, D) -> (n, 1, D)
            gated = torch.sigmoid(beta, out=betas[word]) * context
            gate = _plus_product(gate + inputs[word], gated, fast_context, out=gates[word])
            gate_i, gate_f, gate_g, gate_o = gate.chunk(4, 1)
            gate[:, : 2 * hidden_size].sigmoid_(), gate_g.tanh_(), gate_o.sigmoid_()
            c = torch.addcmul(gate_f * c[:n], gate_i, gate_g, out=cells[word])
            h = torch.mul(gate_o, torch.tanh(c), out=hiddens[word])

        ctx.save_for_backward(
            features, keys, pooling, hidden, cell, state_weight, score, context_weight,
            queries, alphas, weights, contexts, betas, gates, hiddens, cells,
        )  # fmt: skip
        ctx.words, ctx.precision = words, precision
        return hiddens, alphas

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_hiddens: Tensor, d_alphas: Tensor) -> tuple[Tensor | None, ...]:
        """The same equations, from the last word to the first."""
        (
            features, keys, pooling, hidden, cell, state_weight, score, context_weight,
            queries, alphas, weights, contexts, betas, gates, hiddens, cells,
        ) = ctx.saved_tensors  # fmt: skip
        words: list[slice] = ctx.words
        fast_state, fast_context = state_weight.to(ctx.precision), context_weight.to(ctx.precision)
        sizes = [keys.shape[2], features.shape[2], gates.shape[1]]
        d_states = gates.new_empty(len(gates), len(state_weight))  # (R, A + D + 4H)
        d_queries, d_betas, d_gates = torch.split(d_states, sizes, 1)
        d_contexts = torch.empty_like(contexts)
        active = torch.zeros_like(keys)  # sum over words of d_score where the rectifier is open, (B, P, A)
        open_sums = torch.empty_like(queries)  # sum over positions of the same, (R, A)
        buffer = torch.empty_like(keys)
        d_h, d_c = torch.zeros_like(hidden), torch.zeros_like(cell)
        previous_h, previous_c = _before(hidden, hiddens, words), _before(cell, cells, words)
        slopes, into_cell = _slopes(gates, previous_c, cells.tanh())
        forgotten = gates.chunk(4, 1)[1]
        beta_slopes = contexts * betas * (1 - betas)

        for word in reversed(words):
            n = word.stop - word.start
            # the LSTM cell
            d_out = d_hiddens[word] + d_h[:n]
            d_cell = torch.addcmul(d_c[:n], d_out, into_cell[word])
            d_gate, slope = d_gates[word], slopes[word]
            d_each = torch.unflatten(d_gate, 1, (4, -1))  # (n, 4H) -> (n, 4, H)
            torch.mul(d_cell[:, None], slope[:, :3], out=d_each[:, :3])
            torch.mul(d_out, slope[:, 3], out=d_each[:, 3])
            torch.mul(d_cell, forgotten[word], out=d_c[:n])
            # the gate β and the context
            d_gated = _product(d_gate, fast_context)  # (n, D)
            torch.mul(d_gated, beta_slopes[word], out=d_betas[word])
            d_context = torch.mul(d_gated, betas[word], out=d_contexts[word])
            # the attention
            # The other way round, with the column on the right, it takes nine times as long on a CPU.
            d_weight = (d_context[:, None] @ features[:n].transpose(1, 2))[:, 0]  # (n, 1, D) @ (n, D, N) -> (n, N)
            d_alpha = d_alphas[word]
            d_alpha = d_alpha + d_weight if pooling is None else torch.addmm(d_alpha, d_weight, pooling.t())  # (n, P)
            part = alphas[word] * d_alpha
            d_score = torch.addcmul(part, alphas[word], part.sum(1, keepdim=True), value=-1)  # (n, P)
            opened = torch.gt(keys[:n], queries[word][:, None], out=buffer[:n])  # 0 or 1, (n, P, A)
            active[:n].addcmul_(opened, d_score[:, :, None])
            open_sum = open_sums[word]
            torch.bmm(d_score[:, None], opened, out=open_sum[:, None])  # (n, 1, P) @ (n, P, A) -> (n, 1, A)
            torch.mul(open_sum, score, out=d_queries[word])
            d_h[:n] = _product(d_states[word], fast_state)

        d_features = None
        if ctx.needs_input_grad[0]:
            # (B, N, T) @ (B, T, D)
            d_features = _padded(weights, words).transpose(1, 2) @ _padded(d_contexts, words)
        exact = d_states.dtype
        return (
            d_features,
            active * score,
            None,
            d_gates,
            d_h,
            d_c,
            _product(d_states.t(), previous_h.to(ctx.precision)).to(exact),
            d_states.sum(0),
            (active * keys).sum((0, 1)) - (open_sums * queries).sum(0),  # from relu(k + q) = open·(k + q)
            _product(d_gates.t(), (betas * contexts).to(ctx.precision)).to(exact),
            None,
            None,
        )


def _before(first: Tensor, after: Tensor, words: list[slice]) -> Tensor:
    """What stood before each word, (R, H), of the first state (B, H) and of those after each word (R, H)."""
    pairs = itertools.pairwise(words)
    return torch.cat([first, *(after[one.start : one.start + two.stop - two.start] for one, two in pairs)])


def _slopes(gates: Tensor, previous_c: Tensor, tanh_c: Tensor) -> tuple[Tensor, Tensor]:
    """What the gradients of an LSTM cell's gates are multiples of, and what of the hidden state's reaches the cell.

    Returns:
        (R, 4, H), the gates i, f and g's of the cell's gradient, o's of the hidden state's; (R, H).
    """
    gate_i, gate_f, gate_g, gate_o = gates.chunk(4, 1)
    of_cell = [gate_g * gate_i * (1 - gate_i), previous_c * gate_f * (1 - gate_f), gate_i * (1 - gate_g**2)]
    return torch.stack([*of_cell, tanh_c * gate_o * (1 - gate_o)], 1), gate_o * (1 - tanh_c**2)
