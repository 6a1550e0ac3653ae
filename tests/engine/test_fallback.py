"""Which tiles the fast engine serves; all others stay on aihwkit's own path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.compounds import (
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import IdealDevice, PiecewiseStepDevice, SoftBoundsPmaxDevice
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import nn

from device_ext import _core, keyed_tiles, seed_tiles, set_engine
from tests.engine.tiles import (
    chain,
    config,
    constant_step,
    exp_step,
    linear_step,
    make_tile,
    normal_batch,
    pow_reference,
    pow_step,
    reference,
    soft_bounds,
)

Settings = tuple[Any, UpdateParameters | None]


def update(**kwargs: Any) -> UpdateParameters:
    return UpdateParameters(**kwargs)


def piecewise() -> PiecewiseStepDevice:
    return PiecewiseStepDevice(piecewise_up=[1.0, 0.5], piecewise_down=[0.5, 1.0])


PAIR: dict[str, Any] = {"unit_cell_devices": [soft_bounds(), soft_bounds()]}

SERVED: dict[str, Settings] = {
    "soft_bounds": (soft_bounds(), None),
    "soft_bounds_pmax": (SoftBoundsPmaxDevice(), None),
    "reference": (reference(), None),
    "linear": (linear_step(), None),
    "constant": (constant_step(), None),
    "exp": (exp_step(), None),
    "pow": (pow_step(), None),
    "pow_reference": (pow_reference(), None),
    "write_noise": (soft_bounds(write_noise_std=1.0), None),
    "decay": (soft_bounds(lifetime=100.0), None),
    "no_management": (soft_bounds(), update(update_management=False, update_bl_management=False)),
    "free_bl": (soft_bounds(), update(fixed_bl=False)),
    "chain": (chain(), None),
    "warm_start": (chain(warm_start=True), None),
    "transfer": (TransferCompound(**PAIR), None),
    "chopped": (ChoppedTransferCompound(**PAIR, auto_scale=False), None),
    "dynamic": (DynamicTransferCompound(**PAIR), None),
    "mixed_precision": (
        MixedPrecisionCompound(device=soft_bounds(), n_x_bins=0, n_d_bins=0), None,
    ),
}  # fmt: skip

# What is refused, and a part of the reason that names the setting or the device.
REFUSED: dict[str, tuple[Settings, str]] = {
    "piecewise_device": ((piecewise(), None), "device type"),
    "ideal_device": ((IdealDevice(), None), "device type"),
    "vector_cell": ((VectorUnitCell(**PAIR), None), "device type"),
    "chain_of_piecewise": ((chain(device=piecewise()), None), "device type"),
    "stochastic": ((soft_bounds(), update(pulse_type=PulseType.STOCHASTIC)), "pulse type"),
    "no_pulses": ((soft_bounds(), update(pulse_type=PulseType.NONE)), "pulse type"),
    "implicit": (
        (soft_bounds(), update(pulse_type=PulseType.DETERMINISTIC_IMPLICIT)), "pulse type",
    ),
    "discretised": ((soft_bounds(), update(res=0.01)), "res"),
    "rounded": ((soft_bounds(), update(res=0.01, sto_round=True)), "sto_round"),
    "sparsity": ((soft_bounds(), update(d_sparsity=True)), "d_sparsity"),
    "chain_transfer_pulses": (
        (chain(transfer_update=update(pulse_type=PulseType.STOCHASTIC)), None), "pulse type",
    ),
    "chain_transfer_discretised": ((chain(transfer_update=update(res=0.01)), None), "res"),
    "chain_rows": ((chain(transfer_columns=False), None), "rows"),
    "chain_reset": ((chain(with_reset_prob=0.1), None), "reset"),
    "chain_random_columns": ((chain(random_selection=True), None), "random"),
    "chain_fully_hidden": ((chain(gamma_vec=[0.0, 0.0, 1.0]), None), "gamma"),
    "auto_scale": ((ChoppedTransferCompound(**PAIR, auto_scale=True), None), "auto_scale"),
    "quantised_digital_sum": (
        (MixedPrecisionCompound(device=soft_bounds(), n_x_bins=7), None), "n_x_bins",
    ),
    "random_rows": (
        (MixedPrecisionCompound(device=soft_bounds(), n_x_bins=0, n_d_bins=0,
                                random_row=True), None), "random_row",
    ),
}  # fmt: skip


def model(settings: Settings) -> nn.Sequential:
    """A served layer, and one with the given settings."""
    torch.manual_seed(2)
    device, parameters = settings
    layers = nn.Sequential(
        AnalogLinear(6, 5, rpu_config=config(soft_bounds())),
        AnalogLinear(5, 4, rpu_config=rpu_config(device, parameters)),
    )
    seed_tiles(layers, 4)
    return layers


def rpu_config(device: Any, parameters: UpdateParameters | None) -> Any:
    if isinstance(device, MixedPrecisionCompound):
        from aihwkit.simulator.configs import DigitalRankUpdateRPUConfig

        made = DigitalRankUpdateRPUConfig(device=device)
        made.tile_class = config(soft_bounds()).tile_class
        return made
    return config(device, parameters)


@pytest.mark.parametrize("name", SERVED)
def test_served(name: str) -> None:
    layers = model(SERVED[name])
    assert set_engine(layers, "fast") == {}
    for _, tile in keyed_tiles(layers):
        assert tile.engine == "fast"
        assert tile.engine_refusal() is None
        tile.set_learning_rate(0.5)
        before = _core.state_matrices(tile.tile)
        for seed in range(4):
            tile.update(*normal_batch(8, tile.in_size, tile.out_size, seed))
        after = _core.state_matrices(tile.tile)
        assert any(not np.array_equal(before[matrix], after[matrix]) for matrix in before)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    settings, reason = REFUSED[name]
    layers = model(settings)
    (_, served), (refused_name, refused) = keyed_tiles(layers)
    result = set_engine(layers, "fast")
    assert list(result) == [refused_name]
    assert reason in result[refused_name]
    assert refused.engine_refusal() == result[refused_name]
    assert (served.engine, refused.engine) == ("fast", "exact")
    with pytest.raises(ValueError, match="engine: fast is not available"):
        refused.engine = "fast"
    assert refused.engine == "exact"


def test_a_refused_tile_updates_as_on_exact() -> None:
    settings, _ = REFUSED["piecewise_device"]
    weights = []
    for engine in ("fast", "exact"):
        layers = model(settings)
        set_engine(layers, engine)
        _, tile = keyed_tiles(layers)[1]
        tile.set_learning_rate(0.5)
        tile.update(*normal_batch(8, tile.in_size, tile.out_size))
        weights.append(tile.tile.get_weights().clone())
    assert torch.equal(*weights)


def test_exact_refuses_nothing() -> None:
    layers = model(REFUSED["discretised"][0])
    assert set_engine(layers, "exact") == {}
    assert {tile.engine for _, tile in keyed_tiles(layers)} == {"exact"}


def test_unknown_engine() -> None:
    tile = make_tile(soft_bounds(), 2, 2)
    with pytest.raises(ValueError, match="engine: must be 'exact' or 'fast', is 'quick'"):
        tile.engine = "quick"  # type: ignore[assignment]


def test_inputs_of_another_size_or_type_are_refused() -> None:
    tile = make_tile(soft_bounds(), 3, 5)
    for x, d in (((4, 6), (4, 3)), ((4, 5), (4, 2)), ((4, 5), (3, 3))):
        with pytest.raises(ValueError, match=r"update of a \[3, 5\] tile"):
            tile.update(torch.zeros(x), torch.zeros(d))
    with pytest.raises(TypeError, match="float32"):
        tile.update(torch.zeros(4, 5, dtype=torch.float64), torch.zeros(4, 3))


def test_plain_configurations_default_to_exact() -> None:
    layer = AnalogLinear(4, 3, rpu_config=config(soft_bounds()))
    assert isinstance(config(soft_bounds()), SingleRPUConfig)
    assert {tile.engine for _, tile in keyed_tiles(layer)} == {"exact"}
