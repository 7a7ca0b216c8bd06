"""Named sets of settings. What a preset leaves out keeps its default; the defaults are those of the paper preset."""

from typing import Any

DEMO_ITEMS = 3600

PRESETS: dict[str, dict[str, Any]] = {
    # Whatever the catalogue holds, up to 18,000 products.
    "default": {},
    # 14,000 + 1,000 + 3,000 products, exactly: DESIGN of the original experiment, with its sizes demanded.
    "paper": {"sample.exact": True},
    # A few thousand drawn products, no pretrained weights: minutes on two cores.
    "demo": {
        "image.size_px": 96,
        "encoder.name": "resnet18",
        "encoder.weights": "none",
    },
    # The standard corpus with five references a picture; given splits.
    "flickr8k": {},
}
