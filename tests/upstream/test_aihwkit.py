"""Defects of aihwkit 1.2.0 that we work around.

Each test shows one. When it fails, aihwkit has mended it, and the work-around that its docstring
names can go.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from aihwkit.nn import AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SoftBoundsDevice, TransferCompound, UnitCellRPUConfig
from aihwkit.simulator.parameters import IOParameters
from torch import Tensor


def layer() -> AnalogLinear:
    """A stock layer of two tiles, perfect in its own passes."""
    device = TransferCompound(
        unit_cell_devices=[SoftBoundsDevice(dw_min=0.01), SoftBoundsDevice(dw_min=0.01)],
        transfer_every=2,
    )
    perfect = IOParameters(is_perfect=True)
    config = UnitCellRPUConfig(device=device, forward=perfect, backward=perfect)
    return AnalogLinear(6, 4, bias=False, rpu_config=config)


def train(model: AnalogLinear, steps: int = 20) -> None:
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.rand(8, 6, generator=generator)).sum().backward()
        optimizer.step()


def hidden(model: AnalogLinear) -> dict[str, Tensor]:
    """Weights of the two devices."""
    tile: Any = next(model.analog_tiles())
    found = tile.get_hidden_parameters()
    return {name: found[name].clone() for name in found if "hidden_weights" in name}


def test_a_state_dict_loses_the_weight_of_the_gradient_tile():
    """Work-around: `KeyedAnalogTile.__setstate__` puts the exact state back."""
    torch.manual_seed(1)
    model = layer()
    train(model)
    before = hidden(model)
    assert any(w.abs().max() > 0 for w in before.values())
    torch.manual_seed(1)
    fresh = layer()
    state: Any = model.state_dict()
    fresh.load_state_dict(state)
    after = hidden(fresh)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_perfect_layer_transfers_with_noise():
    """Work-around: `runner.analog.rpu` hands io to ``transfer_forward`` of every compound."""
    tile: Any = next(layer().analog_tiles())
    config = tile.rpu_config
    assert config.forward.is_perfect
    assert not config.device.transfer_forward.is_perfect


def test_building_a_tile_reseeds_the_generator_of_the_whole_process():
    """Work-around: `KeyedAnalogTile` sets every generator from a key before each call."""
    libc = ctypes.CDLL(None)
    libc.srand(1)
    expected = [libc.rand() for _ in range(4)]
    libc.srand(1)
    layer()
    assert [libc.rand() for _ in range(4)] != expected


def test_equal_seeds_do_not_give_equal_trainings():
    """Work-around: `KeyedAnalogTile.seed`."""
    ends = []
    for _ in range(3):
        torch.manual_seed(1)
        model = layer()
        train(model)
        ends.append(hidden(model))
    assert any(
        not torch.equal(ends[0][name], other[name]) for other in ends[1:] for name in ends[0]
    )


def test_a_perfect_output_beyond_the_bound_has_no_gradient():
    """Work-around: `runner.analog.rpu.io_parameters` sets no bound where a pass is perfect."""
    torch.manual_seed(1)
    model = layer()
    model.set_weights(torch.full((4, 6), 0.5), None)
    x = torch.full((1, 6), 5.0, requires_grad=True)
    y = model(x)
    y.sum().backward()
    assert (y > 12.5).all()  # not clipped at 12
    assert x.grad is not None
    assert not x.grad.any()
