"""What one pulsed update should do, from the formulas; independent of aihwkit and of the engine.

Gokmen & Vlasov, "Acceleration of deep neural network training with resistive cross-point devices"
(Front. Neurosci. 2016): in each of BL slots line j of x fires with probability min(1, B |x_j|) and
line i of d with min(1, A |d_i|), independently; where both fire, the device at (i, j) makes one
step, down where x_j d_i > 0. A = B = sqrt(lr / (BL dw_min)). Update management shares the product
A B between both sides so that the largest x and d fire equally often; BL management shortens the
trains to lr max|x| max|d| / dw_min slots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from aihwkit.simulator.parameters.training import UpdateParameters

from tests.engine.statistics import Array

Rule = Literal["constant", "linear_mult", "linear_add", "reference_mult", "reference_add"]


@dataclass(frozen=True)
class Trains:
    """Length and probability scales of a vector's pulse trains."""

    bl: int
    a: float
    b: float


def trains(update: UpdateParameters, x: Array, d: Array, lr: float, dw_min: float) -> Trains:
    """Trains of one vector x [in] and d [out]."""
    x_max, d_max = float(np.abs(x).max()), float(np.abs(d).max())
    if x_max == 0.0 or d_max == 0.0:
        return Trains(0, 0.0, 0.0)
    management = update.update_management or update.update_bl_management
    d_max *= update.um_grad_scale if management else 1.0
    slots = lr * x_max * d_max / dw_min  # at which the largest lines would just fire always
    bl = update.desired_bl
    if update.update_bl_management:
        bl = min(bl, math.ceil(slots))
    elif not update.fixed_bl and bl * dw_min < lr:
        bl = math.ceil(lr / dw_min)
        return Trains(bl, *_balanced(1.0, x_max, d_max, slots, update, management))
    return Trains(
        bl, *_balanced(math.sqrt(lr / (dw_min * bl)), x_max, d_max, slots, update, management)
    )


def _balanced(
    scale: float, x_max: float, d_max: float, slots: float, up: UpdateParameters, management: bool
) -> tuple[float, float]:
    if not management:
        return scale, scale
    if slots > up.desired_bl:  # what can not be had is cut at d, never at x
        d_max *= up.desired_bl / slots
    ratio = math.sqrt(x_max / d_max)
    return scale * ratio, scale / ratio


def probabilities(found: Trains, x: Array, d: Array) -> tuple[Array, Array]:
    """Firing probabilities of the lines of x [in] and of d [out]."""
    return np.minimum(1.0, found.b * np.abs(x)), np.minimum(1.0, found.a * np.abs(d))


@dataclass(frozen=True)
class Step:
    """A pulse moves w by direction * (c0 + c1 w + noise (n0 + n1 w)); arrays [out, in]."""

    c0: Array
    c1: Array
    n0: Array
    n1: Array


def step(rule: Rule, hidden: dict[str, Any], up: bool) -> Step:
    """The step of a device, from aihwkit's hidden parameters (device-to-device spread)."""
    side = "up" if up else "down"
    scale = np.asarray(hidden[f"dwmin_{side}"], dtype=np.float64)
    zero = np.zeros_like(scale)
    if rule == "constant":
        c0, c1 = scale, zero
    elif rule.startswith("linear"):
        c0, c1 = scale, np.asarray(hidden[f"slope_{side}"], dtype=np.float64)
    else:
        bound = np.asarray(hidden["max_bound" if up else "min_bound"], dtype=np.float64)
        reference = np.asarray(hidden["reference"], dtype=np.float64)
        c0, c1 = scale * (1.0 - reference / bound), -scale / bound
    if rule.endswith("mult"):
        return Step(c0, c1, c0, c1)
    return Step(c0, c1, scale, zero)


@dataclass(frozen=True)
class Moments:
    """Of a cross-point after an update, while no bound cuts a step; arrays [out, in]."""

    mean: Array
    variance: Array
    pulses: Array
    """Expected number of pulses."""
    silent: Array
    """Probability of no pulse at all."""


def moments(
    w0: Array,
    rule: Rule,
    hidden: dict[str, Any],
    noise: float,
    batch: Sequence[tuple[Array, Array]],
    update: UpdateParameters,
    lr: float,
    dw_min: float,
) -> Moments:
    """Moments of the change of every cross-point, slot by slot: a random affine recursion.

    Args:
        w0: weights before, [out, in].
        rule: how the device steps.
        hidden: the device's hidden parameters, [out, in] each.
        noise: cycle-to-cycle noise, relative to a step.
        batch: vectors x [in] and d [out], in order.
        update: train settings.
        lr: learning rate.
        dw_min: nominal step.
    """
    up, down = step(rule, hidden, True), step(rule, hidden, False)
    first, second = w0.astype(np.float64), np.square(w0, dtype=np.float64)
    pulses, silent = np.zeros_like(first), np.ones_like(first)
    for x, d in batch:
        found = trains(update, x, d, lr, dw_min)
        p_x, p_d = probabilities(found, x, d)
        p = np.outer(p_d, p_x)
        rising = np.outer(d, x) < 0.0
        sign = np.where(rising, 1.0, -1.0)
        c0, c1, n0, n1 = (
            np.where(rising, getattr(up, name), getattr(down, name))
            for name in ("c0", "c1", "n0", "n1")
        )
        for _ in range(found.bl):
            moved = c0 * c0 + 2.0 * c0 * c1 * first + c1 * c1 * second
            noisy = n0 * n0 + 2.0 * n0 * n1 * first + n1 * n1 * second
            crossed = c0 * first + c1 * second
            second = second + p * (2.0 * sign * crossed + moved + noise**2 * noisy)
            first = first + p * sign * (c0 + c1 * first)
        pulses += found.bl * p
        silent *= (1.0 - p) ** found.bl
    return Moments(first - w0, np.maximum(second - first**2, 0.0), pulses, silent)
