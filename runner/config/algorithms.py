"""Training algorithms as typed configuration.

Indices of tiles follow aihwkit: device 0 of a compound is the gradient ("fast") tile and the
last device is the most significant one. The paper (arXiv 2510.02516) counts the other way.
"""

# ruff: noqa: RUF009  (`key` makes a dataclass field, which ruff can not see)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from runner.config.keys import key


@dataclass(frozen=True)
class Geometric:
    """A vector given by its first entry and the factor between neighbours."""

    first: float = key(1.0, "First entry of the sequence.", gt=0, le=1e9)
    growth: float = key(1.0, "Factor from one entry to the next.", ge=1e-3, le=1e3)

    def vector(self, n: int) -> list[float]:
        """``[first * growth**i for i in range(n)]``."""
        return [self.first * self.growth**i for i in range(n)]


@dataclass(frozen=True)
class ReslConfig:
    """Residual learning on a compound of tiles (arXiv 2510.02516), optionally with warm start."""

    name: Literal["resl"] = key("resl", "Residual learning.")
    n_tiles: int = key(6, "Number of tiles (devices) behind each weight.", ge=2, le=16, common=True)
    gamma: float = key(
        0.5,
        "Weight of a tile relative to the next more significant one: "
        "gamma_vec[i] = gamma**(n-1-i). Best is a little above 1/n_states.",
        ge=1e-3,
        le=1,
        common=True,
    )
    transfer_every: Geometric = key(
        lambda: Geometric(2.0, 5.0),
        "Mini-batches between two transfers of a column out of tile i: first * growth**i.",
        common=True,
    )
    transfer_lr: Geometric = key(
        lambda: Geometric(0.1, 1.2),
        "Learning rate of the transfer out of tile i: first * growth**(n-1-i), so that with "
        "growth > 1 the gradient tile has the largest.",
        common=True,
    )
    fast_lr: float = key(1.0, "Learning rate of the gradient tile (device 0).", gt=0, common=True)
    scale_fast_lr: bool = key(
        False,
        "Multiply fast_lr by the current optim.lr. False: fast_lr is absolute, and optim.lr "
        "moves digital parameters only.",
    )
    scale_transfer_lr: bool = key(
        False, "Multiply the transfer learning rates by the current optim.lr."
    )
    n_reads_per_transfer: int = key(1, "Columns read and written at each transfer.", ge=1, le=4096)

    @property
    def n_devices(self) -> int:
        """Devices behind each weight."""
        return self.n_tiles

    @property
    def gamma_vec(self) -> list[float]:
        """``gamma**(n-1-i)`` for device i: 1 for the last, most significant device."""
        return [self.gamma ** (self.n_tiles - 1 - i) for i in range(self.n_tiles)]

    @property
    def transfer_every_vec(self) -> list[float]:
        """Mini-batches between transfers out of device i: ``first * growth**i``."""
        return self.transfer_every.vector(self.n_tiles)

    @property
    def transfer_lr_vec(self) -> list[float]:
        """Learning rate of the transfer out of device i: ``first * growth**(n-1-i)``."""
        return self.transfer_lr.vector(self.n_tiles)[::-1]


@dataclass(frozen=True)
class AnalogSGDConfig:
    """Plain analog SGD: pulses go straight onto one tile (aihwkit's SingleRPUConfig)."""

    name: Literal["analog_sgd"] = key("analog_sgd", "Analog SGD on a single tile.")
    n_devices: ClassVar[int] = 1


@dataclass(frozen=True)
class FPSGDConfig:
    """SGD on aihwkit's floating-point tiles: the analog code path with ideal devices."""

    name: Literal["fp_sgd"] = key("fp_sgd", "SGD on floating-point tiles.")


@dataclass(frozen=True)
class FPSGDMConfig:
    """SGD with momentum on aihwkit's floating-point tiles whose weights torch's optimizer moves."""

    name: Literal["fp_sgdm"] = key("fp_sgdm", "SGD with momentum on floating-point tiles.")


@dataclass(frozen=True)
class SGDConfig:
    """Digital SGD in plain torch, with momentum and weight decay."""

    name: Literal["sgd"] = key("sgd", "SGD with momentum in plain torch, no tiles.")


@dataclass(frozen=True)
class SGDPlainConfig:
    """Digital SGD in plain torch, without momentum and weight decay."""

    name: Literal["sgd_plain"] = key("sgd_plain", "SGD in plain torch, no tiles.")


@dataclass(frozen=True)
class AdamWConfig:
    """AdamW in plain torch (Loshchilov and Hutter 2019), torch's decay rates of the moments."""

    name: Literal["adamw"] = key("adamw", "AdamW in plain torch, no tiles.")


@dataclass(frozen=True)
class TransferConfig:
    """What the Tiki-Taka algorithms share: a gradient tile, and transfers onto the weight."""

    n_devices: ClassVar[int] = 2

    transfer_every: float = key(
        1.0, "Mini-batches (or vectors, see units_in_mbatch) between two transfers.", ge=1, le=1e9
    )
    units_in_mbatch: bool = key(True, "transfer_every counts mini-batches; false: vectors.")
    n_reads_per_transfer: int = key(1, "Columns read and written at each transfer.", ge=1, le=4096)
    fast_lr: float = key(1.0, "Learning rate of the gradient tile.", gt=0, le=1e6, common=True)
    scale_fast_lr: bool = key(False, "Multiply fast_lr by the current optim.lr.")
    transfer_lr: float = key(1.0, "Learning rate of a transfer.", gt=0, le=1e6)
    scale_transfer_lr: bool = key(True, "Multiply transfer_lr by the current optim.lr.")


@dataclass(frozen=True)
class TTv1Config(TransferConfig):
    """Tiki-Taka (Gokmen and Haensch 2020): what the gradient tile holds moves onto the weight."""

    name: Literal["ttv1"] = key("ttv1", "Tiki-Taka, version 1.")


@dataclass(frozen=True)
class TTv2Config(TransferConfig):
    """Tiki-Taka with a digital buffer between the tiles (Gokmen 2021)."""

    name: Literal["ttv2"] = key("ttv2", "Tiki-Taka, version 2.")
    thres_scale: float = key(1.0, "Threshold of the buffer, in steps of the weight.", gt=0, le=1e6)
    momentum: float = key(0.1, "Share of the buffer that stays after a transfer.", ge=0, lt=1)


@dataclass(frozen=True)
class TTv3Config(TransferConfig):
    """Chopped Tiki-Taka: signs flip now and then, against offsets (Rasch et al. 2023)."""

    name: Literal["ttv3"] = key("ttv3", "Tiki-Taka, version 3 (chopped).")
    in_chop_prob: float = key(0.01, "Probability that a column's sign flips.", ge=0, le=1)
    auto_granularity: float = key(
        500.0, "Granularity of the buffer follows from this number of transfers; 0 = off.", ge=0
    )
    auto_scale: bool = key(
        True, "The fast learning rate follows the gradient's size; stays on aihwkit's own path."
    )


@dataclass(frozen=True)
class TTv4Config(TTv3Config):
    """AGAD: chopped Tiki-Taka with a reference that is learned (Rasch et al. 2023)."""

    name: Literal["ttv4"] = key("ttv4", "Tiki-Taka, version 4 (AGAD).")  # pyright: ignore
    tail_weightening: float = key(
        50.0, "Weight of the end of a period in the learned reference.", gt=0, le=1e6
    )


@dataclass(frozen=True)
class MixedPrecisionConfig:
    """Mixed precision (Nandakumar et al. 2020): gradients add up digitally, then are pulsed."""

    n_devices: ClassVar[int] = 1

    name: Literal["mp"] = key("mp", "Mixed precision.")
    transfer_every: int = key(1, "Mini-batches between two transfers.", ge=1, le=2**30)
    granularity: float = key(
        0.0, "Digital sum that makes one pulse; 0 = the device's step.", ge=0, le=1e6
    )
    transfer_lr: float = key(1.0, "Factor of the transfer.", gt=0, le=1e6)


AlgorithmConfig = (
    ReslConfig
    | AnalogSGDConfig
    | TTv1Config
    | TTv2Config
    | TTv3Config
    | TTv4Config
    | MixedPrecisionConfig
    | FPSGDConfig
    | FPSGDMConfig
    | SGDConfig
    | SGDPlainConfig
    | AdamWConfig
)

DIGITAL_ALGORITHMS = ("sgd", "sgd_plain", "adamw")
"""Algorithms without tiles."""

PULSED_ALGORITHMS = ("resl", "analog_sgd", "ttv1", "ttv2", "ttv3", "ttv4", "mp")
"""Our algorithms whose tiles are updated by pulses on `device`."""


def is_pulsed(algorithm: Any) -> bool:
    """Whether an algorithm's tiles are updated by pulses; an own one says so by ``pulsed``."""
    return algorithm.name in PULSED_ALGORITHMS or getattr(algorithm, "pulsed", False)
