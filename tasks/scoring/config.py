"""What is scored, and how."""

import re
from dataclasses import dataclass

from model.configuration import check, check_choice, setting

WHEN = ("auto", "epoch", "end", "never")
CONSTANT, SHUFFLED = "constant", "shuffled"  # the writers that every report has beside the model
TITLES = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "cider_d": "CIDEr-D",
    "rouge_l": "ROUGE-L",
    "bertscore_f1": "BERTScore F1",
    "meteor": "METEOR",
    "attribute_f1": "attributes F1",
}


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """What is scored, and how. BLEU, CIDEr-D and ROUGE-L need no settings and are always there."""

    bertscore: str = setting("auto", "epoch, end, never; auto: each epoch on a GPU, at the end on a CPU")
    bertscore_model: str = setting("", "name or folder of the language model; empty: bert-score's for the language")
    bertscore_layer: int = setting(0, "which layer's output to compare; 0: bert-score's choice, else the last")
    bertscore_language: str = setting("en", "language of the descriptions, ISO 639-1")
    bertscore_rescale: bool = setting(True, "rescale by bert-score's baseline of the language, where there is one")
    bertscore_idf: bool = setting(False, "weight words by their rarity in the references")
    bertscore_batch_size: int = setting(64, "sentences at a time", unit="sentences")
    meteor: bool = setting(True, "METEOR, where nltk finds WordNet")
    writers: dict[str, str] = setting({}, "other writers to score beside the model: name to file of {record id: text}")
    intervals: int = setting(1000, "bootstrap samples for the 95 % intervals; 0: none", unit="samples")
    seed: int = setting(0, "of the bootstrap and of the shuffled pictures")

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_choice("score.bertscore", self.bertscore, WHEN)
        check(self.bertscore_layer >= 0, "score.bertscore_layer", self.bertscore_layer, "at least 0")
        check(len(self.bertscore_language) >= 2, "score.bertscore_language", self.bertscore_language, "like en")
        check(self.bertscore_batch_size >= 1, "score.bertscore_batch_size", self.bertscore_batch_size, "at least 1")
        for name in self.writers:
            check(
                re.fullmatch(r"[\w .-]+", name) is not None and name not in {CONSTANT, SHUFFLED},
                "score.writers",
                name,
                f"named by letters, digits, ' .-_', and not {CONSTANT} or {SHUFFLED}",
            )
        check(self.seed >= 0, "score.seed", self.seed, "at least 0")
        check(self.intervals == 0 or self.intervals >= 100, "score.intervals", self.intervals, "0, or at least 100")

    def bertscore_each_epoch(self, device: str) -> bool:
        """Whether BERTScore is taken after each epoch of a training on this kind of device (cpu, cuda)."""
        return self.bertscore == "epoch" or (self.bertscore == "auto" and device != "cpu")
