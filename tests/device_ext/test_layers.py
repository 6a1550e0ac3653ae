"""Layers that pass through torch: aihwkit's perfect passes, and what the tiles are left to see."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.simulator.configs import SingleRPUConfig, SoftBoundsDevice
from aihwkit.simulator.parameters import IOParameters, MappingParameter
from torch import Tensor, nn

from device_ext import CONVERSION_MAP, KeyedAnalogTile, seed_tiles, set_engine

NETWORKS = {
    "strided": lambda bias: [nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=bias)],
    "two convolutions": lambda bias: [
        nn.Conv2d(3, 4, 3, padding=1, bias=bias),
        nn.Tanh(),
        nn.Conv2d(4, 6, (2, 3), dilation=2, bias=bias),
    ],
    "in place behind": lambda bias: [
        nn.Conv2d(3, 4, 3, bias=bias),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3, bias=bias),
        nn.ReLU(inplace=True),
    ],
    "dense": lambda bias: [
        nn.Flatten(),
        nn.Linear(3 * 81, 7, bias=bias),
        nn.Tanh(),
        nn.Linear(7, 4),
    ],
}
# Without a bound: aihwkit drops the gradient of a perfect output beyond it (tests/upstream).
PERFECT = IOParameters(is_perfect=True, out_bound=0.0)


def network(name: str, engine: Any, *, bias: bool, **mapping: Any) -> Any:
    torch.manual_seed(2)
    config = SingleRPUConfig(
        device=SoftBoundsDevice(dw_min=0.01),
        forward=PERFECT,
        backward=PERFECT,
        mapping=MappingParameter(max_input_size=0, max_output_size=0, **mapping),
        tile_class=KeyedAnalogTile,
    )
    plain = nn.Sequential(*NETWORKS[name](bias))
    model = convert_to_analog(
        plain, config, conversion_map=CONVERSION_MAP, ensure_analog_root=False
    )
    seed_tiles(model, 1)
    assert not set_engine(model, engine)
    return model


def tiles(model: nn.Module) -> list[KeyedAnalogTile]:
    return [m for m in model.modules() if isinstance(m, KeyedAnalogTile)]


def vectors(tile: KeyedAnalogTile) -> tuple[Tensor, Tensor]:
    """What the tile is to be updated with, as rows, whichever way it was remembered."""
    context = tile.analog_ctx
    x, d = torch.cat(context.analog_input), torch.cat(context.analog_grad_output)
    if tile.patches is not None and x.dim() == 4:
        kernel, stride, padding, dilation = tile.patches
        x = nn.functional.unfold(x, kernel, dilation, padding, stride).transpose(1, 2)
        d = d.flatten(2).transpose(1, 2)
    return x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "mapping", [{}, {"weight_scaling_omega": 0.6}, {"out_scaling_columnwise": True,
                "learn_out_scaling": True, "weight_scaling_omega": 0.6}, {"digital_bias": False}],
    ids=["plain", "scaled", "learned scales", "analog bias"],
)  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_gradients_and_vectors_are_aihwkits(name, bias, mapping, memory_format):
    found = []
    for engine in ("fast", "exact"):
        model = network(name, engine, bias=bias, **mapping)
        generator = torch.Generator().manual_seed(7)
        x = torch.randn(6, 3, 9, 9, generator=generator).to(memory_format=memory_format)
        x.requires_grad_()
        y = model(x)
        y.backward(torch.randn(y.shape, generator=generator))
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        found.append(
            [y.detach(), x.grad, *gradients, *(v for t in tiles(model) for v in vectors(t))]
        )
    assert len(found[0]) == len(found[1])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_first_layer_remembers_without_a_gradient_of_its_input(name, bias):
    model = network(name, "fast", bias=bias)
    model(torch.randn(2, 3, 9, 9)).sum().backward()
    for tile in tiles(model):
        assert all(v.abs().sum() > 0 for v in vectors(tile))


def test_nothing_is_remembered_without_gradients():
    model = network("two convolutions", "fast", bias=True)
    with torch.no_grad():
        y = model(torch.ones(2, 3, 9, 9))
    assert not y.requires_grad
    assert not any(tile.analog_ctx.has_gradient() for tile in tiles(model))


def test_a_pass_can_be_taken_back_twice():
    model = network("two convolutions", "fast", bias=False)
    y = model(torch.ones(2, 3, 9, 9)).sum()
    y.backward(retain_graph=True)
    once = [vectors(tile) for tile in tiles(model)]
    y.backward()
    for tile, (x, d) in zip(tiles(model), once, strict=True):
        twice = vectors(tile)
        assert torch.equal(twice[0], torch.cat((x, x)))
        assert torch.equal(twice[1], torch.cat((d, d)))
