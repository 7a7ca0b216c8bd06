"""Step 6: the captions of every row in words, and the vocabulary of the training captions."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from model.store import PictureStore
from model.text import tokenize
from model.vocabulary import Vocabulary, VocabularyConfig
from tasks.catalog.reader import write_table
from tasks.dataset_files import CAPTIONS_FILE, SAMPLE_FILE, STORES, VOCABULARY_FILE
from tasks.manifest import read_manifest, write_manifest
from tasks.pack import packed_digest
from tasks.read import Dataset
from tasks.step import RETRIED, counted


@task(name="build vocabulary", task_run_name=counted("build vocabulary", "pack", "rows", "train"), **RETRIED)
def build_vocabulary(dataset: Dataset, config: VocabularyConfig) -> dict[str, Any]:
    """Make captions.parquet (rows in the order of train.h5, then test.h5) and vocabulary.json.

    Returns:
        words (how many), min_count, pictures (the packed pictures' digest).

    Raises:
        UserError: no word stands often enough.
    """
    facts = read_manifest(dataset.folder, "vocabulary")
    wanted = {"min_count": config.min_count, "pictures": packed_digest(dataset)}
    if facts is None or {name: facts.get(name) for name in wanted} != wanted:
        captions = caption_table(dataset)
        training = captions.filter(pa.compute.equal(captions["split"], "train"))["tokens"].to_pylist()
        words = Vocabulary.build((caption for product in training for caption in product), config)
        captions_path, vocabulary_path = dataset.folder / CAPTIONS_FILE, dataset.folder / VOCABULARY_FILE
        write_table(captions, captions_path)
        words.save(vocabulary_path)
        facts = {"words": len(words), **wanted}
        write_manifest(dataset.folder, "vocabulary", files=[captions_path, vocabulary_path], facts=facts)
    return facts


def caption_table(dataset: Dataset) -> pa.Table:
    """record_id, split, references and their tokens, in the order of the picture files' rows."""
    sampled = pq.read_table(dataset.folder / SAMPLE_FILE, columns=["record_id", "references"])
    references = dict(zip(sampled["record_id"].to_pylist(), sampled["references"].to_pylist(), strict=True))
    ids: list[str] = []
    splits: list[str] = []
    for name in STORES:
        store = PictureStore(dataset.folder / name)
        ids += store.record_ids
        splits += store.splits
    return pa.table(
        {
            "record_id": pa.array(ids, pa.string()),
            "split": pa.array(splits, pa.string()),
            "references": pa.array([references[name] for name in ids], pa.list_(pa.string())),
            "tokens": pa.array(
                [[tokenize(text) for text in references[name]] for name in ids], pa.list_(pa.list_(pa.string()))
            ),
        }
    )
