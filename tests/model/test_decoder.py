"""The decoder is right to the equation: held to NumPy, to its own plain step, and to the packed form of the loss."""

from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from model.decoder import Decoder
from model.grid import Grid
from model.objective import caption_loss, total_loss
from model.recurrence import packed_slices
from tests.model.parts import random_captions, random_decoder, random_grid, small_vocabulary

VOCABULARY = small_vocabulary(7)
LENGTHS = [9, 9, 6, 3, 2]
Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def numpy_step(
    decoder: Decoder, grid: Grid, hidden: Array, cell: Array, word: int
) -> tuple[Array, Array, Array, Array]:
    """One picture, one step: equations 1 to 5 and 13 of the paper, and the gate β of section 4.2.1."""
    w = {name: value.detach().numpy() for name, value in decoder.named_parameters()}
    positions = grid.pooled()[0].numpy()  # (P, D)
    e = np.array(
        [
            w["attention.score.weight"][0]
            @ np.maximum(
                w["attention.project_position.weight"] @ a
                + w["attention.project_position.bias"]
                + w["attention.project_hidden.weight"] @ hidden
                + w["attention.project_hidden.bias"],
                0,
            )
            for a in positions
        ]
    )
    alpha = np.exp(e) / np.exp(e).sum()
    z = sum(weight * a for weight, a in zip(alpha, positions, strict=True))
    beta = sigmoid(w["attention.gate.weight"] @ hidden + w["attention.gate.bias"])
    x = np.concatenate([w["embedding.weight"][word], beta * z])
    gates = w["lstm.weight_ih"] @ x + w["lstm.bias_ih"] + w["lstm.weight_hh"] @ hidden + w["lstm.bias_hh"]
    i, f, g, o = np.split(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(cell)
    return w["output.weight"] @ hidden + w["output.bias"], alpha, hidden, cell


def plain_loss(decoder: Decoder, grid: Grid, captions: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """The common code's loss: all steps for all captions, then `pack_padded_sequence` on predictions and targets."""
    state, keys = decoder.first_state(grid), decoder.attention.keys(grid)
    logits, alphas = [], []
    for place in range(captions.shape[1] - 1):
        step_logits, alpha, state = decoder.step(grid, keys, state, captions[:, place : place + 1])
        logits.append(step_logits[:, 0])
        alive = torch.tensor([place < length - 1 for length in lengths])
        alphas.append(alpha[:, 0] * alive[:, None])
    steps = [length - 1 for length in lengths]
    predictions = pack_padded_sequence(torch.stack(logits, 1), steps, batch_first=True).data
    targets = pack_padded_sequence(captions[:, 1:], steps, batch_first=True).data
    attention = torch.stack(alphas, 1)  # (B, T, P)
    loss = functional.cross_entropy(predictions, targets) + ((1 - attention.sum(1)) ** 2).mean()
    return loss, predictions


def fast_loss(
    decoder: Decoder, grid: Grid, captions: Tensor, lengths: list[int], precision: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    taught = decoder(grid, captions, lengths, precision)
    sums = caption_loss(taught, captions=len(lengths))
    return total_loss(sums, words=sums.words, captions=sums.captions, weight=1.0), taught.logits


def gradients(decoder: Decoder, features: Tensor, loss: Tensor) -> dict[str, Tensor]:
    names = ["features", *(name for name, _ in decoder.named_parameters())]
    return dict(zip(names, torch.autograd.grad(loss, [features, *decoder.parameters()]), strict=True))


@pytest.mark.parametrize("size", [0, 4])
def test_a_step_is_the_papers_equations_in_numpy(size: int) -> None:
    torch.manual_seed(0)
    decoder, grid = random_decoder(len(VOCABULARY)), random_grid(1, size=size)
    state, keys = decoder.first_state(grid), decoder.attention.keys(grid)
    hidden, cell = state.hidden[0, 0].detach().numpy(), state.cell[0, 0].detach().numpy()
    for word in (8, 1, 3, 3):
        logits, alpha, state = decoder.step(grid, keys, state, torch.tensor([[word]]))
        expected, expected_alpha, hidden, cell = numpy_step(decoder, grid, hidden, cell, word)
        np.testing.assert_allclose(logits[0, 0].detach().numpy(), expected, rtol=1e-10)
        np.testing.assert_allclose(alpha[0, 0].detach().numpy(), expected_alpha, rtol=1e-10)


@pytest.mark.parametrize("size", [0, 4])
def test_whole_captions_give_the_loss_and_the_gradients_of_the_packed_form(size: int) -> None:
    torch.manual_seed(1)
    decoder, grid = random_decoder(len(VOCABULARY)), random_grid(len(LENGTHS), size=size)
    grid.features.requires_grad_()
    captions = random_captions(LENGTHS, VOCABULARY)
    plain, plain_logits = plain_loss(decoder, grid, captions, LENGTHS)
    fast, fast_logits = fast_loss(decoder, grid, captions, LENGTHS)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=0)
    torch.testing.assert_close(fast_logits, plain_logits, rtol=1e-10, atol=1e-12)
    expected, got = gradients(decoder, grid.features, plain), gradients(decoder, grid.features, fast)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_a_word_head_adds_its_answers_weighted_by_trust_until_a_word_is_written_and_is_not_taught_by_them() -> None:
    torch.manual_seed(1)
    decoder, grid = random_decoder(len(VOCABULARY), word_head=True), random_grid(len(LENGTHS), size=4)
    captions = random_captions(LENGTHS, VOCABULARY)
    plain, plain_logits = plain_loss(decoder, grid, captions, LENGTHS)
    taught = decoder(grid, captions, LENGTHS)
    torch.testing.assert_close(taught.logits, plain_logits, rtol=1e-10, atol=1e-12)
    head, decoder.word_head = decoder.word_head, None
    assert head is not None
    names, weights = zip(*head.named_parameters(), strict=True)
    taught_by_them = torch.autograd.grad(plain, weights, allow_unused=True)
    assert [name for name, gradient in zip(names, taught_by_them, strict=True) if gradient is not None] == [
        "trust",
        "again",
    ]
    without = decoder(grid, captions, LENGTHS).logits
    place_of, seen = [], Counter[int]()
    for caption in taught.caption.tolist():
        place_of.append(seen[caption])
        seen[caption] += 1
    for row, caption in enumerate(taught.caption.tolist()):
        for word in range(len(VOCABULARY)):
            whole, places = taught.answers[:, caption, word]
            expected = without[row, word]
            if word in captions[caption, : place_of[row] + 1]:
                expected = expected + head.again[word]
            else:
                expected = expected + head.trust[word, 0] * whole + head.trust[word, 1] * places
            torch.testing.assert_close(taught.logits[row, word], expected)


def test_fast_products_stay_near_the_exact_loss_and_gradients_and_give_their_number_format() -> None:
    torch.manual_seed(7)
    decoder, double = random_decoder(len(VOCABULARY)).float(), random_grid(len(LENGTHS), size=4)
    assert double.pooling is not None
    grid = Grid(double.features.float().requires_grad_(), double.pooling.float(), double.shape)
    captions = random_captions(LENGTHS, VOCABULARY)
    exact, exact_logits = fast_loss(decoder, grid, captions, LENGTHS)
    fast, fast_logits = fast_loss(decoder, grid, captions, LENGTHS, torch.bfloat16)
    assert fast_logits.dtype == torch.float32
    assert not torch.equal(fast_logits, exact_logits)
    torch.testing.assert_close(fast, exact, rtol=5e-3, atol=0)
    expected, got = gradients(decoder, grid.features, exact), gradients(decoder, grid.features, fast)
    for name, value in expected.items():
        assert got[name].dtype == torch.float32
        assert (got[name] - value).norm() < 0.1 * value.norm(), name


def test_the_written_out_gradient_passes_autograds_own_check() -> None:
    torch.manual_seed(2)
    decoder, grid = random_decoder(len(VOCABULARY)), random_grid(3, size=3)
    captions = random_captions([5, 4, 2], VOCABULARY)

    def loss(features: Tensor) -> Tensor:
        return fast_loss(decoder, Grid(features, grid.pooling, grid.shape), captions, [5, 4, 2])[0]

    torch.autograd.gradcheck(loss, [grid.features.requires_grad_()])


def test_every_attention_map_sums_to_one() -> None:
    torch.manual_seed(3)
    taught = random_decoder(len(VOCABULARY))(random_grid(5), random_captions(LENGTHS, VOCABULARY), LENGTHS)
    torch.testing.assert_close(taught.alphas.sum(1), torch.ones(len(taught.alphas), dtype=torch.float64))
    assert (taught.alphas >= 0).all()


def test_a_batch_is_its_pictures_one_by_one() -> None:
    torch.manual_seed(4)
    decoder, grid, captions = random_decoder(11), random_grid(5), random_captions(LENGTHS, VOCABULARY)
    together = decoder(grid, captions, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = decoder(grid.select(torch.tensor([row])), captions[row : row + 1, :length], [length])
        torch.testing.assert_close(together.logits[together.caption == row], alone.logits, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(together.targets[together.caption == row], alone.targets)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(5)
    decoder, grid, captions = random_decoder(11), random_grid(5), random_captions(LENGTHS, VOCABULARY)
    padded = torch.cat([captions, torch.zeros(5, 4, dtype=torch.long)], 1)
    garbage = padded.clone()
    for row, length in enumerate(LENGTHS):
        garbage[row, length:] = 3
    losses = [fast_loss(decoder, grid, one, LENGTHS)[0] for one in (captions, padded, garbage)]
    assert losses[0] == losses[1] == losses[2]


def test_the_end_is_a_target_of_every_caption() -> None:
    captions = random_captions(LENGTHS, VOCABULARY)
    taught = random_decoder(11)(random_grid(5), captions, LENGTHS)
    assert (taught.targets == VOCABULARY.end).sum() == len(LENGTHS)
    assert not (taught.targets == VOCABULARY.pad).any()


def test_packed_rows_are_the_captions_alive_at_each_word() -> None:
    assert packed_slices([3, 2, 2]) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    with pytest.raises(AssertionError, match="sorted by falling length"):
        packed_slices([2, 3])


def test_the_doubly_stochastic_term_by_hand() -> None:
    taught = random_decoder(11)(random_grid(1, own=(1, 2), size=0), torch.tensor([[9, 1, 10]]), [3])
    total = taught.alphas.detach().sum(0)  # two words, two positions
    by_hand = ((1 - total[0]) ** 2 + (1 - total[1]) ** 2) / 2
    torch.testing.assert_close(caption_loss(taught, captions=1).regularisation.detach(), by_hand)
