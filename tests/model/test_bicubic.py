"""Resizing: the fast way is Pillow's bicubic filter, with the same pixels on every processor."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.corpus import psnr_db
from model.bicubic import RESIZER, resize, with_pillow

needs_fast = pytest.mark.skipif(RESIZER == "pillow", reason="cykooz_resizer has no wheel for this platform")


def noise(width: int, height: int) -> Image.Image:
    """The hardest picture: no pixel tells anything of the next."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8))


@needs_fast
@pytest.mark.parametrize(
    ("of", "to", "at_least_db"),
    [
        ((600, 900), (256, 256), 50),  # shrunk
        ((37, 900), (256, 256), 50),  # one side shrunk, the other one enlarged
        ((5, 5), (64, 64), 40),  # enlarged noise overshoots, and is cut off after the other axis first
        ((6000, 4), (256, 1), 50),
        ((6000, 2500), (256, 107), 50),  # more than one block of Pillow's memory
        ((256, 256), (256, 256), 40),
    ],
)
def test_the_fast_way_gives_what_pillow_gives(of: tuple[int, int], to: tuple[int, int], at_least_db: float) -> None:
    image = noise(*of)
    for box in [(0.0, 0.0, float(of[0]), float(of[1])), (0.25, 0.5, of[0] - 0.5, of[1] - 0.75)]:
        fast, plain = (np.asarray(way(image, to, box)) for way in (resize, with_pillow))
        assert fast.shape == (to[1], to[0], 3)
        assert psnr_db(fast, plain) > at_least_db


@needs_fast
def test_every_processor_gives_the_same_pixels() -> None:
    from cykooz_resizer import CpuExtensions, FilterType, ResizeAlg, ResizeOptions, Resizer

    image, options = noise(600, 900), ResizeOptions(resize_alg=ResizeAlg.convolution(FilterType.catmull_rom))
    plain, best = Image.new("RGB", (256, 256)), Resizer()
    without_vectors = Resizer()
    without_vectors.cpu_extensions = CpuExtensions.none
    assert best.cpu_extensions is not CpuExtensions.none
    without_vectors.resize_pil(image, plain, options)
    assert plain == resize(image, (256, 256), (0, 0, 600, 900))
