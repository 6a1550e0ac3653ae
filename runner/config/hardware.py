"""The hardware: resistive device, input and output of a tile, pulse trains, layers onto tiles."""

# ruff: noqa: RUF009  (`key` makes a dataclass field, which ruff can not see)
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.config.keys import key


@dataclass(frozen=True)
class DeviceConfig:
    """A resistive device, aihwkit's SoftBoundsDevice. Weights are dimensionless.

    Exactly one of `n_states` and `dw_min` is set.
    """

    name: Literal["soft_bounds"] = key("soft_bounds", "Device model.")
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
    dw_min_std: float = key(
        0.3, "Cycle-to-cycle spread of a step, relative to dw_min.", ge=0, le=10
    )
    w_max_dtod: float = key(0.3, "Device-to-device spread of w_max, relative.", ge=0, le=10)
    w_min_dtod: float = key(0.3, "Device-to-device spread of w_min, relative.", ge=0, le=10)
    up_down: float = key(
        0.0, "Mean asymmetry between up and down steps; positive: up is larger.", gt=-1, lt=1
    )
    up_down_dtod: float = key(0.01, "Device-to-device spread of up_down.", ge=0, le=10)

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


@dataclass(frozen=True)
class IODirectionConfig:
    """One direction of a tile's input and output (aihwkit's IOParameters)."""

    perfect: bool = key(True, "Exact products; the other keys of this direction do nothing then.")
    inp_bits: int = key(
        7, "Bits of the input converter: 2**bits - 2 steps from -bound to bound; 0 = none.", ge=0,
        le=16,
    )  # fmt: skip
    out_bits: int = key(
        9, "Bits of the output converter: 2**bits - 2 steps from -bound to bound; 0 = none.", ge=0,
        le=16,
    )  # fmt: skip
    inp_noise: float = key(0.0, "Deviation of the noise of an input.", ge=0, le=1e3)
    out_noise: float = key(0.06, "Deviation of the noise of an output.", ge=0, le=1e3)
    inp_bound: float = key(1.0, "Inputs are clipped at this.", gt=0, le=1e6)
    out_bound: float = key(12.0, "Outputs are clipped at this.", gt=0, le=1e6)
    noise_management: Literal["none", "abs_max", "abs_max_np_sum"] = key(
        "abs_max", "abs_max: inputs are divided by their largest entry, outputs multiplied by it."
    )
    bound_management: Literal["none", "iterative", "iterative_worst_case"] = key(
        "iterative", "iterative: inputs are halved until no output is clipped."
    )


@dataclass(frozen=True)
class IOConfig:
    """Input and output of a tile: converters, noise and bounds of a matrix-vector product."""

    name: Literal["perfect", "default", "quantized"] = key(
        "perfect",
        "perfect: exact products in forward, backward and transfer; default: aihwkit's "
        "IOParameters with its quantisation and noise; quantized: 8-bit converters, no noise.",
    )
    forward: IODirectionConfig = key(IODirectionConfig, "Forward pass:")
    backward: IODirectionConfig = key(IODirectionConfig, "Backward pass:")
    transfer: IODirectionConfig = key(IODirectionConfig, "Read of a transfer:")


@dataclass(frozen=True)
class UpdateConfig:
    """Pulse trains of an update (aihwkit's UpdateParameters; Gokmen and Vlasov 2016)."""

    desired_bl: int = key(31, "Slots of a pulse train, at most.", ge=1, le=31)
    update_management: bool = key(
        True, "Balance the probabilities of rows and columns by the largest entries of x and d."
    )
    update_bl_management: bool = key(
        True, "Shorten the train where the expected change needs fewer slots."
    )
    pulse_type: Literal[
        "stochastic_compressed", "stochastic", "mean_count", "deterministic_implicit",
        "none_with_device",
    ] = key(
        "stochastic_compressed",
        "stochastic_compressed: x and d with their signs in one train; stochastic: up and down in "
        "two trains; mean_count: the expected number of coincidences with noise; "
        "deterministic_implicit: products rounded to pulses; none_with_device: the exact change "
        "through the device's mean step. The fast engine does the first, aihwkit the others.",
    )  # fmt: skip
    transfer_desired_bl: int | None = key(
        None, "Slots of a transfer's pulse train; null = 31, and 1 for ttv3 and ttv4.", ge=1, le=31
    )


@dataclass(frozen=True)
class MappingConfig:
    """How a layer's weight matrix is laid onto tiles (aihwkit's MappingParameter)."""

    weight_scaling_omega: float = key(
        0.0, "Largest programmed weight after digital scaling; 0 = no scaling.", ge=0, le=1e3
    )
    weight_scaling_columnwise: bool = key(True, "One digital scale per output instead of one.")
    learn_out_scaling: bool = key(False, "Train the digital output scales.")
    digital_bias: bool = key(True, "Biases in digital instead of on the tile.")
    max_input_size: int = key(0, "Split a layer at this many inputs; 0 = whole layer.", ge=0)
    max_output_size: int = key(0, "Split a layer at this many outputs; 0 = whole layer.", ge=0)
