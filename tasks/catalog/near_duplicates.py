"""Texts that are nearly another's, across splits: MinHash over word 3-grams (rensa), every hit checked exactly."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rensa import RMinHash

SHINGLE_WORDS = 3
PERMUTATIONS = 128
SEED = 1  # of the permutations: part of the rule, not a setting
MAX_MISS = 1e-3  # chance that a pair exactly at the threshold is not looked at
ESTIMATE_MARGIN = 0.15  # over five standard deviations of the estimate from 128 permutations, at a Jaccard of 0.9
ROWS_AT_ONCE = 1 << 13
PAIRS_AT_ONCE = 1 << 18
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def near_duplicates_across(texts: Sequence[str], split_rank: Rows, min_jaccard: float) -> list[tuple[int, int]]:
    """Rows whose text is nearly that of a row in a split held out more strictly.

    Args:
        texts: normalised: words separated by one space, the references of one record by line breaks.
        split_rank: (N,) 0 training, 1 validation, 2 test.
        min_jaccard: likeness of the two sets of 3-grams from which they count as near-duplicates.

    Returns:
        (row, the row that it repeats), each row once, in the order of rows.
    """
    if not len(texts):
        return []
    shingles, offsets = _shingles(texts)
    signatures = _signatures(shingles, offsets)
    found: dict[int, int] = {}
    settled = np.zeros(len(texts), bool)
    for rank in (0, 1):
        high = np.flatnonzero(split_rank > rank)
        low = np.flatnonzero(split_rank == rank)
        for band in _bands(signatures, min_jaccard):
            for one, other in _candidates(band, low, high, settled):
                alike = (signatures[one] == signatures[other]).mean(axis=1)
                close = alike >= min_jaccard - ESTIMATE_MARGIN
                for row, repeated in zip(one[close].tolist(), other[close].tolist(), strict=True):
                    if not settled[row] and _jaccard(shingles, offsets, row, repeated) >= min_jaccard:
                        found[row] = repeated
                        settled[row] = True
    return sorted(found.items())


def _shingles(texts: Sequence[str]) -> tuple[Hashes, Rows]:
    """Hashes of every text's word 3-grams, one text after another, and where each begins: (S,), (N + 1,).

    A text of fewer words is one shingle. No 3-gram spans two references.
    """
    lines = pc.split_pattern(pa.array(texts, pa.large_string()), "\n")
    lines_a_text = pc.list_value_length(lines).to_numpy()
    words = pc.split_pattern(pc.list_flatten(lines), " ")
    lengths = pc.list_value_length(words).to_numpy().astype(np.int64)
    coded = pc.dictionary_encode(pc.list_flatten(words))
    vocabulary = np.frombuffer(
        b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in coded.dictionary.to_pylist()), "<u8"
    )
    hashes = vocabulary[coded.indices.to_numpy()]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    counts = np.maximum(lengths - SHINGLE_WORDS + 1, 1)
    line_of = np.repeat(np.arange(len(lengths)), counts)
    shingle_starts = np.concatenate([[0], np.cumsum(counts)])
    first = starts[line_of] + np.arange(shingle_starts[-1]) - shingle_starts[line_of]
    mixed = np.zeros(len(first), np.uint64)
    for place in range(SHINGLE_WORDS):
        inside = first + place < starts[line_of + 1]
        word = np.where(inside, hashes[np.minimum(first + place, len(hashes) - 1)], np.uint64(0))
        mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    line_ends = np.concatenate([[0], np.cumsum(lines_a_text)])
    return mixed, shingle_starts[line_ends]


def _signatures(shingles: Hashes, offsets: Rows) -> npt.NDArray[np.uint32]:
    """MinHash signatures: (N, PERMUTATIONS)."""
    count = len(offsets) - 1
    signatures = np.empty((count, PERMUTATIONS), np.uint32)
    for start in range(0, count, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, count)
        bounds = offsets[start : stop + 1]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            shingles[bounds[0] : bounds[-1]], (bounds - bounds[0]).astype(np.uint64), PERMUTATIONS, SEED
        )
        signatures[start:stop] = matrix.to_rows()
    return signatures


def rows_a_band(min_jaccard: float) -> int:
    """The most selective banding that misses a pair at the threshold with a chance below MAX_MISS.

    A pair of likeness s agrees in one band of r rows with probability s^r; it is looked at if any band agrees.
    """
    for rows in (32, 16, 8, 4, 2):
        if (1 - min_jaccard**rows) ** (PERMUTATIONS // rows) < MAX_MISS:
            return rows
    return 1


def _bands(signatures: npt.NDArray[np.uint32], min_jaccard: float) -> Iterator[Hashes]:
    """For each band of the signature one hash a row: (N,)."""
    rows = rows_a_band(min_jaccard)
    for start in range(0, PERMUTATIONS, rows):
        band = np.zeros(len(signatures), np.uint64)
        for column in range(start, start + rows):
            band = (band ^ signatures[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            band ^= band >> np.uint64(31)
        yield band


def _candidates(band: Hashes, low: Rows, high: Rows, settled: npt.NDArray[np.bool_]) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of a row of `low` and one of `high` whose band agrees, some at a time.

    Each unsettled row gets its next few: where thousands of texts are alike, one pair settles most rows.
    """
    high = high[np.argsort(band[high], kind="stable")]
    following = np.searchsorted(band[high], band[low], "left")
    ends = np.searchsorted(band[high], band[low], "right")
    while len(open_rows := np.flatnonzero((following < ends) & ~settled[low])[:PAIRS_AT_ONCE]):
        begins = following[open_rows]
        count = np.minimum(ends[open_rows] - begins, PAIRS_AT_ONCE // len(open_rows))
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        following[open_rows] += count
        yield np.repeat(low[open_rows], count), high[np.repeat(begins, count) + within]


def _jaccard(shingles: Hashes, offsets: Rows, one: int, other: int) -> float:
    left = set(shingles[offsets[one] : offsets[one + 1]].tolist())
    right = set(shingles[offsets[other] : offsets[other + 1]].tolist())
    return len(left & right) / len(left | right)
