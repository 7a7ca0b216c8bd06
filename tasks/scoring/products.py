"""What a model is scored on: the products of a packed dataset, without those that the model was trained on.

B products.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.directory import read_config
from model.errors import UserError
from model.picture import ImageConfig
from model.store import PictureStore
from model.text import HASH_CHARACTERS, SPLITS, text_hash
from tasks.dataset_files import CAPTIONS_FILE, OUTCOMES_FILE, SAMPLE_FILE, TEST_STORE, TRAIN_STORE

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Products:
    """What a model is scored on.

    Attributes:
        data: the catalogue's name.
        split: train, validation, test, or all.
        table: record_id, split, references (texts), tokens (their words), attr, title, picture (a hash of its
            pixels); one row a product.
        training: the words of every training description of the dataset.
        folder: the dataset's.
        excluded: products left out, as a model was trained on them.
    """

    data: str
    split: str
    table: pd.DataFrame
    training: list[list[str]]
    folder: Path
    excluded: int = 0

    @property
    def references(self) -> list[list[list[str]]]:
        """The reference sentences of each product, as words."""
        return [[list(words) for words in group] for group in self.table["tokens"]]

    @property
    def pictures(self) -> list[str]:
        """A hash of each product's picture, as far as it is known."""
        return sorted(self.table["picture"].dropna())

    def chose_epoch_of(self, model_dir: Path) -> bool:
        """Whether the model's best epoch was chosen on products that are among these."""
        config = read_config(model_dir)
        if "validation_pictures" not in config:  # a model of an earlier release
            return self.split in {"validation", ALL} and config.get("dataset_id") == self.folder.name
        # In another sample, or in the catalogue of next month, they stand in a dataset of another name.
        return not set(config["validation_pictures"]).isdisjoint(self.pictures)

    def without(self, trained: Collection[str]) -> "Products":
        """Leave out the products of which a model has seen the picture or a description in training (`trained_on`).

        The picture too: a shop rewrites descriptions, and then the product may stand in another split than before.
        """
        seen = [
            picture in trained or any(text_hash(words) in trained for words in group)
            for picture, group in zip(self.table["picture"], self.table["tokens"], strict=True)
        ]
        kept = self.table[[not one for one in seen]].reset_index(drop=True)
        return replace(self, table=kept, excluded=self.excluded + sum(seen))


def trained_on(model_dir: Path) -> set[str]:
    """The hashes of the descriptions and of the pictures that a model was trained on."""
    config = read_config(model_dir)
    return {*config.get("training_descriptions", ()), *config.get("training_pictures", ())}


def picture_hashes(folder: Path) -> pd.DataFrame:
    """Of a packed dataset: record_id, picture (a hash of its pixels; what a model keeps of a training picture)."""
    path = folder / OUTCOMES_FILE
    if not path.is_file():
        return pd.DataFrame({"record_id": [], "picture": []}, dtype=object)
    table: pd.DataFrame = pq.read_table(path, columns=["record_id", "digest", "store"]).to_pandas()
    table = table[table["store"] != ""].drop_duplicates("record_id")
    return pd.DataFrame({"record_id": table["record_id"], "picture": table["digest"].str[:HASH_CHARACTERS]})


def check_split(split: str) -> None:
    """Check the name of a split to score; empty for the default.

    Raises:
        UserError: there is none of this name.
    """
    if split not in {"", *SPLITS, ALL}:
        raise UserError(f"there is no split {split!r}: choose {', '.join(SPLITS)} or {ALL}")


def read_products(folder: Path, *, data: str, split: str = "") -> Products:
    """The products of one split of a dataset; by default test, else validation, else all.

    Args:
        folder: the dataset's folder.
        data: how to name the catalogue in reports.
        split: train, validation, test or all; empty for the default.

    Raises:
        UserError: the split is unknown or has no product.
    """
    check_split(split)
    captions = pq.read_table(folder / CAPTIONS_FILE).to_pandas()
    present = set(captions["split"])
    if not split:
        split = next((name for name in ("test", "validation") if name in present), ALL)
    table = captions if split == ALL else captions[captions["split"] == split]
    if table.empty:
        raise UserError(f"the {split} split of {data} has no product; it has: {', '.join(sorted(present)) or 'none'}")
    for more in (_details(folder), picture_hashes(folder)):
        table = table.merge(more, on="record_id", how="left")
    training = [list(words) for group in captions[captions["split"] == "train"]["tokens"] for words in group]
    return Products(data=data, split=split, table=table, training=training, folder=folder)


def _details(folder: Path) -> pd.DataFrame:
    path = folder / SAMPLE_FILE
    if not path.is_file():
        return pd.DataFrame({"record_id": [], "title": [], "attr": []}, dtype=object)
    details: pd.DataFrame = pq.read_table(path, columns=["record_id", "title", "attr"]).to_pandas()
    return details.drop_duplicates("record_id")


class Pictures:
    """The products' pictures, from whichever file holds each."""

    def __init__(self, products: Products, image: ImageConfig) -> None:
        self.places: list[tuple[PictureStore, int]] = []
        stores: dict[str, tuple[PictureStore, dict[str, int]]] = {}
        for record_id, split in zip(products.table["record_id"], products.table["split"], strict=True):
            name = TEST_STORE if split == "test" else TRAIN_STORE
            if name not in stores:
                store = PictureStore(products.folder / name)
                if (store.info.size_px, store.info.resize) != (image.size_px, image.resize):
                    raise UserError(
                        f"the pictures of {products.folder / name} have {store.info.size_px} px ({store.info.resize}), "
                        f"the model was trained on {image.size_px} px ({image.resize}): prepare the catalogue with "
                        f"image.size_px={image.size_px} and image.resize={image.resize}"
                    )
                stores[name] = store, {own: row for row, own in enumerate(store.record_ids)}
            store, rows = stores[name]
            self.places.append((store, rows[record_id]))

    def read(self, products: Sequence[int]) -> NDArray[np.uint8]:
        """Pictures uint8 (B, 3, S, S) of some products."""
        return np.concatenate([store.read([row]) for store, row in (self.places[one] for one in products)])
