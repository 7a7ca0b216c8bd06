"""The arguments of the command line as the parameters of a flow."""

from collections.abc import Sequence
from typing import Any

from flows.settings import compose


def nested_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """What `--preset` and `--set` among the arguments make of the settings."""
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
    [preset] = [value for name, value in pairs if name == "--preset"]
    return compose(preset=preset, assignments=[value for name, value in pairs if name == "--set"]).nested()
