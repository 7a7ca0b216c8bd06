"""De-duplication and splits: against a slow plain reading of the rules, and what must hold whatever comes."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import UserError
from model.text import SPLITS, normalise, split_of
from tasks.catalog.duplicates import (
    DeduplicateConfig,
    Deduplicated,
    codes_of,
    deduplicate,
    deduplicate_folder,
    id_key,
    pixel_repeats,
    repeats,
)
from tasks.catalog.near_duplicates import near_duplicates_across, rows_a_band
from tasks.catalog.reader import RECORD_SCHEMA, sort_by_id, write_table
from tasks.catalog.urls import normalise_url

Row = dict[str, Any]


def table(rows: Sequence[Row]) -> pa.Table:
    """Records as reading gives them."""
    return sort_by_id(pa.Table.from_pylist(list(rows), RECORD_SCHEMA))


def row(number: int | str, text: str | list[str], url: str = "", split: str = "") -> Row:
    return {
        "record_id": str(number),
        "url": url or f"https://a.b/{number}",
        "references": [text] if isinstance(text, str) else text,
        "title": "",
        "category": "",
        "attr": [],
        "split": split,
    }


def run(rows: Sequence[Row], *, given_splits: bool = False, seed: int = 0, **rules: Any) -> Deduplicated:
    return deduplicate(table(rows), DeduplicateConfig(**rules), split_seed=seed, given_splits=given_splits)


def text_in(split: str, tag: str = "") -> str:
    """A text that the split rule puts into a split."""
    return next(text for n in range(999) if split_of(text := normalise(f"dress {tag} {n}"), 0) == split)


def kept(result: Deduplicated) -> list[str]:
    ids: list[str] = result.records["record_id"].to_pylist()
    return ids


def test_the_smallest_id_of_one_description_stays_and_the_drop_names_it() -> None:
    result = run([row(10, "A red Dress!"), row(9, "a RED  dress"), row("b", "a red, dress"), row(11, "another")])
    assert kept(result) == ["9", "11"]
    split = split_of("a red dress", 0)
    assert result.dropped.to_pylist() == [
        {"id": "10", "rule": "description", "repeats_id": "9", "split": split},
        {"id": "b", "rule": "description", "repeats_id": "9", "split": split},
    ]


def test_one_url_in_one_split_keeps_the_smallest_id() -> None:
    train = [text_in("train", tag) for tag in ("x", "y")]
    result = run([row(1, train[0], "https://A.b/c"), row(2, train[1], "HTTPS://a.B/c#top")])
    assert kept(result) == ["1"]
    assert result.dropped_by_rule == {"url": 1}


def test_one_url_across_splits_drops_the_training_side_whatever_its_id() -> None:
    rows = [row(n, text_in(split), "https://a.b/c") for n, split in enumerate(("train", "validation", "test"))]
    for rules in ({}, {"url": False}):
        result = run(rows, **rules)
        assert kept(result) == ["2"]
        assert result.dropped_by_rule == {"url across splits": 2}
    assert kept(run(rows[:2])) == ["1"]


def test_each_rule_can_be_switched_off() -> None:
    text = text_in("train")
    rows = [
        row(1, text, "https://a.b/c"),
        row(2, text, "https://a.b/d"),
        row(3, text_in("train", "z"), "https://a.b/c"),
    ]
    assert kept(run(rows)) == ["1"]
    assert kept(run(rows, description=False)) == ["1", "2"]
    assert kept(run(rows, url=False)) == ["1", "3"]
    assert kept(run(rows, url=False, description=False)) == ["1", "2", "3"]


def test_a_reference_shared_by_two_splits_drops_the_training_side() -> None:
    both = "worn by both"
    texts: dict[str, list[str]] = {}
    for n in range(99):
        texts.setdefault(split_of("\n".join(sorted([f"own {n}", both])), 0), [f"own {n}", both])
    result = run([row(1, texts["train"]), row(2, texts["test"]), row(3, texts["test"][::-1])])
    assert result.dropped.select(["id", "rule", "repeats_id"]).to_pylist() == [
        {"id": "3", "rule": "description", "repeats_id": "2"},
        {"id": "1", "rule": "text across splits", "repeats_id": "2"},
    ]


def test_given_splits_keep_every_record_and_count_the_leaks() -> None:
    rows = [
        row(1, "one dress", "https://a.b/c", "train"),
        row(2, "one dress", "https://a.b/d", "train"),
        row(3, "one dress", "https://a.b/c", "test"),
        row(4, "a coat", "https://a.b/d", "train"),  # what one split repeats within itself is no leak
    ]
    result = run(rows, given_splits=True)
    assert kept(result) == ["1", "2", "3", "4"]
    assert result.records["split"].to_pylist() == ["train", "train", "test", "train"]
    assert dict(result.leaks) == {"url": 1, "text": 2, "near-duplicate text": 2}


WORDS = tuple("abcdefghijklmnopq")


def similar(changed: int, tag: str) -> str:
    """Thirty words, the last `changed` of them told by the tag."""
    words = [f"{word}{part}" for part in "ab" for word in WORDS[:15]]
    return " ".join(words[: 30 - changed] + [f"{tag}{n}" for n in range(changed)])


def test_near_duplicates_across_splits_drop_the_training_side_only() -> None:
    by_split: dict[str, list[str]] = defaultdict(list)
    for n in range(300):
        text = similar(1, f"tag{n}x")
        by_split[split_of(normalise(text), 0)].append(text)
    rows = [row(1, by_split["train"][0]), row(2, by_split["train"][1]), row(3, by_split["validation"][0])]
    # 27 of 29 3-grams in common: Jaccard 27 / 29.
    result = run(rows)
    assert result.dropped_by_rule == {"near-duplicate text across splits": 2}
    assert kept(result) == ["3"]
    assert kept(run(rows[:2])) == ["1", "2"]  # within one split they may stay
    assert kept(run(rows, near_duplicates=False)) == ["1", "2", "3"]
    assert kept(run(rows, min_jaccard=0.95)) == ["1", "2", "3"]
    assert kept(run([*rows, row(4, by_split["test"][0])])) == ["4"]


def plain_jaccard(one: str, other: str) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        grams: set[tuple[str, ...]] = set()
        for line in text.split("\n"):
            words = line.split(" ")
            grams |= {tuple(words[n : n + 3]) for n in range(max(1, len(words) - 2))}
        return grams

    left, right = shingles(one), shingles(other)
    return len(left & right) / len(left | right)


@pytest.mark.parametrize("threshold", [0.9, 0.7, 0.5])
def test_minhash_finds_what_comparing_every_pair_finds(threshold: float) -> None:
    generator = random.Random(3)
    texts = []
    for family in range(12):
        base = [f"w{family}x{n}" if generator.random() < 0.7 else WORDS[n % 17] for n in range(40)]
        for _ in range(25):
            words = [word if generator.random() > 0.03 else generator.choice(WORDS) for word in base]
            texts.append(" ".join(words[: generator.choice([40, 40, 38, 2, 1])]))
    texts += ["a b\nc d e f", "a b\nc d e f g"]
    ranks = np.array([generator.choice([0, 0, 0, 0, 1, 2, 2]) for _ in texts])
    found = dict(near_duplicates_across(texts, ranks, threshold))
    expected = {
        low
        for low in range(len(texts))
        if any(
            ranks[high] > ranks[low] and plain_jaccard(texts[low], texts[high]) >= threshold
            for high in range(len(texts))
        )
    }
    assert set(found) <= expected
    assert len(expected - set(found)) <= len(expected) // 200
    assert len(expected) > 30
    assert all(plain_jaccard(texts[low], texts[high]) >= threshold for low, high in found.items())


def test_thousands_of_texts_that_differ_in_one_word_are_not_each_compared_with_each() -> None:
    template = " ".join(f"word{number}" for number in range(80))
    ranks = np.arange(16_000, dtype=np.int64) % 9 // 7  # seven in nine are for training
    start = time.process_time()
    found = near_duplicates_across([f"{template} number {number} end" for number in range(16_000)], ranks, 0.9)
    assert time.process_time() - start < 20  # each with each takes minutes
    assert len(found) == (ranks == 0).sum()


def test_texts_that_are_just_as_alike_as_asked_for_are_near_duplicates() -> None:
    texts, ranks = [similar(4, "x"), similar(4, "y")], np.array([0, 2])  # 24 of 32 3-grams in common
    assert near_duplicates_across(texts, ranks, 0.75) == [(0, 1)]
    assert near_duplicates_across(texts, ranks, 0.7500001) == []


def test_near_duplicates_are_the_same_however_many_texts_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [similar(changed, tag) for tag in "xyz" for changed in (1, 2, 20)]
    ranks = np.array([0, 2, 0] * 3)
    at_once = near_duplicates_across(texts, ranks, 0.7)
    monkeypatch.setattr("tasks.catalog.near_duplicates.ROWS_AT_ONCE", 2)
    assert near_duplicates_across(texts, ranks, 0.7) == at_once
    assert len(at_once) == 3


def test_no_texts_have_no_near_duplicates() -> None:
    assert near_duplicates_across([], np.zeros(0, np.int64), 0.9) == []
    assert near_duplicates_across(["one"], np.zeros(1, np.int64), 0.9) == []
    assert [rows_a_band(value) for value in (1.0, 0.9, 0.5, 0.1)] == [32, 8, 2, 1]


# --- what must hold whatever comes -----------------------------------------------------------------------------------

TEXTS = st.sampled_from([f"dress {n}" for n in range(12)] + ["Dress 1!", "DRESS, 2"])
URLS = st.sampled_from([f"https://a.b/{n}" for n in range(12)] + ["https://A.b/1?x", "rel/1.jpg"])
REFERENCES = st.lists(TEXTS, min_size=1, max_size=2)
CATALOGS = st.lists(
    st.builds(row, st.integers(0, 999), REFERENCES, URLS), max_size=14, unique_by=lambda r: r["record_id"]
)


def plain(rows: Sequence[Row], seed: int, config: DeduplicateConfig) -> tuple[list[str], list[tuple[str, str]]]:
    """The rules, said slowly: ids kept, and (id, rule) dropped."""
    alive = sorted(rows, key=lambda record: id_key(record["record_id"]))
    key = {r["record_id"]: "\n".join(sorted(normalise(text) for text in r["references"])) for r in rows}
    split = {record_id: split_of(text, seed) for record_id, text in key.items()}
    dropped: list[tuple[str, str]] = []

    def drop(rule: str, shares: Callable[[Row, Row], bool], within: bool) -> None:
        nonlocal alive
        stays = []
        for one in alive:
            others = [other for other in alive if other is not one and shares(one, other)]
            mine = SPLITS.index(split[one["record_id"]])
            ranks = [SPLITS.index(split[other["record_id"]]) for other in others]
            if any(rank > mine for rank in ranks):
                dropped.append((one["record_id"], f"{rule} across splits"))
            elif within and any(
                r == mine and alive.index(o) < alive.index(one) for r, o in zip(ranks, others, strict=True)
            ):
                dropped.append((one["record_id"], rule))
            else:
                stays.append(one)
        alive = stays

    drop("description", lambda a, b: key[a["record_id"]] == key[b["record_id"]], config.description)
    drop("url", lambda a, b: normalise_url(a["url"]) == normalise_url(b["url"]), config.url)
    drop("text", lambda a, b: bool({*map(normalise, a["references"])} & {*map(normalise, b["references"])}), False)
    return [r["record_id"] for r in alive], dropped


@settings(deadline=None, max_examples=200)
@given(rows=CATALOGS, seed=st.integers(0, 3), description=st.booleans(), url=st.booleans())
def test_fast_de_duplication_does_what_the_plain_rules_say(
    rows: list[Row], seed: int, description: bool, url: bool
) -> None:
    config = DeduplicateConfig(description=description, url=url, near_duplicates=False)
    result = deduplicate(table(rows), config, split_seed=seed, given_splits=False)
    ids, dropped = plain(rows, seed, config)
    assert kept(result) == ids
    assert sorted(zip(*(result.dropped[name].to_pylist() for name in ("id", "rule")), strict=True)) == sorted(dropped)


@settings(deadline=None)
@given(rows=CATALOGS, order=st.randoms(use_true_random=False))
def test_de_duplication_is_idempotent_and_blind_to_order(rows: list[Row], order: random.Random) -> None:
    once = run(rows)
    shuffled = rows[:]
    order.shuffle(shuffled)
    again = run(shuffled)
    assert again.records.equals(once.records)
    assert again.dropped.equals(once.dropped)
    twice = deduplicate(once.records, DeduplicateConfig(), split_seed=0, given_splits=False)
    assert twice.records.equals(once.records)
    assert twice.dropped.num_rows == 0


@settings(deadline=None)
@given(rows=CATALOGS, seed=st.integers(0, 5))
def test_splits_are_disjoint_by_text_and_url(rows: list[Row], seed: int) -> None:
    records = run(rows, seed=seed).records.to_pylist()
    for shared in (
        [(normalise(text), r["split"]) for r in records for text in r["references"]],
        [(normalise_url(r["url"]), r["split"]) for r in records],
    ):
        splits = defaultdict(set)
        for key, split in shared:
            splits[key].add(split)
        assert all(len(found) == 1 for found in splits.values())


@settings(deadline=None)
@given(rows=CATALOGS, more=CATALOGS)
def test_records_that_come_or_go_move_no_other_and_what_a_newcomer_ties_is_counted(
    rows: list[Row], more: list[Row]
) -> None:
    before = run(rows)
    known = {r["record_id"] for r in rows}
    after = run([*rows, *(r for r in more if r["record_id"] not in known)])
    old, new = ({r["record_id"]: r["split"] for r in result.records.to_pylist()} for result in (before, after))
    assert all(new[record_id] == split for record_id, split in old.items() if record_id in new)
    gone = set(old) - set(new)
    assert gone <= set(after.dropped["id"].to_pylist())


def test_what_came_in_is_kept_or_dropped_and_an_empty_rest_is_an_error(tmp_path: Path) -> None:
    rows = [row(n, f"dress {n % 7}", f"https://a.b/{n % 5}") for n in range(50)]
    result = run(rows)
    assert result.records.num_rows + result.dropped.num_rows == 50
    write_table(table([]), tmp_path / "catalog.parquet")
    with pytest.raises(UserError, match="no record is left"):
        deduplicate_folder(tmp_path, DeduplicateConfig(), split_seed=0, given_splits=False)
    for wrong in (0, 2):
        with pytest.raises(ValueError, match=rf"deduplicate.min_jaccard is {wrong}: must be above 0 and at most 1"):
            DeduplicateConfig(min_jaccard=wrong)


def test_the_same_catalogue_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    rows = [row(n, f"dress {n % 7} " * 9, f"https://a.b/{n % 40}") for n in range(60)]
    contents = []
    for name, ordered in (("one", rows), ("two", rows[::-1])):
        write_table(table(ordered), tmp_path / name / "catalog.parquet")
        deduplicate_folder(tmp_path / name, DeduplicateConfig(), split_seed=0, given_splits=False)
        contents.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"catalog.parquet", "records.parquet", "dropped.parquet"}


# --- after the download ----------------------------------------------------------------------------------------------


def test_equal_pixels_keep_one_record_and_across_splits_the_one_held_out() -> None:
    ids, splits = ["10", "9", "1", "2", "3", "4"], ["train", "train", "train", "validation", "test", "test"]
    digests = ["x", "x", "y", "y", "y", "z"]
    result = pixel_repeats(ids, splits, digests, DeduplicateConfig(), given_splits=False)
    assert sorted(map(tuple, (r.values() for r in result.dropped.to_pylist()))) == [
        ("1", "pixels across splits", "3", "train"),
        ("10", "pixels", "9", "train"),
        ("2", "pixels across splits", "3", "validation"),
    ]
    assert result.reported.num_rows == 0


def test_equal_pixels_are_only_reported_where_splits_are_given_or_the_rule_is_off() -> None:
    ids, splits, digests = ["1", "2", "3"], ["train", "train", "test"], ["x", "x", "x"]
    given_result = pixel_repeats(ids, splits, digests, DeduplicateConfig(), given_splits=True)
    assert (given_result.dropped.num_rows, given_result.reported["id"].to_pylist()) == (0, ["1", "2"])
    splits = ["train", "train", "train"]
    off = pixel_repeats(ids, splits, digests, DeduplicateConfig(pixels=False), given_splits=False)
    assert (off.dropped.num_rows, off.reported["id"].to_pylist()) == (0, ["2", "3"])
    ids, splits, digests = ["1", "2", "3", "4"], ["train", "test", "train", "train"], ["x", "x", "y", "y"]
    mixed = pixel_repeats(ids, splits, digests, DeduplicateConfig(pixels=False), given_splits=False)
    assert (mixed.dropped["id"].to_pylist(), mixed.reported["id"].to_pylist()) == (["1"], ["4"])
    nothing = pixel_repeats([], [], [], DeduplicateConfig(), given_splits=False)
    assert (nothing.dropped.num_rows, nothing.reported.num_rows) == (0, 0)


def test_ids_are_compared_after_the_download_as_before_it() -> None:
    ids = ["10", "9", "010", "9" * 18, "1" + "0" * 18, "2" + "0" * 18, "3" * 19, "\u0663", "\u0661", "b", "a", "-1"]
    assert sorted(ids, key=id_key) == table([row(name, "a dress") for name in ids])["record_id"].to_pylist()


@given(
    pictures=st.dictionaries(
        st.integers(0, 99).map(str), st.tuples(st.sampled_from(SPLITS), st.sampled_from("uvwxyz")), max_size=12
    ),
    order=st.randoms(use_true_random=False),
)
def test_splits_are_disjoint_by_pixels_whatever_order_pictures_come_in(
    pictures: dict[str, tuple[str, str]], order: random.Random
) -> None:
    ids = list(pictures)
    order.shuffle(ids)
    result = pixel_repeats(
        ids, [pictures[i][0] for i in ids], [pictures[i][1] for i in ids], DeduplicateConfig(), given_splits=False
    )
    lost = set(result.dropped["id"].to_pylist())
    stays = {i: pictures[i] for i in ids if i not in lost}
    assert len({digest for _, digest in stays.values()}) == len(stays) == len({d for _, d in pictures.values()})
    ordered = sorted(pictures, key=id_key)
    again = pixel_repeats(
        ordered,
        [pictures[i][0] for i in ordered],
        [pictures[i][1] for i in ordered],
        DeduplicateConfig(),
        given_splits=False,
    )
    assert again.dropped.equals(result.dropped)


def test_numbering_of_keys_and_groups_by_hand() -> None:
    assert codes_of(["b", "a", "b"]).tolist() == [0, 1, 0]
    ranks = np.array([0, 2, 0, 1])
    losers, winners = repeats(np.array([0, 0, 1, 1]), np.arange(4), ranks, across_only=True)
    assert (losers.tolist(), winners.tolist()) == ([0, 2], [1, 3])
