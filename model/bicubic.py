"""Bicubic resizing with antialiasing (Keys 1981, a = -0.5), as Pillow does it but several times as fast.

`cykooz_resizer` works on whole vectors and gives the same pixels on every processor. It has no wheel for Linux on ARM;
there Pillow resizes, which is some 55 dB away (tests/model/test_bicubic.py).
"""

from collections.abc import Callable

from PIL import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom in px
Resize = Callable[[Image.Image, tuple[int, int], Box], Image.Image]


def with_pillow(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """RGB: the box of a picture to `size`, width and height in px."""
    return image.resize(size, Image.Resampling.BICUBIC, box)


resize: Resize = with_pillow
RESIZER = "pillow"
try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError:
    pass
else:
    RESIZER = "cykooz_resizer"
    _BICUBIC = ResizeAlg.convolution(FilterType.catmull_rom)

    def resize(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
        """RGB: the box of a picture to `size`, width and height in px."""
        left, top, right, bottom = box
        resized = Image.new("RGB", size)
        options = ResizeOptions(resize_alg=_BICUBIC, crop_box=CropBox(left, top, right - left, bottom - top))
        Resizer().resize_pil(image, resized, options)  # one a call: threads that share one wait for each other
        return resized
