"""A new catalogue, through the command line: fetched as far as it is new, decided, and given back again."""

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.cli import main
from flows.prefect_api import ask
from flows.retraining import retraining
from tasks.demo.server import serve_images
from tasks.tracking import TrackingConfig
from tasks.tracking.registry import Registry
from tests.command import run, run_json, run_until
from tests.tasks.mlflow_server import free_port
from tests.tasks.shapes import COLOURS, OPENINGS, SHAPES, draw

PRODUCTS, NEW = 216, 22  # the second catalogue has a tenth more
SETTINGS = [
    argument
    for assignment in (
        "image.size_px=32", "encoder.grid=4", "encoder.max_stride_px=8", "decoder.attention_size=32",
        "decoder.embedding_size=32", "decoder.hidden_size=32", "decoder.dropout=0", "train.batch_size=24",
        "train.encoder_learning_rate=1e-3", "train.decoder_learning_rate=5e-3", "search.beam_size=2",
        "search.max_words=12", "score.intervals=0", "tracking.system_metrics=false", "fetch.backoff_s=0.05",
    )
    for argument in ("--set", assignment)
]  # fmt: skip
SMALL = ["--preset", "demo", *SETTINGS]
POOR, GOOD = ["--set", "train.epochs=1"], ["--set", "train.epochs=10"]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of coloured shapes, and two catalogues: yesterday's, and today's with new products."""
    folder = tmp_path_factory.mktemp("shop")
    chance = random.Random(0)
    records = []
    for number in range(PRODUCTS):
        colour, shape = chance.choice(list(COLOURS)), chance.choice(SHAPES)
        text = chance.choice(OPENINGS).format(colour, shape) + f" number {number}"
        Image.fromarray(draw(colour, shape, chance).transpose(1, 2, 0)).save(folder / f"{number}.png")
        records.append({"id": f"p{number}", "image_url": f"{number}.png", "description": text})
    for name, some in (("yesterday", records[NEW:]), ("today", records)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in some))
    return folder


class Story:
    """A working directory in which one thing after the other happens, whichever test asks first.

    What happens stands in fixtures, each of which asks for the one before; tests only look at what came of it.
    """

    def __init__(self, shop: Path, workdir: Path) -> None:
        self.shop, self.workdir = shop, workdir

    def retrain(self, catalog: Path, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = run_json(
            "retrain", "--catalog", catalog, "--image-base-url", self.shop, "--workdir", self.workdir, *SMALL, *options
        )
        return {**found, "champion afterwards": self.champion}

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(f"sqlite:///{self.workdir / 'mlflow.db'}")

    @property
    def champion(self) -> str:
        return str(self.client.get_model_version_by_alias("ec-descr-gen", "champion").version)


@pytest.fixture(scope="session")
def story(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(shop, tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="session")
def first(story: Story) -> dict[str, Any]:
    return story.retrain(story.shop / "yesterday.jsonl", *POOR)


@pytest.fixture(scope="session")
def again(story: Story, first: dict[str, Any]) -> dict[str, Any]:
    """The same catalogue, its lines turned round, without a preset: with the settings of the champion's run."""
    del first
    lines = (story.shop / "yesterday.jsonl").read_text().splitlines(keepends=True)
    turned = story.shop / "turned.jsonl"
    turned.write_text("".join(reversed(lines)))
    found: dict[str, Any] = run_json(
        "retrain", "--catalog", turned, "--image-base-url", story.shop, "--workdir", story.workdir
    )
    states = [record["state"] for record in run_json("runs", "--workdir", story.workdir)]
    return {**found, "states": states, "trainings": len([*story.workdir.glob("runs/*/training")])}


@pytest.fixture(scope="session")
def published(story: Story, again: dict[str, Any], prefect_server: str) -> dict[str, Any]:
    del again
    done = run(
        "publish", story.shop / "today.jsonl", "--image-base-url", story.shop, "--workdir", story.workdir, "--json"
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["event"] == "catalog.updated", prefect_server
    return found


@pytest.fixture(scope="session")
def better(story: Story, published: dict[str, Any]) -> dict[str, Any]:
    return story.retrain(Path(published["path"]), *GOOD)


@pytest.fixture(scope="session")
def worse(story: Story, better: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
    del better
    return story.retrain(Path(published["path"]), *POOR, "--set", "train.seed=2")


@pytest.fixture(scope="session")
def handful(story: Story, worse: dict[str, Any]) -> dict[str, Any]:
    del worse
    own_gate = ["--set", "gate.score=rouge_l", "--set", "gate.confidence=0.8"]
    return story.retrain(story.shop / "today.jsonl", *POOR, "--set", "sample.test=5", *own_gate)


@pytest.fixture(scope="session")
def rolled_back(story: Story, worse: dict[str, Any], handful: dict[str, Any]) -> list[Any]:
    """Back from the third version, which was no better, to the second, to the first, and no further."""
    del handful
    registry = Registry(TrackingConfig(), story.workdir)
    for _ in range(2):  # as a run that was killed right after and resumed would
        registry.promote(worse["version"])
    steps: list[Any] = [registry.rollback(), run_json("rollback", "--workdir", story.workdir), story.champion]
    return [*steps, run("rollback", "--workdir", story.workdir, code=2).stderr]


def splits(result: dict[str, Any]) -> dict[str, str]:
    captions = pd.read_parquet(Path(result["dataset_dir"]) / "captions.parquet")
    return dict(zip(captions["record_id"], captions["split"], strict=True))


def test_without_a_champion_the_first_model_becomes_it(story: Story, first: dict[str, Any]) -> None:
    del story
    assert first["decision"] == "promoted: version 1 is the champion, there was none before"
    assert (first["model_uri"], first["alias"]) == ("models:/ec-descr-gen/1", "champion")


def test_the_same_catalogue_again_is_nothing_new_whatever_the_order_of_its_lines(
    first: dict[str, Any], again: dict[str, Any]
) -> None:
    assert again["decision"].startswith("nothing new: run ")
    assert again["dataset_id"] == first["dataset_id"]
    assert "pictures" not in again
    assert again["trainings"] == 1, "of the first run"
    assert again["states"] == ["completed", "completed"]


def test_a_published_catalogue_is_copied_whole_and_prefect_is_told(
    story: Story, published: dict[str, Any], prefect_server: str
) -> None:
    path = Path(published["path"])
    assert path.is_relative_to(story.workdir / "catalogs")
    assert path.read_bytes() == (story.shop / "today.jsonl").read_bytes()
    assert published["records"] == PRODUCTS
    wanted, end = {"filter": {"event": {"name": ["catalog.updated"]}}}, time.monotonic() + 60
    while not (events := ask(prefect_server, "/events/filter", wanted)["events"]):  # it stores them in batches
        assert time.monotonic() < end, "the event never came"
        time.sleep(0.5)
    [event] = events
    assert event["resource"]["prefect.resource.id"] == "ec-descr-gen.catalog"
    assert event["payload"] == {"path": str(path), "image_base_url": str(story.shop)}


def test_only_new_pictures_are_fetched_and_every_product_keeps_its_split(
    first: dict[str, Any], better: dict[str, Any]
) -> None:
    before, after = splits(first), splits(better)
    assert better["pictures"]["reused"] == len(before.keys() & after.keys())
    assert better["pictures"]["fetched"] == len(after.keys() - before.keys()) > 0
    assert {name: after[name] for name in before.keys() & after.keys()} == {
        name: before[name] for name in before.keys() & after.keys()
    }
    assert len(set(after.values())) == 3


def test_a_better_model_is_promoted_and_the_decision_stands_with_its_numbers_everywhere(
    story: Story, better: dict[str, Any], prefect_server: str
) -> None:
    numbers = better["comparison"]["cider_d"]
    assert better["decision"].startswith("promoted: version 2 takes the place of version 1; cider_d ")
    assert f"{numbers['second']:.3f} against {numbers['first']:.3f}" in better["decision"]
    assert numbers["confidence"] >= 0.99
    assert numbers["products"] == sum(split == "test" for split in splits(better).values())
    assert better["alias"] == "champion"
    tracked = story.client.get_run(better["mlflow"]["run_id"])
    assert tracked.info.status == "FINISHED"
    assert tracked.data.tags["decision"] == better["decision"]
    assert "takes the place of version 1" in tracked.data.tags["mlflow.note.content"]
    assert tracked.data.metrics["gate/cider_d_difference"] == pytest.approx(numbers["difference"])
    assert tracked.data.metrics["gate/cider_d_confidence"] == numbers["confidence"]
    assert story.client.get_model_version("ec-descr-gen", "2").tags["decision"] == better["decision"]
    artifacts = ask(prefect_server, "/artifacts/filter", {"artifacts": {"key": {"any_": ["decision"]}}})
    assert any(better["decision"] in artifact["data"] for artifact in artifacts)


def test_a_model_that_is_no_better_is_not_promoted(worse: dict[str, Any]) -> None:
    assert worse["decision"].startswith("kept: version 2 stays the champion; cider_d ")
    assert worse["comparison"]["cider_d"]["difference"] < 0
    assert worse["alias"] == "challenger"
    assert worse["champion afterwards"] == "2"


def test_a_handful_of_products_decides_nothing(handful: dict[str, Any]) -> None:
    assert re.fullmatch(
        r"kept: version 2 stays the champion; rouge_l .* of [1-5] products; 80\.0% are asked for, "
        "but fewer than 20 products tell nothing",
        handful["decision"],
    )
    assert handful["comparison"]["cider_d"]["products"] < 20
    assert handful["champion afterwards"] == "2"


def test_rollback_goes_one_champion_back_each_time_and_says_so_when_none_came_before(rolled_back: list[Any]) -> None:
    first, second, champion, line = rolled_back
    assert first == ("3", "2")
    assert second == {"model_uri": "models:/ec-descr-gen/1", "version": "1", "before": "2"}
    assert champion == "1"
    assert "Version 1 of ec-descr-gen is the first champion: none came before it." in line
    assert "Traceback" not in line


@pytest.mark.acceptance
@pytest.mark.timeout(900)
def test_a_retraining_killed_in_the_download_and_in_the_training_is_resumed_to_the_same_decision(
    story: Story, better: dict[str, Any], tmp_path: Path
) -> None:
    """In a working directory of its own: the first model, then a killed retraining from its weights."""
    own = Story(story.shop, tmp_path)
    own.retrain(story.shop / "yesterday.jsonl", *POOR)
    warm = [*GOOD, "--set", "train.warm_start=champion", "--set", "fetch.chunk_rows=4", "--set", "fetch.concurrency=1"]
    undisturbed = Story(story.shop, tmp_path / "undisturbed")
    undisturbed.retrain(story.shop / "yesterday.jsonl", *POOR)
    with serve_images(story.shop) as base:
        request: list[str | Path] = ["--catalog", story.shop / "today.jsonl", "--image-base-url", base, "--workdir"]
        expected = run_json("retrain", *request, undisturbed.workdir, *SMALL, *warm)
        run_until(files(tmp_path, "datasets/*/chunks/*.parquet", 1), "retrain", *request, tmp_path, *SMALL, *warm)
        run_until(files(tmp_path, "runs/*/training/checkpoint-0000[2-9]-*", 1), "resume", "--workdir", tmp_path)
        result = run_json("resume", "--workdir", tmp_path)
    assert result["decision"] == expected["decision"]
    assert result["comparison"] == expected["comparison"]
    assert result["dataset_digest"] == expected["dataset_digest"] == better["dataset_digest"]
    assert weights(result) == weights(expected)
    assert own.client.get_run(result["mlflow"]["run_id"]).data.tags["warm_start"] == "models:/ec-descr-gen/1"


def weights(result: dict[str, Any]) -> bytes:
    return (Path(result["model_dir"]) / "weights.safetensors").read_bytes()


def files(folder: Path, pattern: str, count: int) -> Callable[[], bool]:
    return lambda: len(list(folder.glob(pattern))) >= count


def test_without_a_server_publish_still_copies_and_says_how_to_retrain(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    arguments = ["publish", str(shop / "today.jsonl"), "--image-base-url", str(shop), "--workdir", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    [copy] = tmp_path.glob("catalogs/*/today.jsonl")
    assert f"ec-descr-gen retrain --catalog {copy} --workdir {tmp_path} --image-base-url {shop}" in out
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    assert main(arguments) == 0
    assert "did not answer" in capsys.readouterr().out
    assert [*tmp_path.glob("catalogs/*/*")] == [copy], "the same content has one place"
    odd = tmp_path / "pictures #2 of ?"
    odd.mkdir()
    assert main([*arguments[:3], str(odd), *arguments[4:]]) == 0
    assert f"--image-base-url '{odd}'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "today.json does not exist"),
        ("{", "today.json"),
        ('[{"id": 1}]', "picture"),
        ('[{"id": 1, "image_url": "http://a.b/c", "body": "a"}]', "it reads as the champion's run did: begin with"),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, says: str
) -> None:
    path = tmp_path / "today.json"
    if content is not None:
        path.write_text(content)
    assert main(["publish", str(path), "--workdir", str(tmp_path / "w")]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "w").exists()


def test_before_a_catalogue_is_published_the_schedule_finds_nothing_to_do_and_a_person_is_told_what_to_do(
    tmp_path: Path, prefect_server: str
) -> None:
    where = {"workdir": str(tmp_path)}
    hourly = {"schedule": {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z"}, "active": True}
    with (
        temporary_settings({PREFECT_API_URL: prefect_server, PREFECT_LOGGING_TO_API_ENABLED: False}),
        get_client(sync_client=True) as client,
    ):
        flow_id = str(client.create_flow(retraining))
        deployment = {"name": "hourly", "flow_id": flow_id, "parameters": where, "schedules": [hourly]}
        made = ask(prefect_server, "/deployments/", deployment)["id"]
        past = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:30:00Z", "min_runs": 1, "max_runs": 1}
        ask(prefect_server, f"/deployments/{made}/schedule", past)
        [planned] = ask(prefect_server, "/flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [made]}}})
        asked = client.create_flow_run(retraining, parameters=where)
        for run_id, expected in ((planned["id"], StateType.COMPLETED), (asked.id, StateType.FAILED)):
            run_flow(retraining, client.read_flow_run(run_id), where, return_type="state")
            found = client.read_flow_run(run_id).state
            assert found is not None
            assert found.type == expected
            assert "no catalogue was published in" in str(found.message)
            assert "`ec-descr-gen publish FILE`, or name one" in str(found.message)
    assert not (tmp_path / "runs").exists()


def test_there_is_nothing_to_roll_back_before_the_first_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "--workdir", str(tmp_path)]) == 2
    assert f"there is no champion in {tmp_path}: run the pipeline first" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_registry_that_does_not_answer_stops_a_retraining_before_it_works(shop: Path, tmp_path: Path) -> None:
    away = f"tracking.uri=http://127.0.0.1:{free_port()}"
    done = run(
        "retrain", "--catalog", shop / "today.jsonl", "--image-base-url", shop, "--workdir", tmp_path, *SMALL,
        "--set", away, code=1,
    )  # fmt: skip
    assert "MLflow's registry at http://127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("datasets/*"))
