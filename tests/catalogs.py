"""Where real catalogues are: the folder that EC_DESCR_GEN_CATALOGS names, else `shared/catalogs` beside the project."""

import os
from pathlib import Path

import pytest

DEFAULT_FOLDER = Path(__file__).parents[2] / "shared" / "catalogs"


def real_catalog(name: str) -> Path:
    """The file `name` of a real catalogue, such as ``apparel/catalog.json``; skips the test where it is absent."""
    path = Path(os.environ.get("EC_DESCR_GEN_CATALOGS", DEFAULT_FOLDER)) / name
    if not path.is_file():
        pytest.skip(f"{name} is absent: set EC_DESCR_GEN_CATALOGS to the folder of real catalogues")
    return path
