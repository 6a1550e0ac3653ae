"""From ``model.name`` to a digital network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from runner.config.schema import ModelConfig
from runner.models.lenet5 import LeNet5

MODELS: dict[str, Callable[[int], nn.Module]] = {"lenet5": LeNet5}
"""Networks by ``model.name``: each takes the number of classes."""


def build_model(cfg: ModelConfig, n_classes: int) -> nn.Module:
    """A digital network with freshly drawn weights (torch's global generator)."""
    return MODELS[cfg.name](n_classes)


def analog_blocks(cfg: ModelConfig) -> list[str]:
    """Names of the blocks (top-level modules) that ``model.block_types`` puts on tiles."""
    blocks = ModelConfig.BLOCKS[cfg.name]
    return [block for block, kind in zip(blocks, cfg.block_types, strict=True) if kind == "A"]
