"""From a digital network and a configuration to analog tiles. Only this package knows aihwkit."""

from __future__ import annotations

from runner.analog.build import AnalogModel, build_analog
from runner.analog.histograms import tile_histograms
from runner.analog.layers import Layer, format_layers
from runner.analog.state import set_tile_states, tile_states
from runner.analog.telemetry import Reading, read_tiles

__all__ = [
    "AnalogModel",
    "Layer",
    "Reading",
    "build_analog",
    "format_layers",
    "read_tiles",
    "set_tile_states",
    "tile_histograms",
    "tile_states",
]
