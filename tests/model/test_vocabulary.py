import json
from pathlib import Path

import pytest

from model.errors import UserError
from model.vocabulary import Vocabulary, VocabularyConfig

CAPTIONS = [["red", "silk", "dress"], ["red", "dress", "dress"], ["blue", "silk"]]


def test_words_count_from_one_in_first_seen_order_and_the_special_ones_come_last() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, VocabularyConfig(min_count=2))
    assert vocabulary.words == ["<pad>", "red", "silk", "dress", "<unk>", "<start>", "<end>"]
    assert (vocabulary.pad, vocabulary.unknown, vocabulary.start, vocabulary.end) == (0, 4, 5, 6)


def test_a_caption_is_taught_to_start_and_to_end() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, VocabularyConfig(min_count=2))
    assert vocabulary.encode(["red", "blue", "dress"], 3) == [5, 1, 4, 3, 6]


def test_a_caption_that_is_cut_is_not_taught_to_end() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, VocabularyConfig(min_count=1))
    assert vocabulary.encode(["red", "silk", "dress"], 2) == [vocabulary.start, 1, 2]


def test_decoding_gives_the_words_back_up_to_the_end() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, VocabularyConfig(min_count=1))
    indices = vocabulary.encode(["blue", "silk"], 10)
    assert vocabulary.decode([*indices, 1, 2]) == ["blue", "silk"]
    assert vocabulary.decode([vocabulary.start, 1, vocabulary.pad]) == ["red"], "one that was cut has no end"


def test_the_file_is_flat_and_loads_to_the_same(tmp_path: Path) -> None:
    vocabulary = Vocabulary.build(CAPTIONS, VocabularyConfig(min_count=1))
    vocabulary.save(tmp_path / "vocabulary.json")
    assert json.loads((tmp_path / "vocabulary.json").read_text()) == vocabulary.indices
    assert Vocabulary.load(tmp_path / "vocabulary.json").words == vocabulary.words


def test_data_that_nothing_is_learned_from_has_no_words() -> None:
    assert len(Vocabulary.build([], VocabularyConfig())) == 4


def test_captions_without_a_common_word_are_a_users_mistake() -> None:
    with pytest.raises(UserError, match=r"vocabulary\.min_count"):
        Vocabulary.build([["red"], ["blue"]], VocabularyConfig(min_count=2))


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[1]", '{"<pad>": 1}', '{"<pad>": 0, "a": 2}', '{"a": 0, "b": 1, "c": 2, "d": 3}',
        '{"a": 0, "<unk>": 1, "<start>": 2, "<end>": 3}', '{"<pad>": 0, "<unk>": 1, "<start>": 2, "a": 3}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "vocabulary.json").write_text(text)
    with pytest.raises(UserError, match=r"vocabulary\.json is no vocabulary"):
        Vocabulary.load(tmp_path / "vocabulary.json")


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Vocabulary.load(tmp_path / "vocabulary.json")
