"""Words and their indices: ``{word: index}``, flat, in a JSON file."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.configuration import check, setting
from model.errors import UserError
from model.files import read_json, write_json

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<start>", "<end>"


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """Which words the model can write."""

    min_count: int = setting(2, "A word must stand this often in the training captions", unit="occurrences")

    def __post_init__(self) -> None:
        check(self.min_count >= 1, "vocabulary.min_count", self.min_count, "at least 1")


class Vocabulary:
    """A fixed set of words. ``<pad>`` is 0, words count from 1, ``<unk>``, ``<start>`` and ``<end>`` come last."""

    def __init__(self, indices: Mapping[str, int]) -> None:
        """Take ``{word: index}``.

        Raises:
            ValueError: the indices are not 0 … n - 1, or the four special words are not where they belong.
        """
        self.indices = dict(indices)
        self.words = sorted(self.indices, key=self.indices.__getitem__)
        size = len(self.words)
        if [self.indices[word] for word in self.words] != list(range(size)):
            raise ValueError("its indices are not 0, 1, 2, … without a gap")
        if self.words[:1] != [PAD] or self.words[-3:] != [UNKNOWN, START, END]:
            raise ValueError("it must begin with <pad> and end with <unk>, <start>, <end>")
        self.pad, self.unknown, self.start, self.end = 0, size - 3, size - 2, size - 1
        self.never_written = [self.pad, self.unknown, self.start]

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def build(cls, captions: Iterable[Sequence[str]], config: VocabularyConfig) -> "Vocabulary":
        """Collect the words of training captions, in first-seen order.

        Args:
            captions: tokens of each caption; none: a vocabulary without words, of data that nothing is learned from.
            config: how often a word must stand.

        Raises:
            UserError: no word stands often enough.
        """
        counts = Counter(word for caption in captions for word in caption)
        words = [word for word, count in counts.items() if count >= config.min_count]
        if counts and not words:
            raise UserError(
                f"No word stands {config.min_count} times in the training captions: "
                "lower vocabulary.min_count or give more records"
            )
        return cls({word: index for index, word in enumerate([PAD, *words, UNKNOWN, START, END])})

    def encode(self, tokens: Sequence[str], max_words: int) -> list[int]:
        """Indices of ``<start>``, at most `max_words` words, and ``<end>`` unless the caption was cut."""
        words = [self.indices.get(token, self.unknown) for token in tokens[:max_words]]
        return [self.start, *words] + ([self.end] if len(tokens) <= max_words else [])

    def decode(self, indices: Iterable[int]) -> list[str]:
        """The words up to ``<end>``, without ``<start>`` and ``<pad>``."""
        words = []
        for index in indices:
            if index == self.end:
                break
            if index not in (self.start, self.pad):
                words.append(self.words[index])
        return words

    def save(self, path: Path) -> None:
        """Write the flat JSON file, whole or not at all."""
        write_json(path, {word: index for index, word in enumerate(self.words)})

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read the flat JSON file.

        Raises:
            UserError: it is missing, no JSON, or not such a vocabulary.
        """
        try:
            return cls({str(word): int(index) for word, index in read_json(path).items()})
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: run the data stages first") from None
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{path} is no vocabulary ({error}): make it again") from None
