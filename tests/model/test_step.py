"""A training step is the plain one: a weighted loss, gradients clipped by value, a rate for each part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from model.captioner import Captioner
from model.dataset import Batch, EpochBatches, Pictures, read_splits
from model.directory import read_config
from model.report import EpochReport
from model.settings import EncoderConfig, TrainConfig
from model.step import TIMED_STEPS, Objective, Step
from model.store import PictureStore
from model.validation import Validation
from model.vocabulary import Vocabulary
from model.word_head import word_loss
from tests.model.parts import DECODER, ENCODER, TRAIN, run_training, write_data

CPU, CHANCES = torch.device("cpu"), (1, 2, 3, 0)
RATES = (0.5, 2.0)  # of encoder and decoder


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    data = write_data(tmp_path, train=9, references=2)
    store, words = PictureStore(data / "train.h5"), Vocabulary.load(data / "vocabulary.json")
    training, _, _ = read_splits(store, data / "captions.parquet", words, max_words=50)
    return EpochBatches(
        Pictures(store), training, batch_size=5, seed=1, epoch=1,
        horizontal_flip=True, rotation_degrees=10, jitter=0, view_px=32,
    )[0]  # fmt: skip


def new_captioner(dropout: float = 0.0) -> Captioner:
    torch.manual_seed(0)
    return Captioner(encoder=ENCODER, decoder=replace(DECODER, dropout=dropout), vocabulary_size=40).train()


def step_of(captioner: Captioner, config: TrainConfig, scaler: torch.amp.GradScaler) -> Step:
    parts = zip((captioner.encoder, captioner.decoder), RATES, strict=True)
    groups = [{"params": list(part.parameters()), "lr": rate} for part, rate in parts]
    optimizer = torch.optim.SGD(groups)  # what Adam does with a gradient hides its size
    return Step(captioner, config, Objective(captioner, config, None), optimizer, scaler)


def plain_loss(captioner: Captioner, batch: Batch, config: TrainConfig) -> Any:
    taught = captioner(batch.look(CPU, cached=False), batch.captions, batch.lengths)
    words = taught.logits.log_softmax(-1)
    true = words[torch.arange(len(words)), taught.targets]
    smooth = config.label_smoothing
    entropy = -((1 - smooth) * true + smooth * words.mean(-1)).mean()
    totals = torch.stack([taught.alphas[taught.caption == row].sum(0) for row in range(len(batch.lengths))])
    return entropy + config.regularisation * ((1 - totals) ** 2).mean()


@pytest.mark.parametrize("scaled", [False, True])
def test_a_step_takes_the_clipped_gradient_of_the_whole_loss(batch: Batch, scaled: bool) -> None:
    config = replace(TRAIN, clip_value=1e-3, label_smoothing=0.2, regularisation=0.3)
    ours, plain = new_captioner(), new_captioner()
    reported = step_of(ours, config, torch.amp.GradScaler("cpu", enabled=scaled))(batch, CHANCES)
    loss = plain_loss(plain, batch, config)
    torch.testing.assert_close(reported, loss.detach())
    loss.backward()
    clipped = 0
    for part, rate in zip((plain.encoder, plain.decoder), RATES, strict=True):
        for parameter in part.parameters():
            assert parameter.grad is not None
            clipped += int((parameter.grad.abs() > config.clip_value).sum())
            parameter.data -= rate * parameter.grad.clamp(-config.clip_value, config.clip_value)
    assert clipped > 0
    for (name, value), expected in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-6, msg=name)


def test_a_step_whose_scaled_gradients_overflow_changes_nothing_and_lowers_the_scale(batch: Batch) -> None:
    captioner = new_captioner()
    before = [parameter.detach().clone() for parameter in captioner.parameters()]
    bias: Any = captioner.decoder.output.bias
    bias.register_hook(lambda gradient: gradient * torch.inf)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    step_of(captioner, TRAIN, scaler)(batch, CHANCES)
    assert all(torch.equal(one, other) for one, other in zip(before, captioner.parameters(), strict=True))
    assert scaler.get_scale() == 512.0


def test_the_word_head_s_loss_a_caption_is_learned_from_by_its_weight_and_not_reported(batch: Batch) -> None:
    torch.manual_seed(0)
    decoder = replace(DECODER, dropout=0.0, word_head=True)
    captioner = Captioner(encoder=ENCODER, decoder=decoder, vocabulary_size=40)
    config = replace(TRAIN, word_loss=0.3)
    learned, reported = Objective(captioner, config, None)(batch, CPU)
    answers = captioner(batch.look(CPU, cached=False), batch.captions, batch.lengths).answers
    torch.testing.assert_close(reported, plain_loss(captioner, batch, config))
    torch.testing.assert_close(learned - reported, 0.3 * word_loss(answers, batch.captions) / len(batch.lengths))


@pytest.mark.parametrize("batch_size", [4, 12])  # of 12 captions
def test_measuring_how_long_a_step_takes_changes_nothing(tmp_path: Path, batch_size: int) -> None:
    data = write_data(tmp_path, train=12)
    store, words = PictureStore(data / "train.h5"), Vocabulary.load(data / "vocabulary.json")
    training, _, _ = read_splits(store, data / "captions.parquet", words, max_words=50)
    batches = EpochBatches(
        Pictures(store), training, batch_size=batch_size, seed=1, epoch=1,
        horizontal_flip=True, rotation_degrees=10, jitter=0, view_px=32,
    )  # fmt: skip
    encoder = EncoderConfig(name="resnet18", weights="none", grid=0, max_stride_px=8)  # whose statistics move
    captioner = Captioner(encoder=encoder, decoder=DECODER, vocabulary_size=40).train()
    before = {name: value.clone() for name, value in captioner.state_dict().items()}
    assert step_of(captioner, TRAIN, torch.amp.GradScaler("cpu", enabled=False)).measure_s(batches) > 0
    for name, value in captioner.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(parameter.grad is not None and parameter.grad.any() for parameter in captioner.parameters())


def test_dropout_drops_in_training_alone(batch: Batch) -> None:
    captioner = new_captioner(dropout=0.5)
    losses = [float(plain_loss(captioner, batch, TRAIN).detach()) for _ in range(2)]
    assert losses[0] != losses[1]
    captioner.eval()
    losses = [float(plain_loss(captioner, batch, TRAIN).detach()) for _ in range(2)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("change", [{"horizontal_flip": False}, {"rotation_degrees": 0.0}, {"label_smoothing": 0.2}])
def test_what_augments_and_smooths_reaches_the_loop(tmp_path: Path, change: dict[str, float]) -> None:
    data = write_data(tmp_path / "data", train=10)
    one, other = (run_training(data, tmp_path / name, epochs=1, **some) for name, some in (("a", {}), ("b", change)))
    assert one.history[0].train_loss != other.history[0].train_loss


@pytest.mark.parametrize("still", ["encoder", "decoder"])
def test_encoder_and_decoder_learn_at_their_own_rates(tmp_path: Path, still: str) -> None:
    data = write_data(tmp_path / "data", train=10)
    run_training(data, tmp_path / "run", epochs=1, **{f"{still}_learning_rate": 1e-12})
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    after = safetensors.torch.load_file(checkpoint / "weights.safetensors")
    torch.manual_seed(TRAIN.seed)
    words = Vocabulary.load(data / "vocabulary.json")
    before = Captioner(encoder=ENCODER, decoder=DECODER, vocabulary_size=len(words)).state_dict()
    for name, value in before.items():
        moved = not torch.allclose(after[name], value, rtol=0, atol=1e-9)
        assert moved != name.startswith(still), name


def test_the_turns_zooms_and_shifts_of_an_epoch_fill_their_ranges(tmp_path: Path) -> None:
    data = write_data(tmp_path, train=40)
    store, words = PictureStore(data / "train.h5"), Vocabulary.load(data / "vocabulary.json")
    training, _, _ = read_splits(store, data / "captions.parquet", words, max_words=50)
    batches = EpochBatches(
        Pictures(store), training, batch_size=8, seed=1, epoch=1,
        horizontal_flip=True, rotation_degrees=10, jitter=0.1, view_px=32,
    )  # fmt: skip
    views = np.concatenate([batches[place].view.numpy() for place in range(len(batches))])  # (N, 2, 3)
    turns = np.rad2deg(np.arctan2(views[:, 1, 0], views[:, 0, 0]))
    zooms = np.log(np.hypot(views[:, 0, 0], views[:, 1, 0])) * 100
    for chances in (turns, zooms, *(views[:, :, 2].T * 100)):  # each of its own
        assert (chances.min() < -8, chances.max() > 8, abs(chances).max() <= 10 + 1e-4) == (True, True, True)
    assert not np.allclose(views[:, 0, 2], views[:, 1, 2])
    flips = np.concatenate([batches[place].flip.numpy() for place in range(len(batches))])
    assert 10 < flips.sum() < 30


@pytest.mark.parametrize(("monitor", "best"), [("bleu_4", 1), ("cider_d", 3)])
def test_the_score_that_is_watched_chooses_the_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monitor: str, best: int
) -> None:
    data = write_data(tmp_path / "data", train=10)
    courses = zip([0.3, 0.2, 0.1], [0.1, 0.2, 0.3], strict=True)
    told = iter(Validation(1.0, {"bleu_4": bleu, "cider_d": cider}, [["a"]] * 4) for bleu, cider in courses)
    monkeypatch.setattr("model.loop.validate", lambda *_, **__: next(told))
    assert run_training(data, tmp_path / "run", epochs=3, monitor=monitor).best_epoch == best


def test_the_best_epoch_and_the_count_of_bad_ones_outlast_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path / "data", train=10)
    words = [["a"], ["red", "bar"], ["b"], ["c"]]
    told = iter(Validation(1.0, {"bleu_4": bleu, "cider_d": 0.0}, words) for bleu in (0.1, 0.4, 0.2, 0.4, 0.3))
    monkeypatch.setattr("model.loop.validate", lambda *_, **__: next(told))
    reports: list[EpochReport] = []
    kept: list[str] = []

    def look(report: EpochReport) -> None:
        reports.append(report)
        kept.append(" ".join(sorted(path.name for path in (tmp_path / "run").glob("model-*"))))

    limits = {"stop_patience_epochs": 3, "decay_patience_epochs": 3, "decay": 0.5}
    for epochs in (1, 3, 4, 9):
        result = run_training(data, tmp_path / "run", epochs=epochs, on_epoch=look, **limits)
        assert [report.epoch for report in reports] == list(range(1, result.epochs + 1))
    assert [report.is_best for report in reports] == [True, True, False, False, False]
    assert (result.best_epoch, result.epochs, result.scores["bleu_4"]) == (2, 5, 0.4)
    assert kept == ["model-0001", "model-0001 model-0002", *["model-0002"] * 3]
    assert [path.name for path in (tmp_path / "run").glob("model-*")] == [result.model_dir.name] == ["model-0002"]
    config = read_config(result.model_dir)
    assert (config["epoch"], config["scores"]) == (2, result.scores)
    assert [replace(report, hypotheses=[]) for report in reports] == result.history
    assert [one.description for one in result.history[0].samples] == ["a", "red bar", "b"]


def test_every_step_has_chances_of_its_own_and_every_epoch_another_order(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train=10)
    seen: dict[int, list[tuple[int, list[int]]]] = {1: [], 2: []}  # by training's seed: that of each step, its pictures

    for seed, steps in seen.items():

        def look(module: torch.nn.Module, inputs: tuple[Any, ...], steps: Any = steps) -> None:
            if isinstance(module, Objective):
                steps.append((torch.initial_seed(), inputs[0].pictures))

        with torch.nn.modules.module.register_module_forward_pre_hook(look):
            run_training(data, tmp_path / f"{seed}", epochs=2, seed=seed)
        del steps[:TIMED_STEPS]  # which change nothing
    assert [len(steps) for steps in seen.values()] == [6, 6]
    assert len({chance for steps in seen.values() for chance, _ in steps}) == 12
    orders = [str([pictures for _, pictures in part]) for steps in seen.values() for part in (steps[:3], steps[3:])]
    assert len(set(orders)) == 4
