"""Starts a training from the weights of another model, whose words may be others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.captioner import Captioner
from model.directory import load_model
from model.errors import UserError
from model.settings import DecoderConfig, EncoderConfig
from model.vocabulary import Vocabulary

# What gives the tensors their shapes, but for the number of words, and their inputs.
BUILT_BY = {
    "encoder": ("name", "max_stride_px", "normalise"),
    "decoder": ("attention_size", "embedding_size", "hidden_size", "word_head"),
}
# Tensors with a row for each word of the vocabulary.
WORD_ROWS = (
    "decoder.embedding.weight",
    "decoder.output.weight",
    "decoder.output.bias",
    "decoder.word_head.whole.weight",
    "decoder.word_head.whole.bias",
    "decoder.word_head.places.weight",
    "decoder.word_head.places.bias",
    "decoder.word_head.trust",
    "decoder.word_head.again",
)


def check_shape(folder: Path, config: Mapping[str, Any], encoder: EncoderConfig, decoder: DecoderConfig) -> None:
    """Check that a training can begin with the weights of a model directory, of which `config` is the `config.json`.

    Raises:
        UserError: it holds a model of another shape.
    """
    theirs = {"encoder": EncoderConfig(**config["encoder"]), "decoder": DecoderConfig(**config["decoder"])}
    for section, mine in (("encoder", encoder), ("decoder", decoder)):
        for name in BUILT_BY[section]:
            old, new = getattr(theirs[section], name), getattr(mine, name)
            if old != new:
                raise UserError(
                    f"train.warm_start: the model in {folder} has {section}.{name}={old}, and this training has "
                    f"{new}: set {section}.{name}={old}, or train without warm_start"
                )


@torch.no_grad()
def start_from(folder: Path, captioner: Captioner, words: Vocabulary) -> tuple[int, dict[str, Any]]:
    """Fill a new model with the weights of a model directory; a word that only the new one knows stays as it began.

    Args:
        folder: the model directory.
        captioner: the new model, as it was initialised.
        words: the new model's vocabulary.

    Returns:
        How many words both know, and the `config.json` of the weights.

    Raises:
        UserError: the folder is no whole model directory, or holds a model of another shape.
    """
    old, old_words, config = load_model(folder)
    check_shape(folder, config, captioner.encoder.config, captioner.decoder.config)
    shared = [word for word in words.words if word in old_words.indices]
    to, of = ([one.indices[word] for word in shared] for one in (words, old_words))
    state, fresh = old.state_dict(), captioner.state_dict()
    for name in (name for name in WORD_ROWS if name in fresh):
        rows = fresh[name].cpu().clone()  # (V, …)
        rows[to] = state[name][of]
        state[name] = rows
    captioner.load_state_dict(state)
    return len(shared), config
