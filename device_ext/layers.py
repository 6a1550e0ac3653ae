"""Analog layers whose passes go straight to torch where the input-output is perfect.

Same results as aihwkit's passes within float rounding, without unfolding images, and without the
product for the weight gradient that a digital layer pays for: the tile's update is its own. To
torch the weight is a constant; a hook hands the input and the output's gradient to the tile.
"""

from __future__ import annotations

from typing import Any

import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from torch import Tensor
from torch.autograd import Function
from torch.nn import Conv2d, Linear, Module

from device_ext.layout import Pair, PatchGeometry
from device_ext.tile import KeyedAnalogTile


def _direct_tile(layer: Module) -> KeyedAnalogTile | None:
    tile = getattr(layer, "analog_module", None)
    return tile if isinstance(tile, KeyedAnalogTile) and tile.direct_passes else None


class _Rooted(Function):
    """Makes y, the output of a first layer without bias, ask for its gradient."""

    @staticmethod
    def forward(ctx: Any, root: Tensor, y: Tensor) -> Tensor:
        del root
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, None


def _watched(tile: KeyedAnalogTile, x: Tensor, y: Tensor) -> Tensor:
    """Return y, whose gradient will be remembered together with x for the tile's update."""
    if not torch.is_grad_enabled():
        return y
    if not y.requires_grad:
        y = _Rooted.apply(tile.analog_ctx, y)
    y.register_hook(lambda d: tile.remember(x, d))
    return y


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
        y = _watched(tile, x_input, torch.nn.functional.linear(x_input, weight, bias))
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
        if tile.patches is not self._geometry:
            tile.patches = self._geometry
        weight, bias = tile.direct_weight()
        weight = weight.view(self.out_channels, self.in_channels, *self._geometry.kernel)
        y = torch.conv2d(x_input, weight, None, *self._geometry[1:])
        if bias is not None:
            # Inside the convolution its gradient would cost that of the weight, too.
            y = y.add_(bias.view(-1, 1, 1))
        return _finish(tile, _watched(tile, x_input, y), 1)


CONVERSION_MAP: dict[type[Module], type[Module]] = {Linear: KeyedLinear, Conv2d: KeyedConv2d}
"""For aihwkit's ``convert_to_analog(..., conversion_map=CONVERSION_MAP)``."""
