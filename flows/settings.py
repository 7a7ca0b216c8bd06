"""Composes the configuration: defaults, then a preset, then a YAML file, then ``--set key=value``; checks all of it.

The same `Settings` is the typed parameter of the flows, so Prefect's form shows and checks the same fields.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pydantic
import yaml

from flows.presets import PRESETS
from model.errors import UserError
from model.picture import ImageConfig
from model.settings import DecoderConfig, EncoderConfig, SearchConfig, TrainConfig
from model.vocabulary import VocabularyConfig
from tasks.catalog.duplicates import DeduplicateConfig
from tasks.catalog.reader import CatalogConfig
from tasks.catalog.sampling import SampleConfig
from tasks.pictures.settings import FetchConfig
from tasks.scoring.config import ScoreConfig
from tasks.scoring.gate import GateConfig
from tasks.tracking.config import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of the pipeline, a section for each step."""

    catalog: CatalogConfig = field(default_factory=CatalogConfig)
    deduplicate: DeduplicateConfig = field(default_factory=DeduplicateConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @classmethod
    def from_nested(cls, nested: dict[str, Any]) -> Self:
        """Build and check the settings from nested plain values.

        Raises:
            UserError: an unknown key or a value out of its bounds, named.
        """
        try:
            return pydantic.TypeAdapter(cls).validate_python(nested)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            if first["type"] == "value_error":  # from a section's own check, which names field, value and bound
                raise UserError(str(first["ctx"]["error"])) from None
            if first["type"] == "unexpected_keyword_argument":
                raise UserError(f"unknown setting '{key}'{suggest(key)}") from None
            raise UserError(f"{key} is {first['input']!r}: {first['msg'].lower()}") from None

    def nested(self) -> dict[str, Any]:
        """Nested plain values, such as `from_nested` takes."""
        return dataclasses.asdict(self)

    def flat(self) -> dict[str, Any]:
        """Dotted key to plain value."""
        return {f"{section}.{key}": value for section, values in self.nested().items() for key, value in values.items()}


# Prefect validates a flow's parameters with Pydantic, which would drop an unknown key of a dataclass in silence.
SECTIONS: dict[str, type[Any]] = {part.name: part.type for part in dataclasses.fields(Settings)}  # type: ignore[misc]
for _section in (Settings, *SECTIONS.values()):
    setattr(_section, "__pydantic_config__", pydantic.ConfigDict(extra="forbid", allow_inf_nan=False))  # noqa: B010


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a person may want to know of one setting."""

    key: str
    value: Any
    default: Any
    unit: str
    description: str


def explanations(settings: Settings) -> list[Explanation]:
    """Every setting with its value, default, unit and description."""
    flat, defaults = settings.flat(), Settings().flat()
    return [
        Explanation(
            key=key,
            value=flat[key],
            default=defaults[key],
            unit=part.metadata.get("unit", ""),
            description=part.metadata.get("description", ""),
        )
        for section, section_type in SECTIONS.items()
        for part in dataclasses.fields(section_type)
        for key in [f"{section}.{part.name}"]
    ]


def compose(
    *,
    preset: str | None = "default",
    file: Path | None = None,
    assignments: list[str] | None = None,
    base: Settings | None = None,
) -> Settings:
    """Compose the settings; later sources win.

    Args:
        preset: one of `PRESETS`; None starts from `base`.
        file: a YAML file, nested by section or with dotted keys.
        assignments: ``section.key=value`` each, the value in YAML.
        base: settings to start from without a preset; None: the defaults.

    Raises:
        UserError: an unknown preset or key, a file that cannot be read, a value out of its bounds.
    """
    if preset is not None and preset not in PRESETS:
        raise UserError(f"unknown preset '{preset}': choose one of {', '.join(PRESETS)}")
    nested = base.nested() if base is not None and preset is None else {}
    merge(nested, PRESETS[preset or "default"])
    if file is not None:
        merge(nested, read_yaml(file))
    for assignment in assignments or []:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: write --set section.key=value")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):  # the second of what looks like a date and is none
            value = text
        merge(nested, {key.strip(): value})
    return Settings.from_nested(nested)


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file.

    Raises:
        UserError: there is no such file, or it holds no mapping.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the configuration {path}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise UserError(f"the configuration {path}{where} is not YAML") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise UserError(f"the configuration {path} must be a mapping of settings, such as 'train: {{epochs: 5}}'")
    return loaded


def merge(nested: dict[str, Any], values: dict[str, Any]) -> None:
    """Put values, nested or under dotted keys, into nested settings. Raises UserError for an unknown key."""
    for key, value in values.items():
        section, _, rest = str(key).partition(".")
        if section not in SECTIONS:
            raise UserError(f"unknown setting '{key}'{suggest(str(key))}")
        if rest:
            names = [part.name for part in dataclasses.fields(SECTIONS[section])]
            name, _, inner = rest.partition(".")
            if name not in names:
                raise UserError(f"unknown setting '{key}'{suggest(str(key))}")
            branch = nested.setdefault(section, {})
            if inner:  # a key inside a mapping, such as catalog.columns.description
                mapping = branch.setdefault(name, {})
                if not isinstance(mapping, dict):
                    raise UserError(f"unknown setting '{key}': {section}.{name} is {mapping!r}, no mapping")
                mapping[inner] = value
            else:
                branch[name] = value
        elif isinstance(value, dict):
            merge(nested, {f"{section}.{name}": inner for name, inner in value.items()})
        else:
            raise UserError(f"{section} is {value!r}: must be a mapping, such as '{section}: {{...}}'")


def suggest(key: str) -> str:
    """' (did you mean …?)' or where to look."""
    known = [f"{section}.{part.name}" for section, kind in SECTIONS.items() for part in dataclasses.fields(kind)]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ": `ec-descr-gen config show` lists all"
