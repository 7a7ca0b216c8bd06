"""The champion, its run and its versions, in a real MLflow store."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from flows import describing
from flows.champion import champions_settings
from flows.cli import main, make_parser
from flows.commands import request_of
from flows.evaluation import as_the_models_own, the_same_again
from flows.retraining import retraining, same_content
from flows.settings import Settings, compose
from model.errors import UserError
from model.files import write_json
from model.picture import ImageConfig
from model.settings import TrainConfig
from tasks.catalog.published import keep
from tasks.catalog.reader import CatalogConfig
from tasks.pictures.settings import FetchConfig
from tasks.read import Dataset
from tasks.runs import OpenRun, Request, recorded, run_folder
from tasks.scoring.config import ScoreConfig
from tasks.tracking import TrackingConfig, registry_of, start_run
from tasks.tracking.registry import Registry
from tasks.warm_start import fetch_warm_start

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


def test_a_champion_whose_run_is_gone_gives_no_settings_and_runs_that_track_nothing_are_passed_over(
    tmp_path: Path,
) -> None:
    registered(tmp_path, None)
    with recorded(tmp_path, "00000002", replace(REQUEST, flow="prepare")):
        pass
    assert champions_settings(tmp_path) == SETTINGS
    with recorded(tmp_path, "00000003", REQUEST) as run:
        start_run(SETTINGS.tracking, run_dir=run.folder, name="r", parameters={}, tags={})
    shutil.rmtree(run_folder(tmp_path, "00000001"))  # as `clean --unfinished` removes one that ended after its model
    assert champions_settings(tmp_path) is None


def test_without_a_preset_options_change_the_champions_settings_and_with_one_they_do_not(tmp_path: Path) -> None:
    registered(tmp_path, None)
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("id,image_url,description\n")

    def asked(*options: str) -> tuple[int, int]:
        given = ["retrain", "--catalog", str(catalog), "--workdir", str(tmp_path), "--set", "train.epochs=3", *options]
        settings = request_of("retraining", make_parser().parse_args(given)).settings
        return settings["train"]["epochs"], settings["image"]["size_px"]

    assert asked() == (3, SETTINGS.image.size_px)
    assert asked("--preset", "default") == (3, ImageConfig().size_px) != asked()


def test_a_catalogue_is_published_as_the_champions_run_read_it_and_no_password_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    registered(tmp_path, None, compose(assignments=["catalog.columns.description=body"]))
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("id,image_url,body\n1,1.jpg,a red scarf\n")
    base = "http://ann:swordfish@shop.example/"
    assert main(["publish", str(catalog), "--workdir", str(tmp_path), "--image-base-url", base]) == 0
    told = capsys.readouterr().out
    assert "1 records, 0 rejected" in told
    assert "--image-base-url http://shop.example/" in told
    assert "swordfish" not in told


class WentOnError(Exception):
    """A retraining went on to its stages, with these settings."""

    def __init__(self, run: OpenRun, settings: Settings) -> None:
        self.request, self.settings = run.record.request, settings


def retrained(workdir: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Any:
    """A retraining up to where its stages begin: what it returns, or with what it went on."""

    def go_on(run: OpenRun, settings: Settings, **_: Any) -> None:
        raise WentOnError(run, settings)

    model_dir = workdir / "fetched"
    model_dir.mkdir(exist_ok=True)
    write_json(model_dir / "config.json", {"schema_version": 1, "image": asdict(SETTINGS.image)})
    monkeypatch.setattr("flows.retraining.flow_run", SimpleNamespace(id="00000009-run"))
    monkeypatch.setattr("flows.retraining.find_dataset", lambda *_: Dataset(id="d", folder=workdir, facts={}))
    monkeypatch.setattr("flows.retraining.all_stages", go_on)
    monkeypatch.setattr(Registry, "fetch", lambda *_: model_dir)
    try:
        return retraining.fn(workdir=str(workdir), **given)
    except WentOnError as found:
        return found


def test_a_retraining_that_is_told_nothing_takes_what_was_published_last_and_the_champions_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(tmp_path, None)
    (tmp_path / "today.csv").write_text("id,image_url,description\n")
    published = keep(tmp_path / "today.csv", tmp_path, fingerprint="0123", image_base_url="http://shop.example/")
    found = retrained(tmp_path, monkeypatch)
    assert (found.request.catalog, found.request.image_base_url) == (str(published), "http://shop.example/")
    assert found.settings == SETTINGS
    other = replace(SETTINGS, fetch=FetchConfig(concurrency=3))
    again = retrained(tmp_path, monkeypatch, catalog="c", settings=other)
    assert again.settings == SETTINGS, "resumed, it goes on as it began"


def test_a_content_that_is_known_is_nothing_new_unless_its_pictures_shall_be_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(tmp_path, {"epochs": 1, "model_uri": "models:/ec-descr-gen/1"})
    found = retrained(tmp_path, monkeypatch, catalog="c", settings=SETTINGS)
    assert found["decision"].startswith("nothing new: run 00000001 has had this content with these settings; version 1")
    shutil.rmtree(run_folder(tmp_path, "00000009"))
    anew = replace(SETTINGS, fetch=FetchConfig(refresh=True))
    assert retrained(tmp_path, monkeypatch, catalog="c", settings=anew).settings == anew


def test_pictures_of_another_size_than_the_champions_are_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(tmp_path, None)
    smaller = replace(SETTINGS, image=ImageConfig(size_px=32))
    with pytest.raises(UserError, match=r"models:/ec-descr-gen/1 looks at pictures of image\.size_px=64, .* with 32 "):
        retrained(tmp_path, monkeypatch, catalog="c", settings=smaller)


def test_weights_to_start_from_are_the_same_ones_when_the_run_goes_on_and_none_without_a_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "fetch", lambda _, model_uri, folder: folder / model_uri.rpartition("/")[2])
    config, folder = TrainConfig(warm_start="champion"), tmp_path / "runs" / "00000002"
    start_run(SETTINGS.tracking, run_dir=folder, name="r", parameters={}, tags={})
    assert fetch_warm_start.fn(folder, config) == replace(config, warm_start="")
    client = registered(tmp_path, None)
    assert fetch_warm_start.fn(folder, config).warm_start == "", "as it began"
    (folder / "manifests" / "warm_start.json").unlink()
    for _ in range(2):
        assert fetch_warm_start.fn(folder, config).warm_start == str(tmp_path / "models" / "1")
        client.create_model_version("ec-descr-gen", str(tmp_path))
        client.set_registered_model_alias("ec-descr-gen", "champion", "2")


def test_a_model_is_evaluated_on_pictures_and_a_split_as_its_own() -> None:
    config = {"image": asdict(ImageConfig(size_px=48)), "split_seed": 7}
    wanted = replace(SETTINGS, image=ImageConfig(size_px=48), sample=replace(SETTINGS.sample, split_seed=7))
    assert as_the_models_own(SETTINGS, config) == wanted != SETTINGS
    del config["split_seed"]  # a model of an earlier release
    assert as_the_models_own(SETTINGS, config).sample == SETTINGS.sample


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
