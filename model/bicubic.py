"""Bicubic resizing with antialiasing (Keys 1981, a = -0.5), as Pillow does it but several times as fast.

`cykooz_resizer` works on whole vectors and gives the same pixels on every processor. It has no wheel for Linux on ARM;
there Pillow resizes, which is some 55 dB away (tests/model/test_bicubic.py).
"""

from PIL import Image

try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError:
    RESIZER = "pillow"
else:
    RESIZER = "cykooz_resizer"

Box = tuple[float, float, float, float]  # left, top, right, bottom in px


def resize(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """RGB: the box of a picture to `size`, width and height in px."""
    if RESIZER == "pillow":
        return with_pillow(image, size, box)
    left, top, right, bottom = box
    resized = Image.new("RGB", size)
    options = ResizeOptions(
        resize_alg=ResizeAlg.convolution(FilterType.catmull_rom),
        crop_box=CropBox(left, top, right - left, bottom - top),
    )
    Resizer().resize_pil(image, resized, options)  # one a call: threads that share one wait for each other
    return resized


def with_pillow(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """The same, slowly."""
    return image.resize(size, Image.Resampling.BICUBIC, box)
