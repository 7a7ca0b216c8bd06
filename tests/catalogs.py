"""Where real catalogues are: the folder that EC_DESCR_GEN_CATALOGS names."""

import os
from pathlib import Path

import pytest


def real_catalog(name: str) -> Path:
    """The file `name` of a real catalogue, such as ``apparel/catalog.json``; skips the test where it is absent."""
    folder = os.environ.get("EC_DESCR_GEN_CATALOGS")
    path = Path(folder or "") / name
    if not folder or not path.is_file():
        pytest.skip(f"{name} is absent: set EC_DESCR_GEN_CATALOGS to the folder of real catalogues")
    return path
