"""State survives every way to copy a model, and training goes on as if nothing had happened.

aihwkit alone loses the hidden weights of its compounds in all of them.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from device_ext import KeyedAnalogTile, keyed_tiles, set_engine
from tests.device_ext.conftest import (
    ModelFactory,
    advance_all,
    batches,
    chain,
    config,
    conv_model,
    copy_bias,
    differing,
    few_states,
    linear_model,
    state_of,
    train,
)

BEFORE = batches((6,), [4] * 30 + [3])
AFTER = batches((6,), [4] * 15 + [3], seed=1)


def by_deepcopy(model: nn.Module, _: ModelFactory) -> nn.Module:
    return copy.deepcopy(model)


def by_pickle(model: nn.Module, _: ModelFactory) -> nn.Module:
    return pickle.loads(pickle.dumps(model))


def by_torch_save(model: nn.Module, _: ModelFactory) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def by_state_dict(model: nn.Module, build: ModelFactory) -> nn.Module:
    """Into a model of another spread, with other keys."""
    fresh = build(torch_seed=77, seed=None)
    fresh.load_state_dict(model.state_dict())
    return fresh


def by_exact_state(model: nn.Module, build: ModelFactory) -> nn.Module:
    """Into a model of the same seeds; biases and scales are the module's own."""
    fresh = build()
    for (_, a), (_, b) in zip(keyed_tiles(model), keyed_tiles(fresh), strict=True):
        b.set_exact_state(a.get_exact_state())
        copy_bias(a, b)
    return fresh


WAYS = [by_deepcopy, by_pickle, by_torch_save, by_state_dict, by_exact_state]
Way = Callable[[nn.Module, ModelFactory], nn.Module]


def counts(tile: KeyedAnalogTile) -> list[tuple[int, int | None]]:
    return [(device.transfers, device.pulses) for device in tile.telemetry()]


def copy_and_go_on(model: nn.Module, way: Way, build: ModelFactory, data: list[Tensor]) -> None:
    """Copy a trained model and train both: the same bits before and after."""
    other = way(model, build)
    assert differing(state_of(other), state_of(model)) == []
    before = state_of(model)
    train(model, data)
    assert differing(before, state_of(model)) != []
    train(other, data)
    assert differing(state_of(other), state_of(model)) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("advances", range(4))
@pytest.mark.parametrize("route", ["direct", "chained"])
def test_warm_start_in_every_stage(route: Any, advances: int, way: Way) -> None:
    """Copied in one stage; the copy then goes through the stages to come as the original does."""

    def build(**kwargs: Any) -> nn.Module:
        return linear_model(chain(4, route=route), **kwargs)

    model = build()
    train(model, BEFORE[:6])
    for _ in range(advances):
        advance_all(model)
        train(model, BEFORE[:6])
    other = way(model, build)

    for switches in range(advances, 4):
        for (_, a), (_, b) in zip(keyed_tiles(model), keyed_tiles(other), strict=True):
            assert b.stage == a.stage == [3, 2, 1, None][switches]
            assert b.switches == a.switches == switches
            assert counts(b) == counts(a)
        assert differing(state_of(other), state_of(model)) == []
        train(model, AFTER[-6:])
        train(other, AFTER[-6:])
        assert differing(state_of(other), state_of(model)) == []
        if switches < 3:
            advance_all(model)
            advance_all(other)


@pytest.mark.parametrize("way", WAYS)
def test_fast_engine(way: Way) -> None:
    def build(**kwargs: Any) -> nn.Module:
        model = linear_model(chain(3), **kwargs)
        assert set_engine(model, "fast") == {}
        return model

    model = build()
    train(model, BEFORE)
    copy_and_go_on(model, way, build, AFTER)
    assert all(t.engine == "fast" for _, t in keyed_tiles(way(model, build)))


@pytest.mark.parametrize("way", WAYS)
def test_convolution(way: Way) -> None:
    def build(**kwargs: Any) -> nn.Module:
        return conv_model(chain(3), **kwargs)

    model = build()
    train(model, batches((1, 6, 6), [3] * 8 + [2]))
    copy_and_go_on(model, way, build, batches((1, 6, 6), [3] * 8, seed=1))


@pytest.mark.parametrize("way", WAYS)
def test_stock_compounds_and_devices(stock_model: ModelFactory, way: Way) -> None:
    model = stock_model()
    start = state_of(model)
    train(model, BEFORE)
    matrices = {k for k, value in start.items() if value.dim() == 2}
    assert len(matrices) >= len(keyed_tiles(model))
    # A matrix that never moved would not show its loss.
    assert matrices <= set(differing(start, state_of(model)))
    copy_and_go_on(model, way, stock_model, AFTER)


@pytest.mark.parametrize("torch_seed", range(12))
def test_a_single_cross_point_with_write_noise(torch_seed: int) -> None:
    """aihwkit replaces the nominal step of a copied device where the spread of a small tile is
    far from it: in about one of fifteen 1 x 1 tiles, seed 7 among these."""
    torch.manual_seed(torch_seed)
    tile = KeyedAnalogTile(1, 1, config(few_states(write_noise_std=0.3)), bias=False)
    tile.seed(1, 0)
    tile.set_learning_rate(0.1)
    other = copy.deepcopy(tile)
    for x in batches((1,), [3] * 20):
        tile.update(x, -x.flip(0))
        other.update(x, -x.flip(0))
    assert differing(tile.get_exact_state(), other.get_exact_state()) == []
    assert tile.telemetry()[0].share_at_bound == other.telemetry()[0].share_at_bound


@pytest.mark.parametrize("way", [by_deepcopy, by_pickle])
def test_copying_leaves_the_original_and_torchs_generator_alone(way: Way) -> None:
    model, untouched = linear_model(chain(3)), linear_model(chain(3))
    train(model, BEFORE)
    train(untouched, BEFORE)
    random_state = torch.get_rng_state()
    way(model, lambda **_: model)
    assert torch.equal(torch.get_rng_state(), random_state)
    train(model, AFTER)
    train(untouched, AFTER)
    assert differing(state_of(model), state_of(untouched)) == []


def test_a_copy_is_independent() -> None:
    model = linear_model(chain(3))
    train(model, BEFORE)
    other = copy.deepcopy(model)
    before = state_of(model)
    train(other, AFTER)
    advance_all(other)
    assert differing(before, state_of(model)) == []


def test_setting_weights_keeps_the_stage() -> None:
    model = linear_model(chain(3))
    advance_all(model)
    for _, tile in keyed_tiles(model):
        weight, bias = tile.get_weights()
        tile.set_weights(weight, bias)
        assert (tile.stage, tile.switches) == (1, 1)


def test_exact_state_is_plain_tensors() -> None:
    model = linear_model(chain(3))
    for _, tile in keyed_tiles(model):
        for key, value in tile.get_exact_state().items():
            assert type(key) is str
            assert type(value) is Tensor
            assert value.is_contiguous()
            assert value.dtype in (torch.float32, torch.float64, torch.int64)


def trained_tile() -> KeyedAnalogTile:
    model = linear_model(chain(3), sizes=(6, 5))
    train(model, BEFORE)
    return keyed_tiles(model)[0][1]


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: without(s, "1.weights"), "'1.weights' is missing"),
        (lambda s: {**s, "1.weights": s["1.weights"][:, :-1]}, "'1.weights' .* another shape"),
        (lambda s: {**s, "1.weights": s["1.weights"].T.contiguous()}, "'1.weights' .* shape"),
        (lambda s: {**s, "7.weights": s["1.weights"]}, "has matrices that this tile lacks"),
        (lambda s: without(s, "extra.rpu.rpu_device.switches"), "counters"),
        (lambda s: {**s, "extra.nonsense": torch.zeros(1)}, "counters"),
        (lambda s: without(s, "counter.calls"), "lacks the tile's call counters"),
        (lambda s: {**s, "extra.rpu.rpu_device.transfers": torch.zeros(2)}, "transfers"),
        (lambda s: {**s, "extra.rpu.rpu_device.current_slice_indices": torch.zeros(1)}, "slice"),
        (lambda s: {**s, "counter.calls": torch.zeros(1, dtype=torch.int64)}, "call counters"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(damage: Any, message: str) -> None:
    state = trained_tile().get_exact_state()
    model = linear_model(chain(3), sizes=(6, 5))
    ((_, tile),) = keyed_tiles(model)
    before = state_of(model)
    with pytest.raises(ValueError, match=message):
        tile.set_exact_state(damage(state))
    assert differing(before, state_of(model)) == []


def test_state_of_a_stock_tile_is_refused() -> None:
    model = linear_model(chain(3), sizes=(6, 5))
    ((_, tile),) = keyed_tiles(model)
    state = {k: v for k, v in tile.get_analog_state().items() if not k.startswith("keyed")}
    with pytest.raises(ValueError, match="not saved by a keyed tile"):
        tile.__setstate__(state)
