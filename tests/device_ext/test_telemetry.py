"""What a tile says of its devices: weights, share at the bounds, transfers, pulses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.simulator.configs.compounds import TransferCompound
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor

from device_ext import EngineName, KeyedAnalogTile, keyed_tiles, set_engine
from tests.device_ext.conftest import (
    STOCK,
    batches,
    chain,
    config,
    few_states,
    ideal_step,
    linear_model,
    train,
)

ENGINES: tuple[EngineName, ...] = ("exact", "fast")


def hidden(tile: KeyedAnalogTile) -> dict[str, np.ndarray]:
    """aihwkit's own read-out of a tile's hidden parameters, [out, in] each."""
    names = tile.tile.get_hidden_parameter_names()
    values = tile.tile.get_hidden_parameters().numpy()
    return dict(zip(names, values, strict=True))


def share(weights: np.ndarray, low: np.ndarray, high: np.ndarray, step: float) -> float:
    near = (high - weights <= np.float32(step)) | (weights - low <= np.float32(step))
    return float(near.mean())


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_and_share_at_bound_of_a_compound(engine: EngineName) -> None:
    """Against numpy, from aihwkit's hidden parameters; some cross-points at a bound, some not."""
    dw_min = 0.125
    compound = chain(3, unit_cell_devices=[few_states(dw_min)] * 3, fast_lr=2.0)
    model = linear_model(compound, sizes=(12, 9))
    set_engine(model, engine)
    train(model, batches((12,), [8] * 40))
    ((_, tile),) = keyed_tiles(model)
    parameters = hidden(tile)
    for k, device in enumerate(tile.telemetry()):
        weights = parameters[f"hidden_weights_{k}"]
        assert device.weights.shape == (9, 12)
        np.testing.assert_array_equal(device.weights.numpy(), weights)
        expected = share(
            weights, parameters[f"min_bound_{k}"], parameters[f"max_bound_{k}"], dw_min
        )
        assert device.share_at_bound == pytest.approx(expected, abs=1e-12)
    assert 0.0 < tile.telemetry()[0].share_at_bound < 1.0


def test_share_at_bound_of_a_single_device() -> None:
    model = linear_model(few_states(), sizes=(12, 9))
    train(model, batches((12,), [8] * 40), lr=2.0)
    ((_, tile),) = keyed_tiles(model)
    (device,) = tile.telemetry()
    parameters = hidden(tile)
    expected = share(
        device.weights.numpy(), parameters["min_bound"], parameters["max_bound"], 0.125
    )
    assert 0.0 < expected < 1.0
    assert device.share_at_bound == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(device.weights, tile.tile.get_weights(), rtol=0, atol=0)


def test_share_at_bound_takes_what_is_stored_not_the_noisy_read() -> None:
    """With write noise the device keeps another weight than a read sees."""
    model = linear_model(few_states(write_noise_std=2.0), sizes=(12, 9))
    train(model, batches((12,), [8] * 40), lr=2.0)
    ((_, tile),) = keyed_tiles(model)
    (device,) = tile.telemetry()
    parameters = hidden(tile)
    bounds = parameters["min_bound"], parameters["max_bound"]
    stored = share(parameters["persistent_weights"], *bounds, 0.125)
    assert device.share_at_bound == pytest.approx(stored, abs=1e-12)
    assert stored != share(device.weights.numpy(), *bounds, 0.125)


@pytest.mark.parametrize(
    ("weight", "at_bound"), [(1.0, 1.0), (0.91, 1.0), (0.89, 0.0), (0.0, 0.0), (-0.95, 1.0)]
)
def test_share_at_bound_by_hand(weight: float, at_bound: float) -> None:
    tile = KeyedAnalogTile(2, 2, config(ideal_step(0.1)), bias=False)
    tile.set_weights(torch.full((2, 2), weight))
    assert tile.telemetry()[0].share_at_bound == at_bound


def certain(desired_bl: int) -> UpdateParameters:
    return UpdateParameters(
        desired_bl=desired_bl, update_management=False, update_bl_management=False
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_pulses_are_changes_of_a_weight(engine: EngineName) -> None:
    """Far from the bounds, steps of one sign: pulses = sum of |change| / dw_min, per device."""
    dw_min = 1e-3
    compound = chain(
        3,
        unit_cell_devices=[ideal_step(dw_min)] * 3,
        fast_lr=4e-4,
        transfer_lr_vec=[0.05] * 3,
        transfer_every_vec=[1.0, 2.0, 3.0],
        warm_start=False,
    )
    torch.manual_seed(1)
    tile = KeyedAnalogTile(5, 6, config(compound), bias=False)
    tile.seed(2, 0)
    tile.set_learning_rate(1.0)
    tile.engine = engine
    generator = torch.Generator().manual_seed(3)
    for _ in range(60):
        x = torch.rand(4, 6, generator=generator)
        d = -torch.rand(4, 5, generator=generator)
        tile.update(x, d)
    for device in tile.telemetry():
        steps = device.weights.double().abs().sum().item() / dw_min
        assert device.weights.max() < 0.9
        assert device.pulses == pytest.approx(steps, abs=0.05)
    assert all(device.pulses for device in tile.telemetry())
    assert [device.transfers for device in tile.telemetry()] == [0, 60, 30]


@pytest.mark.parametrize("engine", ENGINES)
def test_pulses_at_a_bound_count_too(engine: EngineName) -> None:
    """A pulse costs energy whether or not the device can still move."""
    compound = chain(2, unit_cell_devices=[ideal_step(0.1)] * 2, fast_lr=1e5)
    tile = KeyedAnalogTile(1, 1, config(compound, update=certain(1)), bias=False)
    tile.set_learning_rate(1.0)
    tile.engine = engine
    for _ in range(30):
        tile.update(torch.ones(1, 1), -torch.ones(1, 1))
    assert tile.telemetry()[0].pulses == 30
    assert tile.telemetry()[0].weights.item() == pytest.approx(1.0)


@pytest.mark.parametrize("count", [1, 5])
def test_pulses_of_a_single_device_on_the_fast_engine(count: int) -> None:
    tile = KeyedAnalogTile(3, 2, config(ideal_step(1e-3), update=certain(count)), bias=False)
    tile.set_learning_rate(1e5)
    assert tile.telemetry()[0].pulses is None  # aihwkit's own path does not count them
    tile.engine = "fast"
    for _ in range(7):
        tile.update(torch.ones(1, 2), -torch.ones(1, 3))
    assert tile.telemetry()[0].pulses == 7 * count * 6


def test_no_transfer_at_rate_zero() -> None:
    tile = KeyedAnalogTile(1, 1, config(chain(2, warm_start_lr=0.0)), bias=False)
    tile.set_learning_rate(1.0)
    for engine in ENGINES:
        tile.engine = engine
        for _ in range(6):
            tile.update(torch.ones(1, 1), -torch.ones(1, 1))
        assert tile.telemetry()[1].transfers == 0


@pytest.mark.parametrize("n_reads", [1, 2, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_columns_take_turns(n_reads: int, engine: EngineName) -> None:
    """Every transfer takes the next n columns, around the edge; a transfer counts once."""
    compound = chain(
        2,
        unit_cell_devices=[ideal_step(1e-3)] * 2,
        fast_lr=1e5,
        transfer_every_vec=[1.0, 1.0],
        transfer_lr_vec=[1e5, 1e5],
        transfer_update=certain(1),
        n_reads_per_transfer=n_reads,
    )
    tile = KeyedAnalogTile(2, 5, config(compound, update=certain(1)), bias=False)
    tile.set_learning_rate(1.0)
    tile.engine = engine
    expected = torch.zeros(5)
    for step in range(7):
        tile.update(torch.ones(1, 5), -torch.ones(1, 2))
        for read in range(n_reads):
            expected[(step * n_reads + read) % 5] += 1
        columns: Tensor = tile.telemetry()[1].weights / 1e-3
        torch.testing.assert_close(columns, expected.expand(2, 5), rtol=0, atol=1e-2)
    assert tile.telemetry()[1].transfers == 7


@pytest.mark.parametrize("name", sorted(STOCK))
def test_stock_tiles_have_telemetry(name: str) -> None:
    device, perfect = STOCK[name]
    compound: Any = device()
    model = linear_model(compound, perfect=perfect)
    train(model, batches((6,), [4] * 6))
    n = len(getattr(compound, "unit_cell_devices", [compound]))
    for _, tile in keyed_tiles(model):
        devices = tile.telemetry()
        assert len(devices) == n
        assert all(d.weights.shape == (tile.out_size, tile.in_size) for d in devices)
        assert all(0.0 <= d.share_at_bound <= 1.0 for d in devices)


def test_a_fully_hidden_compound_shows_the_weights_in_use() -> None:
    model = linear_model(chain(2, TransferCompound, gamma_vec=[0.0, 1.0]), sizes=(6, 5))
    train(model, batches((6,), [4] * 20))
    ((_, tile),) = keyed_tiles(model)
    assert torch.equal(tile.telemetry()[1].weights, tile.tile.get_weights())
