"""Typed devices become aihwkit's, with aihwkit's numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from aihwkit.simulator.configs import devices as aihwkit
from aihwkit.simulator.presets import PCMPresetUnitCell
from aihwkit.simulator.presets import devices as presets

from runner.analog.devices import resistive_device
from runner.analog.rpu import rpu_config
from runner.config import load_config
from runner.config.folders import conf_dir

PRESETS = {
    "gokmen_vlasov": presets.GokmenVlasovPresetDevice,
    "ecram": presets.EcRamPresetDevice,
    "ecram_mo": presets.EcRamMOPresetDevice,
    "reram_es": presets.ReRamESPresetDevice,
    "reram_sb": presets.ReRamSBPresetDevice,
    "reram_array_om": presets.ReRamArrayOMPresetDevice,
    "reram_array_hfo2": presets.ReRamArrayHfO2PresetDevice,
}
MODELS = {
    "constant_step": aihwkit.ConstantStepDevice,
    "linear_step": aihwkit.LinearStepDevice,
    "soft_bounds": aihwkit.SoftBoundsDevice,
    "soft_bounds_reference": aihwkit.SoftBoundsReferenceDevice,
    "exp_step": aihwkit.ExpStepDevice,
    "pow_step": aihwkit.PowStepDevice,
    "pow_step_reference": aihwkit.PowStepReferenceDevice,
    "piecewise_step": aihwkit.PiecewiseStepDevice,
}


def made(*overrides: str) -> Any:
    return resistive_device(load_config(["algorithm=analog_sgd", *overrides]).device)


def values(device: Any) -> dict[str, Any]:
    return {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_aihwkits_numbers(name):
    ours, theirs = values(made(f"device={name}")), values(PRESETS[name]())
    assert {k: v for k, v in ours.items() if v != pytest.approx(theirs[k])} == {}
    assert issubclass(PRESETS[name], type(made(f"device={name}")))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_aihwkits_defaults_beside_range_and_step(name):
    device = made(f"device={name}")
    assert type(device) is MODELS[name]
    ours, theirs = values(device), values(MODELS[name]())
    free = {"dw_min", "w_min", "w_max", "piecewise_up", "piecewise_down"}
    assert {k for k, v in ours.items() if v != theirs[k]} <= free
    assert device.dw_min == 0.2


def test_the_pair_has_the_numbers_of_aihwkits_pcm_cell():
    ours, theirs = made("device=pcm"), PCMPresetUnitCell()
    for name in ("refresh_every", "units_in_mbatch", "refresh_upper_thres", "refresh_lower_thres"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert values(ours.unit_cell_devices[0]) == values(theirs.unit_cell_devices[0])


def test_the_refresh_of_a_pair_reads_as_a_transfer_does():
    for io, perfect in (("perfect", True), ("default", False)):
        config = rpu_config(load_config(["algorithm=analog_sgd", "device=pcm", f"io={io}"]))
        assert config is not None
        assert config.device.refresh_forward.is_perfect is perfect


def test_a_key_reaches_aihwkit():
    device = made(
        "device=exp_step", "device.A_up=0.5", "device.drift_nu=0.1", "device.drift_nu_dtod=0.2",
        "device.lifetime=50", "device.dw_min=0.01", "device.write_noise_std=2",
    )  # fmt: skip
    assert (device.A_up, device.lifetime, device.dw_min, device.write_noise_std) == (
        0.5,
        50,
        0.01,
        2,
    )
    assert (device.drift.nu, device.drift.nu_dtod) == (0.1, 0.2)


def test_the_gradient_tile_may_be_another_device():
    overrides = ["fast_device=pow_step", "fast_device.n_states=40", "device.n_states=10"]
    for algorithm, n in (("resl", 6), ("ttv1", 2), ("ttv2", 2), ("ttv3", 2), ("ttv4", 2)):
        config = rpu_config(load_config([f"algorithm={algorithm}", *overrides]))
        assert config is not None
        first, *rest = config.device.unit_cell_devices
        assert (type(first), first.dw_min) == (aihwkit.PowStepDevice, 0.05)
        assert len(rest) == n - 1
        assert {(type(device), device.dw_min) for device in rest} == {
            (aihwkit.SoftBoundsDevice, 0.2)
        }


def test_every_option_is_covered_here():
    options = {path.stem for path in (conf_dir() / "device").glob("*.yaml")}
    assert options == {*PRESETS, *MODELS, "pcm", "ideal", "fitted"}
    assert isinstance(made("device=ideal"), aihwkit.IdealDevice)
