"""The warm-start transfer compound: aihwkit's ``TransferCompound`` with a first phase.

Index order is aihwkit's: device 0 is the gradient tile, the last device the most significant one.
The paper (Li et al., arXiv 2510.02516) counts the other way round.
"""

from __future__ import annotations

import math
from ctypes import c_float
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from aihwkit.simulator.configs.compounds import TransferCompound
from aihwkit.simulator.configs.devices import PulsedDevice
from aihwkit.simulator.parameters.enums import RPUDataType
from aihwkit.simulator.parameters.helpers import parameters_to_bindings

from device_ext import _core


@dataclass
class WarmStartTransferCompound(TransferCompound):
    """Residual learning over several devices, with an optional warm start.

    With ``warm_start=False`` it computes exactly what ``TransferCompound`` computes, to the bit.
    With it, the gradient tile (device 0) first feeds one target device directly: the most
    significant one (index ``n - 1``), then the next, down to 1. The stage is moved on from outside,
    with ``KeyedAnalogTile.advance()``; after ``n_switches`` switches the chain runs.

    Raises:
        ValueError: from ``as_bindings``, naming the parameter, where a value is out of range.
    """

    bindings_class: ClassVar[Any] = _core.WarmStartTransferResistiveDeviceParameter
    bindings_ignore: ClassVar[list[str]] = [
        "warm_start",
        "route",
        "period",
        "n_switches",
        "warm_start_lr",
        "significance",
    ]

    warm_start: bool = False
    """Whether training begins with the warm start."""

    route: Literal["direct", "chained"] = "direct"
    """``direct``: device 0 -> k every ``period``. ``chained``: 0 -> 1 every
    ``transfer_every_vec[0]`` and, while k > 1, 1 -> k every ``transfer_every_vec[1]``."""

    period: float | None = None
    """Distance of the direct route's transfers, > 0, in the units of ``transfer_every_vec``
    (mini-batches, with ``units_in_mbatch``); ``None`` takes ``transfer_every_vec[0]``. aihwkit
    counts vectors: a smaller last mini-batch shifts the transfers that follow."""

    n_switches: int | None = None
    """Switches until the chain runs, 1 to n; ``None`` is n - 1, the paper's. With n the last
    target is the gradient tile itself: nothing moves onto it, as in the paper's released CPU code
    (on the chained route 0 -> 1 goes on)."""

    warm_start_lr: float | None = None
    """Learning rate of a warm-start transfer onto the target, >= 0; ``None`` takes
    ``transfer_lr_vec[0]``. Scaled by the SGD learning rate where ``scale_transfer_lr`` is set."""

    significance: float = 0.0
    """Exponent s of the factor ``(gamma_vec[1] / gamma_vec[k]) ** s`` on ``warm_start_lr``:
    0 is the paper, 1 makes a transfer onto any target weigh the same."""

    def as_bindings(self, data_type: RPUDataType) -> Any:
        """Return the C++ parameter of this compound.

        Raises:
            ValueError: where a parameter is out of range; the message begins with its name.
        """
        check_compound(self)
        if data_type != RPUDataType.FLOAT:
            raise ValueError(f"data_type: must be float, is {data_type.value}")
        parameter = parameters_to_bindings(self, data_type)
        parameter.warm_start = self.warm_start
        parameter.route = getattr(_core.Route, self.route)
        parameter.period = -1.0 if self.period is None else self.period
        parameter.n_switches = -1 if self.n_switches is None else self.n_switches
        parameter.warm_start_lr = -1.0 if self.warm_start_lr is None else self.warm_start_lr
        parameter.significance = self.significance

        # aihwkit takes the first two entries only; the second stands for all the rest.
        fast, slow = (device.as_bindings(data_type) for device in self.unit_cell_devices[:2])
        parameter.append_parameter(fast)
        for _ in self.unit_cell_devices[1:]:
            parameter.append_parameter(slow)
        return parameter


# Largest float32: aihwkit computes in single precision, where more would be infinite.
_LARGEST = 3.4028235e38

_VECTORS = ("gamma_vec", "transfer_every_vec", "transfer_lr_vec")
_FLAGS = (
    "warm_start",
    "units_in_mbatch",
    "scale_transfer_lr",
    "scale_fast_lr",
    "transfer_columns",
    "random_selection",
    "no_self_transfer",
)


def check_compound(compound: WarmStartTransferCompound) -> None:
    """Raise ``ValueError``, naming the parameter, for the first one that is out of range."""
    devices = compound.unit_cell_devices
    n = _check_devices(devices)
    for name in _FLAGS:
        if not isinstance(getattr(compound, name), bool):
            raise ValueError(f"{name}: must be True or False, is {getattr(compound, name)!r}")
    for name in _VECTORS:
        values = getattr(compound, name)
        if not isinstance(values, (list, tuple)):
            raise ValueError(f"{name}: must be a list of {n} numbers, is {values!r}")
        if values and len(values) != n:
            raise ValueError(f"{name}: needs one entry for each of {n} devices, has {len(values)}")
        for value in values:
            _check_number(name, value)
    for name in ("gamma", "transfer_every", "transfer_lr", "fast_lr", "with_reset_prob"):
        _check_number(name, getattr(compound, name))
    if compound.gamma_vec and _single(compound.gamma_vec[-1]) == 0.0:
        raise ValueError("gamma_vec: the last entry weighs the most significant device; it is 0")
    if compound.with_reset_prob > 0.0 and not compound.transfer_columns:
        raise ValueError("with_reset_prob: must be 0 where rows are transferred")
    if compound.with_reset_prob > 1.0:
        raise ValueError(f"with_reset_prob: must be 0 to 1, is {compound.with_reset_prob}")
    _check_integer("n_reads_per_transfer", compound.n_reads_per_transfer, 1)
    _check_integer("construction_seed", compound.construction_seed, 0)
    _check_integer("transfer_update.desired_bl", compound.transfer_update.desired_bl, 1)
    _check_warm_start(compound, n)


def _check_warm_start(compound: WarmStartTransferCompound, n: int) -> None:
    if compound.route not in ("direct", "chained"):
        raise ValueError(f"route: must be 'direct' or 'chained', is {compound.route!r}")
    if compound.period is not None:
        _check_number("period", compound.period)
        if _single(compound.period) == 0.0:
            raise ValueError(f"period: must be finite and above 0, is {compound.period}")
        if compound.route == "chained":
            raise ValueError(
                "period: only the direct route has one; the chained route follows "
                "transfer_every_vec"
            )
    if compound.n_switches is not None:
        _check_integer("n_switches", compound.n_switches, 1, n)
    if compound.warm_start_lr is not None:
        _check_number("warm_start_lr", compound.warm_start_lr)
    _check_number("significance", compound.significance, lowest=-_LARGEST)
    if not compound.warm_start:
        return
    # The periods that the warm start follows; the chain may do without one (0: no transfer).
    n_followed = 1 if compound.route == "direct" or n == 2 else 2
    every = compound.transfer_every_vec[:n_followed]
    if compound.period is None and any(_single(value) == 0.0 for value in every):
        raise ValueError(
            f"transfer_every_vec: the warm start follows its first {n_followed} and needs them "
            f"above 0, are {every}"
        )
    if compound.period is None and not every and _single(compound.transfer_every) == 0.0:
        raise ValueError("transfer_every: must be above 0 for the warm start, is 0")
    if compound.significance != 0.0:
        gammas = compound.gamma_vec[1:] or [compound.gamma]
        if any(_single(gamma) == 0.0 for gamma in gammas):
            raise ValueError(
                "gamma_vec: entries from 1 on must be above 0 where significance is not 0"
            )


def _check_devices(devices: Any) -> int:
    """Check the devices and return their number."""
    if not isinstance(devices, (list, tuple)) or len(devices) < 2:
        n = len(devices) if isinstance(devices, (list, tuple)) else 0
        raise ValueError(f"unit_cell_devices: needs at least 2 devices, has {n}")
    for k, device in enumerate(devices):
        name = f"unit_cell_devices[{k}]"
        if not isinstance(device, PulsedDevice):
            raise ValueError(f"{name}: must be a pulsed device, is {type(device).__name__}")
        if k > 1 and device != devices[1]:
            raise ValueError(f"{name}: all devices but the first must be the same")
        for parameter in fields(device):
            value = getattr(device, parameter.name)
            if isinstance(value, float) and math.isnan(value):
                raise ValueError(f"{name}.{parameter.name}: must be a number, is nan")
        if not _single(device.dw_min) > 0.0:
            raise ValueError(f"{name}.dw_min: must be above 0, is {device.dw_min}")
    return len(devices)


def _check_number(name: str, value: Any, lowest: float = 0.0) -> None:
    if not _is_a(Real, value):
        raise ValueError(f"{name}: must be a number, is {value!r}")
    if not lowest <= value <= _LARGEST:
        at_least = "" if lowest < 0.0 else f" and at least {lowest:g}"
        raise ValueError(f"{name}: must be finite{at_least}, is {value}")


def _check_integer(name: str, value: Any, lowest: int, highest: int = 2**31 - 1) -> None:
    if not _is_a(Integral, value):
        raise ValueError(f"{name}: must be a whole number, is {value!r}")
    if not lowest <= value <= highest:
        allowed = f"at least {lowest}" if highest == 2**31 - 1 else f"{lowest} to {highest}"
        raise ValueError(f"{name}: must be {allowed}, is {value}")


def _is_a(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _single(value: float) -> float:
    """The value in single precision, where a very small one is 0."""
    return c_float(value).value
