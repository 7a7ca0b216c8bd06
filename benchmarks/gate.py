"""How often the gate promotes a model that is no better, and one that is: `python -m benchmarks.gate DATASET …`.

DATASET and the models come from the demo: `ec-descr-gen demo --workdir W` keeps its best model (of epoch 14), and again
with `--set train.epochs=7` that of the shorter training:

    python -m benchmarks.gate W/datasets/<id> --short W/runs/<id>/training/model-0007 --long …/model-0014

The models describe the demo's test products once. Then each try takes a random half of these and asks the gate:

- *itself*: two writers, each of them now one of the models and now another, as chance says for each product: neither
  can be better;
- *another seed*, where several models of the shorter training are given: as they are, though one may be luckier;
- *more training*: champions of the shorter, challengers of the longer training.

With `--products` *itself* is also asked with so few products, as a small catalogue has them.
"""

import argparse
import itertools
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.timing import machine
from model.describer import Describer
from model.device import choose_device
from model.files import atomic_path
from model.settings import SearchConfig
from tasks.scoring.bootstrap import PerProduct, compare, corpus_scores, per_product
from tasks.scoring.gate import GateConfig, passes
from tasks.scoring.products import Pictures, Products, read_products

SCORES = ("bleu_4", "cider_d", "rouge_l")
LEVELS = (0.9, 0.95, 0.975, 0.99)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--short", type=Path, nargs="+", required=True, metavar="MODEL_DIR")
    parser.add_argument("--long", type=Path, nargs="+", required=True, metavar="MODEL_DIR")
    parser.add_argument("--written", type=Path, default=Path("workspace/gate"), help="keeps what each model wrote")
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--products", type=int, nargs="*", default=[], metavar="N")
    options = parser.parse_args()
    products = read_products(options.dataset, data="demo", split="test")
    short, long = (
        [scored(folder, products, options.written) for folder in some] for some in (options.short, options.long)
    )
    print(machine(choose_device("cpu")))
    count = len(products.table)
    print(f"{count:,} test products, half of them a try; {options.tries} tries each")
    for few in [count // 2, *options.products]:
        both = draws(short + long, short + long, options.tries)
        show(f"itself, {few} products", (equal(one, other, few) for one, other in both))
    if len(short) > 1:
        show("another seed", (some(one, other, count // 2) for one, other in draws(short, short, options.tries)))
    show("more training", (some(one, other, count // 2) for one, other in draws(short, long, options.tries)))


def scored(model_dir: Path, products: Products, written: Path) -> PerProduct:
    """Let a model describe the products, unless it has, and score each."""
    describer = Describer.load(model_dir, device="cpu")
    path = written / f"{describer.config['sha256']['weights.safetensors'][:16]}.parquet"
    if not path.is_file():
        pictures = Pictures(products, describer.image).read(range(len(products.table)))  # (N, 3, S, S)
        found = describer.describe(pictures, SearchConfig(**describer.config["search"]))
        with atomic_path(path) as partial:
            table = {"record_id": products.table["record_id"], "words": [one.words for one in found]}
            pd.DataFrame(table).to_parquet(partial)
    words = pd.read_parquet(path).set_index("record_id")["words"]
    each = per_product(products.references, [list(words[one]) for one in products.table["record_id"]])
    print(model_dir, {name: round(value, 4) for name, value in corpus_scores(each).items()}, flush=True)
    return each


def draws(first: list[PerProduct], second: list[PerProduct], tries: int) -> Iterable[tuple[PerProduct, PerProduct]]:
    """Pairs of two models, every pair as often as every other, in both directions where both lists have them."""
    pairs = [(one, other) for one in first for other in second if one is not other]
    return itertools.islice(itertools.cycle(pairs), tries)


_draw = np.random.default_rng(0)


def some(one: PerProduct, other: PerProduct, count: int) -> tuple[PerProduct, PerProduct]:
    """So many of the products, drawn by chance."""
    rows = _draw.permutation(len(one.bleu))[:count]
    return taken(one, rows), taken(other, rows)


def equal(one: PerProduct, other: PerProduct, count: int) -> tuple[PerProduct, PerProduct]:
    """So many of the products; for each, chance says which of the two descriptions is the champion's."""
    one, other = some(one, other, count)
    swapped = _draw.random(len(one.bleu)) < 0.5
    return mixed(one, other, swapped), mixed(other, one, swapped)


def taken(each: PerProduct, rows: NDArray[np.int64]) -> PerProduct:
    """Some of the products."""
    return PerProduct(bleu=each.bleu[rows], means={name: values[rows] for name, values in each.means.items()})


def mixed(one: PerProduct, other: PerProduct, swapped: NDArray[np.bool_]) -> PerProduct:
    """The first one's products, the swapped ones from the other."""
    return PerProduct(
        bleu=np.where(swapped[:, None], other.bleu, one.bleu),
        means={name: np.where(swapped, other.means[name], values) for name, values in one.means.items()},
    )


def show(what: str, pairs: Iterable[tuple[PerProduct, PerProduct]]) -> None:
    """Print how often the second of each pair is promoted, by score and confidence."""
    gate, chance = GateConfig(), random.Random(0)
    found = [
        compare(one, other, metrics=SCORES, resamples=1000, seed=chance.randrange(2**31), level=gate.confidence)
        for one, other in pairs
    ]
    print(f"\n{what}: {len(found)} comparisons, promoted at confidence {', '.join(map(str, LEVELS))}")
    for score in SCORES:
        rates = [np.mean([one[score].confidence >= level for one in found]) for level in LEVELS]
        gain = np.mean([one[score].difference for one in found])
        print(f"  {score:8} {'  '.join(f'{rate:6.1%}' for rate in rates)}   mean difference {gain:+.4f}")
    promoted = sum(passes(one[gate.score]) for one in found)
    print(f"  the gate as it stands ({gate.score}, {gate.confidence}): {promoted} of {len(found)} promoted")


if __name__ == "__main__":
    main()
