"""Sampling: seeded order in each split, limits, reserve, strata."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import UserError
from model.text import SPLITS
from tasks.catalog.reader import RECORD_SCHEMA, write_table
from tasks.catalog.sampling import (
    Sample,
    SampleConfig,
    check_learnable,
    draw_sample,
    sample_folder,
    sample_sizes,
    too_few_to_learn,
)

SIZES = {"train": 140, "validation": 10, "test": 30}


def records(sizes: dict[str, int], *, skip: int = 0) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for split, count in sizes.items():
        rows += [
            {
                "record_id": f"{split} {number}",
                "url": f"https://a.b/{split}/{number}",
                "references": ["text"],
                "title": "",
                "category": "dress" if number % 4 else "shoe",
                "attr": [],
                "split": split,
            }
            for number in range(skip, count)
        ]
    return pa.Table.from_pylist(rows, RECORD_SCHEMA)


def draw(sizes: dict[str, int] = SIZES, *, given_splits: bool = False, skip: int = 0, **settings: Any) -> Sample:
    return draw_sample(records(sizes, skip=skip), SampleConfig(**settings), given_splits=given_splits)


def drawn_ids(sample: Sample, split: str) -> list[str]:
    rows = sample.records.to_pylist()
    return [row["record_id"] for row in rows if row["split"] == split and row["in_sample"]]


def test_the_sample_is_the_beginning_of_a_seeded_order_and_the_rest_is_the_reserve() -> None:
    sample = draw(train=20, validation=5, test=3)
    assert (dict(sample.drawn), sample.warning) == ({"train": 20, "validation": 5, "test": 3}, "")
    assert dict(sample.available) == SIZES
    rows = sample.records.to_pylist()
    assert [row["split"] for row in rows] == [split for split in SPLITS for _ in range(SIZES[split])]
    for split in SPLITS:
        ordered = [row for row in rows if row["split"] == split]
        assert [row["order"] for row in ordered] == list(range(SIZES[split]))
        assert [row["in_sample"] for row in ordered] == [n < sample.drawn[split] for n in range(SIZES[split])]
    ids = [row["record_id"] for row in rows if row["split"] == "train"]
    assert ids != sorted(ids, key=lambda record_id: int(record_id.split()[1]))


def test_seeds_draw_other_samples_and_the_same_seed_the_same() -> None:
    one, two = draw(train=20, validation=5, test=3), draw(train=20, validation=5, test=3, seed=1)
    assert one.records.equals(draw(train=20, validation=5, test=3).records)
    assert drawn_ids(one, "train") != drawn_ids(two, "train")
    assert drawn_ids(draw(train=9, validation=5, test=3), "train") == drawn_ids(one, "train")[:9]


def test_newcomers_disturb_no_order() -> None:
    old = [row["record_id"] for row in draw(skip=5).records.to_pylist()]
    new = [row["record_id"] for row in draw().records.to_pylist()]
    assert [record_id for record_id in new if record_id in set(old)] == old


def test_limits_shrink_by_one_factor_with_one_warning() -> None:
    sample = draw(train=1400, validation=125, test=300)
    assert dict(sample.drawn) == {"train": 112, "validation": 10, "test": 24}
    assert sample.warning == (
        "the catalogue has only 140 of 1,400 train, 10 of 125 validation, 30 of 300 test records: "
        "the sample is 112 train, 10 validation, 24 test"
    )


def test_the_split_that_has_the_least_of_what_is_wanted_is_drawn_whole() -> None:
    assert 22 * (15 / 22) < 15, "rounding alone would lose one"
    sample = draw(SIZES | {"validation": 15}, train=140, validation=22, test=30)
    assert dict(sample.drawn) == {"train": 95, "validation": 15, "test": 20}


def test_a_catalogue_too_small_to_learn_from_is_told() -> None:
    assert too_few_to_learn(142).startswith("142 training products are too few to learn from")
    assert too_few_to_learn(1000) == ""


def test_exact_numbers_that_the_catalogue_lacks_are_an_error() -> None:
    assert draw(train=140, validation=10, test=30, exact=True).warning == ""
    with pytest.raises(
        UserError, match=r"only 10 of 11 validation records after de-duplication: lower sample\.validation"
    ):
        draw(train=140, validation=11, test=30, exact=True)


def test_a_catalogue_may_have_no_test_and_the_sample_may_want_none() -> None:
    assert dict(draw(train=14, validation=1, test=0).drawn) == {"train": 14, "validation": 1, "test": 0}
    sample = draw({"train": 14, "validation": 4, "test": 0}, train=10, validation=2, test=5)
    assert dict(sample.drawn) == {"train": 10, "validation": 2, "test": 0}
    assert "0 of 5 test" in sample.warning


@pytest.mark.parametrize("split", ["train", "validation"])
def test_no_training_or_validation_records_at_all_is_an_error(split: str) -> None:
    with pytest.raises(UserError, match=f"none of the .* records is in the {split} split"):
        check_learnable(draw(SIZES | {split: 0}).available)
    check_learnable(draw().available)


def test_given_splits_are_each_cut_to_their_limit_alone() -> None:
    sample = draw(given_splits=True, train=1400, validation=100, test=20)
    assert dict(sample.drawn) == {"train": 140, "validation": 10, "test": 20}


@given(
    available=st.fixed_dictionaries(
        {"train": st.integers(1, 60), "validation": st.integers(1, 9), "test": st.integers(0, 9)}
    ),
    limits=st.tuples(st.integers(1, 90), st.integers(1, 12), st.integers(0, 12)),
)
def test_a_sample_never_passes_a_limit_nor_what_there_is_and_keeps_the_proportion(
    available: dict[str, int], limits: tuple[int, int, int]
) -> None:
    config = SampleConfig(train=limits[0], validation=limits[1], test=limits[2])
    drawn, warning = sample_sizes(available, config, given_splits=False)
    for split in SPLITS:
        assert drawn[split] <= min(available[split], config.limits[split])
        assert drawn[split] >= min(1, available[split], config.limits[split])
    assert bool(warning) == any(available[split] < config.limits[split] for split in SPLITS)
    shares = [drawn[s] / config.limits[s] for s in SPLITS if config.limits[s] and available[s]]
    slack = max(1 / config.limits[s] for s in SPLITS if config.limits[s])
    assert max(shares) - min(shares) <= slack + 1e-9


def test_a_stratified_sample_holds_the_categories_in_proportion_at_every_length() -> None:
    order = [
        row["category"]
        for row in draw(SIZES | {"train": 400}, stratify=True).records.to_pylist()
        if row["split"] == "train"
    ]
    for length in (20, 40, 100, 200, 400):
        assert abs(Counter(order[:length])["shoe"] - length / 4) <= 1
    other = draw(SIZES | {"train": 400}, stratify=True, seed=1).records
    assert not other.equals(draw(SIZES | {"train": 400}, stratify=True).records)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 0}, r"sample\.train is 0: must be at least 1"),
        ({"validation": 0}, r"sample\.validation is 0: must be at least 1"),
        ({"test": -1}, r"sample\.test is -1: must be 0 or more"),
    ],
)
def test_impossible_settings_name_the_field_the_value_and_the_bound(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SampleConfig(**settings)


def test_the_file_is_the_sample_and_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        write_table(records(SIZES), tmp_path / name / "records.parquet")
        sample = sample_folder(tmp_path / name, SampleConfig(train=9, validation=2, test=3), given_splits=False)
        path = tmp_path / name / "sample.parquet"
        assert pq.read_table(path).equals(sample.records)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
