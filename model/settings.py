"""What the model is, how it learns, how it writes: its settings, to be read without loading PyTorch."""

from dataclasses import asdict, dataclass
from typing import Any

from model.configuration import check, check_choice, setting

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MONITORS = ("bleu_4", "cider_d")
SCHEDULES = ("plateau", "cosine")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which network looks at the picture."""

    name: str = setting("resnet101", "A torchvision network: a ResNet, or one that has `.features`")
    weights: str = setting("imagenet", "imagenet, none (learn from nothing), or a state-dict file")
    grid: int = setting(14, "Side of the attention grid; 0 keeps the network's own", unit="positions")
    max_stride_px: int = setting(
        32, "Cut the network before its positions lie further apart than this (16 ends a ResNet at layer3)", unit="px"
    )
    normalise: bool = setting(False, "Features' square roots, each position at one length: for large sparse features")
    frozen_blocks: int = setting(
        2, "First blocks that stay frozen if weights are given (a ResNet's blocks: stem, layer1, … layer4)"
    )

    def __post_init__(self) -> None:
        check(bool(self.name), "encoder.name", self.name, "a network's name")
        check(bool(self.weights), "encoder.weights", self.weights, "imagenet, none or a file")
        check(self.grid >= 0, "encoder.grid", self.grid, "at least 0")
        check(self.max_stride_px in (4, 8, 16, 32), "encoder.max_stride_px", self.max_stride_px, "4, 8, 16 or 32")
        check(self.frozen_blocks >= 0, "encoder.frozen_blocks", self.frozen_blocks, "at least 0")

    @property
    def pretrained(self) -> bool:
        """Whether the network starts from given weights; then its batch-norm statistics never move."""
        return self.weights != "none"


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """How large the language part is."""

    attention_size: int = setting(512, "Width of the attention's hidden layer")
    embedding_size: int = setting(512, "Width of a word's embedding")
    hidden_size: int = setting(512, "Width of the LSTM's state")
    dropout: float = setting(0.5, "Dropout before the output layer")
    word_head: bool = setting(False, "Layers that say which words the picture calls for, added to each word's chances")

    def __post_init__(self) -> None:
        for name in ("attention_size", "embedding_size", "hidden_size"):
            check(getattr(self, name) >= 1, f"decoder.{name}", getattr(self, name), "at least 1")
        check(0 <= self.dropout < 1, "decoder.dropout", self.dropout, "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the model learns."""

    epochs: int = setting(31, "At most so many passes over the training captions", unit="epochs")
    seed: int = setting(1, "All chances of training come from it")
    warm_start: str = setting("", "Weights to start from: champion, or a model directory; shared words keep theirs")
    batch_size: int = setting(32, "Captions a step, over all processes together", unit="captions")
    max_words: int = setting(50, "Longer training captions are cut here and not taught to end", unit="words")
    encoder_learning_rate: float = setting(1e-4, "Adam's learning rate for the encoder")
    decoder_learning_rate: float = setting(4e-4, "Adam's learning rate for the decoder")
    clip_value: float = setting(5.0, "Every gradient value is clipped to ± this")
    regularisation: float = setting(1.0, "Weight of the doubly stochastic attention's term")
    word_loss: float = setting(0.05, "With decoder.word_head: weight of its loss, on every word of the caption at once")
    average: float = setting(0.0, "Decay a step of the weights' running average, which is validated and saved; 0: none")
    label_smoothing: float = setting(0.0, "Share of a word's probability spread over all words")
    monitor: str = setting("bleu_4", "Validation score that chooses the best epoch: bleu_4 or cider_d")
    validation_beam_size: int = setting(1, "Beams when validating after each epoch; 1 is greedy", unit="beams")
    schedule: str = setting(
        "plateau",
        "Learning rates fall when the score stands still, or along a cosine over the epochs (rewards: their own)",
    )
    decay: float = setting(0.8, "On a plateau learning rates are multiplied by this")
    decay_patience_epochs: int = setting(5, "… after so many epochs without a better score", unit="epochs")
    stop_patience_epochs: int = setting(
        20, "Without reward_epochs, training stops after so many epochs without a better score", unit="epochs"
    )
    reward_epochs: int = setting(
        0, "The last epochs learn from what sampled descriptions score (CIDEr-D)", unit="epochs"
    )
    freeze_encoder_epochs: int = setting(0, "The encoder is frozen for the first epochs, or for all", unit="epochs")
    cache_features: bool = setting(True, "While the encoder is frozen, its features are computed once and kept on disk")
    horizontal_flip: bool = setting(True, "Every second training picture is mirrored")
    rotation_degrees: float = setting(10.0, "Training pictures are turned by up to ± this", unit="degrees")
    jitter: float = setting(
        0.0, "Training pictures are enlarged or shrunk by up to ± this share of their size, moved by half"
    )
    small_first: float = setting(
        1.0,
        "In the first half of the epochs that learn from true words pictures are shrunk to this share of their side",
    )
    device: str = setting("auto", "auto, cpu or cuda")
    precision: str = setting("auto", "Training multiplies in fp32, bf16 or fp16; auto: the fastest on this device")
    workers: int = setting(0, "Processes that load pictures; 0 loads them in the training process")
    processes: int = setting(1, "Processes that train together, each on its share of a batch; on GPUs at most one each")
    checkpoint_minutes: float = setting(
        15.0, "A checkpoint also inside an epoch, this often; 0: none there", unit="minutes"
    )

    def __post_init__(self) -> None:
        at_least = {
            "epochs": 1, "batch_size": 1, "max_words": 1, "validation_beam_size": 1,
            "decay_patience_epochs": 1, "stop_patience_epochs": 1, "freeze_encoder_epochs": 0,
            "workers": 0, "processes": 1, "checkpoint_minutes": 0, "regularisation": 0, "word_loss": 0,
            "reward_epochs": 0,
        }  # fmt: skip
        for name, bound in at_least.items():
            check(getattr(self, name) >= bound, f"train.{name}", getattr(self, name), f"at least {bound}")
        check(0 <= self.seed < 2**64, "train.seed", self.seed, "in [0, 2**64)")  # PyTorch takes no other
        check(0 <= self.rotation_degrees <= 180, "train.rotation_degrees", self.rotation_degrees, "in [0, 180]")
        check(self.reward_epochs < self.epochs, "train.reward_epochs", self.reward_epochs, "below train.epochs")
        for name in ("encoder_learning_rate", "decoder_learning_rate", "clip_value"):
            check(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "above 0")
        check(0 < self.decay <= 1, "train.decay", self.decay, "in (0, 1]")
        check(0.25 <= self.small_first <= 1, "train.small_first", self.small_first, "in [0.25, 1]")
        check(0 <= self.jitter < 1, "train.jitter", self.jitter, "in [0, 1)")
        check(0 <= self.average < 1, "train.average", self.average, "in [0, 1)")
        check(0 <= self.label_smoothing < 1, "train.label_smoothing", self.label_smoothing, "in [0, 1)")
        check_choice("train.monitor", self.monitor, MONITORS)
        check_choice("train.schedule", self.schedule, SCHEDULES)
        check(
            not self.reward_epochs or self.schedule == "cosine",
            "train.schedule", self.schedule, "cosine if train.reward_epochs is above 0: a plateau has no planned end",
        )  # fmt: skip
        check_choice("train.device", self.device, DEVICES)
        check_choice("train.precision", self.precision, PRECISIONS)

    @property
    def word_epochs(self) -> int:
        """The epochs that learn from the true words."""
        return self.epochs - self.reward_epochs

    def view_px(self, size_px: int, epoch: int) -> int:
        """The side at which pictures of a side are seen in an epoch, from 1."""
        return round(size_px * self.small_first) if 2 * (epoch - 1) < self.word_epochs else size_px


# These may change between an interruption and its resumption without another outcome being asked for.
# (warm_start: the same model may stand in another folder by now.)
FREE_SETTINGS = ("warm_start", "epochs", "device", "workers", "processes", "checkpoint_minutes")


def fixed_settings(config: TrainConfig) -> dict[str, Any]:
    """What an interrupted run must be resumed with. `epochs` is a mere limit where no course depends on it."""
    planned = config.schedule == "cosine" or config.small_first < 1
    free = set(FREE_SETTINGS) - ({"epochs"} if planned else set())
    return {name: value for name, value in asdict(config).items() if name not in free}


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How descriptions are searched for."""

    beam_size: int = setting(5, "How many sentences are kept at each word; 1 is greedy", unit="beams")
    max_words: int = setting(50, "A description ends here at the latest", unit="words")
    min_words: int = setting(1, "A description does not end before", unit="words")
    length_penalty: float = setting(0.0, "Sentences compete by log-probability / length ** this; 0 favours short ones")
    no_repeat_ngram: int = setting(0, "No sequence of this many words stands twice in a description; 0 allows it")
    mirrored: bool = setting(False, "The mirrored picture is looked at too, both choose each word; twice the time")
    enlarged: bool = setting(False, "The picture enlarged by a quarter is looked at too; twice the time")

    def __post_init__(self) -> None:
        check(self.beam_size >= 1, "search.beam_size", self.beam_size, "at least 1")
        check(self.max_words >= 1, "search.max_words", self.max_words, "at least 1")
        check(0 <= self.min_words <= self.max_words, "search.min_words", self.min_words, "in [0, search.max_words]")
        check(0 <= self.length_penalty <= 10, "search.length_penalty", self.length_penalty, "in [0, 10]")
        check(self.no_repeat_ngram >= 0, "search.no_repeat_ngram", self.no_repeat_ngram, "at least 0")
