"""The model directory: all that is needed to describe a picture, with digests, without pickle.

``weights.safetensors``, ``vocabulary.json``, and ``config.json``, written last: the configurations, how pictures are
resized, the digests of the other two, what the caller adds, and a digest of all that.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from model.captioner import Captioner
from model.errors import UserError
from model.files import atomic_path, read_json, sha256_file, write_json
from model.picture import ImageConfig
from model.settings import DecoderConfig, EncoderConfig, SearchConfig
from model.vocabulary import Vocabulary

WEIGHTS, VOCABULARY, CONFIG = "weights.safetensors", "vocabulary.json", "config.json"
NEEDED = {"sha256", "encoder", "decoder", "image"}  # of the configuration, to load the model
SCHEMA_VERSION = 1
OWN_DIGEST = "config_sha256"
SECTIONS = {"encoder": EncoderConfig, "decoder": DecoderConfig, "image": ImageConfig, "search": SearchConfig}


def save_model(
    folder: Path, captioner: Captioner, vocabulary: Vocabulary, *, image: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Write a model directory; it appears whole or not at all.

    Args:
        folder: where; what stands there is replaced.
        captioner: the model.
        vocabulary: its words.
        image: how pictures are resized: ``size_px`` and ``resize``.
        facts: what else ``config.json`` keeps, under its own names.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_weights(partial / WEIGHTS, captioner)
    vocabulary.save(partial / VOCABULARY)
    config = {
        "schema_version": SCHEMA_VERSION,
        "encoder": asdict(captioner.encoder.config),
        "decoder": asdict(captioner.decoder.config),
        "image": dict(image),
        "sha256": {name: sha256_file(partial / name) for name in (WEIGHTS, VOCABULARY)},
        **facts,
    }
    write_json(partial / CONFIG, _sealed(config))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def add_facts(folder: Path, **facts: Any) -> None:
    """Add facts to the ``config.json`` of a model directory, or replace them.

    Raises:
        UserError: as `read_config`.
    """
    write_json(folder / CONFIG, _sealed(read_config(folder) | facts))


def _sealed(config: Mapping[str, Any]) -> dict[str, Any]:
    """With a digest of all the rest, last."""
    rest = {name: value for name, value in config.items() if name != OWN_DIGEST}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False)
    return rest | {OWN_DIGEST: hashlib.sha256(text.encode()).hexdigest()}


def read_config(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a model directory.

    Raises:
        UserError: the folder is no model directory, of another schema version or a later release, or the file was
            changed.
    """
    try:
        config: dict[str, Any] = read_json(folder / CONFIG)
        version = config["schema_version"]
        if not all(isinstance(config.get(name, {}), dict) for name in NEEDED):
            raise TypeError(CONFIG)
        sealed = config.get(OWN_DIGEST) in {None, _sealed(config)[OWN_DIGEST]}  # None: of an earlier release
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder} is no model directory: it has no readable {CONFIG}") from None
    if not sealed:
        raise UserError(f"{folder / CONFIG} is not what was written there: copy the model directory again")
    if version != SCHEMA_VERSION:
        raise UserError(f"{folder} is a model directory of schema {version}, this release reads {SCHEMA_VERSION}")
    for section, known in SECTIONS.items():
        if unknown := config.get(section, {}).keys() - {field.name for field in fields(known)}:
            raise UserError(
                f"{folder} was made by a later release, with {section}.{min(unknown)}, which this one does not know"
            )
    return config


def check_model(folder: Path) -> dict[str, Any]:
    """Compare every file of a model directory with its digest; returns its ``config.json``.

    Raises:
        UserError: the folder is no model directory, or a file is missing or was changed.
    """
    config = read_config(folder)
    if not config.keys() >= NEEDED:
        raise UserError(f"{folder} is no model directory: it has no readable {CONFIG}")
    for name, expected in config["sha256"].items():
        if not (folder / name).is_file() or sha256_file(folder / name) != expected:
            raise UserError(f"{folder / name} is missing or not what {CONFIG} says: copy the model directory again")
    return config


def load_model(folder: Path) -> tuple[Captioner, Vocabulary, dict[str, Any]]:
    """The model, its vocabulary and its ``config.json``, after comparing the digests.

    Raises:
        UserError: the folder is no model directory, a file is damaged, or the vocabulary does not fit the weights.
    """
    config = check_model(folder)
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    captioner = Captioner(
        encoder=EncoderConfig(**config["encoder"]),
        decoder=DecoderConfig(**config["decoder"]),
        vocabulary_size=len(vocabulary),
        load_weights=False,
    )
    load_weights(folder / WEIGHTS, captioner)
    return captioner, vocabulary, config


def save_weights(path: Path, captioner: Captioner) -> None:
    """Write all tensors of a model, whole or not at all."""
    state = {name: value.detach().cpu().contiguous() for name, value in captioner.state_dict().items()}
    with atomic_path(path) as partial:
        safetensors.torch.save_file(state, partial)
        partial.chmod(0o644)  # safetensors makes files that only their owner can read


def load_weights(path: Path, captioner: Captioner) -> None:
    """Fill a model with the tensors of a file.

    Raises:
        UserError: the vocabulary or the configuration does not fit the weights, or the file is damaged.
    """
    try:
        state: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    words, expected = len(state.get("decoder.output.bias", torch.empty(0))), captioner.decoder.output.out_features
    if words != expected:
        raise UserError(f"{path} knows {words:,} words, the vocabulary has {expected:,}: they are of different runs")
    try:
        captioner.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit its configuration: {str(error).splitlines()[1].strip()}") from None
