"""What a run does with ``device=fitted`` before it starts."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.config.devices import FittedConfig
from runner.config.measurement import read_pulse_csv
from runner.config.schema import Config
from runner.errors import UserError
from runner.files import write_atomic

if TYPE_CHECKING:
    from runner.device.fit import Fit

log = logging.getLogger(__name__)

_GROUPS = ("device", "fast_device")
_DECIDES = ("sha256", "model", "g_min", "g_max")


def fit_devices(cfg: Config) -> tuple[Config, dict[str, Fit]]:
    """Fit the devices that are to be fitted; writes nothing.

    A run that goes on takes what its folder's ``config.yaml`` says was found before.

    Returns:
        The configuration with ``parameters`` filled in, and the new fits by group.

    Raises:
        UserError: a file is bad, has changed since the command was read, or can not be fitted.
    """
    fits = {}
    for group in _GROUPS:
        device = getattr(cfg, group)
        if not isinstance(device, FittedConfig) or device.parameters is not None:
            continue
        found = _found_before(Path(cfg.run.dir), group, device)
        if found is None:
            from runner.device.fit import fit_device
            from runner.device.store import parameters

            traces, sha256 = read_pulse_csv(Path(str(device.csv)), f"{group}.csv")
            if sha256 != device.sha256:
                raise UserError(f"{group}.csv={device.csv}: has changed since the run was named")
            fits[group] = fit_device(traces, device)
            found = parameters(fits[group])
        cfg = dataclasses.replace(cfg, **{group: dataclasses.replace(device, parameters=found)})
    return cfg, fits


def _found_before(run_dir: Path, group: str, device: FittedConfig) -> str | None:
    try:
        kept: Any = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))[group]
        same = all(kept[name] == getattr(device, name) for name in _DECIDES)
        return kept["parameters"] if same else None
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def keep_fits(cfg: Config, fits: dict[str, Fit], folder: Path) -> None:
    """Write each fit into the run folder: numbers, picture and the device as YAML."""
    from runner.device.store import device_yaml, write_fit

    for group, fit in fits.items():
        wanted = getattr(cfg, group)
        write_atomic(folder / f"{group}.yaml", device_yaml(fit, wanted).encode())
        write_fit(fit, wanted, folder, f"{group}_fit")
        log.info(
            "%s: %s fitted to %s, residual %.4g in weights (%s_fit.png)",
            group, wanted.model, wanted.csv, fit.residual, group,
        )  # fmt: skip
