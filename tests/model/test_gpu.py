"""On a GPU the program mixes no devices, waits for it seldom, and comes to what the CPU comes to.

The GPU is pretended: see `tests/model/pretended_gpu.py`.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.describer import Describer
from model.device import check_training_device, choose_device
from model.errors import UserError
from model.loop import CHECKED_STEPS
from model.settings import EncoderConfig, SearchConfig
from model.step import Step
from model.store import PictureStore
from tests.model.parts import ENCODER, EVERYTHING, outcome, resnet18_weights, run_training, write_data
from tests.model.pretended_gpu import GPU, pretended_gpu

STEPS = 5  # of an epoch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), train=10, references=2)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    """An encoder with given weights, some of which learn."""
    weights = resnet18_weights(tmp_path_factory.mktemp("weights"))
    return EncoderConfig(name="resnet18", weights=str(weights), grid=14)


def test_the_pretended_gpu_refuses_what_a_gpu_refuses_and_counts_what_it_waits_for() -> None:
    with pretended_gpu() as waits:
        assert choose_device("auto") == GPU
        here, there = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3, device=GPU)
        mixtures: list[Callable[[], object]] = [
            lambda: here + there,
            lambda: torch.nn.Linear(3, 1).to(GPU)(here),
            lambda: here[torch.zeros(1, dtype=torch.long, device=GPU)],
            lambda: torch.cat([here, there]),
            lambda: there.index_add_(0, torch.tensor([0]), there[:1]),
        ]
        for mixed in mixtures:
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        unreadables: list[Callable[[], object]] = [there.numpy, lambda: np.asarray(there)]
        for unreadable in unreadables:
            with pytest.raises(TypeError, match="cuda:0"):
                unreadable()
        assert waits == []
        assert (here.to(GPU) * 2 + there)[1, [0, 2]].tolist() == [7.0, 11.0]
        assert float(there.sum()) == 6
        assert bool((there > 0).all())
        assert there.cpu().numpy().shape == (2, 3)
        assert waits == ["tolist", "_local_scalar_dense", "_local_scalar_dense", "_to_copy"]
    assert not torch.cuda.is_available() or torch.cuda.get_device_name() != "a pretended GPU"


@pytest.mark.parametrize(
    ("part", "precision"),
    [("everything", "fp32"), ("pictures", "fp16"), ("features", "fp32"), ("features, then pictures", "fp32")],
)
def test_training_on_a_gpu_mixes_no_devices_and_comes_to_what_the_cpu_comes_to(
    data: Path, given: EncoderConfig, tmp_path: Path, part: str, precision: str
) -> None:
    settings: dict[str, Any] = {
        "everything": {**EVERYTHING, "epochs": 3, "jitter": 0.2, "label_smoothing": 0.1},
        "pictures": {"encoder": given},
        "features": {**EVERYTHING, "encoder": given, "small_first": 1.0, "freeze_encoder_epochs": 2},
        "features, then pictures": {"encoder": replace(given, normalise=True, grid=0), "freeze_encoder_epochs": 1},
    }[part]
    with pretended_gpu():
        on_gpu = run_training(data, tmp_path / "gpu", device="auto", precision=precision, **settings)
    # float16 is a GPU's alone. The pretended one computes in float32; its loss is scaled all the same, by a power of 2.
    on_cpu = run_training(data, tmp_path / "cpu", device="cpu", precision="fp32", **settings)
    assert outcome(on_gpu) == outcome(on_cpu)
    (checkpoint,) = (tmp_path / "gpu").glob("checkpoint-*")
    scaler = torch.load(checkpoint / "optimizer.pt", weights_only=True)["scaler"]
    assert bool(scaler) == (precision == "fp16")


def test_a_run_goes_on_on_the_other_device(data: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**EVERYTHING, "epochs": 4}
    whole = outcome(run_training(data, tmp_path / "whole", **settings))
    devices = itertools.cycle(["cuda", "cpu"])
    for epoch in range(1, 5):

        def stop(report: Any, last: int = epoch) -> None:
            if report.epoch > last:
                raise KeyboardInterrupt

        with pretended_gpu():
            try:
                result = run_training(data, tmp_path / "run", device=next(devices), on_epoch=stop, **settings)
            except KeyboardInterrupt:
                continue
    assert outcome(result) == whole


def test_more_processes_than_gpus_are_refused_before_anything_is_done() -> None:
    with pretended_gpu():
        check_training_device("auto", precision="fp16", processes=1)
        check_training_device("cpu", precision="bf16", processes=2)
        with pytest.raises(UserError, match=r"train\.processes is above the 1 CUDA devices of this machine"):
            check_training_device("auto", precision="auto", processes=2)
        with pytest.raises(UserError, match=r"train\.processes is above the 1 CUDA devices of this machine"):
            choose_device("auto", local_rank=1)


def test_a_step_of_training_waits_for_the_gpu_not_once(
    data: Path, given: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[list[str]] = []
    learn = Step.__call__
    with pretended_gpu() as waits:

        def counted(step: Step, *batch: Any) -> Any:
            before = len(waits)
            reported = learn(step, *batch)
            steps.append(waits[before:])
            return reported

        monkeypatch.setattr(Step, "__call__", counted)
        told: list[tuple[Any, ...]] = []
        run_training(
            data, tmp_path / "run", device="cuda", encoder=given, epochs=1, on_progress=lambda *step: told.append(step)
        )
    assert steps == [[]] * STEPS
    assert STEPS < CHECKED_STEPS
    assert [step[1] for step in told if step[0] == "epoch 1"] == [STEPS]  # the losses are looked at once, at the end


def test_descriptions_on_a_gpu_are_those_of_the_cpu(data: Path, tmp_path: Path) -> None:
    result = run_training(data, tmp_path / "run", encoder=ENCODER, **{**EVERYTHING, "epochs": 2})
    pictures = PictureStore(data / "train.h5").read(range(6))
    search = SearchConfig(
        max_words=8, min_words=2, beam_size=3, mirrored=True, enlarged=True, no_repeat_ngram=2, length_penalty=1.0
    )
    rivals = {"shape": ["square", "bar", "post"], "colour": ["red", "green", "blue", "black", "a"]}
    with pretended_gpu():
        describer = Describer.load(result.model_dir, device="auto")
        assert describer.device == GPU
        on_gpu = describer.describe(pictures, search, rivals=rivals)
    on_cpu = Describer.load(result.model_dir, device="cpu").describe(pictures, search, rivals=rivals)
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert np.array_equal(ours.attention, theirs.attention)
        assert replace(ours, attention=theirs.attention) == theirs
    assert any(one.certainty for one in on_gpu)
