"""A training that starts from another model's weights, whose vocabulary is another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.directory import load_model, read_config
from model.errors import UserError
from model.files import write_json
from model.vocabulary import Vocabulary
from model.warm_start import start_from
from tests.model.parts import DECODER, ENCODER, run_training, write_data


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion")
    found: Path = run_training(write_data(folder / "data", train=48), folder / "run", epochs=1).model_dir
    return found


def test_words_that_both_know_keep_their_rows_and_new_ones_begin_fresh(champion: Path) -> None:
    old, old_words, config = load_model(champion)
    known = [word for word in old_words.words if not word.startswith("<")]
    names = ["<pad>", "novel", *reversed(known[1:]), "<unk>", "<start>", "<end>"]  # one more, one less, another order
    words = Vocabulary({word: index for index, word in enumerate(names)})
    new = type(old)(encoder=ENCODER, decoder=DECODER, vocabulary_size=len(words))
    fresh = {name: value.clone() for name, value in new.state_dict().items()}
    shared, before = start_from(champion, new, words)
    assert shared == len(words) - 1
    assert before == config
    state, before = new.state_dict(), old.state_dict()
    for name in ("decoder.embedding.weight", "decoder.output.weight", "decoder.output.bias"):
        for word, row in words.indices.items():
            expected = fresh[name][row] if word == "novel" else before[name][old_words.indices[word]]
            assert torch.equal(state[name][row], expected), (name, word)
    others = [name for name in state if state[name].shape == before[name].shape and "decoder.output" not in name]
    assert all(torch.equal(state[name], before[name]) for name in others if name != "decoder.embedding.weight")


def test_a_warm_start_learns_on_from_where_the_champion_stood(champion: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train=12, seed=1)
    cold = run_training(data, tmp_path / "cold", epochs=1)
    warm = run_training(data, tmp_path / "warm", epochs=1, warm_start=str(champion))
    again = run_training(data, tmp_path / "again", epochs=1, warm_start=str(champion))
    assert warm.history[0].train_loss < 0.95 * cold.history[0].train_loss
    assert (warm.model_dir / "weights.safetensors").read_bytes() == (
        again.model_dir / "weights.safetensors"
    ).read_bytes()
    # Products that the champion was trained on are none to test its successor on.
    before, own, after = (
        set(read_config(one)["training_descriptions"]) for one in (champion, cold.model_dir, warm.model_dir)
    )
    assert after == before | own
    assert before - own


def test_a_model_of_another_shape_is_refused_with_the_setting_that_differs(champion: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    wider = replace(DECODER, hidden_size=24)
    with pytest.raises(UserError, match=r"decoder\.hidden_size=16, and this training has 24: set decoder\.hidden_size"):
        run_training(data, tmp_path / "run", warm_start=str(champion), decoder=wider)
    with pytest.raises(UserError, match=r"encoder\.normalise=False, and this training has True"):
        run_training(data, tmp_path / "run", warm_start=str(champion), encoder=replace(ENCODER, normalise=True))
    write_json(tmp_path / "config.json", {})
    with pytest.raises(UserError, match="is no model directory"):
        run_training(data, tmp_path / "run", warm_start=str(tmp_path))
