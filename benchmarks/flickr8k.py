"""Flickr8k's usual files to a catalogue: `python -m benchmarks.flickr8k TEXT_FOLDER IMAGE_FOLDER OUT`.

TEXT_FOLDER holds the files of ``Flickr8k_text.zip`` (``Flickr8k.token.txt`` and the three lists
``Flickr_8k.trainImages.txt``, ``Flickr_8k.devImages.txt``, ``Flickr_8k.testImages.txt``), IMAGE_FOLDER the JPEGs of
``Flickr8k_Dataset.zip``. OUT becomes ``catalog.jsonl``, plain records whose urls are relative to IMAGE_FOLDER:

    ec-descr-gen run --catalog OUT --image-base-url IMAGE_FOLDER --preset flickr8k
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from model.errors import UserError
from model.files import write_text

LISTS = {"train": "trainImages", "validation": "devImages", "test": "testImages"}


def read_captions(path: Path) -> dict[str, list[str]]:
    """The captions of each picture, from lines ``name.jpg#0<tab>caption``."""
    captions: dict[str, list[str]] = defaultdict(list)
    for line in _text(path).splitlines():
        name, _, caption = line.partition("\t")
        if caption.strip():
            captions[name.partition("#")[0]].append(caption.strip())
    return captions


def catalogue(texts: Path, images: Path) -> list[dict[str, object]]:
    """The records of the three splits that are there; the test list may be missing.

    Raises:
        UserError: a file is missing, or a listed picture has no caption or is not there.
    """
    captions = read_captions(texts / "Flickr8k.token.txt")
    records: list[dict[str, object]] = []
    for split, name in LISTS.items():
        path = texts / f"Flickr_8k.{name}.txt"
        if split == "test" and not path.is_file():
            continue
        for picture in _text(path).split():
            if picture not in captions:
                raise UserError(f"{path} lists {picture}, which has no caption in Flickr8k.token.txt")
            if not (images / picture).is_file():
                raise UserError(f"{path} lists {picture}, which is not in {images}")
            records.append(
                {
                    "id": Path(picture).stem,
                    "image_url": picture,
                    "descriptions": captions[picture],
                    "split": split,
                }
            )
    return records


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give the folder of Flickr8k_text.zip") from None


def main() -> None:
    """Write the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, metavar="TEXT_FOLDER")
    parser.add_argument("images", type=Path, metavar="IMAGE_FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    try:
        records = catalogue(arguments.texts, arguments.images)
    except UserError as error:
        sys.exit(f"error: {error}")
    write_text(arguments.out, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    print(f"{len(records):,} records in {arguments.out}")


if __name__ == "__main__":
    main()
