"""Checks between keys: what no single key can know."""

from __future__ import annotations

import fnmatch

from runner.config.errors import ConfigError, nearest, show
from runner.config.schema import (
    DIGITAL_ALGORITHMS,
    PULSED_ALGORITHMS,
    Config,
    DeviceConfig,
    PiecewiseStepConfig,
    ReslConfig,
    ResNetConfig,
    TransferConfig,
    is_pulsed,
)

# Training images of a data set; an image folder tells when it is read.
_TRAIN_IMAGES = {
    "mnist": 60_000,
    "mnist5k": 4_000,
    "fashion_mnist": 60_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "fake": 512,
}
_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)
_IMAGE_SHAPES = {
    "mnist": _GREY,
    "mnist5k": _GREY,
    "fashion_mnist": _GREY,
    "cifar10": _COLOUR,
    "cifar100": _COLOUR,
    "fake": _COLOUR,
}
_USUAL_IMAGE_SIZE = 32
_CLASSES = {"cifar100": 100}
_MAX_COUNTER = 2**31
_COMPOUNDS = ("resl", "ttv1", "ttv2", "ttv3", "ttv4")
_ONE_DEVICE = ("analog_sgd", "mp")
_DEVICE_TAKERS = {"ideal": ("analog_sgd",), "pcm": ("analog_sgd", "mp")}
"""Algorithms of ours that take a device which not all take."""


def check_consistency(config: Config) -> None:
    """Raise `ConfigError` for the first pair of keys that contradict each other."""
    _check_devices(config)
    _check_io(config)
    _check_blocks(config)
    _check_layers(config)
    _check_data(config)
    _check_optim(config)
    _check_warm_start(config)
    _check_periods(config)
    _check_tracking(config)


def _check_devices(config: Config) -> None:
    algorithm = config.algorithm
    ours = algorithm.name in PULSED_ALGORITHMS
    if config.fast_device is not None and is_pulsed(algorithm) and algorithm.name in _ONE_DEVICE:
        raise ConfigError(
            "fast_device",
            config.fast_device.name,
            f"algorithm={algorithm.name} has one device only; {_either('algorithm', _COMPOUNDS)} "
            "has a gradient tile",
            "null",
        )
    for group in ("device", "fast_device"):
        device = getattr(config, group)
        if device is None:
            continue
        takers = _DEVICE_TAKERS.get(device.name)
        if ours and takers is not None and algorithm.name not in takers:
            raise ConfigError(
                group,
                device.name,
                f"aihwkit's compounds do not take it, so algorithm={algorithm.name} does not; "
                f"{_either('algorithm', takers)} does",
            )
        if isinstance(device, DeviceConfig):
            _check_step(group, device, is_pulsed(algorithm), algorithm.name)
        if isinstance(device, PiecewiseStepConfig):
            _check_nodes(group, device)


def _check_step(group: str, device: DeviceConfig, needed: bool, algorithm: str) -> None:
    if device.n_states is not None and device.dw_min is not None:
        raise ConfigError(
            f"{group}.dw_min",
            device.dw_min,
            f"{group}.n_states={device.n_states:g} is set too; set one of them to null",
        )
    if device.n_states is None and device.dw_min is None:
        if needed:
            raise ConfigError(
                f"{group}.n_states",
                None,
                f"algorithm={algorithm} needs {group}.n_states or {group}.dw_min",
            )
        return
    limit = (device.w_max - device.w_min) / 2
    if device.dw_min is not None and device.dw_min > limit:
        raise ConfigError(
            f"{group}.dw_min",
            device.dw_min,
            f"must leave at least 2 states: at most ({group}.w_max - {group}.w_min) / 2",
            f"{limit:g}",
        )


def _check_nodes(group: str, device: PiecewiseStepConfig) -> None:
    up, down = device.piecewise_up, device.piecewise_down
    if len(up) < 2:
        raise ConfigError(f"{group}.piecewise_up", up, "needs at least 2 nodes", "[1,1]")
    if len(down) != len(up):
        raise ConfigError(
            f"{group}.piecewise_down",
            down,
            f"needs as many nodes as {group}.piecewise_up, which has {len(up)}",
        )
    for name, nodes in (("piecewise_up", up), ("piecewise_down", down)):
        if not any(nodes):
            raise ConfigError(f"{group}.{name}", nodes, "at least one node must be above 0")


def _check_blocks(config: Config) -> None:
    model = config.model
    blocks = model.blocks
    if len(model.block_types) != len(blocks):
        raise ConfigError(
            "model.block_types",
            model.block_types,
            f"{model.name} has {len(blocks)} blocks: {', '.join(blocks)}",
            show((model.block_types + ("A",) * len(blocks))[: len(blocks)]),
        )
    shape = _IMAGE_SHAPES.get(config.data.name)
    if model.image_shape is not None and shape is not None and shape != model.image_shape:
        raise ConfigError(
            "model.name",
            model.name,
            f"takes images of {_shape(model.image_shape)}; data={config.data.name} has "
            f"{_shape(shape)}",
            "resnet18",
        )
    if isinstance(model, ResNetConfig) and len(model.depths) != len(model.DEPTHS["resnet18"]):
        raise ConfigError(
            "model.block_numbers", model.block_numbers, "a ResNet has 4 stages", "[2,2,2,2]"
        )
    digital = config.algorithm.name in DIGITAL_ALGORITHMS
    if "A" not in model.block_types and model.analog_layers is None and not digital:
        raise ConfigError(
            "model.block_types",
            model.block_types,
            f"algorithm={config.algorithm.name} needs at least one analog block (A); "
            "algorithm=sgd trains all of them digitally",
        )


def _check_layers(config: Config) -> None:
    """Each pattern of `model.analog_layers` fits a layer."""
    model = config.model
    if model.analog_layers is None:
        return
    names = model.layer_names()
    if not model.analog_layers:
        raise ConfigError("model.analog_layers", [], "names no layer; null = by block_types")
    for pattern in model.analog_layers:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                "model.analog_layers",
                model.analog_layers,
                f"{pattern} fits no layer of {model.name}; there are {', '.join(names)}",
                nearest(pattern, names),
            )


def _check_io(config: Config) -> None:
    for name in ("forward", "backward", "transfer"):
        direction = getattr(config.io, name)
        for bits in ("inp_bits", "out_bits"):
            if getattr(direction, bits) == 1:
                raise ConfigError(f"io.{name}.{bits}", 1, "must be 0 (none) or 2 to 16", "2")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _check_data(config: Config) -> None:
    data = config.data
    if data.name not in _TRAIN_IMAGES:
        return
    available = _TRAIN_IMAGES[data.name]
    if data.train_limit is not None and data.train_limit > available:
        raise ConfigError(
            "data.train_limit",
            data.train_limit,
            f"data={data.name} has {available} training images",
            str(available),
        )
    # The split is stratified, and only the data themselves tell how each class rounds.
    held_out = round(available * data.val_fraction)
    rest = available - held_out
    fewest = _CLASSES.get(data.name, 10) / 2
    if data.val_fraction > 0 and not (held_out >= fewest and rest >= fewest):
        raise ConfigError(
            "data.val_fraction",
            data.val_fraction,
            f"leaves {held_out} of {available} images for validation and {rest} for training; "
            "choose a value further from 0 and 1",
        )
    if data.train_limit is not None and data.train_limit > rest:
        raise ConfigError(
            "data.train_limit",
            data.train_limit,
            f"data.val_fraction={data.val_fraction:g} leaves {rest} of {available} images",
            str(rest),
        )
    images = min(rest, data.train_limit or rest)
    if data.batch_size > images:
        raise ConfigError(
            "data.batch_size", data.batch_size, f"there are {images} training images", str(images)
        )


def _check_optim(config: Config) -> None:
    optim, algorithm = config.optim, config.algorithm.name
    for name, takers in _TAKERS.items():
        value = getattr(optim, name)
        if value and algorithm not in takers:
            raise ConfigError(
                f"optim.{name}",
                value,
                f"algorithm={algorithm} has none; {_either('algorithm', takers)} has",
                "0",
            )
    if optim.accumulate > 1 and algorithm not in DIGITAL_ALGORITHMS:
        raise ConfigError(
            "optim.accumulate",
            optim.accumulate,
            f"algorithm={algorithm} updates tiles vector by vector, where gradients do not add up; "
            f"{_either('algorithm', DIGITAL_ALGORITHMS)} can",
            "1",
        )
    if optim.label_smoothing and optim.loss != "cross_entropy":
        raise ConfigError(
            "optim.label_smoothing",
            optim.label_smoothing,
            f"is for optim.loss=cross_entropy, not {optim.loss}",
            "0",
        )


_TAKERS = {"momentum": ("sgd", "fp_sgdm"), "weight_decay": ("sgd", "adamw", "fp_sgdm")}


def _either(group: str, options: tuple[str, ...]) -> str:
    first = ", ".join(options[:-1])
    return f"{group}={first} or {options[-1]}" if first else f"{group}={options[0]}"


def _check_warm_start(config: Config) -> None:
    warm, algorithm = config.warm_start, config.algorithm
    if not warm.enabled:
        return
    if not isinstance(algorithm, ReslConfig):
        raise ConfigError(
            "warm_start.enabled",
            True,
            f"algorithm={algorithm.name} has no chain of tiles to warm up; algorithm=resl has",
            "false",
        )
    if warm.n_switches is not None and warm.n_switches > algorithm.n_tiles - 1:
        raise ConfigError(
            "warm_start.n_switches",
            warm.n_switches,
            f"algorithm.n_tiles={algorithm.n_tiles} has {algorithm.n_tiles - 1} targets",
            str(algorithm.n_tiles - 1),
        )
    if warm.period is not None and warm.route == "chained":
        raise ConfigError(
            "warm_start.period",
            warm.period,
            "is for warm_start.route=direct; chained uses algorithm.transfer_every",
            "null",
        )


def _check_periods(config: Config) -> None:
    """aihwkit casts period x vectors to a C int (getTransferEvery); above 2**31 is undefined."""
    algorithm = config.algorithm
    if not isinstance(algorithm, ReslConfig | TransferConfig):
        return
    size = _IMAGE_SHAPES.get(config.data.name, (0, 0, _USUAL_IMAGE_SIZE))[-1]
    model = config.model
    counts = dict(zip(model.blocks, model.vectors_per_image(size), strict=True))
    analog = [counts[name.partition(".")[0]] for name in model.analog(model.layer_names())]
    vectors = max(analog) * config.data.batch_size
    if isinstance(algorithm, TransferConfig):
        most = (_MAX_COUNTER - 1) // (vectors if algorithm.units_in_mbatch else 1)
        if algorithm.transfer_every > most:
            raise ConfigError(
                "algorithm.transfer_every",
                algorithm.transfer_every,
                f"times {vectors} vectors a mini-batch exceeds 2**31",
                str(most),
            )
        return
    every, lr = algorithm.transfer_every, algorithm.transfer_lr
    periods = algorithm.transfer_every_vec
    if max(periods) * vectors >= _MAX_COUNTER:
        possible = next(i for i, period in enumerate(periods) if period * vectors >= _MAX_COUNTER)
        raise ConfigError(
            "algorithm.transfer_every",
            {"first": every.first, "growth": every.growth},
            f"a period of {max(periods):.4g} mini-batches x {vectors} vectors exceeds 2**31; "
            "lower growth, algorithm.n_tiles or data.batch_size",
            f"algorithm.n_tiles={possible}" if possible >= 2 else None,
        )
    if max(algorithm.transfer_lr_vec) > 1e6:
        raise ConfigError(
            "algorithm.transfer_lr",
            {"first": lr.first, "growth": lr.growth},
            f"the largest rate of {algorithm.n_tiles} tiles is above 1e6",
        )
    period = config.warm_start.period
    if config.warm_start.enabled and period is not None and period * vectors >= _MAX_COUNTER:
        raise ConfigError(
            "warm_start.period",
            period,
            f"{period:.4g} mini-batches x {vectors} vectors exceeds 2**31",
            str(int((_MAX_COUNTER - 1) // vectors)),
        )


def _check_tracking(config: Config) -> None:
    if len(set(config.tracking)) < len(config.tracking):
        raise ConfigError("tracking", config.tracking, "names a tracker twice")
