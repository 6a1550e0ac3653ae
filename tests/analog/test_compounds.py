"""Every pulsed algorithm reaches aihwkit's configuration with the numbers of its own."""

from __future__ import annotations

from typing import Any

import pytest

from device_ext import KeyedAnalogTile, WarmStartTransferCompound
from runner.analog import rpu
from runner.config import ConfigError, load_config
from runner.config.schema import PULSED_ALGORITHMS

DEVICES = {
    "ttv1": "TransferCompound",
    "ttv2": "BufferedTransferCompound",
    "ttv3": "ChoppedTransferCompound",
    "ttv4": "DynamicTransferCompound",
    "mp": "MixedPrecisionCompound",
    "analog_sgd": "SoftBoundsDevice",
    "resl": WarmStartTransferCompound.__name__,
}


def rpu_config(*overrides: str) -> Any:
    """What a command line makes of the tiles."""
    return rpu.rpu_config(load_config(overrides))


@pytest.mark.parametrize("name", PULSED_ALGORITHMS)
def test_the_compound_of_an_algorithm(name):
    config = rpu_config(f"algorithm={name}", "device.n_states=20")
    assert config.tile_class is KeyedAnalogTile
    assert type(config.device).__name__ == DEVICES[name]
    devices = getattr(config.device, "unit_cell_devices", None) or [
        getattr(config.device, "device", config.device)
    ]
    assert [device.dw_min for device in devices] == [0.1] * len(devices)


@pytest.mark.parametrize("name", ["resl", "ttv1", "ttv2", "ttv3", "ttv4"])
@pytest.mark.parametrize("io", ["perfect", "default"])
def test_the_io_reaches_the_read_of_a_transfer(name, io):
    """aihwkit's compounds read with noise by default, whatever the layer's own I/O is."""
    config = rpu_config(f"algorithm={name}", f"io={io}")
    assert config.device.transfer_forward.is_perfect == (io == "perfect")
    assert config.forward.is_perfect == (io == "perfect")


def test_the_settings_of_the_paper():
    """arXiv 2510.02516, LeNet-5 on MNIST; fast_lr is absolute there."""
    one = rpu_config("algorithm=ttv1").device
    two = rpu_config("algorithm=ttv2").device
    assert (one.fast_lr, one.transfer_lr) == (0.01, 0.1)
    assert (two.fast_lr, two.transfer_lr) == (0.1, 1.0)
    for device in (one, two):
        assert (device.scale_fast_lr, device.scale_transfer_lr) == (False, True)


def test_keys_of_an_algorithm_arrive():
    overrides = [
        "algorithm=ttv4", "algorithm.tail_weightening=7", "algorithm.in_chop_prob=0.25",
        "algorithm.auto_scale=false", "algorithm.transfer_every=3",
    ]  # fmt: skip
    device = rpu_config(*overrides).device
    assert device.tail_weightening == 7
    assert device.in_chop_prob == 0.25
    assert not device.auto_scale
    assert device.transfer_every == 3


def test_a_period_that_overflows_the_simulator():
    with pytest.raises(ConfigError, match=r"algorithm.transfer_every.*2\*\*31"):
        load_config(["algorithm=ttv2", "algorithm.transfer_every=1e9"])
