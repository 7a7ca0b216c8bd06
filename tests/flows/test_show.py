"""What the command line shows of results that lack something."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from flows import show
from flows.demo import demo_table
from flows.describing import file_name
from tasks.drafts.asked import Asked
from tasks.pictures.outcome import Failed

COUNTS = {"count": 3, "type": 1.0, "colour": 0.5, "both": 0.5}
SCORES = {"bleu_1": 0.4, "bleu_4": 0.1, "cider_d": 0.5, "rouge_l": 0.3, "ended": 1.0}


def test_a_demo_without_a_test_split_and_without_a_ceiling_shows_what_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "pipeline_table", lambda _: None)  # the run's own table is tested with the chain
    result: dict[str, Any] = {
        "scores": {"validation": SCORES},
        "baselines": {"constant": SCORES},
        "demo": {"all": COUNTS, "held_out": COUNTS | {"count": 0}},
    }
    demo_table(result)
    shown = capsys.readouterr().out
    assert "all validation products (3): type right 100.0%" in shown
    assert "ceiling" not in shown
    demo_table(result | {"baselines": {"ceiling": SCORES}})
    assert "BLEU-4 is 100% of the ceiling's" in capsys.readouterr().out


def test_the_scores_are_shown_as_every_other_page_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"the model": SCORES | {"bleu_2": 0.3, "bleu_3": 0.2}, "constant": {"bleu_4": 0.06251, "cider_d": 1.25}}
    show.stdout().print(show._scores(rows, "test", chose=False))
    title, heading, model, constant = capsys.readouterr().out.splitlines()
    assert title.rstrip() == "Scores of 1 (CIDEr-D of 10) on the test split, free-running"
    assert heading.split() == ["writer", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "CIDEr-D", "ROUGE-L"]
    assert model.split() == ["the", "model", "0.400", "0.300", "0.200", "0.100", "0.500", "0.300"]
    assert constant.split() == ["best", "constant", "sentence", "0.063", "1.250"]


def test_a_retrainings_table_says_which_score_is_the_champions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "pipeline_table", lambda _: None)  # the run's own table is tested with the chain
    numbers = {"first": 0.1, "second": 0.25, "difference": 0.15, "low": 0.05, "high": 0.2, "confidence": 0.995}
    show.retraining_table({"records": {}, "comparison": {"bleu_4": numbers}})
    heading, row = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert heading[:4] == ["score", "champion", "this", "model"]
    assert row == ["BLEU-4", "0.100", "0.250", "+0.150", "+0.050", "…", "+0.200", "99.5%"]


def test_what_looks_like_markup_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    said = "[/x.csv] [bold] :dress:"
    row = {
        "run": "a",
        "state": "failed",
        "stage": "fetch",
        "progress": "5 of 9 pictures",
        "started_at": "",
        "resume": "",
    }
    show.runs_table([row | {"catalog": "c.csv", "reason": said}])
    show.settings_table([{"key": "a", "value": said, "unit": "", "default": said, "description": ""}])
    show.drafts([{"picture": said, "description": said, "confidence": 0.5, "reasons": [said]}])
    show.message(said)
    shown = capsys.readouterr().out
    assert shown.count(said) == 6
    assert "fetch: 5 of 9 pictures" in shown


def test_drafts_of_a_file_whose_review_columns_were_deleted_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show.drafts_written([{"id": "1", "description": "a hat"}, {"id": "2", "description": ""}], Path("drafts.csv"))
    assert "drafts.csv: 1 drafts, 0 of them to be read" in capsys.readouterr().out


def test_what_drafts_need_a_person_and_why_others_are_none_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"description": "", "needs_review": True, "reasons": ["no picture: empty"]}
    written = [{"id": one, "description": "A hat.", "needs_review": False, "reasons": []} for one in "12"]
    written.append(written[0] | {"needs_review": True, "reasons": ["cut at the longest length"]})
    show.drafts_written([*written, failed, failed], Path("drafts.csv"))
    assert capsys.readouterr().out.splitlines() == [
        "drafts.csv: 3 drafts, 1 of them to be read by a person first (needs_review)",
        "  2 without a draft: no picture: empty",
    ]


@pytest.mark.parametrize(
    ("record_id", "picture", "name"),
    [
        ("SKU.1", "a.jpg", "SKU.1"),
        ("a/b c", "", "a-b-c"),
        ("../x", "", "--x"),
        ("", "https://h/p/hat.v2.jpg", "hat.v2"),
    ],
)
def test_a_product_s_own_file_is_called_by_its_id_and_stays_in_its_folder(
    record_id: str, picture: str, name: str
) -> None:
    asked = Asked(picture=picture, address=Failed(reason="malformed_url"), id=record_id)
    assert file_name(asked) == name


@pytest.mark.parametrize("store", ["/a b/workspace/mlflow.db", "/elsewhere/it's.db"])
def test_the_command_that_shows_mlflows_pages_is_one_that_a_shell_takes_with_the_stores_own_files(
    store: str,
) -> None:
    uri = f"sqlite:///{store}"
    result = {
        "epochs": 1, "best_epoch": 1, "model_dir": "m", "dataset_dir": "/a b/workspace/datasets/d",
        "mlflow": {"tracking_uri": uri},
    }  # fmt: skip
    [line] = [cell for cell in show._places(result).columns[1]._cells if str(cell).startswith("mlflow")]
    files = str(Path(store).parent / "mlartifacts")
    assert shlex.split(str(line)) == ["mlflow", "ui", "--backend-store-uri", uri, "--artifacts-destination", files]
