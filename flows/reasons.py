"""Why a run stopped and how it goes on, where people look: on the run's page in Prefect, in MLflow, in `runs`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.runs import RunRecord, load_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

ARTIFACT_KEY = "why-it-stopped"


def resume_command(run_id: str, workdir: Path) -> str:
    """What to type to go on with a run."""
    return shlex.join(["ec-descr-gen", "resume", run_id, "--workdir", str(workdir)])


def how_to_go_on(record: RunRecord | None, workdir: Path, *, deployed: bool) -> str:
    """A sentence for whoever reads why a run stopped. Prefect retries only what a deployment started."""
    if record is None:  # `resume` would not find it
        return f"It had not begun: {'Retry begins it' if deployed else 'start it again'}."
    if record.state == "refused":
        return "Nothing was done yet: mend that, then start it again."
    command = resume_command(record.run_id, workdir)
    return f"{'Retry goes on where it stopped; so does' if deployed else 'It goes on where it stopped with'}: {command}"


def tell_why(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """A hook of flows that failed, crashed or were cancelled: leaves an artifact on the run's page."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate

    workdir = Path(flow_run.parameters.get("workdir", "workspace"))
    record = load_run(workdir, str(flow_run.id)[:8])
    stage = f" in stage **{record.stage}**" if record else " before its first stage"
    reason = (record.reason if record else "") or state.message or "its process ended without a word"
    next_step = how_to_go_on(record, workdir, deployed=flow_run.deployment_id is not None)
    text = f"### {state.name}{stage}\n\n{reason}\n\n{next_step}\n"
    with get_client(sync_client=True) as client:
        client.create_artifact(
            ArtifactCreate(
                key=ARTIFACT_KEY,
                type="markdown",
                description=f"why this run of {flow.name} stopped",
                data=text,
                flow_run_id=flow_run.id,
            )
        )


# For every flow that works in a working directory.
TOLD: dict[str, Any] = {"on_failure": [tell_why], "on_crashed": [tell_why], "on_cancellation": [tell_why]}


def catalogue_name() -> str:
    """The name of a flow run before its products are counted."""
    from prefect.runtime import flow_run

    return Path(flow_run.parameters["catalog"] or "the latest catalogue").name


def name_with_products(catalog: str, rows: dict[str, int]) -> None:
    """Name the flow run around us after its catalogue and how many products it has."""
    from prefect.client.orchestration import get_client
    from prefect.runtime import flow_run

    with get_client(sync_client=True) as client:
        client.set_flow_run_name(flow_run.id, f"{Path(catalog).name}: {sum(rows.values()):,} products")
