"""Without warm start the compound is aihwkit's transfer compound, bit for bit.

Both run with the same keys, so that they draw the same numbers; compared are the weights of every
device, the weight matrix, aihwkit's counters and the digital parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs.compounds import TransferCompound
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor, nn

from device_ext import KeyedAnalogTile, WarmStartTransferCompound
from tests.device_ext.conftest import (
    advance_all,
    batches,
    chain,
    config,
    conv_model,
    copy_bias,
    differing,
    few_states,
    ideal_step,
    keyed_tiles,
    linear_model,
    same_bits,
    state_of,
    train,
)

# What our compound counts beside the stock one.
OWN = tuple(
    f"rpu_device.{name}" for name in ("switches", "vectors_since_reduce", "transfers", "pulses")
)

Build = Callable[..., nn.Module]


def common(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if not k.endswith(OWN)}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Weight matrices that training changed."""
    return {k for k in differing(before, after) if k.endswith("weights")}


def compare(build: Build, shape: tuple[int, ...], sizes: list[int], n: int, **kwargs: Any) -> None:
    """Train the stock compound and ours without warm start and demand the same bits."""
    passes = {k: kwargs.pop(k) for k in ("perfect", "update") if k in kwargs}
    stock = build(chain(n, TransferCompound, **kwargs), **passes)
    ours = build(chain(n, warm_start=False, **kwargs), **passes)
    assert differing(common(state_of(ours)), state_of(stock)) == []
    before = state_of(stock)
    data = batches(shape, sizes)
    train(stock, data)
    train(ours, data)
    assert differing(common(state_of(ours)), state_of(stock)) == []
    # A comparison of weights that never moved would prove nothing.
    assert {f"{name}.{k}.weights" for name, _ in keyed_tiles(stock) for k in (0, 1)} <= moved(
        before, state_of(stock)
    )


@pytest.mark.parametrize("n", range(3, 9))
@pytest.mark.parametrize("sizes", [(6, 5, 3), (1, 7, 2)])
def test_linear(n: int, sizes: tuple[int, ...]) -> None:
    compare(lambda *a, **k: linear_model(*a, sizes=sizes, **k), sizes[:1], [4] * 20 + [3], n)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_convolution(n: int) -> None:
    compare(conv_model, (1, 6, 6), [3] * 10 + [1], n)


@pytest.mark.parametrize(
    "sizes", [[1] * 60, [2] * 30, [7] * 12 + [5], [64] * 6 + [1], [5, 3, 8, 1, 2] * 5]
)
def test_batch_sizes(sizes: list[int]) -> None:
    compare(linear_model, (6,), sizes, 3)


VARIANTS: dict[str, dict[str, Any]] = {
    "non-integer periods": {"transfer_every_vec": [0.4, 1.3, 2.75]},
    "units are vectors": {"units_in_mbatch": False, "transfer_every_vec": [3.0, 5.0, 11.0]},
    "periods from transfer_every": {"transfer_every_vec": [], "transfer_every": 1.0},
    "a zero period": {"transfer_every_vec": [1.0, 2.0, 0.0]},
    "several reads": {"n_reads_per_transfer": 2},
    "more reads than columns": {"n_reads_per_transfer": 4, "transfer_every_vec": [1.0, 2.0, 3.0]},
    "rows": {"transfer_columns": False},
    "rows, several reads": {"transfer_columns": False, "n_reads_per_transfer": 2},
    "random columns": {"random_selection": True},
    "columns reset": {"with_reset_prob": 0.5},
    "noisy transfer read": {"transfer_forward": IOParameters()},
    "noisy passes": {"perfect": False},
    "learning rate scales transfers": {"scale_transfer_lr": True, "transfer_lr_vec": [2.0] * 3},
    "learning rate scales the fast tile": {"scale_fast_lr": True, "fast_lr": 3.0},
    "learning rate of the fast tile": {"fast_lr": 0.0},
    "gamma": {"gamma_vec": [], "gamma": 0.4},
    "fully hidden": {"gamma_vec": [0.0, 0.0, 1.0]},
    "constant step": {"unit_cell_devices": [ideal_step(0.02)] * 3},
    "two device types": {"unit_cell_devices": [few_states(), ideal_step(0.02), ideal_step(0.02)]},
    "write noise": {"unit_cell_devices": [few_states(write_noise_std=0.3)] * 3},
    "decay and diffusion": {"unit_cell_devices": [few_states(lifetime=90.0, diffusion=0.01)] * 3},
    "BL management off": {
        "update": UpdateParameters(update_bl_management=False, update_management=False),
        "transfer_update": UpdateParameters(update_bl_management=False, update_management=False),
    },
    "short trains": {"update": UpdateParameters(desired_bl=2)},
    "stochastic pulses": {
        "update": UpdateParameters(pulse_type=PulseType.STOCHASTIC),
        "transfer_update": UpdateParameters(pulse_type=PulseType.STOCHASTIC),
    },
    "implicit pulses": {
        "update": UpdateParameters(pulse_type=PulseType.DETERMINISTIC_IMPLICIT),
    },
    "transfers without pulses": {
        "transfer_update": UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE),
    },
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_variants(variant: str) -> None:
    compare(linear_model, (6,), [4] * 15 + [3], 3, **VARIANTS[variant])


@pytest.mark.parametrize("variant", ["rows", "several reads", "noisy transfer read"])
def test_variants_of_a_convolution(variant: str) -> None:
    compare(conv_model, (1, 6, 6), [2] * 6 + [1], 3, **VARIANTS[variant])


def test_vectors_one_by_one() -> None:
    """A tile that is given single vectors, [in] and [out], instead of mini-batches."""
    generator = torch.Generator().manual_seed(4)
    data = [
        (torch.randn(5, generator=generator), torch.randn(4, generator=generator))
        for _ in range(60)
    ]
    states = []
    for device in (chain(3, TransferCompound), chain(3, warm_start=False)):
        torch.manual_seed(1)
        tile = KeyedAnalogTile(4, 5, config(device), bias=False)
        tile.seed(2, 0)
        tile.set_learning_rate(0.1)
        for x, d in data:
            tile.update(x, d)
        states.append(common(tile.get_exact_state()))
    assert differing(*states) == []


@pytest.mark.parametrize("route", ["direct", "chained"])
@pytest.mark.parametrize("n", [2, 4])
def test_the_chain_after_the_warm_start_is_the_stock_compound(n: int, route: Any) -> None:
    """From the state at the end of the warm start on, the stock compound gives the same bits."""
    data = batches((6,), [4] * 10)
    ours = linear_model(chain(n, route=route))
    for _ in range(n - 1):
        train(ours, data)
        advance_all(ours)
    assert all(tile.stage is None for _, tile in keyed_tiles(ours))

    stock = linear_model(chain(n, TransferCompound))
    for (_, a), (_, b) in zip(keyed_tiles(ours), keyed_tiles(stock), strict=True):
        b.set_exact_state(common(a.get_exact_state()))
        copy_bias(a, b)
    assert differing(common(state_of(ours)), state_of(stock)) == []

    more = batches((6,), [4] * 20 + [3], seed=1)
    train(ours, more)
    train(stock, more)
    assert differing(common(state_of(ours)), state_of(stock)) == []


def test_the_weight_matrix_is_the_sum_of_the_devices_after_every_mini_batch() -> None:
    """The reduction runs once a mini-batch: it must not be late after a smaller one."""
    model = linear_model(chain(3), sizes=(6, 4))
    ((_, tile),) = keyed_tiles(model)
    gammas = torch.tensor(chain(3).gamma_vec)
    for x in batches((6,), [4, 4, 3, 1, 5, 4, 2]):
        train(model, [x])
        devices = torch.stack([t.weights for t in tile.telemetry()])
        total = torch.einsum("k,kij->ij", gammas, devices)
        torch.testing.assert_close(tile.tile.get_weights(), total, rtol=0, atol=1e-6)


def test_default_is_the_stock_compound() -> None:
    assert WarmStartTransferCompound().warm_start is False
    states = []
    for cls in (TransferCompound, WarmStartTransferCompound):
        model = linear_model(cls(unit_cell_devices=[few_states(), few_states()], gamma=0.5))
        train(model, batches((6,), [4] * 10))
        states.append(common(state_of(model)))
    assert differing(*states) == []


def test_warm_start_differs_from_the_chain() -> None:
    """The guard against a parity test that compares a device with itself."""
    data = batches((6,), [4] * 20)
    weights = []
    for warm_start in (False, True):
        model = linear_model(chain(3, warm_start=warm_start))
        train(model, data)
        weights.append(keyed_tiles(model)[0][1].telemetry()[2].weights)
    assert not same_bits(*weights)
