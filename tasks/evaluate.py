"""Step 8: describe the held-out pictures once, after the best epoch is chosen, and score the descriptions."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from prefect import task

from model.describer import Describer
from model.files import atomic_path, write_json
from model.search import SearchConfig
from model.store import PictureStore
from tasks.manifest import read_manifest, write_manifest
from tasks.progress import progress
from tasks.read import Dataset
from tasks.scoring.baselines import constant_sentence
from tasks.scoring.config import ScoreConfig
from tasks.scoring.report import Conditions, score
from tasks.step import RETRIED
from tasks.tracking import TrackedRun
from tasks.vocabulary import CAPTIONS_FILE

BATCH = 32
PREDICTIONS_FILE, REPORT_FILE = "predictions.parquet", "scores.json"


@task(name="evaluate", **RETRIED)
def evaluate(
    dataset: Dataset, run_dir: Path, model_dir: Path, *, search: SearchConfig, config: ScoreConfig, catalog: str
) -> dict[str, Any]:
    """Score the model on the test split, or on the validation split where there are no test rows.

    Writes predictions.parquet and scores.json into the run's folder and logs both. Returns the report.
    """
    facts = read_manifest(run_dir, "evaluate")
    if facts is None:
        captions = pq.read_table(dataset.folder / CAPTIONS_FILE).to_pandas()
        split = "test" if (captions["split"] == "test").any() else "validation"
        held_out = captions[captions["split"] == split]
        predictions = describe_split(dataset, model_dir, split, search)
        assert predictions["record_id"].tolist() == held_out["record_id"].tolist(), "rows and captions differ"
        predictions["references"] = held_out["references"].tolist()
        training = [list(words) for texts in captions[captions["split"] == "train"]["tokens"] for words in texts]
        report = score(
            [[list(words) for words in texts] for texts in held_out["tokens"]],
            predictions["words"].tolist(),
            config,
            Conditions(data=catalog, split=split, decoding=search_in_words(search)),
            training={" ".join(words) for words in training},
            constant=constant_sentence(training, seed=config.seed),
            ended=predictions["ended"].tolist(),
        ).report
        files = [run_dir / PREDICTIONS_FILE, run_dir / REPORT_FILE]
        with atomic_path(files[0]) as partial:
            predictions.to_parquet(partial)
        write_json(files[1], report.to_json())
        facts = report.to_json()
        write_manifest(run_dir, "evaluate", files=files, facts=facts)
        tracked = TrackedRun(run_dir)
        tracked.log_metrics({f"{split}/{name}": value for name, value in report.scores.items()})
        tracked.log_files(files, "scores")
    return facts


def describe_split(dataset: Dataset, model_dir: Path, split: str, search: SearchConfig) -> pd.DataFrame:
    """Describe every picture of a split, free-running: record_id, split, description, words, confidence, ended."""
    store = PictureStore(dataset.folder / ("test.h5" if split == "test" else "train.h5"))
    rows = [row for row, name in enumerate(store.splits) if name == split]
    describer = Describer.load(model_dir)
    found = []
    with progress(f"Describing the {split} split", len(rows), unit="pictures") as bar:
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            for row, description in zip(some, describer.describe(store.read(some), search), strict=True):
                found.append(
                    {
                        "record_id": store.record_ids[row],
                        "split": split,
                        "description": description.text,
                        "words": description.words,
                        "log_probability": description.log_probability,
                        "confidence": description.confidence,
                        "ended": description.ended,
                    }
                )
            bar.advance(len(some))
    return pd.DataFrame(found)


def search_in_words(search: SearchConfig) -> str:
    """'beam 5, at most 50 words'."""
    return f"{'greedy' if search.beam_size == 1 else f'beam {search.beam_size}'}, at most {search.max_words} words"
