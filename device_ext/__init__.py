"""The compiled extension: a warm-start transfer device and keyed tiles on top of aihwkit.

aihwkit is neither patched nor vendored: ``_core`` derives from its C++ transfer device.
"""

from device_ext.compound import WarmStartTransferCompound
from device_ext.layers import CONVERSION_MAP, KeyedConv2d, KeyedLinear
from device_ext.model import keyed_tiles, seed_tiles, set_engine
from device_ext.optimizer import KeyedSGD
from device_ext.tile import DeviceTelemetry, EngineName, KeyedAnalogTile

__all__ = [
    "CONVERSION_MAP",
    "DeviceTelemetry",
    "EngineName",
    "KeyedAnalogTile",
    "KeyedConv2d",
    "KeyedLinear",
    "KeyedSGD",
    "WarmStartTransferCompound",
    "keyed_tiles",
    "seed_tiles",
    "set_engine",
]
