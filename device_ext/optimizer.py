"""The optimizer's step without aihwkit's detours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from aihwkit.optim import AnalogSGD
from aihwkit.optim.context import AnalogContext
from torch import Tensor, no_grad
from torch.optim import SGD

from device_ext.tile import KeyedAnalogTile

# Without its decorators: our step has torch's hooks around it already, and no gradients.
_plain_step: Callable[..., Any] = inspect.unwrap(SGD.step)


class _Parts(NamedTuple):
    """A parameter list, taken apart: aihwkit's contexts are slow to ask for anything."""

    ids: tuple[int, ...]
    digital: list[list[Any]]
    """By group."""
    analog: list[tuple[int, AnalogContext, KeyedAnalogTile]]
    """Group, context, tile."""
    all_keyed: bool


class KeyedSGD(AnalogSGD):
    """aihwkit's ``AnalogSGD``, to the bit, for networks whose tiles are all keyed ones.

    A step hands the tensors of a pass to the tile as they are; aihwkit copies them, and torch's SGD
    looks for a gradient of every tile, which has none. With other tiles it is ``AnalogSGD``.
    """

    _parts: _Parts | None = None

    # What torch decorates these with hides them from its compiler, and imports that for it: two
    # seconds of every start.
    add_param_group = inspect.unwrap(SGD.add_param_group)
    state_dict = inspect.unwrap(SGD.state_dict)
    load_state_dict = inspect.unwrap(SGD.load_state_dict)

    def _taken_apart(self) -> _Parts:
        ids = tuple([id(p) for group in self.param_groups for p in group["params"]])
        if self._parts is None or self._parts.ids != ids:
            digital, analog = [], []
            for number, group in enumerate(self.param_groups):
                contexts = [p for p in group["params"] if isinstance(p, AnalogContext)]
                digital.append([p for p in group["params"] if not isinstance(p, AnalogContext)])
                analog += [(number, context, context.analog_tile) for context in contexts]
            keyed = all(isinstance(tile, KeyedAnalogTile) for _, _, tile in analog)
            self._parts = _Parts(ids, digital, analog, keyed)
        return self._parts

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's; tiles have no gradient to clear."""
        parts = self._taken_apart()
        if not (parts.all_keyed and set_to_none):
            super().zero_grad(set_to_none)
            return
        for params in parts.digital:
            for p in params:
                p.grad = None

    @no_grad()
    def step(self, closure: Callable[[], float] | None = None, **kwargs: Any) -> float | None:
        """Update digital parameters, then the tiles by pulses.

        Args:
            closure: evaluates the network again and returns the loss.
            kwargs: for torch's SGD.
        """
        parts, groups = self._taken_apart(), self.param_groups
        if not parts.all_keyed:
            return super().step(closure, **kwargs)
        self.param_groups = [
            {**group, "params": params} for group, params in zip(groups, parts.digital, strict=True)
        ]
        try:
            loss = _plain_step(self, closure, **kwargs)
        finally:
            self.param_groups = groups
        for number, context, tile in parts.analog:
            if context.use_torch_update or not context.has_gradient():
                continue
            lr = groups[number]["lr"]
            if lr != 0.0:
                tile.set_learning_rate(lr)
                as_is = tile.engine == "fast"
                x = _joined(context.analog_input, -1 if tile.in_trans else 0, as_is)
                d = _joined(context.analog_grad_output, -1 if tile.out_trans else 0, as_is)
                tile.update(x, d)
            context.reset()
        for _, _, tile in parts.analog:
            tile.post_update_step()
        return loss


def _joined(parts: list[Tensor], dim: int, as_is: bool) -> Tensor:
    """Tensors of several passes as one; a single one is not copied where any layout will do."""
    return parts[0] if as_is and len(parts) == 1 else torch.cat(parts, dim)
