"""Transfers between the devices of a compound: when, which columns, and what they write.

With noise-free devices and pulses that are certain nothing is random, so the fast engine and
aihwkit's own path have to agree in every value; with pulses left to chance, in their moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters

from device_ext import EngineName, KeyedAnalogTile
from tests.engine.law import moments
from tests.engine.statistics import assert_mean, assert_same_moments, assert_variance
from tests.engine.tiles import (
    chain,
    constant_step,
    ideal_step,
    linear_step,
    make_tile,
    normal_batch,
    reference,
    repeated,
    set_matrices,
    soft_bounds,
)

OUT, IN = 5, 7
CERTAIN = 1e9  # learning rate at which every line that is not 0 fires in every slot
STEP = 2.0**-6


def certain(bl: int) -> UpdateParameters:
    return UpdateParameters(desired_bl=bl, update_management=False, update_bl_management=False)


def certain_chain(n: int = 3, device: Any = None, **kwargs: Any) -> Any:
    settings = {
        "device": device or ideal_step(STEP),
        "fast_lr": CERTAIN,
        "transfer_lr_vec": [CERTAIN] * n,
        "transfer_update": certain(1),
    }
    return chain(n, **{**settings, **kwargs})


COMPOUNDS: dict[str, Any] = {
    "chain": certain_chain(),
    "long_chain": certain_chain(5, transfer_every_vec=[1.0, 2.0, 3.0, 5.0, 7.0]),
    "warm_direct": certain_chain(4, warm_start=True),
    "warm_direct_period": certain_chain(4, warm_start=True, period=1.0),
    "warm_chained": certain_chain(4, warm_start=True, route="chained"),
    "two_reads": certain_chain(n_reads_per_transfer=2),
    "more_reads_than_columns": certain_chain(n_reads_per_transfer=IN + 4),
    "remainder": certain_chain(transfer_every_vec=[1.5, 2.25, 7.0]),
    "several_in_a_mini_batch": certain_chain(transfer_every_vec=[0.25, 0.6, 1.0]),
    "in_vectors": certain_chain(transfer_every_vec=[3.0, 7.0, 11.0], units_in_mbatch=False),
    "never": certain_chain(transfer_every_vec=[2.0, 0.0, 0.0]),
    "no_transfer_rate": certain_chain(transfer_lr_vec=[0.0, CERTAIN, CERTAIN]),
    "scaled_rates": certain_chain(scale_transfer_lr=True, scale_fast_lr=True),
    "out_scale": certain_chain(transfer_forward=IOParameters(is_perfect=True, out_scale=0.5)),
    "soft_bounds": certain_chain(device=soft_bounds(STEP, dw_min_std=0.0)),
    "reference": certain_chain(device=reference(STEP, dw_min_std=0.0)),
    "linear": certain_chain(device=linear_step(STEP, dw_min_std=0.0)),
    "constant": certain_chain(device=constant_step(STEP, dw_min_std=0.0)),
}
BATCHES = [8, 8, 5, 8, 1, 8, 3, 8, 8, 8, 2, 8, 8, 8]


def trained(compound: Any, engine: EngineName, switch_at: Sequence[int] = ()) -> KeyedAnalogTile:
    tile = make_tile(compound, OUT, IN, engine=engine, update=certain(1))
    for index, n in enumerate(BATCHES):
        x, d = normal_batch(n, IN, OUT, seed=index)
        tile.update(x, d)
        if index in switch_at:
            tile.advance()
    return tile


@pytest.mark.parametrize("name", COMPOUNDS)
def test_fast_and_exact_transfer_alike(name: str) -> None:
    compound = COMPOUNDS[name]
    switches = (4, 8) if compound.warm_start else ()
    fast, exact = (trained(compound, engine, switches) for engine in ("fast", "exact"))  # type: ignore[arg-type]
    a, b = fast.telemetry(), exact.telemetry()
    assert [t.transfers for t in a] == [t.transfers for t in b]
    assert [t.pulses for t in a] == [t.pulses for t in b]
    assert sum(t.transfers for t in a) > 0 or name == "no_transfer_rate"
    assert fast.stage == exact.stage

    states = fast.get_exact_state(), exact.get_exact_state()
    for entry, value in states[0].items():
        other = states[1][entry]
        if "current_slice_indices" in entry or "current_update_idx" in entry:
            assert torch.equal(value, other), entry
        elif "weights" in entry:
            assert torch.allclose(value, other, rtol=0.0, atol=2e-6), entry
    assert any("current_slice_indices" in entry for entry in states[0])


@pytest.mark.parametrize("name", COMPOUNDS)
def test_the_weight_is_the_weighted_sum_of_the_devices(name: str) -> None:
    compound = COMPOUNDS[name]
    tile = make_tile(compound, OUT, IN, update=certain(1))
    for index, n in enumerate(BATCHES):
        tile.update(*normal_batch(n, IN, OUT, seed=index))
        devices = [t.weights for t in tile.telemetry()]
        total = sum(g * w for g, w in zip(compound.gamma_vec, devices, strict=True))
        assert torch.allclose(tile.tile.get_weights(), torch.as_tensor(total), rtol=0.0, atol=1e-6)


def test_changes_from_outside_enter_the_next_reduction() -> None:
    # Setting weights, restoring a state, decay: the engine must not go on with an old partial sum.
    compound = certain_chain(
        device=constant_step(STEP, dw_min_std=0.0, lifetime=20.0, lifetime_dtod=0.0)
    )
    tile = make_tile(compound, OUT, IN, update=certain(1))

    def check() -> None:
        tile.update(*normal_batch(8, IN, OUT))
        devices = [t.weights for t in tile.telemetry()]
        total = sum(g * w for g, w in zip(compound.gamma_vec, devices, strict=True))
        assert torch.allclose(tile.tile.get_weights(), torch.as_tensor(total), rtol=0.0, atol=1e-6)

    check()
    tile.set_weights(torch.full((OUT, IN), 0.4))
    check()
    tile.post_update_step()
    check()
    state = tile.get_exact_state()
    state["2.weights"] = state["2.weights"] - 0.2
    tile.set_exact_state(state)
    check()
    tile.engine = "exact"
    tile.update(*normal_batch(8, IN, OUT))
    tile.engine = "fast"
    check()
    parameters = tile.get_hidden_parameters()
    for name, value in parameters.items():
        if name.startswith("hidden_weights"):
            parameters[name] = 0.5 * value
    tile.set_hidden_parameters(parameters)
    check()


def test_the_gradient_of_one_vector_reaches_the_target() -> None:
    # By hand: x > 0 and d < 0 raise device 0 by one step; the column read is positive and raises
    # the same column of device 1 by BL = 3 steps; no other column moves.
    compound = certain_chain(2, transfer_every_vec=[1.0, 0.0], transfer_update=certain(3))
    tile = make_tile(compound, OUT, IN, update=certain(1))
    for column in range(IN + 2):
        tile.update(torch.ones(1, IN), -torch.ones(1, OUT))
        _, target = (t.weights for t in tile.telemetry())
        expected = torch.zeros(IN)
        for done in range(column + 1):
            expected[done % IN] += 3 * STEP
        assert torch.equal(target, expected.expand(OUT, IN))


# -- what a transfer writes, on average ------------------------------------------------------------

REPEATS = 4000
W_FAST = np.random.default_rng(1).uniform(-0.8, 0.8, (OUT, IN)).astype(np.float32)
W_FAST[1, 2] = 0.0
W_TARGET = np.random.default_rng(2).uniform(-0.3, 0.3, (OUT, IN)).astype(np.float32)
NOISY = IOParameters(
    out_noise=0.1, out_res=1.0 / 64.0, inp_res=1.0 / 128.0,
    noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE,
)  # fmt: skip


def reading_tile(lr: float, update: UpdateParameters, **kwargs: Any) -> KeyedAnalogTile:
    """Transfers all columns of device 0 at every vector; nothing else happens where d is 0."""
    compound = chain(
        2,
        soft_bounds(0.02, dw_min_std=0.4, up_down=0.1),
        transfer_every_vec=[1.0, 0.0],
        transfer_lr_vec=[lr, lr],
        transfer_update=update,
        n_reads_per_transfer=IN,
        **kwargs,
    )
    tile = make_tile(compound, OUT, IN)
    set_matrices(tile, {"0.weights": W_FAST, "1.weights": W_TARGET})
    return tile


TRANSFER_CASES = {
    "default": (0.1, UpdateParameters()),
    "rare": (0.005, UpdateParameters(desired_bl=5)),
    "certain_and_rare": (0.3, UpdateParameters(desired_bl=3)),
    "plain": (0.05, UpdateParameters(desired_bl=10, update_management=False,
                                     update_bl_management=False)),
    "um": (0.05, UpdateParameters(desired_bl=4, update_bl_management=False)),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFER_CASES)
def test_moments_of_a_transfer(name: str) -> None:
    lr, update = TRANSFER_CASES[name]
    tile = reading_tile(lr, update)
    parameters = {
        key.removesuffix("_1"): value.numpy().astype(float)
        for key, value in tile.get_hidden_parameters().items()
        if key.endswith("_1")
    }
    # A column transfer is an update with a one-hot x and d = -column, one after the other.
    columns = [(np.eye(IN)[j], -W_FAST[:, j].astype(float)) for j in range(IN)]
    expected = moments(
        W_TARGET.astype(float), "linear_mult", parameters, 0.4, columns, update, lr, 0.02
    )
    x, d = torch.ones(1, IN), torch.zeros(1, OUT)
    fast = repeated(tile, "fast", x, d, REPEATS)
    assert not fast["0.weights"].any()
    assert_mean(fast["1.weights"], expected.mean, "target")
    assert_variance(fast["1.weights"], expected.variance, "target")
    exact = repeated(tile, "exact", x, d, REPEATS)
    assert_same_moments(fast["1.weights"], exact["1.weights"], "target, against exact", tiny=1e-4)


def test_noisy_reads_agree_with_exact() -> None:
    tile = reading_tile(0.1, UpdateParameters(), transfer_forward=NOISY)
    quiet = reading_tile(0.1, UpdateParameters())
    x, d = torch.ones(1, IN), torch.zeros(1, OUT)
    fast = repeated(tile, "fast", x, d, REPEATS)["1.weights"]
    exact = repeated(tile, "exact", x, d, REPEATS)["1.weights"]
    without = repeated(quiet, "fast", x, d, REPEATS)["1.weights"]
    # Both arms read through aihwkit's tables of 32,768 normals.
    assert_same_moments(fast, exact, "target", tiny=3e-4)
    assert fast[:, 1, 2].std() > 0.01  # a weight of 0 is read as noise
    assert not without[:, 1, 2].any()
