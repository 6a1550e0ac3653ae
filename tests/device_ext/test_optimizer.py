"""The short step is aihwkit's step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig, SoftBoundsDevice
from aihwkit.simulator.parameters import IOParameters
from torch import nn

from device_ext import (
    CONVERSION_MAP,
    EngineName,
    KeyedAnalogTile,
    KeyedSGD,
    seed_tiles,
    set_engine,
)


def network(engine: EngineName | None, digital: str = "4") -> Any:
    """A convolution and two dense layers on tiles, but for the one that stays digital."""
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(3 * 6 * 6, 8),
        nn.Linear(8, 4),
    )
    perfect = IOParameters(is_perfect=True)
    extra: dict[str, Any] = {} if engine is None else {"tile_class": KeyedAnalogTile}
    config = SingleRPUConfig(
        device=SoftBoundsDevice(dw_min=0.02), forward=perfect, backward=perfect, **extra
    )
    model = convert_to_analog(
        model,
        config,
        conversion_map=None if engine is None else CONVERSION_MAP,
        exclude_modules=[digital],
        ensure_analog_root=False,
    )
    if engine is not None:
        seed_tiles(model, 3)
        set_engine(model, engine)
    return model


def trained(
    cls: type[AnalogSGD], engine: EngineName, passes: int, digital: str, **options: Any
) -> dict:
    model = network(engine, digital)
    optimizer = cls(model.parameters(), lr=0.1, **options)
    generator = torch.Generator().manual_seed(1)
    for step in range(6):
        for group in optimizer.param_groups:
            group["lr"] = 0.0 if step == 2 else 0.1 / (1 + step)
        optimizer.zero_grad()
        for _ in range(passes):
            x = torch.randn(5, 2, 6, 6, generator=generator)
            (model(x) ** 2).mean().backward()
        optimizer.step()
    state = {name: p.detach().clone() for name, p in model.named_parameters() if p.dim() == 1}
    for name, tile in model.named_modules():
        if isinstance(tile, KeyedAnalogTile):
            state |= {f"{name}/{k}": v for k, v in tile.get_exact_state().items()}
    return state | {"digital": model[int(digital)].weight.detach().clone()}


@pytest.mark.parametrize("engine", ["fast", "exact"])
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("digital", ["0", "3", "4"])  # the first, one in between, the last
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "weight_decay": 1e-3}])
def test_the_same_bits_as_aihwkits_optimizer(engine, passes, digital, options):
    ours = trained(KeyedSGD, engine, passes, digital, **options)
    theirs = trained(AnalogSGD, engine, passes, digital, **options)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    start = network(engine, digital)
    assert not torch.equal(ours["digital"], start[int(digital)].weight)
    for name, tile in start.named_modules():
        if isinstance(tile, KeyedAnalogTile):
            state = tile.get_exact_state()
            assert any(not torch.equal(state[k], ours[f"{name}/{k}"]) for k in state), name


def test_stock_tiles_are_updated_too():
    model = network(None)
    before = model[3].analog_module.get_weights()[0].clone()
    optimizer = KeyedSGD(model.parameters(), lr=0.1)
    (model(torch.ones(5, 2, 6, 6)) ** 2).sum().backward()
    optimizer.step()
    assert not torch.equal(model[3].analog_module.get_weights()[0], before)


def test_a_closure_gives_its_loss():
    model = network("fast")
    optimizer = KeyedSGD(model.parameters(), lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = (model(torch.ones(5, 2, 6, 6)) ** 2).mean()
            loss.backward()
        return loss.item()

    first = optimizer.step(closure)
    assert first is not None
    assert optimizer.step(closure) != first


def test_hooks_of_a_step_run_once():
    torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)  # torch hooks into a class's first use
    model = network("fast")
    optimizer = KeyedSGD(model.parameters(), lr=0.1)
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    (model(torch.ones(5, 2, 6, 6)) ** 2).mean().backward()
    optimizer.step()
    assert calls == ["before", "after"]


def test_zero_grad_clears_digital_gradients():
    model = network("fast")
    optimizer = KeyedSGD(model.parameters(), lr=0.1)
    for set_to_none in (True, False):
        model(torch.ones(5, 2, 6, 6)).sum().backward()
        assert model[4].weight.grad.abs().sum() > 0
        optimizer.zero_grad(set_to_none)
        grad = model[4].weight.grad
        assert grad is None if set_to_none else not grad.any()


def test_later_groups_are_trained_too():
    model, more = network("fast"), nn.Linear(4, 2)
    optimizer = KeyedSGD(model.parameters(), lr=0.1)
    optimizer.step()
    optimizer.add_param_group({"params": list(more.parameters())})
    before = more.weight.detach().clone()
    more(model(torch.ones(5, 2, 6, 6))).sum().backward()
    optimizer.step()
    assert not torch.equal(more.weight, before)
    optimizer.zero_grad()
    assert more.weight.grad is None
