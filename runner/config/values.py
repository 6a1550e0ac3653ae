"""A `Config` as plain values and back, its hash and the name of its run folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.config.check import config_from_values
from runner.config.errors import ConfigError
from runner.config.schema import Config, DeviceConfig, ReslConfig, is_pulsed

AUTO_DIR = "auto"

NOT_HASHED = (
    "name",
    "tracking",
    "data.root",
    "data.download",
    "data.workers",
    "device.csv",
    "device.parameters",
    "fast_device.csv",
    "fast_device.parameters",
    "checkpoint.every_epochs",
    "checkpoint.every_minutes",
    "checkpoint.keep",
    "run.dir",
    "run.dry",
    "run.profile",
    "run.resume",
    "sweep.dir",
    "wandb.mode",
    "wandb.project",
    "wandb.entity",
    "wandb.group",
    "wandb.tags",
    "wandb.dir",
)
"""Keys that change where and how a run is kept, not what it computes."""


def config_to_dict(config: Config) -> dict[str, Any]:
    """`config` as nested dicts, lists, numbers, texts and None, ready for YAML or JSON."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """The inverse of `config_to_dict`; checks everything.

    Raises:
        ConfigError: for a missing, unknown or wrong key.
    """
    return config_from_values(values)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts -> ``{"run.epochs": 10, ...}``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def config_hash(config: Config) -> str:
    """Eight hexadecimal digits of the SHA-256 of every key but `NOT_HASHED`."""
    flat = {k: v for k, v in flatten(config_to_dict(config)).items() if k not in NOT_HASHED}
    text = json.dumps(flat, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_slug(config: Config) -> str:
    """Readable name of a run and its hash, e.g. ``lenet5-resl-mnist-n6-s10-seed1-1a2b3c4d``."""
    if config.name is not None:
        return f"{config.name}-{config_hash(config)}"
    algorithm = config.algorithm
    parts = [config.model.name, algorithm.name, config.data.name]
    if isinstance(algorithm, ReslConfig):
        parts.append(f"n{algorithm.n_tiles}")
    if is_pulsed(algorithm):
        if config.device.name != "soft_bounds":
            parts.append(config.device.name)
        if isinstance(config.device, DeviceConfig):
            parts.append(f"s{config.device.states:.4g}")
    if config.warm_start.enabled:
        parts.append("warm")
    parts += [f"seed{config.run.seed}", config_hash(config)]
    return "-".join(parts)


def resolve_run_dir(config: Config) -> Config:
    """Replace ``run.dir=auto`` by ``sweep.dir/<slug>``, and a leading ``~`` by the home folder."""
    auto = config.run.dir == AUTO_DIR
    key, value = ("sweep.dir", config.sweep.dir) if auto else ("run.dir", config.run.dir)
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError(key, value, str(error)) from None
    folder = str(path / run_slug(config) if auto else path)
    return dataclasses.replace(config, run=dataclasses.replace(config.run, dir=folder))
