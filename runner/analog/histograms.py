"""What is in the tiles, as histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from device_ext import keyed_tiles
from runner.analog.telemetry import layer_name
from runner.tracking.base import Histogram

_BINS = 64
_POSITION_EDGES = np.linspace(0.0, 1.0, 21)


def tile_histograms(model: nn.Module) -> dict[str, Histogram]:
    """Histograms of every device of every pulsed tile, and of all of them.

    For each device two over its cross-points: ``tiles/<layer>/device<i>/conductance``, the weight
    in the device's own units (w_min to w_max), and ``.../position``, where the weight stands
    between the cross-point's own bounds, 0 to 1 (what a read shows beyond them, by write noise,
    counts at the bound): its first and last bin are the cross-points at a bound.

    Over all devices of all tiles, an entry each: ``tiles/share_at_bound`` and
    ``tiles/pulses_per_cross_point``, the writes so far. Pulses are counted for each device, not for
    each cross-point, so there is no histogram of them within a tile.
    """
    found: dict[str, Histogram] = {}
    shares: list[float] = []
    pulses: list[float] = []
    for name, tile in keyed_tiles(model):
        for i, (device, bounds) in enumerate(zip(tile.telemetry(), tile.bounds(), strict=True)):
            prefix = f"tiles/{layer_name(name)}/device{i}"
            found[f"{prefix}/conductance"] = histogram(device.weights.numpy())
            if bounds is not None:
                found[f"{prefix}/position"] = position_histogram(device.weights, *bounds)
            shares.append(device.share_at_bound)
            if device.pulses is not None:
                pulses.append(device.pulses / device.weights.numel())
    for key, values in (("share_at_bound", shares), ("pulses_per_cross_point", pulses)):
        if np.isfinite(values).any():
            found[f"tiles/{key}"] = histogram(np.asarray(values))
    return found


def histogram(values: np.ndarray, edges: Sequence[float] | np.ndarray | int = _BINS) -> Histogram:
    """Histogram of the finite ones of `values`, of any shape; 64 bins from least to largest."""
    counts, found = np.histogram(values[np.isfinite(values)], bins=edges)
    return Histogram(counts.astype(np.int64), found.astype(np.float64))


def position_histogram(weights: Tensor, lower: Tensor, upper: Tensor) -> Histogram:
    """Histogram of ``(weights - lower) / (upper - lower)``, cut to 0 and 1, in 20 bins."""
    position = ((weights - lower) / (upper - lower)).clamp_(0.0, 1.0)
    return histogram(position.numpy(), _POSITION_EDGES)
