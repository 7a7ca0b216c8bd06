"""How far a run is, as `runs` tells it."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.cli import make_parser
from flows.commands import runs
from flows.how_far import how_far
from flows.settings import Settings
from tasks.pictures.settings import FetchConfig
from tasks.runs import Request, RunRecord, recorded
from tests.tasks.faulty_server import FaultyServer
from tests.tasks.pictures_dataset import Dataset

REQUEST = Request(flow="pipeline", catalog="a.json", image_base_url="", settings=Settings().nested())
RECORD = RunRecord(
    run_id="abc", flow_run_id="abc", request=REQUEST, state="running", stage="fetch", reason="", pid=1,
    started_at="", updated_at="", dataset_id="d", result=None,
)  # fmt: skip


def test_while_fetching_it_counts_the_pictures_that_have_come(tmp_path: Path) -> None:
    assert how_far(tmp_path, RECORD) == ""
    with FaultyServer() as server:
        urls = {"train": ["/ok/1", "/404/2", "/ok/3", "/ok/4"], "test": ["/ok/5"]}
        dataset = Dataset(tmp_path / "datasets" / "d", base=server.base, config=FetchConfig())
        dataset.write_sample(urls, {"train": 2, "test": 1})
        assert how_far(tmp_path, RECORD) == "0 of 3 pictures"
        dataset.fetch()
    assert how_far(tmp_path, RECORD) == "3 of 3 pictures"
    assert how_far(tmp_path, replace(RECORD, state="completed")) == ""


@pytest.mark.parametrize("damaged", ["chunks/train-00000000-00000001.parquet", "sample.parquet"])
def test_a_damaged_file_costs_the_number_and_not_the_list_of_runs(tmp_path: Path, damaged: str) -> None:
    dataset = Dataset(tmp_path / "datasets" / "d", base=str(tmp_path), config=FetchConfig())
    dataset.write_sample({"train": ["1.jpg"]})
    dataset.fetch_each(dataset.next_chunks())
    (dataset.folder / damaged).write_bytes(b"PAR1 cut short")
    assert how_far(tmp_path, RECORD) == ("" if damaged == "sample.parquet" else "0 of 1 pictures")


@pytest.mark.parametrize("settings", [{}, {"image": {"of another release": 1}}, {"image": None, "train": None}])
@pytest.mark.parametrize("stage", ["fetch", "train"])
def test_of_a_run_of_another_release_it_says_nothing(stage: str, settings: dict[str, Any], tmp_path: Path) -> None:
    assert how_far(tmp_path, replace(RECORD, stage=stage, request=replace(REQUEST, settings=settings))) == ""


def test_only_a_run_that_can_go_on_is_listed_with_the_command_that_goes_on_with_it(tmp_path: Path) -> None:
    workdir = tmp_path / "a space"
    options = make_parser().parse_args(["runs", "--workdir", str(workdir)])

    def listed() -> list[tuple[str, str]]:
        return [(one["state"], one["resume"]) for one in runs(options)[0]]

    with suppress(OSError), recorded(workdir, "00000001", REQUEST):
        assert listed() == [("running", "")]
        raise OSError("no network")
    assert listed() == [("failed", f"ec-descr-gen resume 00000001 --workdir '{workdir}'")]
    with recorded(workdir, "00000001", REQUEST):
        pass
    assert listed() == [("completed", "")]


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [("", "epoch 1"), ("checkpoint-00003-00000120", "epoch 3"), ("checkpoint-00032-00000000", "epoch 31")],
)
def test_while_training_it_names_the_epoch(tmp_path: Path, checkpoint: str, said: str) -> None:
    (tmp_path / "runs" / "abc" / "training" / checkpoint).mkdir(parents=True)
    assert how_far(tmp_path, replace(RECORD, stage="train", state="killed")) == f"{said} of at most 31"
