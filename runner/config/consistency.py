"""Checks between keys: what no single key can know."""

from __future__ import annotations

from runner.config.errors import ConfigError, nearest, show
from runner.config.schema import (
    PULSED_ALGORITHMS,
    Config,
    ReslConfig,
    ResNetConfig,
    SGDConfig,
    TransferConfig,
)

TRACKERS: tuple[str, ...] = ()
"""Names allowed in `tracking`."""

# Training images of a data set; an image folder tells when it is read.
_TRAIN_IMAGES = {"mnist": 60_000, "mnist5k": 4_000, "fake": 512}
_IMAGE_SHAPES = {"mnist": (1, 28, 28), "mnist5k": (1, 28, 28), "fake": (3, 32, 32)}
_USUAL_IMAGE_SIZE = 32
_CLASSES = 10
_MAX_COUNTER = 2**31


def check_consistency(config: Config) -> None:
    """Raise `ConfigError` for the first pair of keys that contradict each other."""
    _check_device(config)
    _check_blocks(config)
    _check_data(config)
    _check_optim(config)
    _check_warm_start(config)
    _check_periods(config)
    _check_tracking(config)


def _check_device(config: Config) -> None:
    device = config.device
    if device.n_states is not None and device.dw_min is not None:
        raise ConfigError(
            "device.dw_min",
            device.dw_min,
            f"device.n_states={device.n_states:g} is set too; set one of them to null",
        )
    if device.n_states is None and device.dw_min is None:
        if config.algorithm.name in PULSED_ALGORITHMS:
            raise ConfigError(
                "device.n_states",
                None,
                f"algorithm={config.algorithm.name} needs device.n_states or device.dw_min",
            )
        return
    limit = (device.w_max - device.w_min) / 2
    if device.dw_min is not None and device.dw_min > limit:
        raise ConfigError(
            "device.dw_min",
            device.dw_min,
            "must leave at least 2 states: at most (device.w_max - device.w_min) / 2",
            f"{limit:g}",
        )


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
    if "A" not in model.block_types and not isinstance(config.algorithm, SGDConfig):
        raise ConfigError(
            "model.block_types",
            model.block_types,
            f"algorithm={config.algorithm.name} needs at least one analog block (A); "
            "algorithm=sgd trains all of them digitally",
        )


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
    if data.val_fraction > 0 and not (held_out >= _CLASSES / 2 and rest >= _CLASSES / 2):
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
    for name in ("momentum", "weight_decay"):
        value = getattr(config.optim, name)
        if value and not isinstance(config.algorithm, SGDConfig):
            raise ConfigError(
                f"optim.{name}",
                value,
                f"tiles of algorithm={config.algorithm.name} have none; algorithm=sgd only",
                "0",
            )


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
    counts = config.model.vectors_per_image(size)
    analog = [n for n, kind in zip(counts, config.model.block_types, strict=True) if kind == "A"]
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
    for name in config.tracking:
        if name not in TRACKERS:
            raise ConfigError(
                "tracking",
                config.tracking,
                f"there is no tracker {name} in this version; metrics.jsonl is always written"
                if not TRACKERS
                else f"there is no tracker {name}; there are {', '.join(TRACKERS)}",
                "[]" if not TRACKERS else nearest(name, TRACKERS),
            )
    if len(set(config.tracking)) < len(config.tracking):
        raise ConfigError("tracking", config.tracking, "names a tracker twice")
