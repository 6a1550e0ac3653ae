"""Simulate or fit a device and leave pictures and tables of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from runner.config.devices import FittedConfig, PCMConfig
from runner.config.measurement import read_pulse_csv
from runner.device.figures import draw_behaviour
from runner.device.fit import Fit, fit_device
from runner.device.response import Behaviour, Response, behaviour, default_ramp
from runner.device.store import device_yaml, option_name, write_fit
from runner.files import write_atomic

_QUANTITIES = (
    ("lower saturation", "lower"),
    ("upper saturation", "upper"),
    ("symmetry point", "symmetry_point"),
    ("step at the symmetry point", "step"),
    ("effective number of states", "states"),
)


def show_device(
    device: Any, out: Path, n_devices: int, n_cycles: int, ramp: int | None, seed: int
) -> None:
    """Write ``response.png|svg``, ``response.csv``, ``turns.csv``, ``steps.csv``, ``summary.csv``
    and the device's YAML into a folder, and print the summary.

    A fitted device is fitted first, and its fit written too.

    Args:
        device: typed and checked configuration.
        out: folder; made where it is missing.
        n_devices, n_cycles, ramp, seed: as for `runner.device.response.behaviour`.

    Raises:
        UserError: the fit finds no device.
    """
    console = Console()
    name = device.name
    fit: Fit | None = None
    wanted = device
    if isinstance(device, FittedConfig):
        traces, _ = read_pulse_csv(Path(str(device.csv)))
        fit = fit_device(traces, device)
        name, device = option_name(device), fit.device
    ramp = default_ramp(device) if ramp is None else ramp
    found = behaviour(device, n_devices, n_cycles, ramp, seed)
    out.mkdir(parents=True, exist_ok=True)
    if fit is not None:
        write_fit(fit, wanted, out, "fit")
        (out / "device").mkdir(exist_ok=True)
        write_atomic(out / "device" / f"{name}.yaml", device_yaml(fit, wanted).encode())
    else:
        write_atomic(out / "device.yaml", _plain_yaml(device).encode())
    _write_tables(found, out)
    caption = (
        f"n = {n_devices} devices, {n_cycles} cycles, seed {seed}, ramps of {ramp} pulses; thin: "
        f"single devices. Nominal states: {device.states:.4g}."
    )
    targets = [out / "response.png", out / "response.svg"]
    draw_behaviour(found, targets, name, caption)
    if fit is not None:
        console.print(_fit_table(fit))
    console.print(_summary_table(found, name, device.states))
    if isinstance(device, PCMConfig):
        console.print("A pair remembers its pulses: its step depends on more than the weight.")
    console.print(f"{out}: response.png, summary.csv and others", soft_wrap=True)
    if fit is not None:
        console.print(f"Use it: --config-dir {out} device={name}", soft_wrap=True)


def _plain_yaml(device: Any) -> str:
    import dataclasses

    values = dataclasses.asdict(device)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    return yaml.safe_dump(plain, sort_keys=False)


def _write_tables(found: Behaviour, out: Path) -> None:
    ramp_end = found.up_down.pulses[-1] // 2
    polarity = ["-", *np.where(found.up_down.pulses[1:] <= ramp_end, "up", "down")]
    _write(out / "response.csv", _response_rows(found.up_down, polarity))
    _write(out / "turns.csv", _response_rows(found.alternating, None))
    steps = found.steps
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(steps.up).sum(axis=1)
        rows: list[list[Any]] = [["weight", "up", "up_sd", "down", "down_sd", "devices"]]
        for i, node in enumerate(steps.nodes):
            up, down = (_known(curve[i]) for curve in (steps.up, steps.down))
            rows.append([node, *_mean_sd(up), *_mean_sd(down), int(counts[i])])
    _write(out / "steps.csv", rows)
    rows = [["quantity", "mean", "sd_devices", "devices"]]
    for label, attribute in _QUANTITIES:
        values = _known(getattr(found, attribute))
        rows.append([label, *_mean_sd(values), len(values)])
    _write(out / "summary.csv", rows)


def _response_rows(response: Response, polarity: list[str] | None) -> list[list[Any]]:
    head = ["pulses", "weight", "sd_devices", "sd_cycles"]
    columns: list[Any] = [
        response.pulses, response.mean, response.device_spread, response.cycle_spread,
    ]  # fmt: skip
    if polarity is not None:
        head, columns = ["polarity", *head], [polarity, *columns]
    return [head, *map(list, zip(*columns, strict=True))]


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _mean_sd(values: NDArray[np.float64]) -> tuple[Any, Any]:
    return (values.mean(), values.std()) if len(values) else ("", "")


def _write(path: Path, rows: list[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([f"{v:.7g}" if isinstance(v, float) else v for v in row])
    write_atomic(path, text.getvalue().encode())


def _summary_table(found: Behaviour, name: str, nominal: float) -> Table:
    table = Table(title=f"{name}, {nominal:.4g} nominal states", title_justify="left")
    for head in ("", "mean", "sd over devices", "devices"):
        table.add_column(head, justify="left" if not head else "right")
    for label, attribute in _QUANTITIES:
        values = _known(getattr(found, attribute))
        mean, spread = _mean_sd(values)
        shown = (f"{mean:.4g}", f"{spread:.3g}") if len(values) else ("none", "")
        table.add_row(label, *shown, str(len(values)))
    return table


def _fit_table(fit: Fit) -> Table:
    title = f"{fit.device.name}: residual {fit.residual:.4g} in weights (measured range: 2)"
    table = Table(title=title, title_justify="left")
    for head in ("key", "value", "standard error, at least"):
        table.add_column(head, justify="left" if head == "key" else "right")
    noise = ("dw_min_std", "write_noise_std", "dw_min_dtod")
    for key in (*fit.errors, *(n for n in noise if n in fit.values)):
        error = fit.errors.get(key)
        value = fit.values[key]
        table.add_row(key, f"{value:.5g}", "" if error is None else f"{error:.2g}")
    return table
