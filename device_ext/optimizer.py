"""The optimizer's step without aihwkit's detours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from aihwkit.optim import AnalogSGD
from aihwkit.optim.context import AnalogContext
from torch import Tensor, no_grad
from torch.optim import SGD

from device_ext.tile import KeyedAnalogTile


class KeyedSGD(AnalogSGD):
    """aihwkit's ``AnalogSGD``, to the bit, for networks whose tiles are all keyed ones.

    A step hands the tensors of a pass to the tile as they are; aihwkit copies them, and torch's SGD
    looks for a gradient of every tile, which has none. With other tiles it is ``AnalogSGD``.
    """

    @no_grad()
    def step(self, closure: Callable[[], float] | None = None, **kwargs: Any) -> float | None:
        """Update digital parameters, then the tiles by pulses.

        Args:
            closure: evaluates the network again and returns the loss.
            kwargs: for torch's SGD.
        """
        groups = self.param_groups
        digital, analog = [], []
        for group in groups:  # digital parameters and tiles in any order, as a network has them
            contexts = [p for p in group["params"] if isinstance(p, AnalogContext)]
            if not all(isinstance(context.analog_tile, KeyedAnalogTile) for context in contexts):
                return super().step(closure, **kwargs)
            others = [p for p in group["params"] if not isinstance(p, AnalogContext)]
            digital.append({**group, "params": others})
            analog += [(group["lr"], context, context.analog_tile) for context in contexts]
        self.param_groups = digital
        try:
            loss = SGD.step(self, closure, **kwargs)
        finally:
            self.param_groups = groups
        for lr, context, tile in analog:
            if context.use_torch_update or not context.has_gradient():
                continue
            if lr != 0.0:
                tile.set_learning_rate(lr)
                as_is = tile.engine == "fast"
                x = _joined(context.analog_input, -1 if tile.in_trans else 0, as_is)
                d = _joined(context.analog_grad_output, -1 if tile.out_trans else 0, as_is)
                tile.update(x, d)
            context.reset()
        for _, _, tile in analog:
            tile.post_update_step()
        return loss


def _joined(parts: list[Tensor], dim: int, as_is: bool) -> Tensor:
    """Tensors of several passes as one; a single one is not copied where any layout will do."""
    return parts[0] if as_is and len(parts) == 1 else torch.cat(parts, dim)
