"""The champion, its run and its versions, in a real MLflow store."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from flows import describing
from flows.champion import champions_settings
from flows.cli import make_parser
from flows.evaluation import the_same_again
from flows.retraining import same_content
from flows.settings import Settings
from model.errors import UserError
from model.picture import ImageConfig
from tasks.catalog.reader import CatalogConfig
from tasks.pictures.settings import FetchConfig
from tasks.runs import Request, recorded, run_folder
from tasks.scoring.config import ScoreConfig
from tasks.tracking import TrackingConfig, registry_of, start_run
from tasks.tracking.registry import Registry

SETTINGS = Settings(image=ImageConfig(size_px=64))
REQUEST = Request(flow="pipeline", catalog="c", image_base_url="", settings=SETTINGS.nested())


@pytest.fixture(autouse=True)
def _store(empty_store: Path, tmp_path: Path) -> None:
    shutil.copy(empty_store, tmp_path)


def registered(workdir: Path, result: dict[str, Any] | None, settings: Settings = SETTINGS) -> mlflow.MlflowClient:
    """A run that noted `result`, and whose model is the champion."""
    with recorded(workdir, "00000001", replace(REQUEST, settings=settings.nested())) as run:
        run.note(result=result, dataset_id="d")
        tracked = start_run(SETTINGS.tracking, run_dir=run.folder, name="r", parameters={}, tags={})
    client = mlflow.MlflowClient(tracked.tracking_uri, registry_uri=tracked.tracking_uri)
    client.create_registered_model("ec-descr-gen")
    client.create_model_version("ec-descr-gen", str(workdir), run_id=tracked.run_id)
    client.set_registered_model_alias("ec-descr-gen", "champion", "1")
    return client


@pytest.mark.parametrize(
    "result",
    [{"epochs": 1, "mlflow": {"run_id": None}}, None],
    ids=["MLflow was away, and the upload came later", "killed after its model was registered"],
)
def test_the_champions_settings_are_found_whatever_its_run_could_print(
    tmp_path: Path, result: dict[str, Any] | None
) -> None:
    registered(tmp_path, result)
    assert champions_settings(tmp_path) == SETTINGS


def test_a_setting_of_the_champions_that_this_release_refuses_is_told_with_the_way_out(tmp_path: Path) -> None:
    registered(tmp_path, None)
    path = run_folder(tmp_path, "00000001") / "run.json"
    record = json.loads(path.read_text())
    record["request"]["settings"]["train"]["momentum"] = 0.9
    path.write_text(json.dumps(record))
    with pytest.raises(
        UserError, match=r"version 1, the champion, .*'train\.momentum'.*: `ec-descr-gen retrain --preset"
    ):
        champions_settings(tmp_path)


def test_a_retraining_takes_the_champions_settings_not_the_latest_runs_nor_what_was_for_the_champions_run_alone(
    tmp_path: Path,
) -> None:
    settings = replace(
        SETTINGS,
        fetch=FetchConfig(refresh=True, concurrency=3),
        score=ScoreConfig(writers={"ceiling": "said of other products.json"}, intervals=200),
    )
    registered(tmp_path, None, settings)
    other = replace(SETTINGS, image=ImageConfig(size_px=32))
    with recorded(tmp_path, "00000002", replace(REQUEST, settings=other.nested())) as run:
        start_run(other.tracking, run_dir=run.folder, name="r", parameters={}, tags={})
    taken = replace(SETTINGS, fetch=FetchConfig(concurrency=3), score=ScoreConfig(intervals=200))
    assert champions_settings(tmp_path) == taken


def test_a_catalogue_to_describe_is_read_as_the_champions_was_unless_the_options_say_otherwise(tmp_path: Path) -> None:
    shops = CatalogConfig(columns={"description": "body_html", "title": "name"}, cut_query=False)
    registered(tmp_path, None, replace(SETTINGS, catalog=shops))

    def reads(*options: str) -> CatalogConfig:
        line = ["describe", "--workdir", str(tmp_path), "--catalog", "c.json", *options]
        return describing._settings(make_parser().parse_args(line)).catalog

    assert reads() == shops
    assert reads("--set", "catalog.columns.title=label") == replace(shops, columns=shops.columns | {"title": "label"})
    assert reads("--model", "another") == CatalogConfig()
    assert reads("--workdir", str(tmp_path / "none")) == CatalogConfig()


def test_a_content_whose_model_was_never_registered_is_not_known(tmp_path: Path) -> None:
    registered(tmp_path, {"epochs": 1, "mlflow": {"run_id": None}})
    assert same_content(tmp_path, "d", REQUEST) is None, "its model could never be compared with the champion"
    with recorded(tmp_path, "00000002", REQUEST) as run:
        run.note(result={"epochs": 1, "model_uri": "models:/ec-descr-gen/2"}, dataset_id="d")
    known = same_content(tmp_path, "d", REQUEST)
    assert known is not None
    assert known.run_id == "00000002"


def test_a_content_is_known_by_its_dataset_and_the_settings_that_make_another_model_of_it(tmp_path: Path) -> None:
    with recorded(tmp_path, "00000001", REQUEST) as run:
        run.note(result={"epochs": 1, "model_uri": "models:/ec-descr-gen/1"}, dataset_id="d")

    def known(dataset_id: str, *changed: str) -> bool:
        settings = SETTINGS.nested() | {section: {"of": "another value"} for section in changed}
        asked = Request(flow="retraining", catalog="e", image_base_url="", settings=settings)
        return same_content(tmp_path, dataset_id, asked) is not None

    with recorded(tmp_path, "00000002", REQUEST) as run:  # a retraining that found nothing new
        run.note(result={"model_uri": "models:/ec-descr-gen/1"}, dataset_id="d")
    made = same_content(tmp_path, "d", REQUEST)
    assert made is not None
    assert made.run_id == "00000001", "the run that made the model, not one that found nothing to do"
    assert known("d"), "whatever the file is called, and whichever flow made its model"
    assert not known("another")
    for section in ("image", "train", "gate", "score"):
        assert not known("d", section), section
    assert known("d", "catalog", "fetch"), "they make the same data and the same model"
    others = replace(SETTINGS, score=ScoreConfig(writers={"ceiling": "texts.json"})).nested()
    asked = Request(flow="retraining", catalog="e", image_base_url="", settings=others)
    assert same_content(tmp_path, "d", asked) is not None, "whoever else is scored, the model is the same"


def test_a_promotion_that_was_killed_half_way_remembers_who_became_champion_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = registered(tmp_path, None)
    for _ in range(2):
        client.create_model_version("ec-descr-gen", str(tmp_path))
    registry = Registry(SETTINGS.tracking, tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as moment:
        moment.setattr(registry.client, "set_registered_model_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.promote("2")
    registry.promote("3")
    registry.promote("2")
    for _ in range(2):  # one that is the champion, or was before it, changes nothing
        registry.promote("3")
        registry.promote("2")
    assert [registry.rollback(), registry.rollback()] == [("2", "3"), ("3", "1")]


def test_what_came_before_is_remembered_before_the_alias_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = registered(tmp_path, None)
    client.create_model_version("ec-descr-gen", str(tmp_path))
    registry = Registry(SETTINGS.tracking, tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry.client, "set_model_version_tag", killed)
    with pytest.raises(KeyboardInterrupt):
        registry.promote("2")
    champion = registry.champion()
    assert champion is not None
    assert champion["version"] == "1", "else nobody would know whom to roll back to"


def test_a_champion_before_that_was_deleted_is_not_given_the_alias(tmp_path: Path) -> None:
    client = registered(tmp_path, None)
    client.create_model_version("ec-descr-gen", str(tmp_path))
    registry = Registry(SETTINGS.tracking, tmp_path)
    registry.promote("2")
    client.delete_model_version("ec-descr-gen", "1")
    with pytest.raises(UserError, match="Version 1 of ec-descr-gen, the champion before, was deleted from "):
        registry.rollback()
    assert str(client.get_model_version_by_alias("ec-descr-gen", "champion").version) == "2"


def test_an_evaluation_that_is_resumed_goes_on_with_the_same_version_though_its_alias_moved(tmp_path: Path) -> None:
    client = registered(tmp_path, None)
    client.create_model_version("ec-descr-gen", str(tmp_path))
    asked = Request(flow="evaluation", catalog="c", image_base_url="", settings=SETTINGS.nested())
    model = "models:/ec-descr-gen@champion"
    tracked = registry_of(tmp_path / "runs" / "00000001", TrackingConfig(model_name="asked for since"))
    assert tracked.name == "ec-descr-gen", "a run's model stays where it was first tracked"
    with recorded(tmp_path, "00000003", asked) as run:
        assert the_same_again(run, registry_of(run.folder, SETTINGS.tracking), model) == "models:/ec-descr-gen/1"
    client.set_registered_model_alias("ec-descr-gen", "champion", "2")
    with recorded(tmp_path, "00000003", asked) as run:
        assert the_same_again(run, registry_of(run.folder, SETTINGS.tracking), model) == "models:/ec-descr-gen/1"
    with recorded(tmp_path, "00000004", asked) as run:
        assert the_same_again(run, registry_of(run.folder, SETTINGS.tracking), model) == "models:/ec-descr-gen/2"
        assert the_same_again(run, registry_of(run.folder, SETTINGS.tracking), str(tmp_path)) == str(tmp_path)
