"""What can be read out of the tiles after an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from device_ext import keyed_tiles


@dataclass(frozen=True)
class Reading:
    """One device of one tile.

    Args:
        layer: name of the layer, with the position of the tile where a layer has several.
        device: index of the device; 0 is the gradient tile.
        weights: ``[out, in]``, before it is multiplied by the device's gamma.
        share_at_bound: share of the cross-points within one dw_min of their own bound, 0 to 1.
        transfers: transfers into this device so far; a gradient tile has none.
        pulses: pulses written to this device so far; None where they are not counted.
    """

    layer: str
    device: int
    weights: Tensor
    share_at_bound: float
    transfers: int
    pulses: int | None

    def metrics(self) -> dict[str, float | int | None]:
        """The reading as entries of an epoch's metrics."""
        prefix = f"tiles/{self.layer}/device{self.device}"
        return {
            f"{prefix}/share_at_bound": self.share_at_bound,
            f"{prefix}/mean_abs_weight": self.weights.abs().mean().item(),
            f"{prefix}/transfers": self.transfers,
            f"{prefix}/pulses": self.pulses,
        }


def read_tiles(model: nn.Module) -> list[Reading]:
    """Read every device of every pulsed tile of a network, in the order of its modules."""
    return [
        Reading(layer_name(name), i, d.weights, d.share_at_bound, d.transfers, d.pulses)
        for name, tile in keyed_tiles(model)
        for i, d in enumerate(tile.telemetry())
    ]


def layer_name(tile: str) -> str:
    """``fc1.analog_module`` -> ``fc1``; ``fc1.analog_module.array.0.1`` -> ``fc1.0.1``."""
    hidden = {"analog_module", "array"}
    return ".".join(part for part in tile.split(".") if part not in hidden)


def readings_to_metrics(readings: Sequence[Reading]) -> dict[str, float | int | None]:
    """All readings as entries of an epoch's metrics."""
    return {key: value for reading in readings for key, value in reading.metrics().items()}
