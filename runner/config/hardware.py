"""The hardware around the devices: input and output of a tile, pulse trains, layers onto tiles."""

# ruff: noqa: RUF009  (`key` makes a dataclass field, which ruff can not see)
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.config.keys import key


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
    # aihwkit's MeanCount is not among them: its generator can not be seeded.
    pulse_type: Literal[
        "stochastic_compressed", "stochastic", "deterministic_implicit", "none_with_device"
    ] = key(
        "stochastic_compressed",
        "stochastic_compressed: x and d with their signs in one train; stochastic: up and down in "
        "two trains; deterministic_implicit: products rounded to pulses; none_with_device: the "
        "exact change through the device's mean step. The fast engine does the first, aihwkit the "
        "others.",
    )
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
