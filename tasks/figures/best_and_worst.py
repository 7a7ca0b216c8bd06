"""The best and the worst descriptions of a split, beside their pictures."""

from pathlib import Path

import pandas as pd

from model.picture import ImageConfig
from tasks.figures.sheets import Card, draw_predictions
from tasks.scoring.products import Pictures, Products

SHOWN = 8


def draw_best_and_worst(predictions: pd.DataFrame, products: Products, image: ImageConfig, folder: Path) -> list[Path]:
    """Draw `best descriptions.png` and `worst descriptions.png`, eight products each, fewer where there are fewer.

    Args:
        predictions: of `tasks.scoring.evaluation.Evaluation`, the best first.
        products: the same products.
        image: how their pictures are resized.
        folder: where the files go.
    """
    place = {record_id: row for row, record_id in enumerate(products.table["record_id"])}
    pictures = Pictures(products, image)
    count = min(SHOWN, len(predictions) // 2)
    drawn: list[Path] = []
    for name, rows in (("best", predictions.head(count)), ("worst", predictions.tail(count).iloc[::-1])):
        cards = [
            Card(
                picture=pictures.read([place[row["record_id"]]])[0],
                written=row["description"],
                reference=row["reference"],
                score=f"CIDEr-D {row['cider_d']:.2f}",
            )
            for _, row in rows.iterrows()
        ]
        if cards:
            title = f"The {name} {len(cards)} of {len(predictions):,} {products.split} descriptions, by CIDEr-D"
            drawn += draw_predictions(cards, folder / f"{name} descriptions", title=title, good=name == "best")
    return drawn
