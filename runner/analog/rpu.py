"""Algorithm + device + I/O + mapping -> aihwkit's rpu_config.

Vectors over devices are in aihwkit's order: device 0 is the gradient ("fast") tile, the last
device the most significant one. The paper counts the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aihwkit.simulator.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DigitalRankUpdateRPUConfig,
    DynamicTransferCompound,
    FloatingPointRPUConfig,
    MixedPrecisionCompound,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    TransferCompound,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import UnitCell
from aihwkit.simulator.parameters import IOParameters, MappingParameter, UpdateParameters
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType, PulseType

from device_ext import KeyedAnalogTile, WarmStartTransferCompound
from runner.analog.devices import resistive_device
from runner.config.schema import (
    AnalogSGDConfig,
    Config,
    FPSGDConfig,
    FPSGDMConfig,
    IODirectionConfig,
    MappingConfig,
    MixedPrecisionConfig,
    ReslConfig,
    TransferConfig,
    TTv1Config,
    TTv2Config,
    TTv3Config,
    TTv4Config,
    UpdateConfig,
)


def io_parameters(cfg: IODirectionConfig) -> IOParameters:
    """Converters and noise of one direction."""
    return IOParameters(
        is_perfect=cfg.perfect,
        inp_res=_resolution(cfg.inp_bits),
        out_res=_resolution(cfg.out_bits),
        inp_noise=cfg.inp_noise,
        out_noise=cfg.out_noise,
        inp_bound=cfg.inp_bound,
        # aihwkit never clips a perfect output, and yet drops the gradient of one beyond the bound.
        out_bound=0.0 if cfg.perfect else cfg.out_bound,
        noise_management=NoiseManagementType[cfg.noise_management.upper()],
        bound_management=BoundManagementType[cfg.bound_management.upper()],
    )


def _resolution(bits: int) -> float:
    """aihwkit's share of the whole range that one step of a converter is; -1 = no converter."""
    return 1 / (2**bits - 2) if bits else -1.0


def update_parameters(cfg: UpdateConfig) -> UpdateParameters:
    """Pulse trains of the gradient's update."""
    return UpdateParameters(
        desired_bl=cfg.desired_bl,
        update_management=cfg.update_management,
        update_bl_management=cfg.update_bl_management,
        pulse_type=PulseType[cfg.pulse_type.upper()],
    )


def transfer_parameters(cfg: UpdateConfig, **others: Any) -> UpdateParameters:
    """Pulse trains of a transfer."""
    found = {"desired_bl": 31, **others}
    if cfg.transfer_desired_bl is not None:
        found["desired_bl"] = cfg.transfer_desired_bl
    return UpdateParameters(**found)


def mapping_parameters(cfg: MappingConfig) -> MappingParameter:
    """How a layer is laid on tiles; sizes of 0 keep a layer on one tile."""
    return MappingParameter(
        weight_scaling_omega=cfg.weight_scaling_omega,
        weight_scaling_columnwise=cfg.weight_scaling_columnwise,
        learn_out_scaling=cfg.learn_out_scaling,
        digital_bias=cfg.digital_bias,
        max_input_size=cfg.max_input_size,
        max_output_size=cfg.max_output_size,
    )


def _resl(cfg: Config) -> UnitCellRPUConfig:
    algorithm, warm = cfg.algorithm, cfg.warm_start
    assert isinstance(algorithm, ReslConfig)
    compound = WarmStartTransferCompound(
        unit_cell_devices=_devices(cfg, algorithm.n_tiles),
        gamma_vec=algorithm.gamma_vec,
        transfer_every_vec=algorithm.transfer_every_vec,
        units_in_mbatch=True,
        transfer_lr_vec=algorithm.transfer_lr_vec,
        n_reads_per_transfer=algorithm.n_reads_per_transfer,
        # Both scalings are said outright: up to aihwkit 1.1 fast_lr was absolute, from 1.2 on
        # its default is relative to the learning rate.
        scale_transfer_lr=algorithm.scale_transfer_lr,
        fast_lr=algorithm.fast_lr,
        scale_fast_lr=algorithm.scale_fast_lr,
        # aihwkit's compounds read with noise by default even where the layer's I/O is perfect.
        transfer_forward=io_parameters(cfg.io.transfer),
        transfer_update=transfer_parameters(cfg.update),
        warm_start=warm.enabled,
        route=warm.route,
        period=warm.period,
        n_switches=warm.n_switches,
        warm_start_lr=warm.transfer_lr,
        significance=warm.significance,
    )
    return UnitCellRPUConfig(device=compound, **_pulsed_tile(cfg))


def _devices(cfg: Config, n: int) -> list[Any]:
    """The `n` devices of a compound; of different ones aihwkit takes two kinds, as here."""
    fast = cfg.device if cfg.fast_device is None else cfg.fast_device
    return [resistive_device(fast), *(resistive_device(cfg.device) for _ in range(n - 1))]


def _one_device(cfg: Config) -> Any:
    return resistive_device(cfg.device, io_parameters(cfg.io.transfer))


def _analog_sgd(cfg: Config) -> SingleRPUConfig | UnitCellRPUConfig:
    device = _one_device(cfg)
    kind: Any = UnitCellRPUConfig if isinstance(device, UnitCell) else SingleRPUConfig
    return kind(device=device, **_pulsed_tile(cfg))


def _transfer(cfg: Config) -> dict[str, Any]:
    """What all of aihwkit's two-device compounds take; gamma = 0: device 1 alone is the weight."""
    algorithm = cfg.algorithm
    assert isinstance(algorithm, TransferConfig)
    return {
        "unit_cell_devices": _devices(cfg, algorithm.n_devices),
        "transfer_every": algorithm.transfer_every,
        "units_in_mbatch": algorithm.units_in_mbatch,
        "n_reads_per_transfer": algorithm.n_reads_per_transfer,
        "fast_lr": algorithm.fast_lr,
        "scale_fast_lr": algorithm.scale_fast_lr,
        "transfer_lr": algorithm.transfer_lr,
        "scale_transfer_lr": algorithm.scale_transfer_lr,
        "transfer_forward": io_parameters(cfg.io.transfer),
        "transfer_update": transfer_parameters(cfg.update),
    }


def _ttv1(cfg: Config) -> UnitCellRPUConfig:
    return UnitCellRPUConfig(device=TransferCompound(**_transfer(cfg)), **_pulsed_tile(cfg))


def _ttv2(cfg: Config) -> UnitCellRPUConfig:
    algorithm = cfg.algorithm
    assert isinstance(algorithm, TTv2Config)
    compound = BufferedTransferCompound(
        **_transfer(cfg), thres_scale=algorithm.thres_scale, momentum=algorithm.momentum
    )
    return UnitCellRPUConfig(device=compound, **_pulsed_tile(cfg))


def _chopped(cfg: Config) -> UnitCellRPUConfig:
    algorithm = cfg.algorithm
    assert isinstance(algorithm, TTv3Config)
    settings = _transfer(cfg) | {
        # As in aihwkit's presets of these algorithms: at most one pulse, of the full size.
        "transfer_update": transfer_parameters(
            cfg.update, desired_bl=1, update_bl_management=False, update_management=False
        ),
        "in_chop_prob": algorithm.in_chop_prob,
        "auto_granularity": algorithm.auto_granularity,
        "auto_scale": algorithm.auto_scale,
    }
    if isinstance(algorithm, TTv4Config):
        compound = DynamicTransferCompound(**settings, tail_weightening=algorithm.tail_weightening)
    else:
        compound = ChoppedTransferCompound(**settings)
    return UnitCellRPUConfig(device=compound, **_pulsed_tile(cfg))


def _mixed_precision(cfg: Config) -> DigitalRankUpdateRPUConfig:
    algorithm = cfg.algorithm
    assert isinstance(algorithm, MixedPrecisionConfig)
    compound = MixedPrecisionCompound(
        device=_one_device(cfg),
        transfer_every=algorithm.transfer_every,
        granularity=algorithm.granularity,
        transfer_lr=algorithm.transfer_lr,
    )
    return DigitalRankUpdateRPUConfig(device=compound, **_pulsed_tile(cfg))


def _fp_sgd(cfg: Config) -> FloatingPointRPUConfig:
    return FloatingPointRPUConfig(mapping=mapping_parameters(cfg.mapping))


def _fp_sgdm(cfg: Config) -> TorchInferenceRPUConfig:
    # The weight of this tile is a parameter of torch, which momentum and weight decay reach;
    # aihwkit's C++ floating-point tile takes plain steps only.
    return TorchInferenceRPUConfig(
        forward=IOParameters(is_perfect=True), mapping=mapping_parameters(cfg.mapping)
    )


def _pulsed_tile(cfg: Config) -> dict[str, Any]:
    return {
        "tile_class": KeyedAnalogTile,
        "forward": io_parameters(cfg.io.forward),
        "backward": io_parameters(cfg.io.backward),
        "update": update_parameters(cfg.update),
        "mapping": mapping_parameters(cfg.mapping),
    }


RPU_CONFIGS: dict[type, Callable[[Config], Any]] = {
    ReslConfig: _resl,
    AnalogSGDConfig: _analog_sgd,
    TTv1Config: _ttv1,
    TTv2Config: _ttv2,
    TTv3Config: _chopped,
    TTv4Config: _chopped,
    MixedPrecisionConfig: _mixed_precision,
    FPSGDConfig: _fp_sgd,
    FPSGDMConfig: _fp_sgdm,
}
"""Makers of an rpu_config by type of ``algorithm``; an algorithm that is not here has no tiles."""


def rpu_config(cfg: Config) -> Any | None:
    """The rpu_config of every tile of the run; None where the algorithm needs no tiles."""
    make = RPU_CONFIGS.get(type(cfg.algorithm))
    if make is not None:
        return make(cfg)
    own = getattr(cfg.algorithm, "rpu_config", None)
    return own(cfg) if own is not None else None
