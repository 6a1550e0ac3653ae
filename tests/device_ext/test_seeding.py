"""Runs repeat: every random number is a function of the seed, the tile and the call.

libc's ``rand()``, which aihwkit draws its pulses from, is global to the process: what another
model or an evaluation draws must not matter.

What re-keying costs is measured, not tested: see ``KeyedAnalogTile``.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs.compounds import OneSidedUnitCell
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import nn

from device_ext import KeyedAnalogTile, keyed_tiles, seed_tiles, set_engine
from tests.device_ext.conftest import (
    ModelFactory,
    batches,
    chain,
    config,
    conv_model,
    differing,
    few_states,
    linear_model,
    state_of,
    train,
)

DATA = batches((6,), [4] * 12 + [3])


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v for k, v in state_of(model).items() if k.endswith("weights")}


def trained(build: ModelFactory, **kwargs: Any) -> nn.Module:
    model = build(**kwargs)
    train(model, DATA)
    return model


def test_same_seed_same_run(stock_model: ModelFactory) -> None:
    assert differing(state_of(trained(stock_model)), state_of(trained(stock_model))) == []


def test_other_seed_other_pulses(stock_model: ModelFactory) -> None:
    """The same initial weights and devices, trained with other keys."""
    a, b = stock_model(seed=11), stock_model(seed=12)
    assert differing(weights_of(a), weights_of(b)) == []
    train(a, DATA)
    train(b, DATA)
    assert differing(weights_of(a), weights_of(b)) != []


def test_interleaved_models_do_what_each_does_alone(stock_model: ModelFactory) -> None:
    alone = [state_of(trained(stock_model, seed=seed)) for seed in (11, 12)]
    a, b = stock_model(seed=11), stock_model(seed=12)
    for x in DATA:
        train(a, [x])
        train(b, [x])
    assert differing(state_of(a), alone[0]) == []
    assert differing(state_of(b), alone[1]) == []


def test_what_others_draw_does_not_matter(stock_model: ModelFactory) -> None:
    expected = state_of(trained(stock_model))
    libc = ctypes.CDLL(None)
    model = stock_model()
    for i, x in enumerate(DATA):
        libc.srand(i)
        libc.rand()
        torch.manual_seed(i)
        KeyedAnalogTile(2, 2, config(few_states()), bias=False)
        train(model, [x])
    assert differing(state_of(model), expected) == []


def test_evaluation_changes_nothing_in_training(stock_model: ModelFactory) -> None:
    expected = weights_of(trained(stock_model))
    model = stock_model()
    for x in DATA:
        train(model, [x])
        model.eval()
        with torch.no_grad():
            model(DATA[0])
    assert differing(weights_of(model), expected) == []


def test_noisy_evaluation_repeats_by_seed() -> None:
    """Each evaluation has noise of its own, and the same in a second run."""

    def outputs(seed: int) -> list[torch.Tensor]:
        model = linear_model(few_states(), perfect=False, seed=seed).eval()
        with torch.no_grad():
            return [model(DATA[0]) for _ in range(2)]

    first, again, other = outputs(1), outputs(1), outputs(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("route", ["direct", "chained"])
@pytest.mark.parametrize("engine", ["exact", "fast"])
def test_warm_start_repeats_by_seed(route: Any, engine: Any) -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        model = linear_model(chain(4, route=route), seed=seed)
        assert set_engine(model, engine) == {}
        for _ in range(3):
            train(model, DATA)
            for _, tile in keyed_tiles(model):
                tile.advance()
        train(model, DATA)
        return state_of(model)

    assert differing(run(1), run(1)) == []
    assert differing(run(1), run(2)) != []


@pytest.mark.parametrize("pulse_type", [PulseType.STOCHASTIC, PulseType.DETERMINISTIC_IMPLICIT])
def test_other_pulse_types_repeat(pulse_type: PulseType) -> None:
    update = UpdateParameters(pulse_type=pulse_type)

    def run() -> dict[str, torch.Tensor]:
        model = linear_model(few_states(), update=update)
        train(model, DATA)
        return state_of(model)

    assert differing(run(), run()) == []


def test_convolution_repeats_by_seed() -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        model = conv_model(chain(3), perfect=False, seed=seed)
        train(model, batches((1, 6, 6), [3] * 6))
        return state_of(model)

    assert differing(run(1), run(1)) == []
    assert differing(run(1), run(2)) != []


def test_systematic_errors_of_the_input_output_follow_the_seed() -> None:
    """Voltage offsets and the like are drawn once per tile, not per call."""

    def output(seed: int) -> torch.Tensor:
        model = linear_model(few_states(), sizes=(6, 5), seed=None)
        ((_, tile),) = keyed_tiles(model)
        tile.rpu_config.forward = IOParameters(v_offset_std=0.2, out_noise=0.0, inp_noise=0.0)
        rebuilt = KeyedAnalogTile(5, 6, tile.rpu_config, bias=False)
        rebuilt.set_weights(torch.full((5, 6), 0.3))
        rebuilt.seed(seed, 0)
        with torch.no_grad():
            return rebuilt.eval()(DATA[0])

    torch.manual_seed(0)
    assert torch.equal(output(1), output(1))
    assert not torch.equal(output(1), output(2))


# -- the spread of the devices -------------------------------------------------------------------


def spread(model: nn.Module) -> list[torch.Tensor]:
    """Hidden parameters, [parameter, out, in], of every tile."""
    return [tile.tile.get_hidden_parameters() for _, tile in keyed_tiles(model)]


def test_torchs_seed_governs_the_spread(stock_model: ModelFactory) -> None:
    a, b, c = stock_model(torch_seed=1), stock_model(torch_seed=1), stock_model(torch_seed=2)
    assert all(torch.equal(x, y) for x, y in zip(spread(a), spread(b), strict=True))
    assert not any(torch.equal(x, y) for x, y in zip(spread(a), spread(c), strict=True))


@pytest.mark.parametrize("device", [few_states(), chain(3)], ids=["single", "compound"])
def test_two_layers_of_one_shape_have_spreads_of_their_own(device: Any) -> None:
    first, second = spread(linear_model(device, sizes=(4, 4, 4)))
    assert not torch.equal(first[0], second[0])


def test_the_devices_of_a_compound_have_spreads_of_their_own() -> None:
    model = linear_model(chain(3), sizes=(4, 4))
    ((_, tile),) = keyed_tiles(model)
    parameters = dict(zip(tile.tile.get_hidden_parameter_names(), spread(model)[0], strict=True))
    bounds = [parameters[f"max_bound_{k}"] for k in range(3)]
    assert not torch.equal(bounds[0], bounds[1])
    assert not torch.equal(bounds[1], bounds[2])


def test_a_construction_seed_fixes_the_spread() -> None:
    a, b = (
        linear_model(chain(3, construction_seed=5), sizes=(4, 4), torch_seed=seed)
        for seed in (1, 2)
    )
    assert torch.equal(
        spread(a)[0][:2], spread(b)[0][:2]
    )  # the bounds; initial weights follow torch's seed


def test_the_seed_of_the_tiles_leaves_the_spread_alone() -> None:
    a, b = linear_model(chain(3), seed=1), linear_model(chain(3), seed=2)
    assert all(torch.equal(x, y) for x, y in zip(spread(a), spread(b), strict=True))


def test_two_tiles_with_the_same_input_draw_differently() -> None:
    """The tile's index is part of the key."""
    tiles = []
    for index in range(2):
        torch.manual_seed(1)
        tile = KeyedAnalogTile(5, 6, config(few_states()), bias=False)
        tile.seed(3, index)
        tile.set_learning_rate(0.3)
        tile.update(torch.ones(4, 6), torch.ones(4, 5))
        tiles.append(tile.telemetry()[0].weights)
    assert not torch.equal(*tiles)


RUN = """
import hashlib
from tests.device_ext.conftest import NOISY, batches, chain, linear_model, state_of, train

def digest():
    model = linear_model(chain(3, transfer_forward=NOISY), perfect=False)
    train(model, batches((6,), [4] * 12))
    total = hashlib.sha256()
    for key, value in sorted(state_of(model).items()):
        total.update(key.encode() + value.numpy().tobytes())
    return total.hexdigest()
"""


def test_another_process_gives_the_same_bits() -> None:
    """Nothing depends on addresses, the clock or what else a process did."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-c", f"{RUN}\nprint(digest())"]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    here: dict[str, Any] = {}
    exec(RUN, here)
    assert there.stdout.strip() == here["digest"]()


def test_one_sided_cells_repeat_their_refreshes() -> None:
    """Read and written with noise: both draw from generators of the cell's own."""
    device = OneSidedUnitCell(
        unit_cell_devices=[few_states()],
        refresh_every=1,
        refresh_upper_thres=0.1,
        refresh_lower_thres=0.0,
        refresh_forward=IOParameters(out_noise=0.3),
    )

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(1)
        tile = KeyedAnalogTile(6, 5, config(device))
        tile.seed(seed, 0)
        tile.set_learning_rate(0.5)
        generator = torch.Generator().manual_seed(3)
        for _ in range(20):
            x, d = (torch.randn(4, n, generator=generator) for n in (5, 6))
            tile.update(x, d)
        return tile.tile.get_weights().clone()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


# -- what can not be seeded ----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["update", "transfer_update"])
def test_pulse_types_with_a_generator_out_of_reach_are_refused(where: str) -> None:
    parameters = UpdateParameters(pulse_type=PulseType.MEAN_COUNT)
    device = chain(3, transfer_update=parameters) if where == "transfer_update" else chain(3)
    with pytest.raises(ValueError, match=rf"^{where}\.pulse_type: .*can not be seeded"):
        KeyedAnalogTile(
            2, 2, config(device, update=parameters if where == "update" else None), bias=False
        )


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_seeds_are_refused(seed: int, index: int) -> None:
    tile = KeyedAnalogTile(2, 2, config(few_states()))
    with pytest.raises(ValueError, match="must be at least 0"):
        tile.seed(seed, index)


def test_seed_tiles_takes_the_order_of_the_modules() -> None:
    a, b = linear_model(chain(3), seed=4), linear_model(chain(3), seed=None)
    for index, (_, tile) in enumerate(keyed_tiles(b)):
        tile.seed(4, index)
    train(a, DATA)
    train(b, DATA)
    assert differing(state_of(a), state_of(b)) == []
    seed_tiles(a, 4)
    assert all(tile.get_exact_state()["counter.calls"].sum() == 0 for _, tile in keyed_tiles(a))
