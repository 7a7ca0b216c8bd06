"""From a picture file's bytes to pixels: one function for training and for describing a new picture.

Shapes: C channels (RGB), S `image.size_px`, both sides of every picture.
"""

import io
import math
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from model.bicubic import RESIZER, resize
from model.configuration import check, check_choice, setting
from model.jpeg import SCAN, last_bits_db, without_last_bits

RESIZE_RULES = ("squash", "crop", "pad")
# What shops serve, the most frequent first. Pillow's other formats stay shut: some start other programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF")
MAX_PIXELS = 64_000_000
# A scan of a progressive JPEG goes through the whole picture and may be twelve bytes long: a file of some megabytes
# could keep a thread busy for hours. Usual are 10.
MAX_SCANS = 500
MIN_SIDE_PX = 4  # less is a tracking pixel, not a product
# Shrinking begins by what costs least: a JPEG decoded at 1/2, 1/4 or 1/8. At least this many times the size asked for,
# along both sides, is left to the bicubic filter. Measured in docs/experiments.md: at 1.5 the hardest pictures stay
# above 38 dB, at 1.35 they do not.
MARGIN = 1.5
# The last bits of a progressive JPEG are not read where they are at least this far below the picture. Measured there
# too: the hardest pictures lose no more than this says.
LAST_BITS_DB = 39.0
# Pictures above this size, as decoded, are decoded two at a time, so that memory stays bounded on many cores.
LARGE_PIXELS = 12_000_000
_LARGE_AT_ONCE = threading.BoundedSemaphore(2)
WHITE = (255, 255, 255)
# What decides a picture's pixels beside its file and its configuration. The number is raised with this code.
DECODER = f"5, {RESIZER}"

# Pillow warns of what it then reads well enough, or of what is an error below: nothing for a terminal.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How pictures are resized, in training and for every new picture."""

    size_px: int = setting(256, "width and height of the stored pictures", unit="px")
    resize: str = setting("squash", "squash ignores the aspect; crop takes the middle square; pad adds white")

    def __post_init__(self) -> None:
        check(8 <= self.size_px <= 2048, "image.size_px", self.size_px, "in [8, 2048]")
        check_choice("image.resize", self.resize, RESIZE_RULES)


class PictureError(Exception):
    """The bytes are no picture that can be used. `reason` is one of REASONS, `detail` says more."""

    REASONS = ("not_a_picture", "truncated", "too_many_pixels", "too_many_scans", "too_small", "unsupported_mode")

    def __init__(self, reason: str, detail: str = "") -> None:
        assert reason in self.REASONS
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Decoded:
    """A picture's pixels, uint8 (C, S, S) RGB, and the size that its file had, upright."""

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int


def decode(data: bytes, config: ImageConfig) -> NDArray[np.uint8]:
    """Decode and resize a picture: uint8 (C, S, S), RGB.

    Raises:
        PictureError: the bytes cannot be used as a picture.
    """
    return decode_with_size(data, config).pixels


def decode_with_size(data: bytes, config: ImageConfig, *, margin: float = MARGIN) -> Decoded:
    """As `decode`, and also the size of the picture before resizing.

    Args:
        data: the file: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or JPEG 2000.
        config: size and resize rule.
        margin: a JPEG is decoded at a scale that leaves at least `margin` times the size asked for; infinite to decode
            it in full.

    Raises:
        PictureError: the bytes cannot be used as a picture.
    """
    image = _open(data)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError("too_many_pixels", f"{width}×{height}")
    if min(width, height) < MIN_SIDE_PX:
        raise PictureError("too_small", f"{width}×{height}")
    if image.format in {"JPEG", "MPO"} and (scans := data.count(bytes([0xFF, SCAN]))) > MAX_SCANS:
        raise PictureError("too_many_scans", f"{scans}")
    target = _target_size(width, height, config)
    if math.isfinite(margin) and _last_bits_vanish(image, target):
        image = _open(without_last_bits(data))
    extent = _draft(image, target, margin)
    with _LARGE_AT_ONCE if image.width * image.height > LARGE_PIXELS else nullcontext():
        try:
            image.load()
        except MemoryError:
            raise
        except Exception as error:
            raise PictureError("truncated", str(error)) from None
        orientation = _orientation(image)  # here, as asking a PNG for it decodes it
        square = _resize(_to_rgb(image), extent, target, config)
    # Turned after resizing: the same result for a fraction of the work, as all three rules treat both axes alike.
    if orientation in _TURNS:
        square = square.transpose(_TURNS[orientation])
    if orientation >= 5:
        width, height = height, width
    # (S, S, C) -> (C, S, S)
    return Decoded(np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1)), width, height)


def _open(data: bytes) -> Image.Image:
    """A picture whose header is read."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except _BOMB as error:
        raise PictureError("too_many_pixels", str(error)) from None
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged bytes
        raise PictureError("not_a_picture", type(error).__name__) from None


def _last_bits_vanish(image: Image.Image, target: tuple[int, int]) -> bool:
    """Whether the last bits of a progressive JPEG's frequencies are lost anyway where it is shrunk so much."""
    if image.format != "JPEG" or "progressive" not in image.info or 0 not in getattr(image, "quantization", {}):
        return False
    steps: list[int] = image.quantization[0]  # type: ignore[attr-defined]
    return last_bits_db(steps, image.width / target[0], image.height / target[1]) >= LAST_BITS_DB


def _draft(image: Image.Image, target: tuple[int, int], margin: float) -> tuple[float, float]:
    """Set the scale that a JPEG is decoded at; returns the picture's extent in the pixels that will be decoded.

    The extent is not a whole number where the scale does not divide the size: resizing the rounded-up size instead
    would shift every edge, which costs up to 10 dB.
    """
    if image.format in {"JPEG", "MPO"} and math.isfinite(margin):
        drafted = image.draft(None, (math.ceil(target[0] * margin), math.ceil(target[1] * margin)))
        if drafted is not None:
            return drafted[1][2], drafted[1][3]
    return image.size


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, that is still to be undone; 1 where there is none."""
    if image.format == "TIFF":  # Pillow turns these by itself
        return 1
    try:
        value: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1  # a damaged EXIF block does not damage the picture
    return value if isinstance(value, int) and value in _TURNS else 1


def _target_size(width: int, height: int, config: ImageConfig) -> tuple[int, int]:
    """The size, in px, that the whole picture is scaled to (crop then keeps the middle, pad adds to it)."""
    if config.resize == "squash":
        return config.size_px, config.size_px
    scale = config.size_px / (min(width, height) if config.resize == "crop" else max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: alpha on white, 16 bits to 8."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    clear = image.info.get("transparency")  # a PNG's one transparent colour, by its own 16 bits
    if image.mode.startswith("I"):
        # 16-bit grey, or 32-bit holding 16-bit values: the upper byte, as Pillow does itself for 16-bit RGB.
        values = np.asarray(image)
        if values.dtype.itemsize > 2:
            values = np.clip(values, 0, 65535)
        grey = (values >> 8).astype(np.uint8)
        if isinstance(clear, int):
            grey[values == clear] = 255
        return Image.fromarray(grey).convert("RGB")
    if isinstance(clear, bytes):  # of a palette; more entries than a palette can have mean nothing
        image.info["transparency"] = clear[:256]
    if isinstance(clear, tuple) and max(clear) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.mode == "F":
        raise PictureError("unsupported_mode", "floating point pixels have no agreed range")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        background = Image.new("RGBA", coloured.size, (*WHITE, 255))
        background.alpha_composite(coloured)
        return background.convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError as error:  # LAB and other rare modes of TIFF
        raise PictureError("unsupported_mode", str(error)) from None


def _resize(
    image: Image.Image,
    extent: tuple[float, float],
    target: tuple[int, int],
    config: ImageConfig,
) -> Image.Image:
    """RGB of any size to S×S by the rule, bicubic with antialiasing."""
    size = config.size_px
    width, height = extent
    if config.resize == "squash":
        return resize(image, (size, size), (0, 0, width, height))
    if config.resize == "crop":
        side = min(extent)
        left, top = (width - side) / 2, (height - side) / 2
        return resize(image, (size, size), (left, top, left + side, top + side))
    canvas = Image.new("RGB", (size, size), WHITE)
    canvas.paste(resize(image, target, (0, 0, width, height)), ((size - target[0]) // 2, (size - target[1]) // 2))
    return canvas
