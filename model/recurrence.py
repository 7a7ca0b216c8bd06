"""The decoder's recurrence over whole captions, with its gradient written out.

`model.decoder.Decoder.step` says the same in plain modules; this is what training runs. Three things make it fast:

- captions stand sorted by length and only the rows still alive are computed, as in ``pack_padded_sequence``;
- the hidden state is multiplied once a word by all matrices that wait for it (attention, gate, LSTM);
- in the backward pass the gradient of every weight, and of the features, is one matrix product over all words instead
  of a large matrix added up at each word.

B captions, T words, R packed rows (word by word, the alive captions of each), n alive at a word, N the encoder's own
positions, P positions of the attention grid, D encoder, A attention, H hidden.
"""

import itertools
from typing import Any

import torch
from torch import Tensor


def packed_slices(lengths: list[int]) -> list[slice]:
    """Where each word's rows stand among the packed rows, for captions sorted by falling length."""
    assert all(a >= b for a, b in itertools.pairwise(lengths)), "captions must be sorted by falling length"
    slices, first = [], 0
    alive = len(lengths)
    for word in range(lengths[0]):
        while lengths[alive - 1] <= word:
            alive -= 1
        slices.append(slice(first, first + alive))
        first += alive
    return slices


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The product in the number format of `b`, given back in that of `a`."""
    return (a.to(b.dtype) @ b).to(a.dtype)


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
        queries = inputs.new_empty(rows, attention_size)
        gates, betas = inputs.new_empty(rows, 4 * hidden_size), inputs.new_empty(rows, encoder_size)
        contexts = inputs.new_empty(rows, encoder_size)
        hiddens, cells = inputs.new_empty(rows, hidden_size), inputs.new_empty(rows, hidden_size)
        alphas, weights = inputs.new_empty(rows, positions), inputs.new_empty(rows, own)
        buffer = torch.empty_like(keys)
        fast_state, fast_context = state_weight.to(precision).t(), context_weight.to(precision).t()

        h, c = hidden, cell
        for word in words:
            n = word.stop - word.start
            state = _product(h[:n], fast_state).add_(state_bias)  # (n, A + D + 4H)
            query, beta, gate = torch.split(state, sizes, 1)
            queries[word] = query
            # relu(k + q) = max(k, -q) + q, and score·q is one number for all positions, which no softmax sees
            seen = torch.maximum(keys[:n], -query[:, None], out=buffer[:n])  # (n, P, A)
            alpha = torch.softmax(seen @ score, -1)  # (n, P)
            weight = alpha if pooling is None else alpha @ pooling  # (n, N)
            context = (weight[:, None] @ features[:n])[:, 0]  # (n, 1, N) @ (n, N, D) -> (n, D)
            beta = torch.sigmoid(beta)
            gate = _product(beta * context, fast_context).add_(gate).add_(inputs[word])
            gate_i, gate_f, gate_g, gate_o = gate.chunk(4, 1)
            gate_i.sigmoid_(), gate_f.sigmoid_(), gate_g.tanh_(), gate_o.sigmoid_()
            c = gate_f * c[:n] + gate_i * gate_g
            h = gate_o * torch.tanh(c)
            alphas[word], weights[word], contexts[word], betas[word] = alpha, weight, context, beta
            gates[word], hiddens[word], cells[word] = gate, h, c

        ctx.save_for_backward(
            features, keys, pooling, hidden, cell, state_weight, score, context_weight,
            queries, alphas, weights, contexts, betas, gates, hiddens, cells,
        )  # fmt: skip
        ctx.words, ctx.precision = words, precision
        return hiddens, alphas

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # noqa: PLR0915 - one recurrence, word by word
        ctx: Any, d_hiddens: Tensor, d_alphas: Tensor
    ) -> tuple[Tensor | None, ...]:
        """The same equations, from the last word to the first."""
        (
            features, keys, pooling, hidden, cell, state_weight, score, context_weight,
            queries, alphas, weights, contexts, betas, gates, hiddens, cells,
        ) = ctx.saved_tensors  # fmt: skip
        words: list[slice] = ctx.words
        fast_state, fast_context = state_weight.to(ctx.precision), context_weight.to(ctx.precision)
        batch, own, encoder_size = features.shape
        d_states = torch.empty(len(gates), len(state_weight), dtype=gates.dtype, device=gates.device)  # (R, A + D + 4H)
        sizes = [keys.shape[2], encoder_size, gates.shape[1]]
        d_contexts = torch.empty_like(contexts)
        open_sums = torch.empty_like(queries)  # sum over positions of the same, (R, A)
        active = torch.zeros_like(keys)  # sum over words of d_score where the rectifier is open, (B, P, A)
        buffer = torch.empty_like(keys)
        d_h, d_c = torch.zeros_like(hidden), torch.zeros_like(cell)
        previous_h, previous_c = torch.empty_like(hiddens), torch.empty_like(cells)
        for index, word in enumerate(words):
            n = word.stop - word.start
            before = words[index - 1].start if index else 0
            previous_h[word] = (hiddens if index else hidden)[before : before + n]
            previous_c[word] = (cells if index else cell)[before : before + n]

        for word in reversed(words):
            n = word.stop - word.start
            # the LSTM cell
            gate_i, gate_f, gate_g, gate_o = gates[word].chunk(4, 1)
            d_out = d_hiddens[word] + d_h[:n]
            tanh_c = torch.tanh(cells[word])
            d_cell = d_c[:n] + d_out * gate_o * (1 - tanh_c**2)
            d_query, d_beta, d_gate = torch.split(d_states[word], sizes, 1)
            d_i, d_f, d_g, d_o = d_gate.chunk(4, 1)
            torch.mul(d_cell * gate_g, gate_i * (1 - gate_i), out=d_i)
            torch.mul(d_cell * previous_c[word], gate_f * (1 - gate_f), out=d_f)
            torch.mul(d_cell * gate_i, 1 - gate_g**2, out=d_g)
            torch.mul(d_out * tanh_c, gate_o * (1 - gate_o), out=d_o)
            d_c[:n] = d_cell * gate_f
            # the gate β and the context
            d_gated = _product(d_gate, fast_context)  # (n, D)
            beta = betas[word]
            torch.mul(d_gated * contexts[word], beta * (1 - beta), out=d_beta)
            d_context = torch.mul(d_gated, beta, out=d_contexts[word])
            # the attention
            # The other way round, with the column on the right, it takes nine times as long on a CPU.
            d_weight = (d_context[:, None] @ features[:n].transpose(1, 2))[:, 0]  # (n, 1, D) @ (n, D, N) -> (n, N)
            d_alpha = (d_weight if pooling is None else d_weight @ pooling.t()) + d_alphas[word]
            alpha = alphas[word]
            d_score = alpha * (d_alpha - (alpha * d_alpha).sum(1, keepdim=True))  # (n, P)
            opened = torch.gt(keys[:n], -queries[word][:, None], out=buffer[:n])  # 0 or 1, (n, P, A)
            active[:n].addcmul_(opened, d_score[:, :, None])
            open_sums[word] = (d_score[:, None] @ opened)[:, 0]  # (n, 1, P) @ (n, P, A) -> (n, A)
            torch.mul(open_sums[word], score, out=d_query)
            d_h[:n] = _product(d_states[word], fast_state)

        d_keys = active * score
        # from relu(k + q) = open·(k + q)
        d_score_weight = (active * keys).sum((0, 1)) + (open_sums * queries).sum(0)
        d_features = None
        if ctx.needs_input_grad[0]:
            length = len(words)
            all_weights = weights.new_zeros(batch, length, own)
            all_contexts = contexts.new_zeros(batch, length, encoder_size)
            for index, word in enumerate(words):
                all_weights[: word.stop - word.start, index] = weights[word]
                all_contexts[: word.stop - word.start, index] = d_contexts[word]
            d_features = all_weights.transpose(1, 2) @ all_contexts  # (B, N, T) @ (B, T, D)
        d_gates = d_states[:, sizes[0] + sizes[1] :]
        return (
            d_features,
            d_keys,
            None,
            d_gates,
            d_h,
            d_c,
            _product(d_states.t(), previous_h.to(ctx.precision)),
            d_states.sum(0),
            d_score_weight,
            _product(d_gates.t(), (betas * contexts).to(ctx.precision)),
            None,
            None,
        )
