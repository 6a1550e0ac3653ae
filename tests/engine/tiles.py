"""Tiles for the engine's tests, and repeated updates of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from aihwkit.simulator.configs import SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import UnitCell
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from numpy.typing import NDArray
from torch import Tensor

from device_ext import EngineName, KeyedAnalogTile, WarmStartTransferCompound, _core
from tests.engine.statistics import Array

KERNELS = [name for name in ("portable", "avx2", "avx512") if _core.use_kernels(name)]
"""Kernels that this machine runs."""
_core.use_kernels("auto")


def config(device: Any, update: UpdateParameters | None = None) -> Any:
    """A configuration with keyed tiles and perfect passes."""
    cls: Any = UnitCellRPUConfig if isinstance(device, UnitCell) else SingleRPUConfig
    return cls(
        device=device,
        update=update or UpdateParameters(),
        forward=IOParameters(is_perfect=True),
        backward=IOParameters(is_perfect=True),
        tile_class=KeyedAnalogTile,
    )


def make_tile(
    device: Any,
    out_size: int,
    in_size: int,
    *,
    engine: EngineName = "fast",
    lr: float = 0.05,
    update: UpdateParameters | None = None,
    seed: int = 1,
) -> KeyedAnalogTile:
    """A keyed tile without bias; the device-to-device spread depends on its size alone."""
    torch.manual_seed(7)
    tile = KeyedAnalogTile(out_size, in_size, config(device, update), bias=False)
    tile.seed(seed, 0)
    tile.set_learning_rate(lr)
    tile.engine = engine
    return tile


# Devices with every kind of spread on, bounds far from the weights that the tests begin with.
SPREAD: dict[str, Any] = {"w_min": -1.0, "w_max": 1.0, "w_min_dtod": 0.1, "w_max_dtod": 0.1}


def soft_bounds(dw_min: float = 0.01, **kwargs: Any) -> SoftBoundsDevice:
    """aihwkit's soft-bounds device on [-1, 1]."""
    return SoftBoundsDevice(dw_min=dw_min, **{**SPREAD, **kwargs})


def reference(dw_min: float = 0.01, **kwargs: Any) -> SoftBoundsReferenceDevice:
    """Soft bounds around a reference that spreads from device to device."""
    return SoftBoundsReferenceDevice(
        dw_min=dw_min, **{**SPREAD, "reference_std": 0.05, "reference_mean": 0.05, **kwargs}
    )


def linear_step(dw_min: float = 0.01, **kwargs: Any) -> LinearStepDevice:
    """A step that changes linearly with the weight."""
    return LinearStepDevice(
        dw_min=dw_min, **{**SPREAD, "gamma_up": 0.3, "gamma_down": 0.2, **kwargs}
    )


def constant_step(dw_min: float = 0.01, **kwargs: Any) -> ConstantStepDevice:
    """A step that does not depend on the weight."""
    return ConstantStepDevice(dw_min=dw_min, **{**SPREAD, **kwargs})


def exp_step(dw_min: float = 0.01, **kwargs: Any) -> ExpStepDevice:
    """A step that shrinks exponentially towards the bounds."""
    return ExpStepDevice(dw_min=dw_min, **{**SPREAD, **kwargs})


def pow_step(dw_min: float = 0.01, **kwargs: Any) -> PowStepDevice:
    """A step that goes with a power of the distance to the bound."""
    return PowStepDevice(dw_min=dw_min, **{**SPREAD, "pow_gamma": 1.5, **kwargs})


def pow_reference(dw_min: float = 0.01, **kwargs: Any) -> PowStepReferenceDevice:
    """A power step around a reference that spreads from device to device."""
    return PowStepReferenceDevice(
        dw_min=dw_min, **{**SPREAD, "pow_gamma": 1.5, "reference_std": 0.05, **kwargs}
    )


def ideal_step(dw_min: float) -> ConstantStepDevice:
    """A device without any spread: a pulse is one step of ``dw_min``."""
    return constant_step(
        dw_min, w_min_dtod=0.0, w_max_dtod=0.0, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0
    )


def chain(n: int = 3, device: Any = None, **kwargs: Any) -> WarmStartTransferCompound:
    """A compound of n devices whose transfers come every few mini-batches; kwargs replace."""
    settings: dict[str, Any] = {
        "unit_cell_devices": [device or soft_bounds(0.125)] * n,
        "gamma_vec": [0.5 ** (n - 1 - i) for i in range(n)],
        "transfer_every_vec": [float(2 * 2**i) for i in range(n)],
        "transfer_lr_vec": [0.3 * 1.2 ** (n - 1 - i) for i in range(n)],
        "units_in_mbatch": True,
        "scale_transfer_lr": False,
        "fast_lr": 0.5,
        "scale_fast_lr": False,
        "transfer_forward": IOParameters(is_perfect=True),
        "transfer_update": UpdateParameters(),
    }
    return WarmStartTransferCompound(**{**settings, **kwargs})


def normal_batch(
    n: int, in_size: int, out_size: int, seed: int = 0, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Normal numbers x [n, in] and d [n, out], with zeros among them, as after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, in_size, generator=generator).clamp(min=-0.5)
    x[x == -0.5] = 0.0
    return x, scale * torch.randn(n, out_size, generator=generator)


def hidden(tile: KeyedAnalogTile) -> dict[str, Array]:
    """Hidden parameters of a single device, [out, in] each."""
    return {
        name: value.numpy().astype(np.float64)
        for name, value in tile.get_hidden_parameters().items()
    }


def set_matrices(tile: KeyedAnalogTile, values: Mapping[str, NDArray[Any]]) -> None:
    """Replace the named weight matrices [out, in] of a tile's exact state; the others stay."""
    state = tile.get_exact_state()
    for name, value in values.items():
        state[name] = torch.tensor(value, dtype=torch.float32)
    tile.set_exact_state(state)


def repeated(
    tile: KeyedAnalogTile, engine: EngineName, x: Tensor, d: Tensor, repeats: int
) -> dict[str, Array]:
    """Update a tile many times from the same state, each time with keys of its own.

    Only the weights are put back in between; the call counter goes on, so every repeat draws anew.

    Returns:
        changes of each weight matrix of the state, [repeats, out, in].
    """
    tile.engine = engine
    before = _core.state_matrices(tile.tile)
    after = {name: np.empty((repeats, *value.shape)) for name, value in before.items()}
    for r in range(repeats):
        tile.update(x, d)
        for name, value in _core.state_matrices(tile.tile).items():
            after[name][r] = value
        _core.set_state_matrices(tile.tile, before)
    return {name: value - before[name] for name, value in after.items()}
