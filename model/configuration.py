"""How configurations describe and check themselves.

Every configuration is a frozen keyword-only dataclass beside the engine that it configures. A field is declared
with `setting`, which keeps its description and unit for ``ec-descr-gen config explain`` and for Prefect's forms,
and checked in ``__post_init__`` with `check`.
"""

from collections.abc import Collection
from dataclasses import field
from typing import Any

from model.errors import SettingError


def setting(default: Any, description: str, *, unit: str = "") -> Any:
    """A dataclass field with a default, a description in one sentence, and a unit where it has one."""
    metadata = {"description": description, "unit": unit}
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def check(condition: bool, name: str, value: object, bound: str) -> None:
    """Raise a SettingError that names the field, the value and the bound, unless the condition holds."""
    if not condition:
        raise SettingError(f"{name} is {value!r}: must be {bound}")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise a SettingError that lists the choices, unless the value is one of them."""
    check(value in choices, name, value, "one of " + ", ".join(map(str, choices)))
