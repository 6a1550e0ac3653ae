"""What of a network lies on tiles: the table that a run prints at its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One layer with weights.

    Args:
        name: name of the module.
        kind: "analog" or "digital".
        out_size, in_size: shape of its weight matrix.
        vectors: matrix-vector products per image (positions of a convolution's kernel).
        tiles: number of tiles that the matrix is split over.
        devices: devices per cross-point; 0 for a digital layer.
    """

    name: str
    kind: str
    out_size: int
    in_size: int
    vectors: int
    tiles: int = 0
    devices: int = 0

    @property
    def cross_points(self) -> int:
        """Resistive devices of this layer."""
        return self.out_size * self.in_size * self.devices


def digital_layers(model: nn.Module, image_shape: Sequence[int]) -> list[Layer]:
    """The linear and convolution layers of a digital network, in the order of their use.

    Args:
        model: digital network; one black image is sent through it.
        image_shape: channels, height, width.
    """
    found: list[Layer] = []
    hooks = [
        module.register_forward_hook(partial(_note, found, name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    was_training = model.training
    with torch.no_grad():
        model.eval()(torch.zeros(1, *image_shape))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return found


def _note(found: list[Layer], name: str, module: Any, _: Any, output: Tensor) -> None:
    out_size, in_size = module.weight.flatten(1).shape
    found.append(Layer(name, "digital", out_size, in_size, output.numel() // out_size))


def format_layers(layers: Sequence[Layer]) -> str:
    """A table of layers in plain text, one line a layer and one for the sum."""
    head = ("layer", "kind", "matrix", "tiles", "devices", "cross-points")
    rows = [
        (
            layer.name,
            layer.kind,
            f"{layer.out_size} x {layer.in_size}",
            str(layer.tiles or "-"),
            str(layer.devices or "-"),
            f"{layer.cross_points:,}" if layer.devices else "-",
        )
        for layer in layers
    ]
    total = sum(layer.cross_points for layer in layers)
    rows.append(("sum", "", "", "", "", f"{total:,}" if total else "-"))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        left = [row[i].ljust(widths[i]) for i in range(2)]
        right = [row[i].rjust(widths[i]) for i in range(2, len(head))]
        lines.append("  ".join(left + right).rstrip())
    return "\n".join(lines)
