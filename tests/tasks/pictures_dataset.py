"""A dataset's folder with a sample, for the tests of the picture engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.picture import ImageConfig
from tasks.pictures.chunk_files import Chunk, existing_chunks, remove_chunks
from tasks.pictures.chunks import ChunkSummary, fetch_chunk
from tasks.pictures.pack import PackSummary, pack
from tasks.pictures.selection import FindRepeats, next_chunks
from tasks.pictures.settings import FetchConfig

SCHEMA = pa.schema(
    [
        ("record_id", pa.string()), ("url", pa.string()), ("references", pa.list_(pa.string())),
        ("title", pa.string()), ("category", pa.string()), ("attr", pa.list_(pa.string())),
        ("split", pa.string()), ("order", pa.int64()), ("in_sample", pa.bool_()),
    ]
)  # fmt: skip


@dataclass
class Dataset:
    """Fetches and packs a sample as the flow does, chunk after chunk."""

    folder: Path
    base: str = ""
    image: ImageConfig = field(default_factory=lambda: ImageConfig(size_px=16))
    config: FetchConfig = field(default_factory=FetchConfig)
    find_repeats: FindRepeats | None = None
    earlier: Sequence[Path] = ()
    summaries: list[ChunkSummary] = field(default_factory=list)

    def write_sample(self, urls: Mapping[str, Sequence[str]], targets: Mapping[str, int] | None = None) -> "Dataset":
        """Write `sample.parquet`: by split, the urls in order and how many are the sample (all unless said)."""
        rows = [
            {
                "record_id": f"{split}-{order}", "url": url, "references": [f"words of {split} {order}"],
                "title": "", "category": "", "attr": [], "split": split, "order": order,
                "in_sample": order < (targets or {}).get(split, len(some)),
            }
            for split, some in urls.items()
            for order, url in enumerate(some)
        ]  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), self.folder / "sample.parquet")
        return self

    def fetch(self) -> "Dataset":
        """Fetch until the rows are complete."""
        while chunks := self.next_chunks():
            self.fetch_each(chunks)
        return self

    def next_chunks(self) -> list[Chunk]:
        """What is to be fetched next."""
        return next_chunks(
            self.folder, base_url=self.base, image=self.image, config=self.config, find_repeats=self.find_repeats
        )

    def fetch_each(self, chunks: Sequence[Chunk]) -> None:
        """Fetch some chunks, one after the other."""
        for chunk in chunks:
            summary = fetch_chunk(
                self.folder, chunk, base_url=self.base, image=self.image, config=self.config, datasets=self.earlier
            )
            self.summaries.append(summary)

    @property
    def reasons(self) -> list[str]:
        """Why each record failed that was asked for, in order; empty where its picture came."""
        return [
            outcome.reason for file in existing_chunks(self.folder, self.image) for outcome in file.read_outcomes()[0]
        ]

    def pack(self, *, exact: bool = False, clean: bool = True) -> PackSummary:
        """Pack, and remove the chunks."""
        summary = pack(
            self.folder,
            image=self.image,
            config=self.config,
            fingerprint="fingerprint",
            dataset_id="dataset",
            exact=exact,
            find_repeats=self.find_repeats,
        )
        if clean:
            remove_chunks(self.folder)
        return summary
