"""A training that starts from another model's weights, whose vocabulary is another."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.directory import load_model, read_config
from model.errors import UserError
from model.files import write_json
from model.store import PictureStore
from model.vocabulary import Vocabulary
from model.warm_start import check_shape, start_from
from tests.model.parts import DECODER, ENCODER, run_training, write_data


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion")
    facts = {"training_pictures": ["a", "b"]}
    found: Path = run_training(write_data(folder / "data", train=48), folder / "run", epochs=1, facts=facts).model_dir
    return found


@pytest.fixture(scope="session")
def with_word_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with_word_head")
    decoder = replace(DECODER, word_head=True)
    found: Path = run_training(write_data(folder / "data"), folder / "run", epochs=1, decoder=decoder).model_dir
    return found


@pytest.mark.parametrize("name", ["champion", "with_word_head"])
def test_words_that_both_know_keep_their_rows_and_new_ones_begin_fresh(
    name: str, request: pytest.FixtureRequest
) -> None:
    champion: Path = request.getfixturevalue(name)
    old, old_words, config = load_model(champion)
    known = [word for word in old_words.words if not word.startswith("<")]
    names = ["<pad>", "novel", *reversed(known[1:]), "<unk>", "<start>", "<end>"]  # one more, one less, another order
    words = Vocabulary({word: index for index, word in enumerate(names)})
    new = type(old)(encoder=ENCODER, decoder=old.decoder.config, vocabulary_size=len(words))
    fresh = {name: value.clone() for name, value in new.state_dict().items()}
    shared, before = start_from(champion, new, words)
    assert shared == len(words) - 1
    assert before == config
    state, before = new.state_dict(), old.state_dict()
    rows = ["decoder.embedding.weight", "decoder.output.weight", "decoder.output.bias"]
    rows += [one for one in state if ".word_head." in one]
    for tensor in rows:
        for word, row in words.indices.items():
            expected = fresh[tensor][row] if word == "novel" else before[tensor][old_words.indices[word]]
            assert torch.equal(state[tensor][row], expected), (tensor, word)
    assert all(torch.equal(state[name], before[name]) for name in state.keys() - rows)


def test_a_warm_start_learns_on_from_where_the_champion_stood(champion: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train=12, seed=1)
    cold = run_training(data, tmp_path / "cold", epochs=1)
    warm = run_training(data, tmp_path / "warm", epochs=1, warm_start=str(champion))
    facts = {"training_pictures": ["b", "c"], "image": {"size_px": 32}}
    again = run_training(data, tmp_path / "again", epochs=1, warm_start=str(champion), facts=facts)
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
    told = read_config(again.model_dir)
    assert (told["training_pictures"], told["image"]) == (["a", "b", "c"], {"size_px": 32})
    assert read_config(cold.model_dir)["resized_by"] == PictureStore(data / "train.h5").info.decoder


def test_whatever_gives_the_weights_their_shapes_must_be_the_same() -> None:
    config = {"encoder": asdict(ENCODER), "decoder": asdict(DECODER)}
    check_shape(Path(), config, replace(ENCODER, frozen_blocks=ENCODER.frozen_blocks + 1), DECODER)
    others: dict[str, list[dict[str, Any]]] = {
        "encoder": [{"name": "resnet18"}, {"max_stride_px": 8}, {"normalise": True}],
        "decoder": [{"attention_size": 1}, {"embedding_size": 1}, {"hidden_size": 1}, {"word_head": True}],
    }
    for section, changes in others.items():
        for change in changes:
            mine = {"encoder": ENCODER, "decoder": DECODER}
            mine[section] = replace(mine[section], **change)  # type: ignore[type-var]
            with pytest.raises(UserError, match=rf"has {section}\.{next(iter(change))}="):
                check_shape(Path(), config, **mine)  # type: ignore[arg-type]


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
