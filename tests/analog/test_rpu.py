"""What the configuration says reaches aihwkit."""

from __future__ import annotations

from typing import Any

import pytest

from device_ext import KeyedAnalogTile
from runner.analog.rpu import rpu_config
from runner.config import load_config


def rpu(*overrides: str) -> Any:
    return rpu_config(load_config(["data=mnist5k", *overrides]))


def test_vectors_are_in_aihwkits_order():
    compound = rpu(
        "algorithm.n_tiles=3",
        "algorithm.gamma=0.5",
        "algorithm.transfer_every.first=2",
        "algorithm.transfer_every.growth=5",
        "algorithm.transfer_lr.first=0.1",
        "algorithm.transfer_lr.growth=1.2",
    ).device
    assert len(compound.unit_cell_devices) == 3
    assert compound.gamma_vec == [0.25, 0.5, 1.0]
    assert compound.transfer_every_vec == [2, 10, 50]
    assert compound.transfer_lr_vec == pytest.approx([0.144, 0.12, 0.1])


@pytest.mark.parametrize("scale", ["true", "false"])
def test_scalings_are_set_outright(scale):
    compound = rpu(
        f"algorithm.scale_fast_lr={scale}", f"algorithm.scale_transfer_lr={scale}"
    ).device
    assert compound.scale_fast_lr is (scale == "true")
    assert compound.scale_transfer_lr is (scale == "true")


@pytest.mark.parametrize(("io", "perfect"), [("perfect", True), ("default", False)])
def test_io_reaches_forward_backward_and_transfer(io, perfect):
    config = rpu(f"io={io}")
    for parameters in (config.forward, config.backward, config.device.transfer_forward):
        assert parameters.is_perfect is perfect


def test_n_states_becomes_a_step():
    assert rpu("algorithm=analog_sgd", "device.n_states=16").device.dw_min == 0.125


def test_warm_start_reaches_the_compound():
    compound = rpu(
        "warm_start.enabled=true",
        "warm_start.route=chained",
        "warm_start.transfer_lr=0.3",
        "warm_start.significance=1.5",
        "warm_start.n_switches=2",
    ).device
    assert compound.warm_start is True
    assert compound.route == "chained"
    assert compound.warm_start_lr == 0.3
    assert compound.significance == 1.5
    assert compound.n_switches == 2
    assert rpu("warm_start.enabled=false").device.warm_start is False


@pytest.mark.parametrize("algorithm", ["resl", "analog_sgd"])
def test_every_pulsed_algorithm_has_keyed_tiles(algorithm):
    assert rpu(f"algorithm={algorithm}").tile_class is KeyedAnalogTile


def test_sgd_has_no_tiles():
    assert rpu("algorithm=sgd") is None
