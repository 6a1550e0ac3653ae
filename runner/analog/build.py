"""Lay a network on tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.simulator.tiles.module import TileModule
from torch import nn

from device_ext import (
    CONVERSION_MAP,
    KeyedAnalogTile,
    KeyedSGD,
    keyed_tiles,
    seed_tiles,
    set_engine,
)
from runner.analog.layers import Layer, digital_layers
from runner.analog.rpu import rpu_config
from runner.config.devices import concrete
from runner.config.schema import Config, DeviceConfig, ReslConfig
from runner.errors import UserError


@dataclass(frozen=True)
class AnalogModel:
    """A network on tiles, and what there is to say about it.

    Args:
        model: the network.
        optimizer: updates the digital parameters, and the tiles by pulses.
        layers: its layers with weights.
        staged: the tiles that have a warm start.
        notes: sentences for the user.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    layers: list[Layer]
    staged: list[KeyedAnalogTile]
    notes: list[str]


def build_analog(model: nn.Module, cfg: Config, image_shape: Sequence[int]) -> AnalogModel:
    """Turn a digital network into the one that the configuration asks for.

    torch's global generator decides the device-to-device spread of the tiles that are built;
    everything random in later tile calls is keyed by ``run.seed``.

    Args:
        model: digital network, changed in place.
        cfg: the run.
        image_shape: channels, height, width.
    """
    layers = digital_layers(model, image_shape)
    rpu = rpu_config(cfg)
    if rpu is None:
        return AnalogModel(model, _digital_optimizer(model, cfg), layers, [], [])
    analog = cfg.model.analog([layer.name for layer in layers])
    if not analog:
        raise UserError(f"model.analog_layers={cfg.model.analog_layers}: fits no layer")
    digital = [layer.name for layer in layers if layer.name not in analog]
    model = convert_to_analog(
        model,
        rpu,
        conversion_map=CONVERSION_MAP,
        exclude_modules=digital,
        ensure_analog_root=False,
        inplace=True,
    )
    seed_tiles(model, cfg.run.seed)
    stays = set_engine(model, cfg.run.engine)
    notes = [f"tile {tile} stays on aihwkit's own update: {why}" for tile, why in stays.items()]
    notes += _notes(cfg)
    layers = [_on_tiles(layer, model, cfg) for layer in layers]
    staged = [tile for _, tile in keyed_tiles(model)] if cfg.warm_start.enabled else []
    return AnalogModel(model, _sgd(KeyedSGD, model, cfg), layers, staged, notes)


def _digital_optimizer(model: nn.Module, cfg: Config) -> torch.optim.Optimizer:
    if cfg.algorithm.name == "adamw":
        optim = cfg.optim
        return torch.optim.AdamW(model.parameters(), lr=optim.lr, weight_decay=optim.weight_decay)
    return _sgd(torch.optim.SGD, model, cfg)


def _sgd(cls: type[torch.optim.SGD], model: nn.Module, cfg: Config) -> torch.optim.SGD:
    optim = cfg.optim
    return cls(
        model.parameters(), lr=optim.lr, momentum=optim.momentum, weight_decay=optim.weight_decay
    )


def _on_tiles(layer: Layer, model: nn.Module, cfg: Config) -> Layer:
    tiles = sum(isinstance(m, TileModule) for m in model.get_submodule(layer.name).modules())
    if tiles == 0:
        return layer
    devices = getattr(cfg.algorithm, "n_devices", 1)
    return dataclasses.replace(layer, kind="analog", tiles=tiles, devices=devices)


def _notes(cfg: Config) -> list[str]:
    notes = []
    algorithm = cfg.algorithm
    if isinstance(algorithm, ReslConfig):
        device = concrete(cfg.device)
        if isinstance(device, DeviceConfig):
            notes.append(
                f"device.n_states: {device.states:g} states is nominal; with the devices' spread "
                "a cross-point has more or fewer"
            )
        if not (algorithm.scale_fast_lr or algorithm.scale_transfer_lr):
            notes.append(
                "optim.lr and its schedule move no tile: algorithm.fast_lr is absolute and the "
                "transfer rates are not scaled; they drive biases and digital layers only"
            )
    return notes
