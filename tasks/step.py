"""What every step of the pipeline shares as a Prefect task."""

from typing import Any, cast

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import TaskRunNameCallbackWithParameters

from model.errors import UserError
from tasks.manifest import read_manifest

HANGS_S = 6 * 3600.0  # the slowest step beside training takes minutes, with a million products an hour or two


def worth_a_retry(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Whether running the step again may help: not after a user's mistake or a defect of ours, which stay."""
    return not isinstance(state.result(raise_on_failure=False), UserError | AssertionError)


def counted(what: str, stage: str, key: str, *splits: str) -> TaskRunNameCallbackWithParameters:
    """Names a task run after how many products an earlier stage left it, in some splits or in all."""

    def name(parameters: dict[str, Any]) -> str:
        facts = read_manifest(parameters["dataset"].folder, stage) or {}
        counts = facts.get(key, {})
        return f"{what}: {sum(count for split, count in counts.items() if split in (splits or counts)):,} products"

    return cast("TaskRunNameCallbackWithParameters", name)


# A step looks at its manifest first, so running it again is safe and quick.
RETRIED: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [5, 30],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": worth_a_retry,
    "timeout_seconds": HANGS_S,
    "persist_result": False,
    "cache_policy": None,
}
# Training fails for reasons that stay (no memory, no finite loss) and may take days: no second try, no time limit.
ONCE: dict[str, Any] = {"persist_result": False, "cache_policy": None}
