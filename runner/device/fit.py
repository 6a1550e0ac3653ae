"""Fit a device model to a measured pulse response, with aihwkit's fitting utilities (lmfit)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.config.devices import FITTED_AS, DeviceConfig, FittedConfig
from runner.config.measurement import Trace
from runner.device.response import behaviour
from runner.errors import UserError

Array = NDArray[np.float64]

_SPREADS = (
    "dw_min_dtod", "dw_min_std", "w_max_dtod", "w_min_dtod", "up_down_dtod", "gamma_up_dtod",
    "gamma_down_dtod", "pow_gamma_dtod",
)  # fmt: skip
_MIN_DEVICES = 3
_FINITE_DIFFERENCE = 1e-6  # the model computes in single precision; lmfit's own step drowns in it
_FARTHEST = 3.0  # a bound further out than this range of the data can not be told from a line


@dataclass(frozen=True)
class Fit:
    """A fitted device.

    Args:
        device: typed configuration of the fitted model, spreads included.
        errors: standard errors of the fitted keys as the least squares give them; the noise of a
            pulse response adds up from pulse to pulse, so they are lower limits.
        residual: root mean square of measurement less model, in weights (the measured range is 2).
        g_min, g_max: conductances of w = -1 and w = 1.
        traces: measured weights of each device, [t + 1].
        models: the fitted model's noise-free weights, [t + 1] each.
        pulses: +1 or -1, [t] each.
        evaluations: of the model.
    """

    device: DeviceConfig
    errors: dict[str, float]
    residual: float
    g_min: float
    g_max: float
    traces: list[Array]
    models: list[Array]
    pulses: list[NDArray[np.int64]]
    evaluations: int

    @property
    def values(self) -> dict[str, Any]:
        """Keys and values of the device, as its YAML holds them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self.device).items()
        }


def fit_device(traces: Sequence[Trace], wanted: FittedConfig) -> Fit:
    """Fit a device model; the same data give the same numbers.

    The mean behaviour is fitted by least squares to the whole of each trace, all devices with one
    set of parameters. The noise comes from the single steps' deviations e from the model's step f
    at the measured weight: write noise adds a part to e that the next step takes back, so its
    variance is ``-mean(e[t] e[t+1])``; what remains of ``mean(e**2)`` is ``dw_min_std**2
    mean(f**2)``. With three devices or more, `dw_min_dtod` is the spread of the factors that fit
    the model's steps to each device, less what the noise explains. The spreads of the bounds and
    of the asymmetry are left at 0.

    Args:
        traces: the measurement.
        wanted: model and range.

    Raises:
        UserError: the fit finds no device that can be trained on.
    """
    low = min(min(t.conductance) for t in traces) if wanted.g_min is None else wanted.g_min
    high = max(max(t.conductance) for t in traces) if wanted.g_max is None else wanted.g_max
    weights = [2 * (np.array(t.conductance) - low) / (high - low) - 1 for t in traces]
    pulses = [np.array(t.pulses) for t in traces]
    base = FITTED_AS[wanted.model]()
    quiet = {n: 0.0 for n in _SPREADS if hasattr(base, n)}
    who = f"device.csv={wanted.csv}: the fit of {wanted.model}"
    found, errors, models, evaluations = _least_squares(wanted.model, pulses, weights)
    try:
        device = dataclasses.replace(base, n_states=None, **quiet, **found)
        noise = _noise(device, pulses, weights)
        device = dataclasses.replace(device, **noise)
    except (ValueError, ArithmeticError) as error:
        raise UserError(f"{who} failed: {error}") from None
    limit = (device.w_max - device.w_min) / 2
    if device.step > limit:
        raise UserError(
            f"{who} has a step of {device.step:.3g}, less than 2 states in {device.w_min:.3g} to "
            f"{device.w_max:.3g}; try another device.model"
        )
    deviation = np.concatenate([w - m for w, m in zip(weights, models, strict=True)])
    residual = float(np.sqrt(np.mean(deviation**2)))
    return Fit(device, errors, residual, low, high, weights, models, pulses, evaluations)


def _least_squares(
    model: str, pulses: Sequence[Any], weights: Sequence[Array]
) -> tuple[dict[str, float], dict[str, float], list[Array], int]:
    from aihwkit.utils.fitting import fit_measurements

    from runner.analog.devices import MODELS

    # aihwkit applies the entry at t between the readings t and t + 1, and drops the last one.
    shifted: Any = tuple(np.append(p, p[-1]).astype(float) for p in pulses)
    responses: Any = tuple(weights)
    result, _, models = fit_measurements(
        _parameters(model, pulses, weights),
        shifted,
        responses,
        MODELS[FITTED_AS[model]](),
        method="leastsq",
        epsfcn=_FINITE_DIFFERENCE,
    )
    found = {name: float(value) for name, value in result.params.valuesdict().items()}
    errors = {
        name: float(parameter.stderr)
        for name, parameter in result.params.items()
        if parameter.vary and parameter.stderr is not None
    }
    return found, errors, [r[:, 0].astype(np.float64) for r in models], int(result.nfev)


def _parameters(model: str, pulses: Sequence[Any], weights: Sequence[Array]) -> dict[str, Any]:
    """What is varied, as (start, lowest, highest), and what is fixed."""
    moved = np.concatenate([np.diff(w) * p for w, p in zip(weights, pulses, strict=True)])
    step = float(np.clip(moved.mean(), 1e-5, 0.3))
    low = float(min(w.min() for w in weights))
    high = float(max(w.max() for w in weights))
    low, high = min(low, -1e-3), max(high, 1e-3)
    found: dict[str, Any] = {
        "dw_min": (step, step / 30, min(30 * step, 0.99)),
        "up_down": (0.0, -0.95, 0.95),
    }
    if model in ("soft_bounds", "pow_step"):
        found["w_max"] = (1.05 * high, 0.5 * high, _FARTHEST * high)
        found["w_min"] = (1.05 * low, _FARTHEST * low, 0.5 * low)
    else:
        found |= {"w_max": high, "w_min": low}
    if model == "linear_step":
        found |= {"gamma_up": (0.5, 0.0, 2.0), "gamma_down": (0.5, 0.0, 2.0)}
    if model == "pow_step":
        found |= {"pow_gamma": (1.0, 0.05, 8.0), "pow_up_down": (0.0, -0.9, 0.9)}
    if model == "exp_step":
        found |= {"A_up": (0.3, -20.0, 0.99), "A_down": (0.3, -20.0, 0.99)}
        found |= {"gamma_up": (1.0, 0.01, 10.0), "gamma_down": (1.0, 0.01, 10.0)}
        found |= {"a": (high - low) / 2, "b": 0.0}
    return found


def _noise(
    device: DeviceConfig, pulses: Sequence[Any], weights: Sequence[Array]
) -> dict[str, float]:
    """`dw_min_std`, `write_noise_std` where the model has it, and `dw_min_dtod`."""
    steps = behaviour(device, n_devices=1, n_cycles=1).steps
    deviations, products, sizes, factors = [], [], [], []
    for p, w in zip(pulses, weights, strict=True):
        before = w[:-1]
        up, down = (_at(steps.nodes, s[:, 0], before) for s in (steps.up, steps.down))
        expected = np.where(p > 0, up, down)
        ends = before + expected
        inside = (ends > device.w_min + device.step) & (ends < device.w_max - device.step)
        measured = np.diff(w)
        if inside.sum() < 10:
            raise ValueError("too few pulses lie away from the bounds to tell the noise")
        e, f = measured - expected, expected
        deviations.append(e[inside])
        sizes.append(f[inside])
        both = inside[1:] & inside[:-1]
        products.append((e[1:] * e[:-1])[both])
        s = f[inside]
        factor = float((measured[inside] * s).sum() / (s**2).sum())
        error = float(np.sqrt(np.mean(e[inside] ** 2) / (s**2).sum()))
        factors.append((factor, error))
    read = max(0.0, -float(np.mean(np.concatenate(products))))
    power = float(np.mean(np.concatenate(sizes) ** 2))
    left = max(0.0, float(np.mean(np.concatenate(deviations) ** 2)) - 2 * read)
    found = {"dw_min_std": min(float(np.sqrt(left / power)), 10.0)}
    if hasattr(device, "write_noise_std"):
        found["write_noise_std"] = float(np.sqrt(read)) / device.step
    if len(factors) >= _MIN_DEVICES:
        values, spread = np.array(factors).T
        found["dw_min_dtod"] = float(np.sqrt(max(0.0, values.var(ddof=1) - np.mean(spread**2))))
    return found


def _at(nodes: Array, curve: Array, weights: Array) -> Array:
    """A step curve at some weights; beyond its ends, its last value."""
    known = np.isfinite(curve)
    if not known.any():
        raise ValueError("the fitted device does not move")
    return np.interp(weights, nodes[known], curve[known])
