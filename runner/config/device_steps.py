"""A device's step, named by ``n_states`` or by ``dw_min``: which of the two a run means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml import YAMLError

from runner.config.errors import NO_VALUE, ConfigError
from runner.config.overrides import first_line, typed_paths
from runner.config.own_parts import default_values, own_parts

_GROUPS = ("device", "fast_device")
_STEP = ("n_states", "dw_min")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def complete_overrides(overrides: Sequence[str]) -> list[str]:
    """Let ``device.n_states`` replace a preset's ``device.dw_min`` and the other way round."""
    typed = typed_paths(overrides)
    pairs = [(f"{g}.{a}", f"{g}.{b}") for g in _GROUPS for a, b in (_STEP, _STEP[::-1])]
    added = [f"{other}=null" for given, other in pairs if given in typed and other not in typed]
    return [*overrides, *added]


def own_steps(overrides: Sequence[str], folders: Sequence[Path]) -> dict[str, float]:
    """Steps (dw_min) of the devices that are chosen on the command line and keep their own.

    The number of states in an experiment is meant for the experiment's device; only one that is
    typed changes ``device=reram_es``.

    Args:
        overrides: of the run.
        folders: that hold the groups, the first one first.

    Returns:
        ``dw_min`` by group.
    """
    typed = typed_paths(overrides)
    found = {}
    for group in _GROUPS:
        if group not in typed or {f"{group}.{name}" for name in _STEP} & typed:
            continue
        option = next(t.split("=", 1)[1] for t in reversed(overrides) if t.startswith(f"{group}="))
        step = device_options(folders).get(option.strip("'\""), {}).get("dw_min")
        if step is not None:
            found[group] = step
    return found


def device_options(folders: Sequence[Path]) -> dict[str, Any]:
    """The keys of every device, by option: files of the folders, then registered classes."""
    found = {name: default_values(part) for name, part in own_parts()["device"].items()}
    for folder in reversed(folders):
        for file in sorted((folder / "device").glob("*.yaml")):
            try:
                loaded = yaml.load(file.read_text(encoding="utf-8"), _Loader)
            except (OSError, YAMLError) as error:
                raise ConfigError(str(file), NO_VALUE, first_line(error)) from None
            if isinstance(loaded, dict):
                found[file.stem] = loaded
    return found
