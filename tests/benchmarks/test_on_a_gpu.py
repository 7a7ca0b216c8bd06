"""The benchmarks that ask for a GPU run to their end on a pretended one: a real one is too rare for their mistakes."""

import sys

import pytest

import benchmarks.loader
import benchmarks.train_step
from model.dataset import Batch
from tests.model.pretended_gpu import pretended_gpu


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_the_benchmarks_of_a_gpu_run_to_their_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two pictures a step in place of 32."""
    monkeypatch.setattr(benchmarks.train_step, "BATCH", 2)
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: batch)
    with pretended_gpu():
        monkeypatch.setattr(sys, "argv", ["train_step", "--device", "cuda", "--rounds", "1"])
        benchmarks.train_step.main()
        monkeypatch.setattr(sys, "argv", ["loader", "--device", "cuda", "--rounds", "1", "--pictures", "8"])
        benchmarks.loader.main()
    printed = capsys.readouterr().out
    assert printed.count("a pretended GPU, ") == 2
    for line in ("ours, bf16 and TF32 against plain:", "of the encoder alone", "x what the step takes"):
        assert line in printed
