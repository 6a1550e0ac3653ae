"""Analog layers whose passes go straight to torch where the input-output is perfect.

Same results as aihwkit's passes within float rounding, without unfolding images, and without the
product for the weight gradient that a digital layer pays for: the tile's update is its own.
"""

from __future__ import annotations

from typing import Any

import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import Conv2d, Linear, Module

from device_ext.layout import Pair, PatchGeometry
from device_ext.tile import KeyedAnalogTile


class _DirectLinear(Function):
    """y = x W^T + b, remembering x and the gradient of y for the tile's update."""

    @staticmethod
    def forward(
        ctx: Any, _: Tensor, tile: KeyedAnalogTile, x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        ctx.tile = tile
        ctx.save_for_backward(x, weight)
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (d,) = grad_outputs
        x, weight = ctx.saved_tensors
        ctx.tile.remember(x, d)
        grad_x = d @ weight if ctx.needs_input_grad[2] else None
        grad_bias = d.flatten(0, -2).sum(0) if ctx.needs_input_grad[4] else None
        return None, None, grad_x, None, grad_bias


class _DirectConv2d(Function):
    """Like ``_DirectLinear``, for a convolution; remembers the image itself, not its patches."""

    @staticmethod
    def forward(
        ctx: Any,
        _: Tensor,
        tile: KeyedAnalogTile,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        geometry: PatchGeometry,
    ) -> Tensor:
        ctx.tile, ctx.geometry = tile, geometry
        ctx.save_for_backward(x, weight)
        return torch.conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (d,) = grad_outputs
        x, weight = ctx.saved_tensors
        ctx.tile.remember(x, d)
        geometry: PatchGeometry = ctx.geometry
        needs_x, needs_bias = ctx.needs_input_grad[2], ctx.needs_input_grad[4]
        grad_x = None
        if needs_x:
            # Asked for the bias too, it would compute the weight's gradient on the way.
            grad_x, _, _ = torch.ops.aten.convolution_backward(
                d, x, weight, None, geometry.stride, geometry.padding, geometry.dilation, False,
                [0, 0], 1,
                [True, False, False],
            )  # fmt: skip
        grad_bias = d.sum((0, 2, 3)) if needs_bias else None
        return None, None, grad_x, None, grad_bias, None


def _direct_tile(layer: Module) -> KeyedAnalogTile | None:
    tile = getattr(layer, "analog_module", None)
    return tile if isinstance(tile, KeyedAnalogTile) and tile.direct_passes else None


def _finish(tile: KeyedAnalogTile, y: Tensor, channel_dim: int) -> Tensor:
    """Apply the learned output scales, and the bias behind them; without scales it is in y."""
    if tile.out_scaling_alpha is None:
        return y
    view = tile.get_tensor_view(y.dim(), channel_dim)
    y = tile.apply_out_scaling(y, view)
    return y if tile.bias is None else y + tile.bias.view(*view)


def _pair(value: Any) -> Pair:
    height, width = value
    return height, width


class KeyedLinear(AnalogLinear):
    """``AnalogLinear`` that passes through torch where its tile's ``direct_passes`` is set."""

    def forward(self, x_input: Tensor) -> Tensor:
        tile = _direct_tile(self)
        if tile is None:
            return super().forward(x_input)
        weight, bias = tile.direct_weight()
        y = _DirectLinear.apply(tile.analog_ctx, tile, x_input, weight, bias)
        return _finish(tile, y, y.dim() - 1)


class KeyedConv2d(AnalogConv2d):
    """``AnalogConv2d`` that passes through torch where its tile's ``direct_passes`` is set."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._geometry = PatchGeometry(
            _pair(self.kernel_size), _pair(self.stride), _pair(self.padding), _pair(self.dilation)
        )

    def forward(self, x_input: Tensor) -> Tensor:
        tile = _direct_tile(self)
        if tile is None:
            return super().forward(x_input)
        tile.patches = self._geometry
        weight, bias = tile.direct_weight()
        weight = weight.view(self.out_channels, self.in_channels, *self._geometry.kernel)
        y = _DirectConv2d.apply(tile.analog_ctx, tile, x_input, weight, bias, self._geometry)
        return _finish(tile, y, 1)


CONVERSION_MAP: dict[type[Module], type[Module]] = {Linear: KeyedLinear, Conv2d: KeyedConv2d}
"""For aihwkit's ``convert_to_analog(..., conversion_map=CONVERSION_MAP)``."""
