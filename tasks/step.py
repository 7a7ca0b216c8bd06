"""What every step of the pipeline shares as a Prefect task."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from model.errors import UserError


def worth_a_retry(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Whether running the step again may help: not after a user's mistake, which stays one."""
    return not isinstance(state.result(raise_on_failure=False), UserError | ValueError | AssertionError)


# A step looks at its manifest first, so running it again is safe and quick.
RETRIED: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [5, 30],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": worth_a_retry,
    "persist_result": False,
    "cache_policy": None,
}
ONCE: dict[str, Any] = {"persist_result": False, "cache_policy": None}
