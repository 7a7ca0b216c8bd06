"""Pictures in, descriptions out: what everything that uses a trained model calls.

B batch, S picture side, T words, P positions.
"""

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.captioner import Captioner
from model.certainty import certainties
from model.device import choose_device, out_of_memory_says
from model.directory import load_model
from model.looks import looks
from model.picture import DECODER, ImageConfig
from model.search import Hypothesis, search
from model.settings import SearchConfig
from model.vocabulary import Vocabulary

BATCH = 32
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """One picture's description.

    Attributes:
        text: the words, joined by spaces.
        words: the words.
        log_probability: natural logarithm, of all words and, if `ended`, of the end.
        confidence: the geometric mean of these probabilities, exp(log_probability / count), in 0 … 1. It compares
            descriptions of one model with each other; it is no probability of being right.
        ended: whether the model ended the description itself, before the limit.
        attention: (T, rows, columns) float32: where the model looked at each word; each map sums to 1.
        certainty: of the words that have rivals, how sure the model was of each, 0 … 1; see `model.certainty`.
    """

    text: str
    words: list[str]
    log_probability: float
    confidence: float
    ended: bool
    attention: NDArray[np.float32]
    certainty: Mapping[str, float] = field(default_factory=dict)


class Describer:
    """A model ready to describe."""

    def __init__(
        self, captioner: Captioner, vocabulary: Vocabulary, device: torch.device, config: dict[str, Any]
    ) -> None:
        with out_of_memory_says("use another device, or end what else fills this one"):
            self.captioner = captioner.to(device).eval()
        self.vocabulary, self.device, self.config = vocabulary, device, config

    @classmethod
    def load(cls, model_dir: Path, *, device: str = "auto") -> "Describer":
        """Load a model directory.

        Raises:
            UserError: it is none, it is damaged, or the device is absent.
        """
        captioner, vocabulary, config = load_model(model_dir)
        if (before := config.get("resized_by", DECODER)) != DECODER:
            logger.warning(
                "%s learned from pictures resized by %s, here %s does it: it may write otherwise now and then",
                model_dir, before, DECODER,
            )  # fmt: skip
        return cls(captioner, vocabulary, choose_device(device), config)

    @property
    def image(self) -> ImageConfig:
        """How pictures must be resized for this model."""
        return ImageConfig(**self.config["image"])

    @torch.no_grad()
    def describe(
        self,
        pictures: NDArray[np.uint8],
        search_config: SearchConfig,
        *,
        rivals: Mapping[str, Collection[str]] | None = None,
    ) -> list[Description]:
        """Describe pictures uint8 (B, 3, S, S), in order, a few at a time.

        Args:
            pictures: resized as `image` says.
            search_config: how descriptions are searched for.
            rivals: kinds of words that exclude each other (kind -> words), to know how sure each of them is.

        Raises:
            UserError: out of memory.
            RunError: the model's probabilities are no numbers.
        """
        found: list[Description] = []
        with out_of_memory_says("lower search.beam_size"):
            for first in range(0, len(pictures), BATCH):
                some = torch.from_numpy(np.ascontiguousarray(pictures[first : first + BATCH])).to(self.device)
                seen = looks(self.captioner, some, mirrored=search_config.mirrored, enlarged=search_config.enlarged)
                first_look, *others = seen
                decoder, grid = self.captioner.decoder, first_look.grid
                hypotheses = search(decoder, grid, self.vocabulary, search_config, others=others)
                sentences = [hypothesis.words for hypothesis in hypotheses]
                grids = [look.grid for look in seen]
                sure = certainties(decoder, grids, sentences, self.vocabulary, rivals or {})
                found += [
                    self._description(hypothesis, grid.shape, one)
                    for hypothesis, one in zip(hypotheses, sure, strict=True)
                ]
        return found

    def _description(
        self, hypothesis: Hypothesis, shape: tuple[int, int], certainty: Mapping[str, float]
    ) -> Description:
        words = [self.vocabulary.words[index] for index in hypothesis.words]
        count = len(words) + hypothesis.ended
        attention: NDArray[np.float32] = hypothesis.attention.float().cpu().numpy()
        return Description(
            text=" ".join(words),
            words=words,
            log_probability=hypothesis.log_probability,
            confidence=math.exp(hypothesis.log_probability / count),
            ended=hypothesis.ended,
            attention=attention.reshape(len(words), *shape),  # (T, P) -> (T, rows, columns)
            certainty=certainty,
        )
