import json
from pathlib import Path

import pytest
import torch

from model.captioner import Captioner
from model.directory import add_facts, load_model, read_config, save_model
from model.errors import UserError
from tests.model.parts import DECODER, ENCODER, small_vocabulary


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Captioner, Path]:
    torch.manual_seed(0)
    captioner = Captioner(encoder=ENCODER, decoder=DECODER, vocabulary_size=9)
    image = {"size_px": 32, "resize": "squash"}
    save_model(tmp_path / "model", captioner, small_vocabulary(5), image=image, facts={"split_seed": 3})
    return captioner, tmp_path / "model"


def test_a_model_directory_comes_back_to_the_last_bit(saved: tuple[Captioner, Path]) -> None:
    captioner, folder = saved
    loaded, vocabulary, config = load_model(folder)
    for name, value in captioner.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert vocabulary.words == small_vocabulary(5).words
    assert (config["split_seed"], config["image"]["size_px"]) == (3, 32)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "vocabulary.json", "weights.safetensors"]


def test_saving_again_gives_the_same_bytes(saved: tuple[Captioner, Path]) -> None:
    captioner, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    image = {"size_px": 32, "resize": "squash"}
    save_model(folder, captioner, small_vocabulary(5), image=image, facts={"split_seed": 3})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_a_killed_process_left_beside_a_model_is_in_nobody_s_way_and_its_files_are_for_all_to_read(
    saved: tuple[Captioner, Path],
) -> None:
    captioner, folder = saved
    left = folder.with_name(f".{folder.name}.partial")
    (left / "weights.safetensors").mkdir(parents=True)
    save_model(folder, captioner, small_vocabulary(5), image={"size_px": 32, "resize": "squash"}, facts={})
    assert not left.exists()
    assert (folder / "weights.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_configuration_in_another_order_is_the_same_and_one_of_an_earlier_release_has_no_digest_of_its_own(
    saved: tuple[Captioner, Path],
) -> None:
    path = saved[1] / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(config.items()))))
    assert load_model(saved[1])[2] == config
    del config["config_sha256"]
    path.write_text(json.dumps(config))
    assert load_model(saved[1])[2] == config


def test_a_changed_configuration_is_noticed_and_facts_can_be_added(saved: tuple[Captioner, Path]) -> None:
    path = saved[1] / "config.json"
    add_facts(saved[1], review={"least_confidence": 0.25})
    assert load_model(saved[1])[2]["review"] == {"least_confidence": 0.25}
    whole = path.read_text()
    path.write_text(whole.replace('"size_px": 32', '"size_px": 64'))
    with pytest.raises(UserError, match=r"config\.json is not what was written there"):
        load_model(saved[1])
    of_another_program = ('{"schema_version": 1}', '{"schema_version": 1, "sha256": {}, "encoder": []}')
    for broken in ("", whole[:-20], "[]", "{}", *of_another_program):
        path.write_text(broken)
        with pytest.raises(UserError, match=r"no readable config\.json"):
            load_model(saved[1])


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary.json"])
def test_a_changed_file_is_noticed(saved: tuple[Captioner, Path], name: str) -> None:
    path = saved[1] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is missing or not what"):
        load_model(saved[1])


def test_a_folder_that_is_no_model_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no model directory"):
        load_model(tmp_path)


@pytest.mark.parametrize("section", ["encoder", "decoder", "image", "search"])
def test_a_model_of_a_later_release_with_a_setting_that_is_not_known_here_is_one_line(
    saved: tuple[Captioner, Path], section: str
) -> None:
    known = read_config(saved[1]).get(section, {})
    add_facts(saved[1], **{section: {**known, "zoomed": True}})
    with pytest.raises(UserError, match=rf"was made by a later release, with {section}\.zoomed, which this one does"):
        load_model(saved[1])


def test_a_model_directory_of_another_schema_version(saved: tuple[Captioner, Path]) -> None:
    add_facts(saved[1], schema_version=9)
    with pytest.raises(UserError, match="schema 9, this release reads 1"):
        load_model(saved[1])
