"""Step 10, of `retrain` alone: the new model against the champion. The alias moves only if the new one is better."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import task

from model.errors import RunError
from model.settings import SearchConfig
from tasks.evaluate import COMPARISON_NOTE, held_out, side_by_side
from tasks.manifest import read_manifest, write_manifest
from tasks.markdown import escape
from tasks.read import Dataset
from tasks.register import write_note
from tasks.scoring.config import ScoreConfig
from tasks.scoring.evaluation import search_in_words
from tasks.scoring.gate import GateConfig, in_words, passes
from tasks.scoring.report import ScoreReport
from tasks.shown import show_page
from tasks.step import RETRIED
from tasks.tracking import TrackedRun, registry_of
from tasks.tracking.registry import CHALLENGER, CHAMPION, Registry


@task(name="decide on the champion", **RETRIED)
def promote(
    dataset: Dataset,
    run_dir: Path,
    model_dir: Path,
    version: str,
    report: dict[str, Any],
    *,
    search: SearchConfig,
    score: ScoreConfig,
    gate: GateConfig,
    catalog: str,
    device: str,
) -> dict[str, Any]:
    """Compare a registered model with the champion on products that neither was trained on; promote it if better.

    The decision is kept before the alias moves, so a retry or a resumed run finds it and only carries it out. Where
    another version has become the champion since, it says nothing of that one and is made anew.

    Args:
        dataset: packed.
        run_dir: of the run.
        model_dir: the new model.
        version: the new model's, in the registry.
        report: of `evaluate`.
        search: how both models search for their descriptions.
        score: how scores are computed.
        gate: which one decides, and how sure it must be.
        catalog: how to name the data.
        device: where both models run.

    Returns:
        champion (the version compared with; empty if there was none), decision (a sentence), promoted, alias,
        comparison (score -> both values, difference, interval, confidence), conditions (what it was measured on),
        and carried_out if the alias was moved.

    Raises:
        UserError: the champion's model cannot be had.
        RunError: the registry does not answer, or the score that decides could not be computed.
    """
    tracked = TrackedRun(run_dir)
    registry = registry_of(run_dir, tracked.config)
    facts, champion = read_manifest(run_dir, "promote"), registry.champion()
    while facts is None or _version_of(champion) not in {facts.get("champion"), version}:
        found = _decide(
            tracked, registry, champion, dataset, model_dir, version,
            search=search, score=score, gate=gate, catalog=catalog, device=device,
        )  # fmt: skip
        facts = {"champion": _version_of(champion), **found}
        write_manifest(run_dir, "promote", files=[], facts=facts)
        champion = registry.champion()  # comparing takes minutes
    if facts["promoted"] and not facts.get("carried_out"):  # once: who rolls it back means it
        registry.promote(version)
        facts["carried_out"] = True
        write_manifest(run_dir, "promote", files=[], facts=facts)
    registry.tag(version, {"decision": facts["decision"]})
    tracked.log_tags({"decision": facts["decision"], "promoted": str(facts["promoted"]).lower()})
    for name, found in facts["comparison"].items():
        values = {"champion": "first", "new": "second", "difference": "difference", "confidence": "confidence"}
        tracked.log_metrics({f"gate/{name}_{what}": found[value] for what, value in values.items()})
    write_note(tracked, ScoreReport.from_json(report), {"decision": facts["decision"], "dataset": dataset.id})
    page = [f"**{facts['decision']}**", escape(facts["conditions"])]
    if facts["comparison"]:
        page.append((run_dir / COMPARISON_NOTE).read_text(encoding="utf-8"))
    show_page("\n\n".join(page), key="decision", description=f"version {version}")
    return {**facts, "alias": CHAMPION if _version_of(registry.champion()) == version else CHALLENGER}


def _version_of(champion: dict[str, Any] | None) -> str:
    return str(champion["version"]) if champion is not None else ""


def _decide(
    tracked: TrackedRun,
    registry: Registry,
    champion: dict[str, Any] | None,
    dataset: Dataset,
    model_dir: Path,
    version: str,
    *,
    search: SearchConfig,
    score: ScoreConfig,
    gate: GateConfig,
    catalog: str,
    device: str,
) -> dict[str, Any]:
    if champion is None or champion["version"] == version:
        decision = f"promoted: version {version} is the champion, there was none before"
        return {"decision": decision, "promoted": True, "comparison": {}, "conditions": ""}
    champion_dir = registry.fetch(champion["model_uri"], tracked.workdir / "models")
    products = held_out(dataset, catalog, "", [model_dir, champion_dir])
    chose = "that chose the new model's epoch" if products.chose_epoch_of(model_dir) else ""
    scored = f"{products.split} split of {catalog}, {len(products.table):,} products{chose and f' {chose}'}"
    conditions = (
        f"{scored}; {products.excluded:,} left out, as one of the two was trained on them; both free-running, "
        f"{search_in_words(search)}."
    )
    stays = f"version {champion['version']} stays the champion"
    if products.table.empty:
        decision = f"kept: {stays}; no product is left that neither model was trained on"
        return {"decision": decision, "promoted": False, "comparison": {}, "conditions": conditions}
    if gate.score != "bertscore_f1":
        score = replace(score, bertscore="never")
    found = side_by_side(
        products, tracked.run_dir, model_dir, champion_dir,
        search=search, config=score, level=gate.confidence, device=device,
    )  # fmt: skip
    if gate.score not in found:
        raise RunError(f"gate.score={gate.score} could not be computed, so nothing is decided: mend that, then resume")
    better = passes(found[gate.score])
    outcome = (
        f"promoted: version {version} takes the place of version {champion['version']}" if better else f"kept: {stays}"
    )
    return {
        "decision": f"{outcome}; {in_words(found[gate.score], gate)}{chose and f', on products {chose}'}",
        "promoted": better,
        "comparison": {name: comparison.to_json() for name, comparison in found.items()},
        "conditions": conditions,
    }
