"""What a dataset is called: by its records and its rules, so that the same inputs find the same folder."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA_VERSION = 3  # of the files in the folder


def catalog_fingerprint(records: pa.Table) -> str:
    """Hexadecimal SHA-256 of the records, whatever their order was in the catalogue.

    Args:
        records: as in `Catalog.records`: sorted by id, which makes the order of the file irrelevant.
    """
    digest = hashlib.sha256()
    for name in records.column_names:
        column = records[name]
        digest.update(f"{name}:{len(column)}\n".encode())
        if pa.types.is_list(column.type):
            _update(digest, pc.list_value_length(column))
            column = pc.list_flatten(column)
        _update(digest, pc.binary_length(column))
        for chunk in column.chunks:
            _, offsets, values = chunk.buffers()
            if values is not None and len(chunk):
                bounds = memoryview(offsets).cast("B").cast("i")
                digest.update(memoryview(values)[bounds[chunk.offset] : bounds[chunk.offset + len(chunk)]])
    return digest.hexdigest()


def _update(digest: Any, numbers: pa.ChunkedArray) -> None:
    for chunk in numbers.chunks:
        digest.update(chunk.to_numpy(zero_copy_only=False).astype("<i8"))


def dataset_id(fingerprint: str, rules: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of a dataset's folder: 16 hexadecimal digits.

    Args:
        fingerprint: of the catalogue's records.
        rules: the configurations that decide what the dataset holds (deduplicate, sample, image, and what decodes its
            pictures), as dictionaries. Never the base url, the settings of fetching, or who runs it.
    """
    text = json.dumps([fingerprint, rules, SCHEMA_VERSION], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
