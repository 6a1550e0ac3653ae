"""The state of all tiles of a network as plain tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from aihwkit.simulator.tiles.inference_torch import TorchInferenceTile
from aihwkit.simulator.tiles.module import TileModule
from torch import Tensor, nn

from device_ext import KeyedAnalogTile


def tile_states(model: nn.Module) -> dict[str, Tensor]:
    """Everything that training changes inside the tiles, by ``<tile>/<entry>``.

    Pulsed tiles give the weights of all their devices, their counters and their stage;
    floating-point tiles their weights. Digital biases and output scales are parameters of the
    network and are not among them, and so are the weights of tiles that torch updates.
    """
    return {
        f"{name}/{entry}": tensor
        for name, tile in _tiles(model)
        for entry, tensor in _state(tile).items()
    }


def set_tile_states(model: nn.Module, states: Mapping[str, Tensor]) -> None:
    """Put back what `tile_states` gave, bit by bit, into a network built in the same way.

    Raises:
        ValueError: the states belong to other tiles.
    """
    by_tile: dict[str, dict[str, Tensor]] = {name: {} for name, _ in _tiles(model)}
    for key, tensor in states.items():
        name, _, entry = key.partition("/")
        if name not in by_tile:
            raise ValueError(f"there is no tile {name!r}")
        by_tile[name][entry] = tensor
    for name, tile in _tiles(model):
        if isinstance(tile, KeyedAnalogTile):
            tile.set_exact_state(by_tile[name])
        else:
            if set(by_tile[name]) != {"weights"}:
                raise ValueError(f"the state of tile {name!r} is missing")
            tile.tile.set_weights(by_tile[name]["weights"])


def _tiles(model: nn.Module) -> Iterator[tuple[str, Any]]:
    return (
        (name, m)
        for name, m in model.named_modules()
        if isinstance(m, TileModule) and not isinstance(m, TorchInferenceTile)
    )


@torch.no_grad()
def _state(tile: Any) -> dict[str, Tensor]:
    if isinstance(tile, KeyedAnalogTile):
        return tile.get_exact_state()
    return {"weights": tile.tile.get_weights().clone()}
