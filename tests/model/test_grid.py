import pytest
import torch
from torch.nn import functional

from model.grid import Grid, attention_grid, pooling_map
from tests.model.parts import random_grid


@pytest.mark.parametrize(
    ("own", "target"), [((8, 8), (14, 14)), ((13, 13), (14, 14)), ((13, 9), (4, 4)), ((7, 7), (7, 7))]
)
def test_the_map_is_adaptive_average_pooling(own: tuple[int, int], target: tuple[int, int]) -> None:
    features = torch.randn(2, 5, *own)
    expected = functional.adaptive_avg_pool2d(features, target)
    pooled = pooling_map(own, target, features.device) @ features.flatten(2).transpose(1, 2)  # (B, P, D)
    torch.testing.assert_close(pooled.transpose(1, 2).reshape(expected.shape), expected)


def test_a_context_on_the_own_positions_is_the_context_on_the_grid() -> None:
    grid = random_grid(3, own=(2, 3), size=4)
    alpha = torch.rand(3, 1, 16, dtype=torch.float64)
    torch.testing.assert_close(grid.unpool(alpha) @ grid.features, alpha @ grid.pooled())


def test_the_mean_is_that_of_the_grid() -> None:
    grid = random_grid(3, own=(2, 3), size=4)
    torch.testing.assert_close(grid.mean(), grid.pooled().mean(1))


def test_a_finer_own_grid_is_pooled_at_once() -> None:
    grid = attention_grid(torch.randn(2, 64, 5), (8, 8), 3)
    assert grid.pooling is None
    assert grid.features.shape == (2, 9, 5)


def test_normalised_positions_have_one_length_and_keep_their_signs_and_order() -> None:
    grid = random_grid(3)
    found = grid.normalised().features
    for position, values in zip(found.flatten(0, 1), grid.features.flatten(0, 1), strict=True):
        roots = values.sign() * values.abs().sqrt()
        torch.testing.assert_close(position, roots / roots.norm() * len(roots) ** 0.5, rtol=1e-4, atol=1e-4)


def test_normalising_where_nothing_was_seen_gives_zeros_and_finite_gradients() -> None:
    features = torch.zeros(1, 4, 3, requires_grad=True)
    with torch.no_grad():
        features[0, 0, 0] = 400.0
    found = Grid(features, None, (2, 2)).normalised().features
    (gradient,) = torch.autograd.grad(found.square().sum() + found.sum(), features)
    assert found.isfinite().all()
    assert not found[0, 1:].any()
    assert gradient.isfinite().all()


def test_size_zero_keeps_the_own_grid() -> None:
    grid = attention_grid(torch.randn(2, 6, 5), (2, 3), 0)
    assert (grid.pooling, grid.shape) == (None, (2, 3))
