"""The command line of ``python -m runner.device``, checked. Loads neither torch nor numpy."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.config.compose import load_config
from runner.config.devices import IdealConfig
from runner.config.errors import ConfigError
from runner.config.overrides import typed_paths
from runner.config.paths import check_folder


def compose_device(overrides: Sequence[str], config_dir: str | None = None) -> Any:
    """The device that `overrides` describe.

    Args:
        overrides: ``device=OPTION`` and ``device.KEY=VALUE``.
        config_dir: one more folder of YAML groups.

    Raises:
        ConfigError: for the first thing that is wrong.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(key, None, "must be key=value, e.g. device=soft_bounds")
        if key.lstrip("+~").split(".")[0] != "device":
            raise ConfigError(key, value, "is not a key of a device; only those count here")
    if "device" not in typed_paths(overrides):
        overrides = ["device=soft_bounds", *overrides]
    device = load_config(["algorithm=analog_sgd", "run.dir=.", *overrides], config_dir).device
    if isinstance(device, IdealConfig):
        raise ConfigError("device", "ideal", "has no pulse response: it takes any change exactly")
    return device


def output_folder(given: str | None, device: Any, counts: Mapping[str, Any]) -> Path:
    """Folder for the pictures: `given`, or one named by the device and a hash of all that counts.

    Raises:
        ConfigError: it can not be one.
    """
    values = {k: v for k, v in dataclasses.asdict(device).items() if k not in ("csv", "parameters")}
    text = json.dumps([values, dict(counts)], sort_keys=True)
    slug = f"{device.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    try:
        folder = Path("runs") / "devices" / slug if given is None else Path(given).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError("--out", given, str(error)) from None
    check_folder("--out", str(folder), folder)
    return folder
