"""A device's configuration -> aihwkit's device."""

from __future__ import annotations

import dataclasses
from typing import Any

from aihwkit.simulator.configs.compounds import OneSidedUnitCell
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    IdealDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.inference import DriftParameter
from aihwkit.simulator.parameters.io import IOParameters

from runner.config.devices import (
    ConstantStepConfig,
    DeviceConfig,
    ExpStepConfig,
    IdealConfig,
    LinearStepConfig,
    PCMConfig,
    PiecewiseStepConfig,
    PowStepConfig,
    PowStepReferenceConfig,
    SoftBoundsConfig,
    SoftBoundsReferenceConfig,
    concrete,
)

MODELS: dict[type[DeviceConfig], Any] = {
    ConstantStepConfig: ConstantStepDevice,
    LinearStepConfig: LinearStepDevice,
    SoftBoundsConfig: SoftBoundsDevice,
    SoftBoundsReferenceConfig: SoftBoundsReferenceDevice,
    ExpStepConfig: ExpStepDevice,
    PowStepConfig: PowStepDevice,
    PowStepReferenceConfig: PowStepReferenceDevice,
    PiecewiseStepConfig: PiecewiseStepDevice,
    PCMConfig: ExpStepDevice,
}
"""aihwkit's class by type of ``device``; the keys have the names of its parameters."""

_OURS = {"name", "n_states", "dw_min", "drift_nu", "drift_nu_dtod"}
_OF_THE_PAIR = {"refresh_every", "refresh_upper_thres", "refresh_lower_thres"}


def resistive_device(cfg: Any, read: IOParameters | None = None) -> Any:
    """aihwkit's device of a configuration, one of ours or one that another package registered.

    Args:
        cfg: the group ``device`` or ``fast_device``.
        read: how a pair of ``device=pcm`` is read for its refresh; None = perfectly.
    """
    cfg = concrete(cfg)
    make = getattr(cfg, "build", None)
    if make is not None:
        return make()
    if isinstance(cfg, IdealConfig):
        return IdealDevice()
    if isinstance(cfg, PCMConfig):
        return OneSidedUnitCell(
            unit_cell_devices=[_single(cfg), _single(cfg)],
            refresh_every=cfg.refresh_every,
            refresh_upper_thres=cfg.refresh_upper_thres,
            refresh_lower_thres=cfg.refresh_lower_thres,
            refresh_forward=read or IOParameters(is_perfect=True),
        )
    return _single(cfg)


def _single(cfg: DeviceConfig) -> Any:
    values = {
        field.name: getattr(cfg, field.name)
        for field in dataclasses.fields(cfg)
        if field.name not in _OURS | _OF_THE_PAIR
    }
    lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
    drift = DriftParameter(nu=cfg.drift_nu, nu_dtod=cfg.drift_nu_dtod)
    return MODELS[type(cfg)](dw_min=cfg.step, drift=drift, **{**values, **lists})
