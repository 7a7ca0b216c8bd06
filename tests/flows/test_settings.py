"""Settings come from defaults, preset, file and --set, in this order, and a wrong one is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import main, make_parser
from flows.presets import PRESETS
from flows.settings import Settings, compose, explanations
from model.errors import UserError


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("train: {epochs: 7, seed: 5}\nimage.size_px: 80\n")
    settings = compose(preset="demo", file=file, assignments=["train.seed=6"])
    assert (settings.train.epochs, settings.train.seed, settings.image.size_px) == (7, 6, 80)
    assert settings.encoder.weights == compose(preset="demo").encoder.weights == "none"


def test_every_preset_is_valid_and_the_defaults_are_those_of_the_paper() -> None:
    for preset in PRESETS:
        compose(preset=preset)
    paper = compose(preset="paper")
    assert (paper.sample.train, paper.sample.validation, paper.sample.test, paper.sample.exact) == (
        14000,
        1000,
        3000,
        True,
    )
    assert (paper.image.size_px, paper.image.resize, paper.vocabulary.min_count) == (256, "squash", 2)
    assert (paper.encoder.name, paper.encoder.weights, paper.encoder.grid) == ("resnet101", "imagenet", 14)
    sizes = (paper.decoder.attention_size, paper.decoder.embedding_size, paper.decoder.hidden_size)
    assert (*sizes, paper.decoder.dropout) == (512, 512, 512, 0.5)
    train = paper.train
    assert (train.epochs, train.batch_size, train.max_words, train.clip_value) == (31, 32, 50, 5.0)
    assert (train.encoder_learning_rate, train.decoder_learning_rate, train.regularisation) == (1e-4, 4e-4, 1.0)
    assert (train.decay, train.decay_patience_epochs, train.stop_patience_epochs) == (0.8, 5, 20)
    assert (train.horizontal_flip, train.rotation_degrees, train.validation_beam_size) == (True, 10.0, 1)
    assert (paper.search.beam_size, paper.search.max_words) == (5, 50)
    assert (paper.score.bertscore_language, paper.score.bertscore_rescale, paper.score.bertscore_idf) == (
        "en",
        True,
        False,
    )


def test_each_command_has_its_own_default_preset() -> None:
    assert make_parser().parse_args(["demo"]).preset == "demo"
    assert make_parser().parse_args(["config", "show"]).preset == "default"
    assert make_parser().parse_args(["run", "--catalog", "shop.csv"]).preset == "default"


def test_settings_survive_the_way_through_plain_values() -> None:
    settings = compose(preset="demo", assignments=["catalog.columns.description=body_html"])
    assert settings.catalog.columns == {"description": "body_html"}
    assert Settings.from_nested(settings.nested()) == settings


def test_prefect_refuses_an_unknown_key_too() -> None:
    with pytest.raises(UserError, match=r"unknown setting 'train\.epoch'"):
        Settings.from_nested({"train": {"epoch": 3}})


def test_no_setting_may_be_infinite_or_no_number() -> None:
    numbers = [one.key for one in explanations(Settings()) if isinstance(one.value, float)]
    assert len(numbers) > 20
    for key in numbers:
        for text in (".inf", "-.inf", ".nan"):
            with pytest.raises(UserError, match=rf"^{key} is -?(inf|nan): "):
                compose(assignments=[f"{key}={text}"])


def test_every_setting_is_explained() -> None:
    for one in explanations(Settings()):
        assert one.description, f"{one.key} has no description"


def test_config_names_the_environment_variables_and_never_shows_a_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "swordfish")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:p@swordfish@127.0.0.1/mlflow")
    assert main(["config", "show", "--json"]) == 0
    shown = capsys.readouterr().out
    found = {one["key"]: one for one in json.loads(shown)}
    assert {"train.epochs", "MLFLOW_TRACKING_URI", "PREFECT_API_AUTH_STRING"} <= set(found)
    assert found["MLFLOW_TRACKING_PASSWORD"]["value"] == "(set)"
    assert "swordfish" not in shown
    assert all(one["description"] for one in found.values())
    assert main(["config", "explain", "MLFLOW_TRACKING_URI", "--json"]) == 0


def test_commands_that_do_not_learn_or_write_start_without_pytorch() -> None:
    code = "import sys; import flows.commands, flows.prepare, flows.up; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
