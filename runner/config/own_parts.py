"""Models, algorithms, devices and data sets that other packages register.

A package names a configuration class in an entry point of the group ``warmtile.model``,
``warmtile.algorithm``, ``warmtile.device`` or ``warmtile.data``; docs/own_parts.md has an example.
"""

from __future__ import annotations

import dataclasses
import functools
from importlib.metadata import entry_points
from typing import Any

from runner.config.errors import ConfigError
from runner.config.folders import conf_dir

GROUPS = ("model", "algorithm", "device", "data")
"""Groups of the configuration that can be extended."""

_MAKER = {"model": "build", "algorithm": "rpu_config", "device": "build", "data": "load"}


@functools.cache
def own_parts() -> dict[str, dict[str, type]]:
    """Registered configuration classes by group and name.

    Raises:
        ConfigError: an entry point can not be loaded, or is not what it should be.
    """
    return {group: _group(group) for group in GROUPS}


def _group(group: str) -> dict[str, type]:
    found: dict[str, type] = {}
    for entry in entry_points(group=f"warmtile.{group}"):
        where = f"entry point warmtile.{group}: {entry.name}"
        if (conf_dir() / group / f"{entry.name}.yaml").is_file():
            raise ConfigError(where, entry.value, "this name is a built-in option's")
        try:
            part: Any = entry.load()
        except Exception as error:
            raise ConfigError(where, entry.value, f"{type(error).__name__}: {error}") from error
        if not (isinstance(part, type) and dataclasses.is_dataclass(part)):
            raise ConfigError(where, entry.value, "must be a dataclass")
        names = [f.default for f in dataclasses.fields(part) if f.name == "name"]
        if names != [entry.name]:
            raise ConfigError(where, entry.value, f"its key name must be {entry.name!r}")
        if not callable(getattr(part, _MAKER[group], None)):
            raise ConfigError(where, entry.value, f"has no method {_MAKER[group]}")
        found[entry.name] = part
    return found


def default_values(part: type) -> dict[str, Any]:
    """The keys of a registered class with their defaults, as a YAML option would hold them.

    A device that names no step has ten states, like the built-in ones.
    """
    values = dataclasses.asdict(part())
    if "n_states" in values and values["n_states"] is values.get("dw_min") is None:
        values["n_states"] = 10
    return values
