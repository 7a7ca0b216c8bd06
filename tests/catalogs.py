"""Where the real catalogues stand that some tests run on: none of them is part of the project."""

import os
from pathlib import Path

import pytest

VARIABLE = "EC_DESCR_GEN_CATALOGS"


def catalogs_folder() -> Path:
    """The folder of the real catalogues; skips the test where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "catalogs"
    folder = Path(os.environ.get(VARIABLE, default))
    if not folder.is_dir():
        pytest.skip(f"{VARIABLE} names no folder with the real catalogues")
    return folder
