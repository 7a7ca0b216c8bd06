"""What a description says of itself, and how often its picture was looked at, against the parts called by hand."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.describer import BATCH, Describer
from model.directory import add_facts
from model.looks import Look, looks
from model.search import search
from model.settings import SearchConfig
from model.store import PictureStore
from model.validation import teach
from tests.model.parts import run_training, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("described"))


@pytest.fixture(scope="module")
def describer(data: Path) -> Describer:
    return Describer.load(run_training(data, data / "run", epochs=2).model_dir, device="cpu")


@pytest.mark.parametrize(("max_words", "ended"), [(1, False), (12, True)])
@torch.no_grad()
def test_confidence_is_the_geometric_mean_of_the_probabilities_of_the_words_and_of_the_end_if_there_is_one(
    data: Path, describer: Describer, max_words: int, ended: bool
) -> None:
    pictures = PictureStore(data / "train.h5").read(range(4))
    config = SearchConfig(beam_size=1, max_words=max_words, length_penalty=1.0)
    vocabulary = describer.vocabulary
    for row, found in enumerate(describer.describe(pictures, config)):
        assert found.ended is ended
        caption = [vocabulary.start, *(vocabulary.indices[word] for word in found.words), vocabulary.end][
            : len(found.words) + 1 + ended
        ]
        taught, _ = teach(describer.captioner, describer.captioner.grid(torch.from_numpy(pictures)), [row], [caption])
        of_each = taught.logits.softmax(1)[range(len(caption) - 1), caption[1:]]
        product = float(of_each.double().prod())
        assert found.log_probability == pytest.approx(np.log(product), rel=1e-4)
        assert found.confidence == pytest.approx(product ** (1 / (len(caption) - 1)), rel=1e-4)


@pytest.mark.parametrize(("mirrored", "enlarged"), [(False, False), (True, False), (False, True)])
def test_a_picture_is_looked_at_mirrored_or_enlarged_as_was_asked_for_and_in_no_other_way(
    data: Path, describer: Describer, mirrored: bool, enlarged: bool
) -> None:
    pictures = PictureStore(data / "train.h5").read(range(8))
    config = SearchConfig(beam_size=1, max_words=6)
    captioner, seen = describer.captioner, torch.from_numpy(pictures)
    with torch.no_grad():
        first, *others = looks(captioner, seen, enlarged=enlarged)
        if mirrored:
            others.append(Look(captioner.grid(seen.flip(3)), mirrored=True))
        expected = search(captioner.decoder, first.grid, describer.vocabulary, config, others=others)
    found = describer.describe(pictures, replace(config, mirrored=mirrored, enlarged=enlarged))
    assert [one.log_probability for one in found] == pytest.approx([one.log_probability for one in expected], abs=1e-5)
    plain = [one.log_probability for one in describer.describe(pictures, config)]
    apart = np.abs(np.subtract([one.log_probability for one in found], plain)).max()
    assert bool(apart > 1e-4) is (mirrored or enlarged)


def test_more_pictures_than_are_described_at_once_are_all_described_in_their_order(
    data: Path, describer: Describer
) -> None:
    few = PictureStore(data / "train.h5").read(range(7))
    order = np.arange(2 * BATCH + 5) % len(few)
    config = SearchConfig(beam_size=1, max_words=6)
    alone = [one.log_probability for one in describer.describe(few, config)]
    assert len(set(alone)) > 1
    found = describer.describe(few[order], config)
    assert [one.log_probability for one in found] == pytest.approx([alone[row] for row in order], abs=1e-5)


def test_a_model_that_learned_from_pictures_resized_by_another_program_says_so_and_no_other_does(
    data: Path, describer: Describer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert describer.config["resized_by"]
    (model_dir,) = (data / "run").glob("model-*")
    Describer.load(model_dir, device="cpu")
    assert caplog.messages == []
    shutil.copytree(model_dir, tmp_path / "model")
    add_facts(tmp_path / "model", resized_by="4, another")
    Describer.load(tmp_path / "model", device="cpu")
    (told,) = caplog.messages
    assert "resized by 4, another, here" in told
