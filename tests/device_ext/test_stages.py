"""Stages of the warm start on one cross-point, against hand calculation.

The devices are ideal: every pulse is one exact step of ``DW``. Learning rates are so large that
each line fires with probability 1 in every slot, so a vector gives the gradient tile exactly
``BL`` steps up and a transfer gives its target exactly ``BL_TRANSFER`` steps, in the direction of
the weight that was read.
"""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters

from device_ext import EngineName, KeyedAnalogTile
from tests.device_ext.conftest import chain, config, ideal_step, same_bits, scalar_tile

DW = 0.001
BL, BL_TRANSFER = 1, 3
CERTAIN = 1e5  # learning rate at which a pulse is certain, whatever the weight that is read
GAMMA = 0.5
ENGINES: tuple[EngineName, ...] = ("exact", "fast")
ROUTES: tuple[Literal["direct", "chained"], ...] = ("direct", "chained")


def certain_pulses(desired_bl: int) -> UpdateParameters:
    return UpdateParameters(
        desired_bl=desired_bl, update_management=False, update_bl_management=False
    )


def ideal_chain(n: int, **kwargs: Any) -> Any:
    settings = {
        "unit_cell_devices": [ideal_step(DW)] * n,
        "gamma_vec": [GAMMA ** (n - 1 - i) for i in range(n)],
        "transfer_every_vec": [2.0, 3.0, 5.0, 7.0][:n],
        "transfer_lr_vec": [CERTAIN] * n,
        "fast_lr": CERTAIN,
        "transfer_update": certain_pulses(BL_TRANSFER),
    }
    return chain(n, **{**settings, **kwargs})


def tile_of(compound: Any, engine: EngineName) -> KeyedAnalogTile:
    tile = scalar_tile(compound, update=certain_pulses(BL))
    tile.engine = engine
    return tile


def push(tile: KeyedAnalogTile, n: int, batch: int = 1, sign: float = 1.0) -> None:
    """n mini-batches that pull the weight up (or down, with sign -1)."""
    for _ in range(n):
        tile.update(torch.ones(batch, 1), torch.full((batch, 1), -sign))


def steps(tile: KeyedAnalogTile) -> list[int]:
    """Weights of the devices in steps of DW; fails where one is not a whole number of steps."""
    weights = [t.weights.item() / DW for t in tile.telemetry()]
    assert [round(w) for w in weights] == pytest.approx(weights, abs=0.02)
    return [round(w) for w in weights]


def transfers(tile: KeyedAnalogTile) -> list[int]:
    return [t.transfers for t in tile.telemetry()]


def hits(before: int, now: int, every: int) -> int:
    """Number of transfers between two counts of mini-batches."""
    return now // every - before // every


@pytest.mark.parametrize("engine", ENGINES)
def test_direct_route_by_hand(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(3), engine)

    push(tile, 7)  # target 2: transfers at 2, 4, 6
    assert (tile.stage, steps(tile), transfers(tile)) == (2, [7, 0, 9], [0, 0, 3])
    assert tile.advance() == 1
    push(tile, 5)  # target 1: transfers at 8, 10, 12
    assert (tile.stage, steps(tile), transfers(tile)) == (1, [12, 9, 9], [0, 3, 3])
    assert tile.advance() is None
    push(tile, 8)  # the chain: 0 -> 1 at 14, 16, 18, 20; 1 -> 2 at 15, 18
    assert (tile.stage, steps(tile), transfers(tile)) == (None, [20, 21, 15], [0, 7, 5])

    weight, _ = tile.get_weights()
    expected = GAMMA**2 * 20 * DW + GAMMA * 21 * DW + 15 * DW
    torch.testing.assert_close(weight, torch.tensor([[expected]]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_chained_route_by_hand(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(4, route="chained"), engine)

    push(tile, 6)  # 0 -> 1 at 2, 4, 6; 1 -> 3 at 3, 6
    assert (tile.stage, steps(tile), transfers(tile)) == (3, [6, 9, 0, 6], [0, 3, 0, 2])
    tile.advance()
    push(tile, 6)  # 0 -> 1 at 8, 10, 12; 1 -> 2 at 9, 12
    assert (tile.stage, steps(tile), transfers(tile)) == (2, [12, 18, 6, 6], [0, 6, 2, 2])
    tile.advance()
    push(tile, 6)  # target 1: 0 -> 1 at 14, 16, 18 and nothing else
    assert (tile.stage, steps(tile), transfers(tile)) == (1, [18, 27, 6, 6], [0, 9, 2, 2])
    tile.advance()
    push(tile, 6)  # the chain: 0 -> 1 at 20, 22, 24; 1 -> 2 at 21, 24; 2 -> 3 at 20
    assert (tile.stage, steps(tile), transfers(tile)) == (None, [24, 36, 12, 9], [0, 12, 4, 3])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("route", ROUTES)
def test_every_stage_moves_what_the_formula_says(
    route: Literal["direct", "chained"], n: int, batch: int, engine: EngineName
) -> None:
    tile = tile_of(ideal_chain(n, route=route), engine)
    every = [2, 3, 5, 7]
    received = [0] * n
    now = 0

    for stage in [*range(n - 1, 0, -1), None]:
        assert tile.stage == stage
        before, now = now, now + 30  # a multiple of 2, 3 and 5: every source has moved already
        push(tile, 30, batch)
        if stage is None:
            for j in range(n - 1):
                received[j + 1] += hits(before, now, every[j])
        elif route == "direct":
            received[stage] += hits(before, now, every[0])
        else:
            received[1] += hits(before, now, every[0])
            if stage > 1:
                received[stage] += hits(before, now, every[1])
        assert transfers(tile) == received
        assert steps(tile) == [now * batch] + [BL_TRANSFER * r for r in received[1:]]
        if stage is not None:
            tile.advance()
    assert tile.switches == n - 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_negative_weight_lowers_its_target(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(3), engine)
    push(tile, 4, sign=-1.0)
    assert steps(tile) == [-4, 0, -6]


@pytest.mark.parametrize("engine", ENGINES)
def test_period_replaces_that_of_the_gradient_tile(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(3, period=4.0), engine)
    push(tile, 11)
    assert transfers(tile) == [0, 0, 2]
    tile.advance()
    tile.advance()
    push(tile, 3)  # in the chain transfer_every_vec[0] = 2 counts again: 12, 14
    assert transfers(tile)[1] == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_period_may_be_part_of_a_mini_batch(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(2, period=0.5), engine)
    push(tile, 3, batch=4)  # every 2 vectors of 12
    assert transfers(tile) == [0, 6]


@pytest.mark.parametrize("engine", ENGINES)
def test_units_may_be_vectors(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(2, units_in_mbatch=False, transfer_every_vec=[5.0, 5.0]), engine)
    push(tile, 3, batch=4)  # after 5 and 10 of 12 vectors
    assert transfers(tile) == [0, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_smaller_mini_batch_counts_by_its_own_size(engine: EngineName) -> None:
    """aihwkit counts vectors: a period of 2 is 8 vectors in batches of 4, and 6 in one of 3."""
    tile = tile_of(ideal_chain(2), engine)
    push(tile, 3, batch=4)  # 12 vectors: after 8
    push(tile, 1, batch=3)  # 13 - 15: no multiple of 6
    assert (steps(tile), transfers(tile)) == ([15, 3], [0, 1])
    push(tile, 1, batch=3)  # 16 - 18: after 18
    push(tile, 2, batch=4)  # 19 - 26: after 24
    assert (steps(tile), transfers(tile)) == ([26, 9], [0, 3])


@pytest.mark.parametrize("engine", ENGINES)
def test_fewer_switches_leave_the_fine_targets_out(engine: EngineName) -> None:
    tile = tile_of(ideal_chain(4, n_switches=1), engine)
    push(tile, 6)
    assert (tile.stage, transfers(tile)) == (3, [0, 0, 0, 3])
    assert tile.advance() is None
    assert tile.switches == 1
    push(tile, 6)  # the chain: 0 -> 1 at 8, 10, 12; 1 -> 2 at 9, 12; 2 -> 3 at 10
    assert transfers(tile) == [0, 3, 2, 4]
    with pytest.raises(RuntimeError, match="chain already runs"):
        tile.advance()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("route", ROUTES)
def test_one_switch_more_has_the_gradient_tile_as_last_target(
    route: Literal["direct", "chained"], engine: EngineName
) -> None:
    tile = tile_of(ideal_chain(2, n_switches=2, route=route), engine)
    push(tile, 4)
    assert transfers(tile) == [0, 2]
    assert tile.advance() == 0
    push(tile, 4)  # chained: 0 -> 1 goes on, as its definition says; direct: nothing moves
    assert transfers(tile) == [0, 2 if route == "direct" else 4]
    assert tile.advance() is None
    before = transfers(tile)[1]
    push(tile, 4)
    assert transfers(tile) == [0, before + 2]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("target", [3, 2, 1])
def test_devices_but_gradient_tile_and_target_stay_bitwise(target: int, engine: EngineName) -> None:
    torch.manual_seed(1)
    tile = KeyedAnalogTile(4, 5, config(chain(4)), bias=False)
    tile.set_weights(torch.randn(4, 5) * 0.3)
    tile.seed(2, 0)
    tile.set_learning_rate(0.1)
    tile.engine = engine
    generator = torch.Generator().manual_seed(9)

    def learn(n: int) -> None:
        for _ in range(n):
            x, d = (torch.randn(8, size, generator=generator) for size in (5, 4))
            tile.update(x, d)

    for _ in range(3 - target):
        learn(10)
        tile.advance()
    assert tile.stage == target
    before = tile.telemetry()
    learn(30)
    after = tile.telemetry()
    kept = [same_bits(a.weights, b.weights) for a, b in zip(before, after, strict=True)]
    assert kept == [k not in (0, target) for k in range(4)]


def exact_writes() -> UpdateParameters:
    """Transfers that add ``rate x weight read`` without pulses."""
    return UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE)


@pytest.mark.parametrize("scale_with_lr", [False, True])
@pytest.mark.parametrize("significance", [0.0, 0.5, 1.0, -1.0])
@pytest.mark.parametrize("warm_start_lr", [None, 0.25])
def test_rate_of_a_transfer_by_significance(
    warm_start_lr: float | None, significance: float, scale_with_lr: bool
) -> None:
    """rate = warm_start_lr * (gamma_vec[1] / gamma_vec[k]) ** significance, exactly."""
    compound = ideal_chain(
        4,
        transfer_lr_vec=[0.5, 9.0, 9.0, 9.0],
        transfer_update=exact_writes(),
        warm_start_lr=warm_start_lr,
        significance=significance,
        scale_transfer_lr=scale_with_lr,
    )
    tile = tile_of(compound, "exact")
    tile.set_learning_rate(0.5)
    base = (0.5 if warm_start_lr is None else warm_start_lr) * (0.5 if scale_with_lr else 1.0)
    for k in (3, 2, 1):
        push(tile, 2)  # one transfer, at the second mini-batch
        read = tile.telemetry()[0].weights.item()
        rate = base * (GAMMA**2 / GAMMA ** (3 - k)) ** significance
        assert tile.telemetry()[k].weights.item() == pytest.approx(rate * read, rel=1e-5)
        tile.advance()


def test_the_chained_route_scales_only_the_way_onto_the_target() -> None:
    compound = ideal_chain(
        3,
        route="chained",
        transfer_every_vec=[1.0, 1.0, 1.0],
        transfer_lr_vec=[0.5, 9.0, 9.0],
        transfer_update=exact_writes(),
        warm_start_lr=0.125,
        significance=1.0,
    )
    tile = tile_of(compound, "exact")
    push(tile, 1)
    w0, w1, w2 = (t.weights.item() for t in tile.telemetry())
    assert w1 == pytest.approx(0.5 * w0, rel=1e-5)  # transfer_lr_vec[0], as in the chain
    assert w2 == pytest.approx(0.125 * GAMMA * w1, rel=1e-5)
    tile.advance()
    push(tile, 1)
    read = tile.telemetry()[0].weights.item()
    assert tile.telemetry()[1].weights.item() == pytest.approx(w1 + 0.125 * read, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("significance", [0.0, 1.0])
@pytest.mark.parametrize("target", [3, 2])
def test_rate_of_a_transfer_in_pulses(target: int, significance: float, engine: EngineName) -> None:
    """A transfer of weight w gives, on average, rate * w / dw_min pulses.

    w = 1: the gradient tile sits at its bound. 1,000 transfers with trains of 10 slots each: the
    count is binomial with 10,000 trials; 5 standard deviations are at most 250.
    """
    dw_min = 1e-5
    compound = ideal_chain(
        4,
        unit_cell_devices=[ideal_step(0.1), *[ideal_step(dw_min)] * 3],
        gamma_vec=[1.0, 1.0, 0.5, 1.0],
        transfer_every_vec=[1.0] * 4,
        transfer_lr_vec=[2 * dw_min] * 4,
        transfer_update=certain_pulses(10),
        significance=significance,
    )
    tile = tile_of(compound, engine)
    for _ in range(3 - target):
        tile.advance()
    push(tile, 20)
    before = tile.telemetry()[target].weights.item()
    push(tile, 1000)
    pulses = (tile.telemetry()[target].weights.item() - before) / dw_min

    p = 2 * (1.0 / {3: 1.0, 2: 0.5}[target]) ** significance / 10
    assert pulses == pytest.approx(10_000 * p, abs=5 * (10_000 * p * (1 - p)) ** 0.5)
