"""Pictures of a device and of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner.device.fit import Fit
from runner.device.response import Behaviour, Response
from runner.report.style import COLOURS, make_axes, save

_UP, _DOWN = COLOURS[0], COLOURS[1]
_THIN = 5
_MAX_TRACES = 4


def draw_behaviour(found: Behaviour, targets: Sequence[Path], title: str, caption: str) -> None:
    """Draw pulse responses, step sizes and the spread of the number of states.

    Args:
        found: of a device.
        targets: picture files; their folder exists.
        title: above the picture.
        caption: below it; the number of devices, cycles and the seed.
    """
    figure, axes = make_axes(2, 2, (10.0, 7.2))
    _draw_response(axes[0], found.up_down)
    axes[0].set_title("up, then down", fontsize=10, loc="left")
    _draw_response(axes[1], found.alternating)
    axes[1].set_title("up and down in turns, from the upper saturation", fontsize=10, loc="left")
    _draw_steps(axes[2], found)
    _draw_states(axes[3], found)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    save(figure, targets, caption)


def _draw_response(axis: Any, response: Response) -> None:
    x, mean = response.pulses, response.mean
    for i in range(min(_THIN, response.weights.shape[2])):
        axis.plot(x, response.weights[0, :, i], color="0.6", lw=0.6, alpha=0.8, zorder=1)
    for spread, alpha, label in (
        (response.device_spread, 0.18, "± devices"),
        (response.cycle_spread, 0.35, "± cycles"),
    ):
        axis.fill_between(
            x, mean - spread, mean + spread, color=_UP, alpha=alpha, lw=0, label=label
        )
    axis.plot(x, mean, color=_UP, lw=1.6, label="mean", zorder=3)
    axis.set_xlabel("pulses")
    axis.set_ylabel("weight")
    axis.legend(frameon=False, fontsize=8)


def _draw_steps(axis: Any, found: Behaviour) -> None:
    steps = found.steps
    for curves, colour, label in ((steps.up, _UP, "up"), (-steps.down, _DOWN, "down")):
        known = np.isfinite(curves).sum(axis=1) >= max(1, curves.shape[1] // 4)
        mean, spread = np.nanmean(curves[known], axis=1), np.nanstd(curves[known], axis=1)
        x = steps.nodes[known]
        axis.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.18, lw=0)
        axis.plot(x, mean, color=colour, lw=1.6, label=label)
    points = found.symmetry_point[np.isfinite(found.symmetry_point)]
    if len(points):
        axis.axvline(points.mean(), color="0.4", lw=0.9, ls=":", label="symmetry point")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("weight")
    axis.set_ylabel("size of a step, without noise")
    axis.set_title("step size; bands: ± devices", fontsize=10, loc="left")
    axis.legend(frameon=False, fontsize=8)


def _draw_states(axis: Any, found: Behaviour) -> None:
    states = found.states[np.isfinite(found.states)]
    axis.hist(states, bins=min(20, max(4, len(states) // 2)), color=_UP, alpha=0.7)
    if len(states):
        axis.axvline(states.mean(), color="0.3", lw=1, ls=":")
    axis.set_xlabel("effective number of states")
    axis.set_ylabel("devices")
    axis.set_title("range / step at the symmetry point", fontsize=10, loc="left")


def draw_fit(fit: Fit, targets: Sequence[Path], title: str) -> None:
    """Draw measurement, fitted model and what is left over.

    Args:
        fit: to draw.
        targets: picture files; their folder exists.
        title: above the picture.
    """
    n = min(len(fit.traces), _MAX_TRACES)
    figure, axes = make_axes(n, 2, (max(6.4, 3.6 * n), 5.6))
    for i in range(n):
        data, model = fit.traces[i], fit.models[i]
        x = np.arange(len(data))
        axes[i].plot(x, data, ".", ms=2.5, color=_UP, label="measured")
        axes[i].plot(x, model, color=_DOWN, lw=1.3, label="fit, without noise")
        axes[n + i].plot(x, data - model, color="0.4", lw=0.7)
        axes[n + i].set_xlabel("pulses")
        if n > 1:
            axes[i].set_title(f"device {i + 1} of {len(fit.traces)}", fontsize=9, loc="left")
    axes[0].set_ylabel("weight")
    axes[n].set_ylabel("measured − fit")
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    pulses = sum(len(p) for p in fit.pulses)
    caption = (
        f"{len(fit.traces)} device{'s' if len(fit.traces) > 1 else ''}, {pulses} pulses; root mean "
        f"square of measured − fit: {fit.residual:.4g} in weights, whose measured range is 2."
    )
    save(figure, targets, caption)
