"""What of a fit is kept: the device as YAML, its numbers as JSON, a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from runner.config.devices import FittedConfig
from runner.config.errors import one_line
from runner.device.fit import Fit
from runner.files import write_atomic


def option_name(wanted: FittedConfig) -> str:
    """Name of the fitted device as an option: ``fitted_`` and the name of its file."""
    stem = re.sub(r"[^A-Za-z0-9]+", "_", Path(str(wanted.csv)).stem).strip("_").lower()
    return f"fitted_{stem[:40] or 'device'}_{wanted.model}"


def device_yaml(fit: Fit, wanted: FittedConfig) -> str:
    """The fitted device as a file of a ``device`` folder."""
    name = one_line(Path(str(wanted.csv)).name)
    head = (
        f"# {fit.device.name} fitted to {name} (SHA-256 {wanted.sha256}),\n"
        f"# {len(fit.traces)} device(s), {sum(map(len, fit.pulses))} pulses, residual "
        f"{fit.residual:.4g}; w = -1 is a conductance of {fit.g_min:g}, w = 1 of {fit.g_max:g}.\n"
    )
    return head + yaml.safe_dump(fit.values, sort_keys=False)


def fit_record(fit: Fit, wanted: FittedConfig) -> dict[str, Any]:
    """The numbers of a fit."""
    return {
        "csv": str(wanted.csv),
        "sha256": wanted.sha256,
        "model": wanted.model,
        "devices": len(fit.traces),
        "pulses": sum(map(len, fit.pulses)),
        "g_min": fit.g_min,
        "g_max": fit.g_max,
        "residual": fit.residual,
        "evaluations": fit.evaluations,
        "standard_errors": fit.errors,
        "device": fit.values,
    }


def write_fit(fit: Fit, wanted: FittedConfig, folder: Path, stem: str) -> None:
    """Write ``<stem>.json``, ``<stem>.png`` and ``<stem>.svg`` into a folder that exists."""
    from runner.device.figures import draw_fit

    record = json.dumps(fit_record(fit, wanted), indent=2) + "\n"
    write_atomic(folder / f"{stem}.json", record.encode())
    title = f"{wanted.model} fitted to {Path(str(wanted.csv)).name}"
    draw_fit(fit, [folder / f"{stem}.png", folder / f"{stem}.svg"], title)


def parameters(fit: Fit) -> str:
    """The device as the key ``device.parameters`` holds it."""
    return json.dumps(fit.values, sort_keys=True)
