"""aihwkit's own compounds on the fast engine: the gradient goes onto the first device by the
engine's pulses, everything else is aihwkit's. Compared with aihwkit's own path, in moments where
chance decides and in every value where it does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    TransferCompound,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters

from device_ext import EngineName, KeyedAnalogTile, _core
from tests.engine.statistics import Array, assert_same_moments
from tests.engine.tiles import constant_step, make_tile, normal_batch, soft_bounds

OUT, IN = 4, 6
PERFECT = IOParameters(is_perfect=True)
BATCHES = [normal_batch(n, IN, OUT, seed, 0.4) for seed, n in enumerate((4, 4, 3, 4, 4, 1))]


def noisy() -> Any:
    return soft_bounds(0.05, dw_min_std=0.3)


def quiet() -> Any:
    return constant_step(2.0**-5, dw_min_std=0.0)


def transfer(device: Any, cls: Any = TransferCompound, **kwargs: Any) -> Any:
    settings: dict[str, Any] = {
        "unit_cell_devices": [device, device], "transfer_every": 1.0, "units_in_mbatch": True,
        "fast_lr": 0.3, "scale_fast_lr": False, "transfer_lr": 0.4, "scale_transfer_lr": False,
        "transfer_forward": PERFECT,
    }  # fmt: skip
    return cls(**{**settings, **kwargs})


def mixed(device: Any, **kwargs: Any) -> Any:
    return MixedPrecisionCompound(
        device=device, **{"transfer_every": 1, "n_x_bins": 0, "n_d_bins": 0, **kwargs}
    )


CHOPPED: dict[str, Any] = {"in_chop_prob": 0.3, "out_chop_prob": 0.3}

RANDOM: dict[str, Any] = {
    "transfer": transfer(noisy()),
    "transfer_gamma": transfer(noisy(), gamma=0.5),
    "transfer_noisy_read": transfer(noisy(), transfer_forward=IOParameters(out_noise=0.05)),
    "transfer_rows": transfer(noisy(), transfer_columns=False),
    "transfer_reset": transfer(noisy(), with_reset_prob=0.5),
    "transfer_random_column": transfer(noisy(), random_selection=True),
    "buffered": transfer(noisy(), BufferedTransferCompound, transfer_lr=1.0),
    "chopped": transfer(noisy(), ChoppedTransferCompound, **CHOPPED),
    "chopped_rows": transfer(noisy(), ChoppedTransferCompound, **CHOPPED, transfer_columns=False),
    "dynamic": transfer(noisy(), DynamicTransferCompound, in_chop_prob=0.3),
    "mixed_precision": mixed(noisy()),
    "mixed_precision_rows": mixed(noisy(), transfer_every=2, n_rows_per_transfer=2),
}


def engine_tile(device: Any, engine: EngineName, update: UpdateParameters) -> KeyedAnalogTile:
    return make_tile(device, OUT, IN, engine=engine, lr=0.2, update=update)


def outcomes(device: Any, engine: EngineName, repeats: int) -> dict[str, Array]:
    """Every weight matrix after six mini-batches, [repeats, out, in]."""
    tile = engine_tile(device, engine, UpdateParameters())
    tile.set_weights(0.2 * torch.ones(OUT, IN))
    start = tile.get_exact_state()
    results: dict[str, list[Array]] = {}
    for r in range(repeats):
        start["counter.calls"] = torch.tensor([100 * r] * 3)  # keys of its own for every repeat
        tile.set_exact_state(start)
        for x, d in BATCHES:
            tile.update(x, d)
        for name, matrix in _core.state_matrices(tile.tile).items():
            results.setdefault(name, []).append(matrix.astype(np.float64))
    return {name: np.stack(matrices) for name, matrices in results.items()}


@pytest.mark.parametrize("name", RANDOM)
def test_moments_agree_with_exact(name: str) -> None:
    fast, exact = (outcomes(RANDOM[name], engine, 1200) for engine in ("fast", "exact"))
    assert fast.keys() == exact.keys()
    assert any((v.std(axis=0) > 0.01).any() for v in fast.values())
    for matrix, sample in fast.items():
        assert_same_moments(sample, exact[matrix], matrix, tiny=1e-3)


CERTAIN_PULSES = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)


def certain(**kwargs: Any) -> Any:
    settings = {"fast_lr": 1e9, "transfer_lr": 1e9, "transfer_update": CERTAIN_PULSES}
    return transfer(quiet(), **{**settings, **kwargs})


DETERMINED: dict[str, Any] = {
    "transfer": certain(),
    "transfer_three": certain(unit_cell_devices=[quiet()] * 3, gamma_vec=[0.2, 0.5, 1.0]),
    "transfer_fully_hidden": certain(gamma=0.0),
    "transfer_rows": certain(transfer_columns=False),
    "transfer_two_reads": certain(n_reads_per_transfer=2),
    "transfer_remainder": certain(transfer_every=1.5),
    "transfer_vectors": certain(transfer_every=3.0, units_in_mbatch=False),
}


@pytest.mark.parametrize("name", DETERMINED)
def test_without_chance_all_values_agree_with_exact(name: str) -> None:
    states = []
    for engine in ("fast", "exact"):
        tile = engine_tile(DETERMINED[name], engine, CERTAIN_PULSES)
        for x, d in BATCHES * 3:
            tile.update(x, d)
        states.append(tile.get_exact_state())
    assert states[0].keys() == states[1].keys()
    for entry, value in states[0].items():
        if value.dim() == 2 or "slice_ind" in entry or "update_idx" in entry:
            other = states[1][entry]
            assert torch.allclose(value.double(), other.double(), rtol=0.0, atol=1e-5), entry
