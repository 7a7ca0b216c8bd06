"""Scores a model on products: describes their pictures free-running, reports, compares with another model."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model.describer import Describer, Description
from model.errors import UserError
from model.metrics.ngrams import Hypotheses
from model.settings import SearchConfig
from tasks.scoring.baselines import constant_sentence
from tasks.scoring.bootstrap import LEVEL, Comparison, PerProduct, compare
from tasks.scoring.config import ScoreConfig
from tasks.scoring.products import Pictures, Products
from tasks.scoring.report import Conditions, ScoreReport, score
from tasks.scoring.teacher_forcing import teacher_forced_bleu_4

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's report, its score of each product, and a table of what it wrote, the best first.

    The table's columns: record_id, description, reference, cider_d, rouge_l, confidence, ended, log_probability,
    words, references, title, split.
    """

    report: ScoreReport
    each: PerProduct
    predictions: pd.DataFrame


def evaluate_model(
    model_dir: Path,
    products: Products,
    *,
    search: SearchConfig,
    config: ScoreConfig,
    others: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    device: str = "auto",
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Describe the products free-running and score the descriptions.

    Args:
        model_dir: the model.
        products: what on; see `read_products` and `Products.without`.
        search: how descriptions are searched for.
        config: which scores.
        others: more writers: name -> record id -> words, for every product (a demo's ceiling).
        device: where the model runs.
        on_progress: called with how many products are described.

    Raises:
        UserError: no product is left, the model directory is damaged, or its pictures have another size.
    """
    table = products.table
    if table.empty:
        raise UserError(
            f"nothing to score: the model was trained on all {products.excluded:,} products "
            f"of the {products.split} split of {products.data}"
        )
    describer = Describer.load(model_dir, device=device)
    pictures = Pictures(products, describer.image)
    found = describe_products(describer, pictures, search, on_progress=on_progress)
    words = [one.words for one in found]
    ended = [one.ended for one in found]
    references = products.references
    attributes = [list(own) if own is not None and not isinstance(own, float) else [] for own in table["attr"]]
    record_ids = table["record_id"].tolist()
    writers: dict[str, Hypotheses] = {
        name: [list(sentences[record_id]) for record_id in record_ids] for name, sentences in (others or {}).items()
    }
    training = products.training
    scored = score(
        references,
        words,
        config,
        Conditions(
            data=products.data,
            split=products.split,
            decoding=search_in_words(search),
            excluded=products.excluded,
            chose_epoch=products.chose_epoch_of(model_dir),
        ),
        training={" ".join(words) for words in training},
        constant=constant_sentence(training, seed=config.seed) if training else None,
        attributes=attributes if any(attributes) else None,
        ended=ended,
        teacher_forced_bleu_4=teacher_forced_bleu_4(describer, references, pictures.read, max_words=search.max_words),
        others=writers,
        device=describer.device.type,
    )
    predictions = pd.DataFrame(
        {
            "record_id": record_ids,
            "description": [one.text for one in found],
            "reference": [str(group[0]) for group in table["references"]],
            "cider_d": scored.each.means["cider_d"],
            "rouge_l": scored.each.means["rouge_l"],
            "confidence": [one.confidence for one in found],
            "ended": ended,
            "log_probability": [one.log_probability for one in found],
            "words": words,
            "references": [list(group) for group in table["references"]],
            "title": table["title"].fillna("").tolist(),
            "split": table["split"].tolist(),
        }
    ).sort_values(["cider_d", "record_id"], ascending=[False, True], ignore_index=True)
    return Evaluation(report=scored.report, each=scored.each, predictions=predictions)


def compare_models(
    first: Evaluation, second: Evaluation, config: ScoreConfig, *, level: float = LEVEL
) -> dict[str, Comparison]:
    """Compare two models that were evaluated on the same products, by paired bootstrap."""
    return compare(first.each, second.each, resamples=max(1000, config.intervals), seed=config.seed, level=level)


def search_in_words(search: SearchConfig) -> str:
    """'beam 5, at most 50 words, length penalty 0.8, mirrored and enlarged too': all that changes what is found."""
    said = ["greedy" if search.beam_size == 1 else f"beam {search.beam_size}", f"at most {search.max_words} words"]
    if search.min_words > 1:
        said.append(f"at least {search.min_words}")
    if search.length_penalty and search.beam_size > 1:
        said.append(f"length penalty {search.length_penalty:g}")
    if search.no_repeat_ngram:
        said.append(f"no {search.no_repeat_ngram} words twice")
    if more := [name for name in ("mirrored", "enlarged") if getattr(search, name)]:
        said.append(f"{' and '.join(more)} too")
    return ", ".join(said)


def describe_products(
    describer: Describer,
    pictures: Pictures,
    search: SearchConfig,
    *,
    rivals: Mapping[str, Collection[str]] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[Description]:
    """Describe products, a batch of their pictures in memory at a time; see `Describer.describe`."""
    found: list[Description] = []
    count = len(pictures.places)
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        found += describer.describe(pictures.read(rows), search, rivals=rivals)
        if on_progress is not None:
            on_progress(len(found))
    return found
