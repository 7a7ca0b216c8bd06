"""Training: learns, repeats itself bit for bit, goes on after a kill, and says clearly what is wrong."""

import itertools
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor

from model.average import WeightAverage
from model.captioner import Captioner
from model.checkpoint import STATE, newest_checkpoint, save_checkpoint
from model.dataset import Pictures, read_splits
from model.describer import Describer
from model.device import as_before, choose_precision, out_of_memory_says
from model.directory import add_facts, load_model, read_config
from model.encoder import Encoder
from model.errors import RunError, UserError
from model.files import CHECKPOINT_PREFIX, sha256_file
from model.metrics.bleu import bleu
from model.report import EpochReport, report_to_json
from model.schedule import WARM_UP, Plateau, cosine
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
from model.store import PictureStore, write_store
from model.validation import validate
from model.vocabulary import Vocabulary
from model.word_head import WordHead, word_loss
from tests.model.parts import (
    COLOURS,
    DECODER,
    ENCODER,
    EVERYTHING,
    SEARCH,
    info,
    outcome,
    random_grid,
    resnet18_weights,
    run_training,
    write_data,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), train=10, references=2)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resnet18_weights(tmp_path_factory.mktemp("weights"))


NOTHING = EncoderConfig(name="resnet18", weights="none", grid=0, max_stride_px=8)


def state(model_dir: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(model_dir / "weights.safetensors")


def final_weights(run: Path) -> bytes:
    (checkpoint,) = run.glob("checkpoint-*")
    return (checkpoint / "weights.safetensors").read_bytes()


def test_four_pictures_are_learned_by_heart_with_their_ends(tmp_path: Path) -> None:
    data = write_data(tmp_path, train=4, validation=1, seed=3)
    result = run_training(
        data, tmp_path / "run", encoder=NOTHING,
        decoder=DecoderConfig(attention_size=32, embedding_size=32, hidden_size=64, dropout=0.0),
        epochs=100, horizontal_flip=False, rotation_degrees=0, regularisation=0, stop_patience_epochs=100,
        decay=1.0, encoder_learning_rate=2e-3,
    )  # fmt: skip
    assert result.history[-1].train_loss < 0.05
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    captioner, vocabulary, config = load_model(result.model_dir)
    captioner.load_state_dict(safetensors.torch.load_file(checkpoint / "weights.safetensors"))
    describer = Describer(captioner, vocabulary, torch.device("cpu"), config)
    pictures = PictureStore(data / "train.h5").read(slice(0, 4))
    for beam_size in (1, 3):
        described = describer.describe(pictures, SearchConfig(beam_size=beam_size, max_words=20))
        assert [one.text for one in described] == [texts[0] for texts in written(data)[:4]]
        assert all(one.ended for one in described)


def written(data: Path) -> list[list[str]]:
    return [list(texts) for texts in pd.read_parquet(data / "captions.parquet")["references"]]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(data: Path, tmp_path: Path) -> None:
    first, again, other = (
        run_training(data, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert outcome(first) == outcome(again)
    assert outcome(first) != outcome(other)


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_the_fast_number_format_repeats_itself_and_stays_near_the_exact_one(
    data: Path, tmp_path: Path, precision: str
) -> None:
    exact = run_training(data, tmp_path / "exact")
    fast, again = (run_training(data, tmp_path / name, precision=precision) for name in ("fast", "again"))
    assert outcome(fast) == outcome(again)
    assert fast.history[0].train_loss == pytest.approx(exact.history[0].train_loss, rel=0.05)


def test_auto_takes_bfloat16_on_a_cpu_only_where_larger_products_gain_by_it_too() -> None:
    def product_s(number_format: torch.dtype) -> float:
        one, other = torch.ones(300, 2000, dtype=number_format), torch.ones(2000, 1500, dtype=number_format)
        start = time.perf_counter()
        torch.mm(one, other)
        return time.perf_counter() - start

    times = [(product_s(torch.bfloat16), product_s(torch.float32)) for _ in range(15)]
    gain = min(fp32 for _, fp32 in times) / min(bf16 for bf16, _ in times)
    chosen = choose_precision("auto", torch.device("cpu"))
    if gain > 1.25:
        assert chosen == torch.bfloat16
    if gain < 0.8:
        assert chosen == torch.float32


@pytest.mark.parametrize(("epochs", "sides"), [(1, [24]), (2, [24, 32]), (3, [24, 24, 32])])
def test_the_first_half_of_the_epochs_sees_smaller_pictures_and_the_last_epoch_whole_ones(
    data: Path, tmp_path: Path, epochs: int, sides: list[int]
) -> None:
    taught: list[int] = []  # sides of the pictures that the encoder saw
    described: list[int] = []

    def look(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, Encoder):
            (taught if module.training else described).append(inputs[0].shape[3])

    with torch.nn.modules.module.register_module_forward_pre_hook(look):
        run_training(data, tmp_path / "run", epochs=epochs, small_first=0.75, batch_size=20, encoder=NOTHING)
    measured = 3  # steps that change nothing, before the first
    assert taught == [32] * measured + sides
    assert set(described) == {32}


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_score_of_an_epoch_is_that_of_the_saved_model(data: Path, tmp_path: Path, average: float) -> None:
    result = run_training(data, tmp_path / "run", precision="bf16", epochs=4, average=average)
    store = PictureStore(data / "train.h5")
    rows = [row for row, split in enumerate(store.splits) if split == "validation"]
    found = Describer.load(result.model_dir, device="cpu").describe(store.read(rows), replace(SEARCH, beam_size=1))
    references = [[text.split() for text in written(data)[row]] for row in rows]
    scores = bleu(references, [one.words for one in found])
    assert scores == {name: result.scores[name] for name in scores}
    assert scores["bleu_1"] > 0


def test_averaging_the_weights_changes_what_is_saved_and_not_how_it_is_learned(data: Path, tmp_path: Path) -> None:
    plain, averaged = (run_training(data, tmp_path / name, average=a, epochs=1) for name, a in (("a", 0.0), ("b", 0.9)))
    assert final_weights(tmp_path / "a") == final_weights(tmp_path / "b")
    assert averaged.history[0].train_loss == plain.history[0].train_loss
    assert averaged.history[0].validation_loss != plain.history[0].validation_loss
    (checkpoint,) = (tmp_path / "b").glob("checkpoint-*")
    kept = torch.load(checkpoint / "optimizer.pt", weights_only=True)["average"]
    assert kept["steps"] == 5
    saved = state(averaged.model_dir)
    for value in (saved[f"decoder.{name}"] for name in ("embedding.weight", "output.bias")):
        assert any(torch.equal(value, one) for one in kept["average"])


def test_the_average_forgets_the_beginning_first_and_then_at_its_decay() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average = WeightAverage(model, 0.2)
    for value in (2.0, 3.0, 4.0):
        model.weight.data.fill_(value)
        average.update()
    # decays 1/10, 2/11 and then 0.2: 0.1·1 + 0.9·2 = 1.9; 2/11·1.9 + 9/11·3 = 2.8; 0.2·2.8 + 0.8·4 = 3.76
    with average.applied():
        assert model.weight.item() == pytest.approx(3.76)
    assert model.weight.item() == 4.0


def test_the_average_comes_back_from_a_checkpoint_and_the_weights_from_an_interruption() -> None:
    def weight_of(model: torch.nn.Sequential) -> torch.Tensor:
        weight: torch.Tensor = model.state_dict()["0.weight"]
        return weight

    def averaged(steps: int) -> tuple[torch.nn.Sequential, WeightAverage]:
        model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))  # it counts its batches
        average = WeightAverage(model, 0.9)
        for step in range(steps):
            weight_of(model).fill_(step)
            average.update()
        return model, average

    model, average = averaged(5)
    with pytest.raises(KeyboardInterrupt), average.applied():
        raise KeyboardInterrupt
    assert weight_of(model).item() == 4.0
    other, resumed = averaged(0)
    resumed.load_state_dict(average.state_dict())
    for one, its_average in ((model, average), (other, resumed)):
        weight_of(one).fill_(7.0)
        its_average.update()
    with average.applied(), resumed.applied():
        assert weight_of(other).item() == weight_of(model).item() != 7.0


def test_the_word_head_asks_the_whole_and_some_place_for_each_word_and_for_no_padding() -> None:
    torch.manual_seed(0)
    head, grid = WordHead(encoder_size=4, vocabulary_size=6), random_grid(2, encoder_size=4, dtype=torch.float32)
    whole = grid.pooled().mean(1) @ head.whole.weight.T + head.whole.bias  # (B, V)
    places = grid.features @ head.places.weight.T + head.places.bias  # (B, N, V)
    present = [{2, 5}, {3}]
    expected = sum(
        -torch.log(torch.sigmoid(logits[row, word] if word in words else -logits[row, word]))
        for logits in (whole, places.exp().mean(1).log())  # (B, V)
        for row, words in enumerate(present)
        for word in range(1, 6)
    )
    torch.testing.assert_close(word_loss(head(grid), torch.tensor([[2, 5, 2], [3, 0, 0]])), expected)


def test_the_word_loss_teaches_the_encoder_and_the_captions_loss_does_not_teach_the_word_head(
    data: Path, tmp_path: Path
) -> None:
    decoder = replace(DECODER, word_head=True)
    untaught, taught = (
        run_training(data, tmp_path / name, decoder=decoder, word_loss=weight)
        for name, weight in (("a", 0), ("b", 0.5))
    )
    assert not torch.equal(*(state(one.model_dir)["encoder.blocks.0.weight"] for one in (untaught, taught)))
    began = run_training(data, tmp_path / "c", decoder=decoder, word_loss=0, epochs=1, decoder_learning_rate=1e-12)
    for name, value in state(began.model_dir).items():
        if ".word_head." in name:
            kept = torch.allclose(value, state(untaught.model_dir)[name], atol=1e-9, rtol=0)
            assert kept == (not name.endswith(("trust", "again"))), name


def test_half_precision_on_a_cpu_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.precision is fp16, which only GPUs compute in"):
        run_training(data, tmp_path / "run", precision="fp16")


def test_loading_by_workers_changes_nothing(data: Path, tmp_path: Path) -> None:
    assert outcome(run_training(data, tmp_path / "a")) == outcome(run_training(data, tmp_path / "b", workers=2))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.model.parts import EVERYTHING, run_training

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def in_the_epoch(step, done, total, note):
    if step == "epoch 2" and done == 3:
        die()

seen = 0
def while_writing(event, arguments):
    # inside the third checkpoint: weights and optimizer stand there, the rest does not
    global seen
    if event == "open" and ".checkpoint-" in str(arguments[0]) and ".state.json" in str(arguments[0]):
        seen += 1
        if seen == 3:
            die()

def before_it_counts(event, arguments):
    if event == "os.rename" and "checkpoint-00002-00000003" in str(arguments[0]):
        die()

if sys.argv[3] != "in_the_epoch":
    sys.addaudithook(globals()[sys.argv[3]])
progress = {"on_progress": in_the_epoch} if sys.argv[3] == "in_the_epoch" else {}
run_training(Path(sys.argv[1]), Path(sys.argv[2]), checkpoint_minutes=1e-9, **EVERYTHING, **progress)
"""


@pytest.mark.parametrize("moment", ["in_the_epoch", "while_writing", "before_it_counts"])
def test_a_killed_run_goes_on_to_the_same_bytes(data: Path, tmp_path: Path, moment: str) -> None:
    undisturbed = run_training(data, tmp_path / "undisturbed", checkpoint_minutes=1e-9, **EVERYTHING)
    threads = str(torch.get_num_threads())
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, data, tmp_path / "killed", moment],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": threads}, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "killed").glob("checkpoint-*"))) <= 2
    resumed = run_training(data, tmp_path / "killed", checkpoint_minutes=1e-9, **EVERYTHING)
    assert outcome(resumed) == outcome(undisturbed)
    assert final_weights(tmp_path / "killed") == final_weights(tmp_path / "undisturbed")


@pytest.mark.parametrize(("step", "done"), [("epoch 1", 3), ("validation 1", 4), ("epoch 2", 1), ("epoch 2", 3)])
def test_a_run_in_two_stages_goes_on_to_the_same_bytes_from_each_and_across_their_border(
    data: Path, weights: Path, tmp_path: Path, step: str, done: int
) -> None:
    """The first stage on cached features; an exception ends a run where SIGKILL, above, would."""
    settings: dict[str, Any] = {
        "encoder": EncoderConfig(name="resnet18", weights=str(weights), grid=2),
        "freeze_encoder_epochs": 1,
        "average": 0.9,
        "checkpoint_minutes": 1e-9,
    }

    def stop(*progress: Any) -> None:
        if progress[:2] == (step, done):
            raise KeyboardInterrupt

    undisturbed = run_training(data, tmp_path / "undisturbed", **settings)
    with pytest.raises(KeyboardInterrupt):
        run_training(data, tmp_path / "stopped", **settings, on_progress=stop)
    assert outcome(run_training(data, tmp_path / "stopped", **settings)) == outcome(undisturbed)
    assert final_weights(tmp_path / "stopped") == final_weights(tmp_path / "undisturbed")


def test_a_finished_run_is_not_trained_again(data: Path, tmp_path: Path) -> None:
    first = run_training(data, tmp_path / "run")
    for name in ("model-0007", ".model-0007.partial"):  # as a kill may leave them
        (tmp_path / "run" / name).mkdir()
    reports: list[EpochReport] = []
    again = run_training(data, tmp_path / "run", on_epoch=reports.append)
    assert (outcome(again), reports) == (outcome(first), [])
    assert [path.name for path in (tmp_path / "run").glob("*model*")] == [first.model_dir.name]


def test_more_epochs_go_on_where_fewer_ended(data: Path, tmp_path: Path) -> None:
    run_training(data, tmp_path / "run", epochs=1)
    assert outcome(run_training(data, tmp_path / "run", epochs=2)) == outcome(run_training(data, tmp_path / "whole"))


def test_a_run_folder_of_other_settings_is_refused(data: Path, tmp_path: Path) -> None:
    run_training(data, tmp_path / "run", epochs=1)
    with pytest.raises(UserError, match=r"train\.batch_size \(4, now 5\): name another run folder"):
        run_training(data, tmp_path / "run", batch_size=5)
    with pytest.raises(UserError, match=r"search\.max_words \(8, now 9\)"):
        run_training(data, tmp_path / "run", search=replace(SEARCH, max_words=9))
    with pytest.raises(UserError, match=r"decoder\.dropout \(0\.3, now 0\.2\)"):
        run_training(data, tmp_path / "run", decoder=replace(DECODER, dropout=0.2))
    with pytest.raises(UserError, match=r"encoder\.frozen_blocks \(2, now 1\)"):
        run_training(data, tmp_path / "run", encoder=replace(ENCODER, frozen_blocks=1))


def test_a_run_whose_checkpoint_knows_no_vocabulary_as_an_earlier_release_wrote_it_goes_on(
    data: Path, tmp_path: Path
) -> None:
    run_training(data, tmp_path / "run", epochs=1)
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    state = json.loads((checkpoint / "state.json").read_text())
    del state["settings"]["data"]["vocabulary"]
    (checkpoint / "state.json").write_text(json.dumps(state))
    assert run_training(data, tmp_path / "run", epochs=2).epochs == 2


@pytest.mark.parametrize(("minutes", "inside"), [(2.0, [2, 4]), (1.0, [1, 2, 3, 4]), (0.0, [])])
def test_a_checkpoint_is_written_so_many_minutes_after_the_last_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, inside: list[int]
) -> None:
    names: list[str] = []

    def keep(run: Path, name: str, *rest: Any) -> None:
        names.append(name)
        save_checkpoint(run, name, *rest)

    clock = itertools.count(0, 60)  # a minute passes each time that it is looked at
    monkeypatch.setattr("model.loop.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr("model.loop.save_checkpoint", keep)
    run_training(data, tmp_path / "run", epochs=1, checkpoint_minutes=minutes)
    assert names == [*(f"00001-{step:08}" for step in inside), "00002-00000000"]


def test_a_vocabulary_of_as_many_words_in_another_order_is_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    run_training(tmp_path / "data", tmp_path / "run", epochs=1)
    words = Vocabulary.load(data / "vocabulary.json").words
    turned = [words[0], *reversed(words[1:-3]), *words[-3:]]
    Vocabulary({word: index for index, word in enumerate(turned)}).save(tmp_path / "data" / "vocabulary.json")
    with pytest.raises(UserError, match=r"data\.vocabulary \(.*\): name another run folder"):
        run_training(tmp_path / "data", tmp_path / "run", epochs=2)


@pytest.mark.parametrize("cached", [True, False])
def test_a_frozen_encoder_is_unchanged_to_the_last_tensor(
    data: Path, weights: Path, tmp_path: Path, cached: bool
) -> None:
    encoder = EncoderConfig(name="resnet18", weights=str(weights), grid=0)
    result = run_training(data, tmp_path / "run", encoder=encoder, freeze_encoder_epochs=2, cache_features=cached)
    before = Encoder(encoder).state_dict()
    after = {name.removeprefix("encoder."): value for name, value in state(result.model_dir).items()}
    assert before
    for name, value in before.items():
        assert torch.equal(after[name], value), name


@pytest.mark.parametrize(("normalise", "grid"), [(False, 0), (True, 5)])
def test_cached_features_train_like_the_frozen_encoder_itself(
    data: Path, weights: Path, tmp_path: Path, normalise: bool, grid: int
) -> None:
    encoder = EncoderConfig(name="resnet18", weights=str(weights), grid=grid, normalise=normalise)
    settings: dict[str, Any] = {"encoder": encoder, "freeze_encoder_epochs": 2, "rotation_degrees": 0}
    cached = run_training(data, tmp_path / "cached", **settings)
    direct = run_training(data, tmp_path / "direct", **settings, cache_features=False)
    for one, other in zip(cached.history, direct.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=2e-3)
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=2e-3)
    assert not (tmp_path / "cached" / "features").exists()


def test_two_stages_freeze_first_and_fine_tune_then(data: Path, weights: Path, tmp_path: Path) -> None:
    encoder = EncoderConfig(name="resnet18", weights=str(weights), grid=0)
    before = Encoder(encoder).state_dict()

    def unmoved_after_the_first(report: EpochReport) -> None:
        if report.epoch == 1:
            after = state(tmp_path / "run" / "model-0001")
            assert all(torch.equal(after[f"encoder.{name}"], value) for name, value in before.items())

    run_training(
        data, tmp_path / "run", encoder=encoder, freeze_encoder_epochs=1, epochs=2, on_epoch=unmoved_after_the_first
    )
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    after = safetensors.torch.load_file(checkpoint / "weights.safetensors")
    changed = {name.split(".")[1] for name, value in before.items() if not torch.equal(after[f"encoder.{name}"], value)}
    assert changed == {"2", "3", "4"}
    assert not any("running" in name and not torch.equal(after[f"encoder.{name}"], v) for name, v in before.items())


def test_two_processes_are_one_with_the_same_global_batch(weights: Path, tmp_path: Path) -> None:
    """One epoch frozen, one fine-tuning; the last batch holds one caption, so that one process idles in it.

    Of nine validation pictures one is doubled, in the second batch of its process.
    """
    data = write_data(tmp_path / "data", train=13, validation=9)
    settings: dict[str, Any] = {
        "encoder": EncoderConfig(name="resnet18", weights=str(weights), grid=0),
        "decoder": replace(DECODER, dropout=0.0, word_head=True),
        "freeze_encoder_epochs": 1,
    }
    alone = run_training(data, tmp_path / "alone", **settings)
    reports: list[EpochReport] = []
    steps: list[str] = []
    two = run_training(
        data, tmp_path / "two", **settings, processes=2,
        on_epoch=reports.append, on_progress=lambda step, *_: steps.append(step),
    )  # fmt: skip
    assert [replace(report, hypotheses=[]) for report in reports] == two.history, "what the processes report arrives"
    assert all(len(report.hypotheses) == 9 for report in reports)
    assert {"epoch 1", "validation 1", "epoch 2"} <= set(steps)
    assert len(two.history) == 2
    for one, other in zip(alone.history, two.history, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert other.validation_loss == pytest.approx(one.validation_loss, rel=1e-4)
        assert other.scores == pytest.approx(one.scores, abs=1e-6)
    expected, got = state(alone.model_dir), state(two.model_dir)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=0, atol=1e-3, msg=name)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_what_two_processes_report_is_of_the_model_that_they_save(tmp_path: Path, average: float) -> None:
    """An encoder from nothing has the batch-norm statistics of each process's own share until they are shared."""
    data = write_data(tmp_path / "data", train=13, validation=5)
    result = run_training(data, tmp_path / "run", encoder=NOTHING, epochs=1, processes=2, average=average)
    captioner, words, _ = load_model(result.model_dir)
    store = PictureStore(data / "train.h5")
    _, validation, _ = read_splits(store, data / "captions.parquet", words, max_words=50)
    found = validate(
        captioner, Pictures(store), None, validation, words, search_config=SEARCH, batch_size=4, regularisation=1.0,
        on_progress=lambda *_: None,
    )  # fmt: skip
    assert result.history[0].validation_loss == pytest.approx(found.loss, abs=1e-5)


def test_the_mistake_that_every_process_finds_is_told_once_and_they_end(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.batch_size is 21, but the training split has 20 captions"):
        run_training(data, tmp_path / "run", batch_size=21, processes=2)


def test_processes_that_are_killed_in_the_middle_of_a_report_are_named_with_their_log(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of a thousand descriptions is longer than a pipe holds: a kill may come while it is written."""
    cut_short = 'import os; os.write(1, b\'["epoch", {"epoch": 1, "hypo\'); os.kill(os.getpid(), 9)'
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(cut_short)}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(RunError, match=r"ended with exit code -9 and did not say why: see .*torchrun\.log"):
        run_training(data, tmp_path / "run", processes=2)


def test_processes_that_die_while_their_report_is_taken_are_named_with_their_log(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they are answered then finds nobody: that is no reason to say nothing."""
    report = EpochReport(
        epoch=1, train_loss=1.0, reward=None, validation_loss=1.0, learning_rates={}, pictures_per_s=1.0, scores={},
        samples=[], is_best=True, seconds=1.0, hypotheses=[],
    )  # fmt: skip
    line = json.dumps(["epoch", report_to_json(report)])
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(line)}\nexit 7\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    told: list[EpochReport] = []

    def take(report: EpochReport) -> None:
        told.append(report)
        time.sleep(1)

    with pytest.raises(RunError, match=r"ended with exit code 7 and did not say why: see .*torchrun\.log"):
        run_training(data, tmp_path / "run", processes=2, on_epoch=take)
    assert told == [report]


def test_the_report_of_an_epoch_tells_all(data: Path, tmp_path: Path) -> None:
    reports: list[EpochReport] = []
    steps: list[tuple[str, int, int]] = []
    result = run_training(
        data, tmp_path / "run", on_epoch=reports.append,
        on_progress=lambda step, done, total, _: steps.append((step, done, total)),
    )  # fmt: skip
    assert [report.epoch for report in reports] == [1, 2]
    scores = {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_4_teacher_forced", "cider_d"}
    assert {name for report in reports for name in report.scores} == scores
    assert reports[0].learning_rates == {"encoder": 1e-3, "decoder": 4e-3}
    assert reports[0].pictures_per_s > 0
    told = [(one.record_id, one.description, one.reference) for one in reports[0].samples]
    expected = zip(("r10", "r11", "r12"), reports[0].hypotheses, written(data)[10:], strict=False)
    assert told == [(name, " ".join(words), texts[0]) for name, words, texts in expected]
    assert len(reports[0].hypotheses) == 4
    assert [step for step in steps if step[0] == "epoch 1"] == [("epoch 1", done, 5) for done in range(1, 6)]
    assert result.scores == reports[result.best_epoch - 1].scores
    assert [report.is_best for report in reports].count(True) >= 1
    config = json.loads((result.model_dir / "config.json").read_text())
    assert config["image"] == {"size_px": 32, "resize": "squash"}
    assert len(config["training_descriptions"]) == len({t for texts in written(data)[:10] for t in texts})


def test_learning_rates_fall_on_a_plateau_and_training_stops(data: Path, tmp_path: Path) -> None:
    result = run_training(
        data, tmp_path / "run", epochs=20, encoder_learning_rate=1e-12, decoder_learning_rate=1e-12,
        decay_patience_epochs=2, stop_patience_epochs=5, decay=0.5,
    )  # fmt: skip
    assert result.epochs == 6
    rates = [report.learning_rates["decoder"] / 1e-12 for report in result.history]
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25])
    assert result.best_epoch == 1


def test_a_better_epoch_begins_the_count_of_bad_ones_anew_but_lifts_no_learning_rate() -> None:
    plateau = Plateau(0.5, decay_patience_epochs=2, stop_patience_epochs=3)
    scores = [0.3, 0.3, 0.2, 0.4, 0.1, 0.1, 0.4]
    seen = [(plateau.better(score, epoch), plateau.scale, plateau.stopped) for epoch, score in enumerate(scores, 1)]
    assert seen == [
        (True, 1.0, False), (False, 1.0, False), (False, 0.5, False), (True, 0.5, False),
        (False, 0.5, False), (False, 0.25, False), (False, 0.25, True),
    ]  # fmt: skip
    assert (plateau.best, plateau.best_epoch) == (0.4, 4), "an epoch as good as the best is no better"


def test_learning_rates_rise_and_fall_along_a_cosine_whose_length_a_resumed_run_cannot_change(
    data: Path, tmp_path: Path
) -> None:
    result = run_training(data, tmp_path / "run", schedule="cosine", epochs=4, decoder_learning_rate=1e-3)
    rates = [report.learning_rates["decoder"] / 1e-3 for report in result.history]
    last_steps = [0.5 * (1 + math.cos(math.pi * (epoch - 0.1) / 4)) for epoch in (1, 2, 3, 4)]  # 5 steps an epoch
    assert rates == pytest.approx(last_steps)
    assert cosine(0.0) == 0
    assert cosine(WARM_UP / 2) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0)
    with pytest.raises(UserError, match=r"train\.epochs \(4, now 5\)"):
        run_training(data, tmp_path / "run", schedule="cosine", epochs=5, decoder_learning_rate=1e-3)


def test_a_loss_that_is_no_number_names_epoch_and_batch(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"loss is (nan|inf) at batch \d+ of epoch 1: lower train"):
        run_training(data, tmp_path / "run", decoder_learning_rate=1e30, encoder_learning_rate=1e30)


def test_numbers_that_are_none_from_an_epoch_s_last_step_on_are_told_too(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"probabilities are no numbers.*Lower train\.encoder_learning_rate"):
        run_training(data, tmp_path / "run", batch_size=20, decoder_learning_rate=1e30, encoder_learning_rate=1e30)


def test_a_run_goes_on_where_auto_takes_another_number_format(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another device: float16, which needs a scaler, that the checkpoint has no state of."""
    run_training(data, tmp_path / "run", epochs=1)
    monkeypatch.setattr("model.loop.choose_precision", lambda *_: torch.float16)
    assert run_training(data, tmp_path / "run", epochs=2).epochs == 2


def test_a_run_whose_format_was_measured_keeps_it_where_another_is_measured_later(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epochs, measured in ((1, torch.bfloat16), (2, torch.float32)):
        monkeypatch.setattr("model.loop.choose_precision", lambda *_, measured=measured: measured)
        run_training(data, tmp_path / "run", epochs=epochs, precision="auto")
        (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
        kept = torch.load(checkpoint / "optimizer.pt", weights_only=True)["precision"]
        assert kept == ["cpu", "torch.bfloat16"]


def test_a_resumed_training_goes_on_in_the_format_that_was_measured_at_its_beginning() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert as_before(["cpu", "torch.bfloat16"], torch.float32, cpu) == torch.bfloat16
    assert as_before(["cpu", "torch.float32"], torch.bfloat16, cpu) == torch.float32
    assert as_before(["cuda", "torch.bfloat16"], torch.float32, cpu) == torch.float32
    assert as_before(["cpu", "torch.float32"], torch.bfloat16, cuda) == torch.bfloat16
    assert as_before(None, torch.float32, cpu) == torch.float32


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("optimizer.pt", b""),
        ("optimizer.pt", b"rubbish"),
        ("state.json", b"{}"),
        ("state.json", b"[]"),
        ("state.json", b"{"),
        ("weights.safetensors", b"rubbish"),
    ],
)
def test_a_damaged_checkpoint_is_one_clear_line(data: Path, tmp_path: Path, name: str, content: bytes) -> None:
    run_training(data, tmp_path / "run", epochs=1)
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    (checkpoint / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        run_training(data, tmp_path / "run", epochs=2)
    assert str(checkpoint) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_a_kill_left_half_written_is_removed_and_the_newest_whole_checkpoint_counts(tmp_path: Path) -> None:
    names = [f"{CHECKPOINT_PREFIX}0001-000000", f"{CHECKPOINT_PREFIX}0002-000000"]
    for name in (*names, f".{CHECKPOINT_PREFIX}0003-000000.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").touch()
    assert newest_checkpoint(tmp_path) == tmp_path / names[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert newest_checkpoint(tmp_path / "no run yet") is None


def test_checkpoints_hold_no_pickled_code(data: Path, tmp_path: Path) -> None:
    run_training(data, tmp_path / "run")
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    names = sorted(path.name for path in checkpoint.iterdir())
    assert names == ["optimizer.pt", "state.json", "weights.safetensors"]
    torch.load(checkpoint / "optimizer.pt", weights_only=True)


def test_a_batch_larger_than_the_split(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.batch_size is 21, but the training split has 20 captions"):
        run_training(data, tmp_path / "run", batch_size=21)


def test_freezing_an_encoder_that_starts_from_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"freeze_encoder_epochs is above 0, but encoder\.weights is none"):
        run_training(data, tmp_path / "run", encoder=ENCODER, freeze_encoder_epochs=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, so its absence cannot be shown")
def test_cuda_asked_for_and_absent(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"PyTorch sees no CUDA device here: set train\.device=cpu or auto"):
        run_training(data, tmp_path / "run", device="cuda")


def test_out_of_memory_says_which_setting_to_lower(tmp_path: Path) -> None:
    """A real allocation of 2^50 bytes fails on every machine."""
    data = write_data(tmp_path)
    with pytest.raises(UserError, match=r"Out of memory: lower train\.batch_size, .* or train\.validation_beam"):
        run_training(data, tmp_path / "run", decoder=DecoderConfig(hidden_size=2**38))


@pytest.mark.parametrize(
    "said",
    ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"],
)
def test_memory_that_the_device_s_libraries_lack_is_told_alike(said: str) -> None:
    with pytest.raises(UserError, match=r"Out of memory: lower it"), out_of_memory_says("lower it"):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="another"), out_of_memory_says("lower it"):
        raise RuntimeError("another defect")


def test_a_vocabulary_that_does_not_fit_the_weights(data: Path, tmp_path: Path) -> None:
    result = run_training(data, tmp_path / "run", epochs=1)
    config = read_config(result.model_dir)
    Vocabulary({"<pad>": 0, "<unk>": 1, "<start>": 2, "<end>": 3}).save(result.model_dir / "vocabulary.json")
    digest = sha256_file(result.model_dir / "vocabulary.json")
    add_facts(result.model_dir, sha256=config["sha256"] | {"vocabulary.json": digest})
    with pytest.raises(UserError, match=r"knows \d+ words, the vocabulary has 4"):
        Describer.load(result.model_dir, device="cpu")


@pytest.mark.parametrize(
    ("field", "value", "bound"),
    [
        ("epochs", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("seed", 2**64, r"in \[0, 2\*\*64\)"),
        ("rotation_degrees", float("inf"), r"in \[0, 180\]"),
        ("decay", 1.5, r"in \(0, 1\]"),
        ("monitor", "x", "bleu_4"),
    ],
)
def test_a_setting_out_of_bounds_names_field_value_and_bound(field: str, value: Any, bound: str) -> None:
    with pytest.raises(ValueError, match=rf"train\.{field} is {value!r}: must be .*{bound}"):
        TrainConfig(**{field: value})


def test_pictures_larger_than_trained_on_are_described_too(data: Path, tmp_path: Path) -> None:
    describer = Describer.load(run_training(data, tmp_path / "run", epochs=1).model_dir, device="cpu")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 80, 80), np.uint8)
    for description in describer.describe(pictures, SearchConfig(max_words=5)):
        assert description.attention.shape == (len(description.words), 3, 3)
        np.testing.assert_allclose(description.attention.sum((1, 2)), 1, rtol=1e-5)
        assert 0 < description.confidence <= 1
    assert describer.image.size_px == 32


@pytest.mark.parametrize("enlarged", [False, True])
def test_looked_at_mirrored_too_a_picture_and_its_mirror_image_are_described_alike(
    data: Path, tmp_path: Path, enlarged: bool
) -> None:
    describer = Describer.load(run_training(data, tmp_path / "run", epochs=1).model_dir, device="cpu")
    pictures = PictureStore(data / "train.h5").read(slice(0, 6))
    config = SearchConfig(beam_size=3, max_words=5, mirrored=True, enlarged=enlarged)
    colours = {"colour": list(COLOURS)}
    there = describer.describe(np.ascontiguousarray(pictures[..., ::-1]), config, rivals=colours)
    for here, back in zip(describer.describe(pictures, config, rivals=colours), there, strict=True):
        assert here.words == back.words
        assert here.log_probability == pytest.approx(back.log_probability, rel=1e-5)
        assert dict(here.certainty) == pytest.approx(dict(back.certainty), rel=1e-5)
        np.testing.assert_allclose(here.attention, back.attention[..., ::-1], rtol=1e-4)


def test_a_store_with_one_picture_less_than_captions_is_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    store = PictureStore(data / "train.h5")
    rows = [(store.record_ids[row], store.splits[row], store.read([row])[0]) for row in range(13)]
    write_store(data / "train.h5", rows, info(13))
    with pytest.raises(UserError, match="of different runs"):
        run_training(data, tmp_path / "run")


def test_a_checkpoint_needs_room_for_the_weights_their_average_and_two_moments_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = Captioner(encoder=ENCODER, decoder=DECODER, vocabulary_size=10)
    needed = 4 * sum(value.nbytes for value in captioner.state_dict().values())
    for free, ends in ((needed - 1, pytest.raises(RunError, match="make room")), (needed, nullcontext())):
        room = shutil._ntuple_diskusage(needed, 0, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, room=room: room)
        with ends:
            save_checkpoint(tmp_path, "1", captioner, {}, dict.fromkeys(STATE))


def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_later(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, 10**6))
        with pytest.raises(RunError, match=r"has 1 MB free, a checkpoint needs \d+ MB: make room, then resume"):
            run_training(data, tmp_path / "run")
    assert outcome(run_training(data, tmp_path / "run")) == outcome(run_training(data, tmp_path / "whole"))
