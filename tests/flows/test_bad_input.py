"""A user's mistake is one clear line with what, where and what to do; never a traceback, nothing left half-written."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from prefect.states import Failed

from flows import launch, server
from flows.cli import main, make_parser
from flows.commands import evaluate, request_of, source_of
from flows.demo import _catalogue
from flows.describing import find_model
from flows.evaluation import _score, evaluation
from flows.pipeline import _through_the_gate, pipeline
from flows.prefect_api import ask
from flows.prepare import find_dataset
from flows.reasons import ARTIFACT_KEY
from flows.retraining import check_gate, retraining
from flows.settings import Settings, compose
from model.errors import RunError, SettingError, UserError
from model.files import read_json
from model.settings import SearchConfig
from tasks.read import Dataset
from tasks.runs import Request, all_runs, find_run, recorded
from tasks.step import worth_a_retry
from tasks.tracking import TrackingConfig
from tests.command import SMALL, run

RECORD = {"id": 1, "image_url": "https://shop.example/1.jpg", "description": "a red scarf"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.jsonl"
    path.write_text(json.dumps(RECORD) + "\n")
    return path


def refused(*arguments: str | Path, code: int = 2) -> str:
    """Run a command that must be refused; returns its one line."""
    done = run(*arguments, code=code)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    [line] = [text for text in done.stderr.splitlines() if text.startswith("ec-descr-gen: ")]
    return line


def test_a_librarys_error_keeps_its_traceback_and_a_settings_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.commands.runs", lambda _: (int("not a number"), None))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["runs"])
    monkeypatch.setattr("flows.commands.runs", lambda _: (SearchConfig(beam_size=0), None))
    assert main(["runs"]) == 2
    assert capsys.readouterr().err == "ec-descr-gen: search.beam_size is 0: must be at least 1\n"


@pytest.mark.parametrize(
    ("error", "again"),
    [(UserError("mend it"), False), (SettingError("mend it"), False), (ValueError("odd"), True), (OSError(), True)],
)
def test_a_step_is_tried_again_unless_the_user_must_mend_something(error: Exception, again: bool) -> None:
    assert worth_a_retry(mock.Mock(), mock.Mock(), Failed(data=error)) == again


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    line = refused("run", "--catalog", tmp_path / "none.json", "--workdir", tmp_path / "w")
    assert "none.json does not exist" in line
    assert not (tmp_path / "w").exists()


def test_a_catalogue_that_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    options = make_parser().parse_args(["prepare", "--catalog", str(tmp_path / "pipe")])
    with pytest.raises(UserError, match="pipe is a pipe: give a JSON"):
        source_of(options)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("not a catalogue at all", "catalog.jsonl"),
        (json.dumps({"id": 1, "image_url": "https://a.example/1.jpg"}), "description"),
        (json.dumps({"id": 1, "description": "a red scarf"}), "picture"),
    ],
)
def test_a_catalogue_that_cannot_be_used_says_why(shop: Path, tmp_path: Path, content: str, says: str) -> None:
    shop.write_text(content)
    assert says in refused("prepare", "--catalog", shop, "--workdir", tmp_path / "w", *SMALL)
    assert not list((tmp_path / "w").glob("datasets/*/manifests/sample.json"))


def test_the_page_of_a_refused_run_says_what_to_mend_and_not_to_resume_it(
    shop: Path, tmp_path: Path, prefect_server: str
) -> None:
    shop.write_text("")
    refused("prepare", "--catalog", shop, "--workdir", tmp_path / "w", *SMALL)
    [record] = all_runs(tmp_path / "w")
    question = {"artifacts": {"flow_run_id": {"any_": [record.flow_run_id]}}}
    [page] = [one for one in ask(prefect_server, "/artifacts/filter", question) if one["key"] == ARTIFACT_KEY]
    assert record.reason in page["data"]
    assert page["data"].endswith("\n\nNothing was done yet: mend that, then start it again.\n")


def test_too_few_records_for_an_exact_sample_says_how_many_there_are(shop: Path, tmp_path: Path) -> None:
    line = refused("run", "--catalog", shop, "--workdir", tmp_path / "w", "--preset", "paper")
    assert "14,000" in line
    assert "sample.exact" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--preset", "papper"], "unknown preset 'papper': choose one of"),
        (["--set", "train.epoch=3"], "did you mean 'train.epochs'?"),
        (["--set", "train.epochs=0"], "train.epochs is 0: must be at least 1"),
        (["--set", "score.seed=-1"], "score.seed is -1: must be at least 0"),
        (["--set", "train.epochs=many"], "train.epochs is 'many'"),
        (["--set", "train.epochs"], "write --set section.key=value"),
        (["--set", "train.epochs=3", "--set", "train.epochs.x=4"], "train.epochs is 3, no mapping"),
        (["--config", "none.yaml"], "cannot read the configuration none.yaml"),
        (["--image-base-url", "none"], "none is neither a URL nor a folder that can be read (No such file"),
    ],
)
def test_wrong_settings_name_the_setting_and_the_bound(
    shop: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    assert says in refused("run", "--catalog", shop, "--workdir", tmp_path / "w", *arguments)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--prefect-port", "70000"], "argument --prefect-port: 70000 is not in 0 to 65535"),
        (["serve-images", ".", "--port", "-1"], "argument --port: -1 is not in 0 to 65535"),
        (["runs", "--workdir", "a?b"], "a?b holds ?: choose a folder without such a character"),
        (
            ["evaluate", "--model", "m", "--catalog", "c.csv", "--split", "tset"],
            "argument --split: invalid choice: 'tset'",
        ),
        (["runs", "--workdir", __file__], "is no folder: name one, which is made if it is not there"),
        (["publish", "catalog.csv", "--set", "catalog.columns.description=body"], "unrecognized arguments: --set"),
    ],
)
def test_options_that_cannot_be_taken_are_named(arguments: list[str], says: str) -> None:
    done = run(*arguments, code=2)
    assert done.stdout == ""
    assert says in done.stderr.splitlines()[-1]


def test_files_that_settings_name_are_found_again_from_another_folder(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.safetensors").write_bytes(b"")
    Path("pictures").mkdir()
    Path("texts.json").write_text("{}")
    given = [
        "encoder.weights=weights.safetensors", "train.warm_start=none.here", "score.writers.person=texts.json",
    ]  # fmt: skip
    options = make_parser().parse_args(
        ["run", "--catalog", shop.name, "--image-base-url", "pictures", *(w for one in given for w in ("--set", one))]
    )
    request = request_of("pipeline", options)
    settings = request.settings
    assert (request.catalog, request.image_base_url) == (str(shop), str(tmp_path / "pictures"))
    assert settings["encoder"]["weights"] == str(tmp_path / "weights.safetensors")
    assert settings["train"]["warm_start"] == "none.here"
    assert settings["score"]["writers"] == {"person": str(tmp_path / "texts.json")}


def test_what_an_evaluation_was_asked_for_is_kept_for_when_it_goes_on(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Request] = []
    monkeypatch.setattr("flows.commands.launch", lambda request, _: kept.append(request))
    monkeypatch.chdir(tmp_path)
    for model, more in (("m", ["--beam-size", "3", "--split", "all"]), ("models:/shop@champion", [])):
        options = make_parser().parse_args(["evaluate", "--model", model, "--catalog", str(shop), *more])
        evaluate(options)
    assert [request.options for request in kept] == [
        {"model": str(tmp_path / "m"), "split": "all", "beam_size": "3"},
        {"model": "models:/shop@champion", "split": "", "beam_size": ""},
    ]


def test_the_data_stages_begin_with_the_base_for_a_deployed_run_too(shop: Path, tmp_path: Path) -> None:
    request = Request(flow="prepare", catalog=str(shop), image_base_url="http://[bad/", settings={})
    with (
        pytest.raises(UserError, match=r"--image-base-url http://\[bad/ is neither a URL nor a folder"),
        recorded(tmp_path / "w", "00000001-run", request) as opened,
    ):
        find_dataset(opened, Settings())


@pytest.mark.parametrize("flow", [pipeline, retraining])
@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("encoder.name=resnet1001", "encoder.name is 'resnet1001', which torchvision does not have"),
        ("encoder.weights=none.pt", "encoder.weights is none.pt, which is no file"),
        ("train.freeze_encoder_epochs=1", "encoder.weights is none"),
        ("train.warm_start=champions", "train.warm_start: champions is no model directory"),
        ("score.writers.person=none.json", "score.writers.person = none.json is no JSON object"),
        pytest.param(
            "train.device=cuda", "train.device is cuda, but PyTorch sees no CUDA device here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="its absence cannot be shown"),
        ),
        pytest.param(
            "train.precision=fp16", "train.precision is fp16, which only GPUs compute in",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="its absence cannot be shown"),
        ),
    ],
)  # fmt: skip
def test_what_settings_name_is_looked_for_before_the_catalogue_is_read(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flow: Any, assignment: str, says: str
) -> None:
    monkeypatch.setattr(sys.modules[flow.fn.__module__], "flow_run", SimpleNamespace(id="00000001-run"))
    settings = compose(preset="demo", assignments=[assignment])
    with pytest.raises(UserError) as refused_by:
        flow.fn(catalog=str(shop), workdir=str(tmp_path / "w"), settings=settings)
    assert says in str(refused_by.value)
    assert {path.name for path in (tmp_path / "w").iterdir()} == {"runs", "lock"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"split": "tset"}, "there is no split 'tset': choose train, validation, test or all"),
        ({"beam_size": "many"}, "beam_size is 'many': must be a whole number above 0"),
        ({"settings": compose(assignments=["score.writers.person=none.json"])}, "score.writers.person = none.json"),
    ],
)
def test_an_evaluation_looks_for_what_it_was_told_before_the_catalogue_is_read(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr("flows.evaluation.flow_run", SimpleNamespace(id="00000001-run"))
    with pytest.raises(UserError) as refused_by:
        evaluation.fn(model="models:/none/1", catalog=str(shop), workdir=str(tmp_path / "w"), **wrong)
    assert says in str(refused_by.value)
    assert {path.name for path in (tmp_path / "w").iterdir()} == {"runs", "lock"}
    with pytest.raises(UserError, match="nothing to resume"):
        find_run(tmp_path / "w", None)
    with pytest.raises(UserError, match="run 00000001 is refused: only a failed or killed run can be resumed"):
        find_run(tmp_path / "w", "00000001")


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"0": "a shirt"}, "products, such as"),
        ({str(number): None for number in range(40)}, "says of 0 what is no text"),
    ],
)
def test_a_writer_who_cannot_be_scored_is_told_before_training_begins(
    tmp_path: Path, texts: dict[str, Any], says: str
) -> None:
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    run("make-catalog", "--items", "40", "--out", tmp_path / "shop", "--seed", "3", "--workdir", tmp_path / "w")
    line = refused(
        "run", "--catalog", tmp_path / "shop" / "catalog.json", "--image-base-url", tmp_path / "shop",
        "--workdir", tmp_path / "w", *SMALL, "--set", f"score.writers.person={tmp_path / 'texts.json'}",
    )  # fmt: skip
    assert f"score.writers.person = {tmp_path / 'texts.json'} says" in line
    assert says in line
    assert not list((tmp_path / "w").glob("runs/*/training"))


def test_a_retraining_whose_model_mlflow_did_not_take_decides_nothing_and_says_how_it_goes_on(tmp_path: Path) -> None:
    request = Request(flow="retraining", catalog="c", image_base_url="", settings={})
    dataset = Dataset(id="d", folder=tmp_path, facts={})
    with (
        pytest.raises(RunError, match="nothing is decided: once it answers, `ec-descr-gen resume 00000001 --workdir /"),
        recorded(tmp_path, "00000001", request) as opened,
    ):
        _through_the_gate(opened, Settings(), dataset, {}, {}, {})


def test_a_run_that_another_process_finished_while_this_one_waited_to_resume_it_is_left_alone(tmp_path: Path) -> None:
    request = Request(flow="pipeline", catalog="c", image_base_url="", settings={})
    with pytest.raises(RunError), recorded(tmp_path, "00000001", request):
        raise RunError("an outage")
    found = find_run(tmp_path, None)  # then the lock is waited for
    with recorded(tmp_path, "00000001", request):
        pass
    with pytest.raises(UserError, match="run 00000001 is completed: only a failed or killed run can be resumed"):
        launch.resume_run(found, tmp_path)


def test_a_gate_whose_score_will_not_be_computed_is_told_before_anything_is_done() -> None:
    settings = compose(assignments=["gate.score=bertscore_f1", "score.bertscore=never"])
    with pytest.raises(UserError, match=r"gate\.score is bertscore_f1, which score\.bertscore=never leaves out: set "):
        check_gate(settings)
    check_gate(compose(assignments=["gate.score=bertscore_f1", "score.bertscore=end"]))
    check_gate(compose(assignments=["score.bertscore=never"]))


@pytest.mark.parametrize("first", [True, False])
def test_a_demo_that_is_killed_while_it_removes_the_one_before_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    folder = tmp_path / "demo"
    _catalogue(folder, 12, split_seed=0)
    remove = shutil.rmtree

    def killed(path: Path, **_: Any) -> None:
        if first and path.exists():
            (path / "made.json").unlink()
        if path.exists() or not first:
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        _catalogue(folder, 14, split_seed=0)
    monkeypatch.setattr(shutil, "rmtree", remove)
    _catalogue(folder, 14, split_seed=0)
    assert len(read_json(folder / "catalog.json")) >= 14
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.txt").write_text("years of work")
    assert "holds files that are not the demo's" in refused("demo", "--items", "40", "--workdir", tmp_path)
    assert (tmp_path / "demo" / "thesis.txt").read_text() == "years of work"


def test_a_demo_that_cannot_be_drawn_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    made = tmp_path / "demo" / "made.json"
    made.parent.mkdir()
    made.write_text('{"items": 40, "split_seed": 0, "port": 1}')
    for _ in range(2):
        assert "--items is 0: must be at least 1" in refused("demo", "--items", "0", "--workdir", tmp_path)
        assert json.loads(made.read_text())["items"] == 40


def test_a_demo_whose_port_another_program_has_says_how_it_goes_on(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "made.json").write_text(json.dumps({"items": 40, "split_seed": 0, "port": port}))
        line = refused("demo", "--items", "40", "--workdir", tmp_path)
    assert f"port {port}, where the demo's pictures were served before, is taken by another program" in line
    assert f"remove {tmp_path / 'demo'}" in line


def test_the_demo_takes_a_folder_whose_name_looks_like_yaml(tmp_path: Path) -> None:
    assert "--items is 0" in refused("demo", "--workdir", tmp_path / "a: b", "--items", "0"), "the settings are taken"


def test_a_catalogue_that_was_not_drawn_here_is_not_drawn_over(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text("[]")
    assert "catalog.json is there and was not drawn here" in refused("make-catalog", "--items", "5", "--out", tmp_path)
    assert (tmp_path / "catalog.json").read_text() == "[]"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["p.jpg", "--out", "folder.csv"], "--out folder.csv is a folder: name a file"),
        (["--catalog", "shop.csv", "--out", "./shop.csv"], "--out shop.csv is the catalogue itself"),
        (["p.jpg", "--attention", "folder.png"], "--attention folder.png cannot be written: folder.png is in its"),
        (["p.jpg", "--attention", "p.jpg/x"], "--attention p.jpg/x cannot be written: p.jpg is in its place"),
        (["p.jpg", "--attention", "p.jpg/x.png"], "--attention p.jpg/x.png cannot be written: p.jpg is in its place"),
        ([""], "an empty name stands for no picture"),
        (["caf\udce9.jpg"], r"'caf\udce9.jpg' is not UTF-8"),
        (["latin"], r"the name of 'latin/caf\udce9.jpg' is not UTF-8"),
        (["--catalog", "caf\udce9.json"], r"'caf\udce9.json' is not UTF-8"),
    ],
)
def test_describe_says_what_stands_in_its_way_before_it_describes_anything(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("folder.csv", "folder.png", "latin"):
        Path(folder).mkdir()
    Path("shop.csv").write_text("id,image_url,description\n1,p.jpg,\n")
    for name in ("p.jpg", "latin/caf\udce9.jpg"):
        Path(name).write_bytes(b"")
    assert main(["describe", *arguments]) == 2
    assert f"ec-descr-gen: {says}" in capsys.readouterr().err


def test_one_record_in_a_split_that_is_not_sampled_is_one_clear_line(tmp_path: Path) -> None:
    """Its description's hash puts it into the test split."""
    record = {**RECORD, "description": "a lovely red cotton shirt variant w7"}
    (tmp_path / "one.jsonl").write_text(json.dumps(record))
    line = refused(
        "prepare", "--catalog", tmp_path / "one.jsonl", "--workdir", tmp_path / "w", "--set", "sample.test=0"
    )
    assert "none of the 1 records is in the train split" in line


def test_a_working_directory_that_cannot_be_written_is_named(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused("run", "--catalog", shop, "--workdir", tmp_path / "file" / "w", *SMALL)
    assert "cannot write to the working directory" in line
    assert "--workdir" in line


def test_a_disk_without_room_to_start_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch.check_room_to_start(tmp_path)
    monkeypatch.setattr(launch, "START_BYTES", 10**18)
    request = Request(flow="prepare", catalog="c", image_base_url="", settings={})
    with pytest.raises(UserError, match=r"MB free, and a run needs 1000000000000 MB before its first picture"):
        launch.launch(request, tmp_path)


def test_whatever_fails_on_a_full_disk_is_told_as_that_and_a_mistake_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(error: Exception) -> str:
        with pytest.raises((OSError, UserError, RunError)) as raised, launch.full_disk_explained(tmp_path):
            raise error
        return f"{type(raised.value).__name__}: {raised.value}"

    assert told(OSError("odd")) == "OSError: odd"
    monkeypatch.setattr(launch, "FULL_BYTES", 10**18)
    assert told(OSError("odd")) == f"RunError: the disk of {tmp_path} is full: free some space, then resume"
    assert told(UserError("no such split")) == "UserError: no such split"


def test_a_host_that_does_not_answer_fails_the_run_and_leaves_nothing_to_be_trusted(tmp_path: Path) -> None:
    path = tmp_path / "catalog.jsonl"
    records = [
        RECORD | {"id": n, "image_url": f"{n}.jpg", "description": f"a red scarf of {n} threads"} for n in range(60)
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    line = refused(
        "prepare", "--catalog", path, "--image-base-url", "http://127.0.0.1:9/", "--workdir", tmp_path / "w",
        *SMALL, "--set", "fetch.attempts=1", "--set", "fetch.connect_timeout_s=2", code=1,
    )  # fmt: skip
    assert "resume" in line
    assert not list((tmp_path / "w").rglob("*.h5"))
    assert not list((tmp_path / "w").rglob("pack.json"))


def test_a_prefect_server_that_is_named_and_does_not_answer_is_named_back_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "NAMED_TIMEOUT_S", 0.3)
    place = f"127.0.0.1:{server.free_port()}/api"
    with (
        mock.patch.dict(os.environ, {"PREFECT_API_URL": f"http://me:swordfish@{place}"}),
        pytest.raises(RunError) as refused_by,
    ):
        server.PrefectServer(tmp_path).start().wait()
    assert str(refused_by.value) == (
        f"Prefect's server does not answer at http://{place}: start it, or unset PREFECT_API_URL"
    )


@pytest.mark.parametrize("place", ["[bad/api", "127.0.0.1:99999/api"])
def test_a_prefect_server_whose_address_is_none_is_refused_at_once(tmp_path: Path, place: str) -> None:
    with (
        mock.patch.dict(os.environ, {"PREFECT_API_URL": f"http://me:swordfish@{place}"}),
        pytest.raises(UserError) as refused_by,
    ):
        server.PrefectServer(tmp_path).start()
    assert str(refused_by.value) == (
        f"PREFECT_API_URL is http://{place}, which cannot be asked (no such host or port is possible): "
        "mend it, or unset it"
    )


def test_nothing_to_resume_and_no_such_run_are_said(tmp_path: Path) -> None:
    assert "nothing to resume" in refused("resume", "--workdir", tmp_path)
    assert "no run 'abc'" in refused("resume", "abc", "--workdir", tmp_path)


def test_a_model_is_looked_for_where_the_latest_run_was_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{server.free_port()}"
    tracked = Request(flow="pipeline", catalog="c", image_base_url="", settings={"tracking": {"uri": uri}})
    with recorded(tmp_path, "00000001", tracked):
        pass
    options = {"model": "models:/ec-descr-gen/1", "split": "", "beam_size": ""}
    asked = Request(flow="evaluation", catalog="c", image_base_url="", settings=Settings().nested(), options=options)
    with pytest.raises(RunError, match=f"registry at {uri} did not answer"), recorded(tmp_path, "2", asked) as run:
        _score(run, Settings())
    with pytest.raises(RunError, match=f"registry at {uri} did not answer"):
        find_model(None, tmp_path, TrackingConfig())


def test_describe_without_a_model_or_a_picture_says_what_to_do(tmp_path: Path) -> None:
    picture = tmp_path / "scarf.jpg"
    assert "does not exist" in refused("describe", picture, "--workdir", tmp_path)
    picture.write_bytes(b"no picture")
    assert "run the pipeline first" in refused("describe", picture, "--workdir", tmp_path)
    assert "no model directory" in refused("describe", picture, "--workdir", tmp_path, "--model", tmp_path)
    elsewhere = f"tracking.uri=sqlite:///{tmp_path}/mistyped/mlflow.db"
    for model in ([], ["--model", "models:/ec-descr-gen/1"]):
        assert "mistyped" in refused("describe", picture, *model, "--workdir", tmp_path, "--set", elsewhere)
    assert sorted(tmp_path.iterdir()) == [picture]  # no store is made by asking
