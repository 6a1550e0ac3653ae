"""Pulse responses of simulated devices, and what they say about a device.

One pulse is one coincidence of a row and a column pulse on a keyed tile: the same seed gives the
same devices and the same noise, to the bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from aihwkit.simulator.configs import SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import UnitCell
from aihwkit.simulator.parameters import IOParameters, MappingParameter, UpdateParameters
from numpy.typing import NDArray

from device_ext import KeyedAnalogTile
from runner.analog.devices import resistive_device
from runner.config.devices import DeviceConfig, concrete

Array = NDArray[np.float64]

_NOISE = ("dw_min_std", "write_noise_std", "dw_min_std_add", "dw_min_std_slope", "reset_std")
_MAX_READS = 1000
_NODES = 41
_CERTAIN = 1e6
"""A learning rate at which every pulse fires, whatever the step."""


@dataclass(frozen=True)
class Response:
    """Weights of some devices under a sequence of pulses.

    Args:
        pulses: [t], pulses given so far at each reading; the first entry is 0.
        weights: [cycles, t, devices], as a read sees them.
    """

    pulses: NDArray[np.int64]
    weights: Array

    @property
    def mean(self) -> Array:
        """[t], over devices and cycles."""
        return self.weights.mean(axis=(0, 2))

    @property
    def device_spread(self) -> Array:
        """[t], standard deviation over devices of their mean over cycles."""
        return self.weights.mean(axis=0).std(axis=1)

    @property
    def cycle_spread(self) -> Array:
        """[t], standard deviation over the cycles of a device, root mean square over devices."""
        return np.sqrt(self.weights.var(axis=0).mean(axis=1))


@dataclass(frozen=True)
class Steps:
    """Step sizes without noise, against the weight.

    Args:
        nodes: [k], weights.
        up, down: [k, devices], change of the weight by one pulse; NaN outside a device's range.
    """

    nodes: Array
    up: Array
    down: Array


@dataclass(frozen=True)
class Behaviour:
    """How a device behaves.

    Args:
        up_down: up to saturation, then down again.
        alternating: up and down in turns, from the upper saturation.
        steps: step sizes against the weight.
        lower, upper: [devices], weights where noise-free pulses no longer lead further.
        symmetry_point: [devices], weight where up and down steps are of one size; NaN where a
            device has none within its range.
        step: [devices], mean size of the two steps there; in the middle of the range where there
            is no symmetry point.
        states: [devices], effective number of states, ``(upper - lower) / step``.
    """

    up_down: Response
    alternating: Response
    steps: Steps
    lower: Array
    upper: Array
    symmetry_point: Array
    step: Array
    states: Array


def behaviour(
    device: Any, n_devices: int = 32, n_cycles: int = 3, ramp: int | None = None, seed: int = 1
) -> Behaviour:
    """Simulate the pulse response of a device, and measure it.

    The symmetry point is where up and down pulses cancel, where pulses in turns lead (Gokmen and
    Haensch, Front. Neurosci. 2020). The number of states of arXiv 2510.02516 is the range divided
    by the step; here the range is the one that pulses reach, and the step the one at the symmetry
    point. Both are of noise-free twins of the very devices.

    Args:
        device: typed configuration with pulses.
        n_devices: devices, at least 1.
        n_cycles: repetitions, at least 1.
        ramp: pulses of a ramp; None = three times the nominal number of states.
        seed: of the devices' spread and the noise.
    """
    device = concrete(device)
    ramp = default_ramp(device) if ramp is None else ramp
    noisy = _ramps(_tile(device, n_devices, seed), ramp, n_cycles)
    turns = _alternate(_tile(device, n_devices, seed), ramp, n_cycles)
    twin = quiet(device)
    ramps = _ramps(_tile(twin, n_devices, seed), ramp, 1)
    steps = _steps(ramps, ramp)
    half = len(ramps.pulses) // 2
    lower, upper = ramps.weights[0, 0], ramps.weights[0, half]
    point, step = _symmetry(steps, lower, upper)
    return Behaviour(noisy, turns, steps, lower, upper, point, step, (upper - lower) / step)


def default_ramp(device: DeviceConfig) -> int:
    """Pulses that lead a device from one end of its range to the other, with some to spare."""
    return int(min(max(3 * device.states, 20), 40_000))


def quiet(device: DeviceConfig) -> DeviceConfig:
    """The same device without noise from cycle to cycle; its device-to-device spread stays."""
    return dataclasses.replace(device, **{n: 0.0 for n in _NOISE if hasattr(device, n)})


def pulse_response(
    device: Any,
    pulses: Sequence[int],
    n_devices: int = 1,
    start: float | None = None,
    seed: int = 1,
) -> Array:
    """Weights of some devices before the first pulse and after each: [pulses + 1, devices].

    Args:
        device: typed configuration with pulses.
        pulses: +1 or -1 each.
        n_devices: devices, at least 1.
        start: weight before the first pulse; None = where 0 is set, with write noise.
        seed: of the devices' spread and the noise.
    """
    tile = _tile(concrete(device), n_devices, seed)
    if start is not None:
        tile.set_weights(torch.full((n_devices, 1), start))
    weights = [_read(tile)]
    for polarity in pulses:
        _pulse(tile, polarity, 1)
        weights.append(_read(tile))
    return np.stack(weights)


def _tile(device: Any, n_devices: int, seed: int) -> KeyedAnalogTile:
    """A tile of one column whose every update is exactly one pulse a device."""
    made = resistive_device(device)
    kind: Any = UnitCellRPUConfig if isinstance(made, UnitCell) else SingleRPUConfig
    config = kind(
        tile_class=KeyedAnalogTile,
        device=made,
        forward=IOParameters(is_perfect=True),
        backward=IOParameters(is_perfect=True),
        update=UpdateParameters(
            desired_bl=1, update_management=False, update_bl_management=False
        ),
        mapping=MappingParameter(max_input_size=0, max_output_size=0),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tile = KeyedAnalogTile(n_devices, 1, config)
    tile.seed(seed, 0)
    tile.set_learning_rate(_CERTAIN)
    if tile.engine_refusal() is None:
        tile.engine = "fast"
    tile.set_weights(torch.zeros(n_devices, 1))
    return tile


def _pulse(tile: KeyedAnalogTile, polarity: int, n: int) -> None:
    x = torch.ones(n, 1)
    tile.update(x, torch.full((n, tile.out_size), float(-polarity)))


def _read(tile: KeyedAnalogTile) -> Array:
    return tile.tile.get_weights().numpy().astype(np.float64)[:, 0]


def _ramps(tile: KeyedAnalogTile, ramp: int, n_cycles: int) -> Response:
    """Up and down again, from the lower saturation."""
    _pulse(tile, -1, ramp)
    stride = -(-ramp // _MAX_READS)
    counts = [min(stride, ramp - done) for done in range(0, ramp, stride)]
    cycles = []
    for _ in range(n_cycles):
        weights = [_read(tile)]
        for polarity in (1, -1):
            for n in counts:
                _pulse(tile, polarity, n)
                weights.append(_read(tile))
        cycles.append(weights)
    given = np.concatenate([[0], np.cumsum(counts + counts)])
    return Response(given, np.array(cycles))


def _alternate(tile: KeyedAnalogTile, ramp: int, n_cycles: int) -> Response:
    """Down and up in turns, from the upper saturation; read after each pair or several."""
    stride = 2 * -(-ramp // _MAX_READS)
    reads = -(-2 * ramp // stride)
    d = torch.ones(stride, tile.out_size)
    d[1::2] = -1.0
    cycles = []
    for _ in range(n_cycles):
        _pulse(tile, 1, ramp)
        weights = [_read(tile)]
        for _ in range(reads):
            tile.update(torch.ones(stride, 1), d)
            weights.append(_read(tile))
        cycles.append(weights)
    return Response(stride * np.arange(reads + 1), np.array(cycles))


def _steps(ramps: Response, ramp: int) -> Steps:
    """Step sizes of noise-free ramps at nodes over the whole range of all devices."""
    weights = ramps.weights[0]
    half = int(np.searchsorted(ramps.pulses, ramp))
    nodes = np.linspace(weights.min(), weights.max(), _NODES)
    curves = []
    for part in (slice(0, half + 1), slice(half, None)):
        w, at = weights[part], ramps.pulses[part]
        step = np.diff(w, axis=0) / np.diff(at)[:, None]
        curves.append(np.stack([_curve(nodes, w[:, i], step[:, i]) for i in range(w.shape[1])], 1))
    return Steps(nodes, curves[0], curves[1])


def _curve(nodes: Array, weights: Array, steps: Array) -> Array:
    """Steps of one ramp at the nodes; a step belongs to the middle of the way that it covers."""
    middle = (weights[1:] + weights[:-1]) / 2
    # A step that a hard bound cuts short says nothing about the device.
    moving = (np.abs(steps) > 1e-9) & (np.abs(weights[1:] - weights[-1]) > 1e-6)
    if moving.sum() < 2:
        return np.full(len(nodes), np.nan)
    order = np.argsort(middle[moving])
    x, y = middle[moving][order], steps[moving][order]
    return np.interp(nodes, x, y, left=np.nan, right=np.nan)


def _symmetry(steps: Steps, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Symmetry point of every device and its mean step there, or in the middle of its range."""
    points, sizes = [], []
    for i in range(len(lower)):
        total = steps.up[:, i] + steps.down[:, i]
        size = (np.abs(steps.up[:, i]) + np.abs(steps.down[:, i])) / 2
        known = np.isfinite(total)
        nodes, total, size = steps.nodes[known], total[known], size[known]
        point = _root(nodes, total)
        at = (lower[i] + upper[i]) / 2 if np.isnan(point) else point
        points.append(point)
        sizes.append(float(np.interp(at, nodes, size)) if len(nodes) else np.nan)
    return np.array(points), np.array(sizes)


def _root(nodes: Array, values: Array) -> float:
    """Where `values` fall through zero; NaN where they do not, or are zero all along."""
    crossings = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
    if not len(crossings):
        return float("nan")
    k = int(crossings[0])
    share = values[k] / (values[k] - values[k + 1])
    return float(nodes[k] + share * (nodes[k + 1] - nodes[k]))
