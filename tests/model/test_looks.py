"""More than one look at a picture: each on the first look's grid, each what the encoder sees there."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from model.captioner import Captioner
from model.looks import looks
from model.settings import DecoderConfig, EncoderConfig

SIZE_PX = 64  # own grid 4×4 at stride 16, enlarged 5×5


def captioner(grid: int, *, normalise: bool) -> Captioner:
    torch.manual_seed(0)
    encoder = EncoderConfig(name="resnet18", weights="none", max_stride_px=16, grid=grid, normalise=normalise)
    small = DecoderConfig(attention_size=4, embedding_size=4, hidden_size=4)
    return Captioner(encoder=encoder, decoder=small, vocabulary_size=9).eval()


def smooth_pictures() -> Tensor:
    """Two pictures (2, 3, S, S) that any good filter enlarges alike."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)) for one in noise]
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2).contiguous()  # (B, S, S, 3) -> (B, 3, S, S)


def enlarged(pictures: Tensor) -> Tensor:
    """A quarter larger, by Pillow."""
    side = SIZE_PX * 5 // 4
    images = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in pictures]  # (3, S, S) -> (S, S, 3)
    large = [np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)) for image in images]
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("grid", [0, 2, 7])
@torch.no_grad()
def test_all_looks_are_on_the_first_ones_grid(grid: int) -> None:
    side = grid or 4
    found = looks(captioner(grid, normalise=False), smooth_pictures(), mirrored=True, enlarged=True)
    assert [look.mirrored for look in found] == [False, True, False, True]
    for look in found:
        assert (look.grid.shape, look.grid.pooling) == ((side, side), None)
        assert look.grid.features.shape[:2] == (2, side * side)


@pytest.mark.parametrize("grid", [2, 7])
@pytest.mark.parametrize("normalise", [False, True])
@torch.no_grad()
def test_a_look_shows_what_the_encoder_sees_of_such_a_picture(grid: int, normalise: bool) -> None:
    model, pictures = captioner(grid, normalise=normalise), smooth_pictures()
    found = looks(model, pictures, mirrored=True, enlarged=True)
    views = [pictures, pictures.flip(3), enlarged(pictures), enlarged(pictures.flip(3))]
    for look, view in zip(found, views, strict=True):
        wanted = model.grid(view).pooled()
        difference = (look.grid.features - wanted).norm() / wanted.norm()
        assert difference < 0.01, difference  # Pillow rounds to whole numbers
    assert not torch.equal(found[0].grid.features, found[2].grid.features)


@pytest.mark.parametrize("values", [range(80, 176), [0, 255]])
@torch.no_grad()
def test_any_picture_is_enlarged_as_pillow_does_it_and_stays_in_its_range(values: Sequence[int]) -> None:
    model, seen = captioner(7, normalise=False), []
    noise = np.random.default_rng(0).choice(np.array(values, np.uint8), (2, 3, SIZE_PX, SIZE_PX))
    with model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        looks(model, torch.from_numpy(noise), enlarged=True)
    larger = seen[1]
    assert (larger.min() >= 0, larger.max() <= 255) == (True, True)
    if len(values) > 2:  # Pillow cuts off what leaves the range once more between its two passes
        assert (larger - enlarged(torch.from_numpy(noise))).abs().max() < 1.5  # and rounds to whole numbers


@torch.no_grad()
def test_one_look_is_the_encoders_own_grid() -> None:
    model, pictures = captioner(7, normalise=False), smooth_pictures()
    (only,) = looks(model, pictures)
    assert torch.equal(only.grid.features, model.grid(pictures).features)
    assert only.grid.pooling is not None
