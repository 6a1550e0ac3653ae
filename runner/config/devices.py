"""Resistive devices as typed configuration. Weights are dimensionless.

Names and defaults are aihwkit's (``aihwkit.simulator.configs.devices``); what a preset changes
stands in its YAML in ``conf/device``. `runner.analog.devices` makes aihwkit's device of each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from runner.config.keys import key


@dataclass(frozen=True)
class DeviceConfig:
    """What every pulsed device has: step, bounds, spreads, and what its weight does by itself.

    At most one of `n_states` and `dw_min` is set. A device of your own derives from this and makes
    itself in a method ``build``.
    """

    name: str = key("", "Device.")
    n_states: float | None = key(
        None,
        "Nominal number of conductance states, (w_max - w_min) / dw_min. "
        "Set this or dw_min, not both.",
        ge=2,
        common=True,
    )
    dw_min: float | None = key(
        None, "Mean step of one pulse at w = 0. Set this or n_states, not both.", gt=0, common=True
    )
    w_min: float = key(-1.0, "Mean lower bound of the weight.", lt=0)
    w_max: float = key(1.0, "Mean upper bound of the weight.", gt=0)
    dw_min_dtod: float = key(
        0.3, "Device-to-device spread of dw_min, relative to dw_min.", ge=0, le=10
    )
    dw_min_dtod_log_normal: bool = key(False, "That spread is log-normal instead of normal.")
    dw_min_std: float = key(
        0.3, "Cycle-to-cycle spread of a step, relative to dw_min.", ge=0, le=10
    )
    w_max_dtod: float = key(0.3, "Device-to-device spread of w_max, relative.", ge=0, le=10)
    w_min_dtod: float = key(0.3, "Device-to-device spread of w_min, relative.", ge=0, le=10)
    up_down: float = key(
        0.0,
        "Mean asymmetry: above 0 a downward step is (1 - up_down) dw_min, below 0 an upward step "
        "is (1 + up_down) dw_min.",
        gt=-1,
        lt=1,
    )
    up_down_dtod: float = key(0.01, "Device-to-device spread of up_down.", ge=0, le=10)
    corrupt_devices_prob: float = key(
        0.0, "Share of devices that are stuck at a random weight.", ge=0, le=1
    )
    corrupt_devices_range: float = key(
        0.1, "Stuck devices lie between minus and plus this.", ge=0, le=1e3
    )
    lifetime: float = key(
        0.0,
        "Mini-batches in which a weight decays to 1/e of its distance from `reset`; 0 = no decay.",
        ge=0,
    )
    lifetime_dtod: float = key(0.0, "Device-to-device spread of 1 / lifetime.", ge=0, le=10)
    reset: float = key(0.0, "Weight that decay and a reset lead to.", ge=-1e3, le=1e3)
    reset_dtod: float = key(0.0, "Device-to-device spread of reset, relative.", ge=0, le=10)
    diffusion: float = key(
        0.0, "Deviation of a weight's random walk in one mini-batch; 0 = none.", ge=0, le=10
    )
    diffusion_dtod: float = key(0.0, "Device-to-device spread of diffusion, relative.", ge=0, le=10)
    drift_nu: float = key(
        0.0,
        "Power-law drift: t mini-batches after its last change a weight is t**-drift_nu of what it "
        "was; 0 = no drift.",
        ge=0,
        le=1,
    )
    drift_nu_dtod: float = key(0.0, "Device-to-device spread of drift_nu, relative.", ge=0, le=10)

    @property
    def step(self) -> float:
        """The mean step at w = 0: `dw_min`, or ``(w_max - w_min) / n_states``."""
        if self.dw_min is not None:
            return self.dw_min
        if self.n_states is None:
            raise ValueError("neither device.n_states nor device.dw_min is set")
        return (self.w_max - self.w_min) / self.n_states

    @property
    def states(self) -> float:
        """The nominal number of states: `n_states`, or ``(w_max - w_min) / dw_min``."""
        if self.n_states is not None:
            return self.n_states
        return (self.w_max - self.w_min) / self.step


# ------------------------------------------------------------------- what several devices share


@dataclass(frozen=True)
class _WriteNoise:
    write_noise_std: float = key(
        0.0,
        "Write noise, relative to dw_min: a changed weight is seen with it, the next pulse starts "
        "from the weight without it.",
        ge=0,
        le=1e4,
    )


@dataclass(frozen=True)
class _StepNoise(_WriteNoise):
    mult_noise: bool = key(
        True, "dw_min_std is relative to the step at the present weight; false: to dw_min."
    )


@dataclass(frozen=True)
class _Reference:
    reference_mean: float = key(
        0.0, "Offset of the reference, whose conductance is subtracted.", ge=-1e3, le=1e3
    )
    reference_std: float = key(0.0, "Device-to-device spread of the reference.", ge=0, le=1e3)
    subtract_symmetry_point: bool = key(
        False, "Subtract each device's symmetry point too, where its up and down steps cancel."
    )


@dataclass(frozen=True)
class _Power:
    pow_gamma: float = key(
        1.0,
        "Exponent of the distance to the bound; 1 = soft bounds. Steps at w = 0 are then smaller "
        "than dw_min, which is the step at the far bound.",
        ge=0,
        le=100,
    )
    pow_gamma_dtod: float = key(0.1, "Device-to-device spread of pow_gamma, relative.", ge=0, le=10)
    pow_up_down: float = key(
        0.0, "Asymmetry of pow_gamma: up has (1 + this), down (1 - this) times it.", gt=-1, lt=1
    )
    pow_up_down_dtod: float = key(0.0, "Device-to-device spread of pow_up_down.", ge=0, le=10)


@dataclass(frozen=True)
class _Exponential:
    # aihwkit's names, which are those of the publications that the constants come from.
    A_up: float = key(0.00081, "Factor A of upward steps: 1 - A exp(gamma z).", ge=-1e3, le=1e3)
    A_down: float = key(
        0.36833, "Factor A of downward steps: 1 - A exp(-gamma z).", ge=-1e3, le=1e3
    )
    gamma_up: float = key(12.44625, "Exponent of upward steps.", ge=-1e3, le=1e3)
    gamma_down: float = key(12.78785, "Exponent of downward steps.", ge=-1e3, le=1e3)
    a: float = key(0.244, "Slope of z = 2 a w / (w_max - w_min) + b.", ge=-1e3, le=1e3)
    b: float = key(0.2425, "Offset of z.", ge=-1e3, le=1e3)
    dw_min_std_add: float = key(
        0.0, "Cycle-to-cycle spread beside that of the step, in units of dw_min_std.", ge=0, le=1e3
    )
    dw_min_std_slope: float = key(
        0.0, "Cycle-to-cycle spread that grows with |w|, in units of dw_min_std.", ge=0, le=1e3
    )


# ------------------------------------------------------------------------------------ devices


@dataclass(frozen=True)
class ConstantStepConfig(DeviceConfig):
    """Steps of one size up to hard bounds (aihwkit's ConstantStepDevice)."""

    name: Literal["constant_step", "gokmen_vlasov"] = key(  # pyright: ignore
        "constant_step", "Device."
    )


@dataclass(frozen=True)
class LinearStepConfig(_StepNoise, DeviceConfig):
    """Steps that shrink linearly towards hard bounds (aihwkit's LinearStepDevice)."""

    name: Literal["linear_step", "ecram", "ecram_mo"] = key(  # pyright: ignore
        "linear_step", "Device."
    )
    gamma_up: float = key(
        0.0, "Share of its step that an upward pulse has lost at w_max.", ge=0, le=10
    )
    gamma_down: float = key(
        0.0, "Share of its step that a downward pulse has lost at w_min.", ge=0, le=10
    )
    gamma_up_dtod: float = key(0.05, "Device-to-device spread of gamma_up.", ge=0, le=10)
    gamma_down_dtod: float = key(0.05, "Device-to-device spread of gamma_down.", ge=0, le=10)
    allow_increasing: bool = key(
        False, "A device whose slope is drawn with the other sign grows its steps."
    )
    mean_bound_reference: bool = key(
        True, "Slopes refer to the mean bounds; false: to each device's own."
    )


@dataclass(frozen=True)
class SoftBoundsConfig(_StepNoise, DeviceConfig):
    """Steps that shrink linearly to nothing at the bounds (aihwkit's SoftBoundsDevice)."""

    name: Literal["soft_bounds"] = key("soft_bounds", "Device.")  # pyright: ignore


@dataclass(frozen=True)
class SoftBoundsReferenceConfig(_Reference, _StepNoise, DeviceConfig):
    """Soft bounds less a reference conductance (aihwkit's SoftBoundsReferenceDevice)."""

    name: Literal[  # pyright: ignore
        "soft_bounds_reference", "reram_sb", "reram_array_om", "reram_array_hfo2"
    ] = key("soft_bounds_reference", "Device.")
    slope_up_dtod: float = key(0.0, "Device-to-device spread of the upward slope.", ge=0, le=10)
    slope_down_dtod: float = key(0.0, "Device-to-device spread of the downward slope.", ge=0, le=10)


@dataclass(frozen=True)
class ExpStepConfig(_Exponential, _WriteNoise, DeviceConfig):
    """Steps that depend exponentially on the weight (aihwkit's ExpStepDevice)."""

    name: Literal["exp_step", "reram_es"] = key("exp_step", "Device.")  # pyright: ignore


@dataclass(frozen=True)
class PowStepConfig(_Power, _WriteNoise, DeviceConfig):
    """Steps that are a power of the distance to the bound (aihwkit's PowStepDevice)."""

    name: Literal["pow_step"] = key("pow_step", "Device.")  # pyright: ignore


@dataclass(frozen=True)
class PowStepReferenceConfig(_Power, _Reference, DeviceConfig):
    """The same less a reference conductance (aihwkit's PowStepReferenceDevice)."""

    name: Literal["pow_step_reference"] = key("pow_step_reference", "Device.")  # pyright: ignore
    n_estimation_steps: int = key(
        -1,
        "Pulse pairs that estimate the symmetry point; -1 = ten times the number of states.",
        ge=-1,
        le=100_000,
    )


@dataclass(frozen=True)
class PiecewiseStepConfig(_WriteNoise, DeviceConfig):
    """Steps given at nodes between the bounds (aihwkit's PiecewiseStepDevice)."""

    name: Literal["piecewise_step"] = key("piecewise_step", "Device.")  # pyright: ignore
    piecewise_up: tuple[float, ...] = key(
        (1.0, 1.0),
        "Upward steps in units of dw_min at nodes that divide w_min to w_max evenly.",
        ge=0,
        le=1e3,
    )
    piecewise_down: tuple[float, ...] = key(
        (1.0, 1.0), "Downward steps, at as many nodes.", ge=0, le=1e3
    )


@dataclass(frozen=True)
class PCMConfig(_Exponential, _WriteNoise, DeviceConfig):
    """A plus and a minus device that only grow, with refresh (aihwkit's OneSidedUnitCell)."""

    name: Literal["pcm"] = key("pcm", "Device.")  # pyright: ignore
    w_min: float = key(0.0, "Mean lower bound of each of the two devices.", ge=0)
    w_max: float = key(2.0, "Mean upper bound of each of the two devices.", gt=0)
    reset_std: float = key(0.01, "Cycle-to-cycle spread of a reset.", ge=0, le=10)
    refresh_every: int = key(
        1, "Mini-batches between two looks for pairs to refresh; 0 = never.", ge=0, le=2**20
    )
    refresh_upper_thres: float = key(
        0.75,
        "A pair is refreshed where its larger device is above this share of w_max, and its smaller "
        "one above refresh_lower_thres.",
        ge=0,
        le=1,
    )
    refresh_lower_thres: float = key(
        0.25, "Share of w_max that the smaller device is above, too.", ge=0, le=1
    )


@dataclass(frozen=True)
class IdealConfig:
    """Weights that take any update exactly (aihwkit's IdealDevice)."""

    name: Literal["ideal"] = key("ideal", "Device.")


@dataclass(frozen=True)
class FittedConfig:
    """A device model fitted to a measured pulse response when a run starts."""

    name: Literal["fitted"] = key("fitted", "Device.")
    csv: str | None = key(
        None,
        "Measured pulse response: a CSV with the columns pulse (1 or up, -1 or down), conductance "
        "after the pulse and, for several devices, device.",
        common=True,
    )
    model: Literal[
        "constant_step", "linear_step", "soft_bounds", "exp_step", "pow_step"
    ] = key("soft_bounds", "Device model to fit.", common=True)  # fmt: skip
    g_min: float | None = key(
        None, "Conductance that becomes w = -1; null = the smallest measured."
    )
    g_max: float | None = key(None, "Conductance that becomes w = 1; null = the largest measured.")
    sha256: str | None = key(
        None,
        "Of the file, filled in when a command is read, so that another measurement is another "
        "run.",
        pattern="[0-9a-f]{64}",
        pattern_doc="64 hexadecimal digits",
    )
    parameters: str | None = key(
        None,
        "What the fit found, as JSON, filled in by a run; null = fit when the run starts.",
    )


AnyDevice = (
    SoftBoundsConfig
    | SoftBoundsReferenceConfig
    | ConstantStepConfig
    | LinearStepConfig
    | ExpStepConfig
    | PowStepConfig
    | PowStepReferenceConfig
    | PiecewiseStepConfig
    | PCMConfig
    | IdealConfig
    | FittedConfig
)


def concrete(device: Any) -> Any:
    """The device itself, or the one that the fit of ``device=fitted`` has found.

    Raises:
        ValueError: nothing has been fitted yet.
    """
    if not isinstance(device, FittedConfig):
        return device
    if device.parameters is None:
        raise ValueError("device=fitted has not been fitted yet")
    values = json.loads(device.parameters)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return FITTED_AS[device.model](**values)


FITTED_AS: dict[str, type[DeviceConfig]] = {
    "constant_step": ConstantStepConfig,
    "linear_step": LinearStepConfig,
    "soft_bounds": SoftBoundsConfig,
    "exp_step": ExpStepConfig,
    "pow_step": PowStepConfig,
}
"""Configuration of what a fit finds, by ``device.model``."""
