"""A finished or unfinished run, read back from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config import Config, ConfigError, config_from_dict, config_to_dict, load_config
from runner.config.errors import nearest, show
from runner.config.values import flatten
from runner.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from runner.data import Dataset
    from runner.training.checkpoint import Loaded

CHECKPOINTS = ("newest", "best")


@dataclass(frozen=True)
class StoredRun:
    """A run's configuration and one of its checkpoints.

    Args:
        folder: the run folder.
        config: as the run was started.
        loaded: the checkpoint.
    """

    folder: Path
    config: Config
    loaded: Loaded

    @property
    def epoch(self) -> int:
        """Epochs that were finished at the checkpoint."""
        return self.loaded.document["position"]["epoch"]

    @property
    def mid_epoch(self) -> bool:
        """Whether the checkpoint lies within an epoch."""
        return self.loaded.document["position"]["batch"] > 0


def read_run(folder: Path, which: str = "newest") -> StoredRun:
    """Read a run folder; writes nothing.

    Args:
        folder: the run folder.
        which: ``newest`` or ``best``.

    Raises:
        UserError: there is no run, or no checkpoint that is whole.
    """
    from runner.training.checkpoint import CheckpointStore, load

    if which not in CHECKPOINTS:
        near = nearest(which, CHECKPOINTS)
        raise ConfigError("checkpoint", which, "must be one of " + ", ".join(CHECKPOINTS), near)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such run folder")
    store = CheckpointStore(folder / "checkpoints", keep=1)
    best = store.folder / store.BEST
    if which == "best" and best.is_file():
        loaded = load(best)
    else:
        loaded, _ = store.newest()
    if loaded is None:
        raise UserError(f"{folder}: holds no checkpoint")
    try:
        config = config_from_dict(loaded.document["config"])
    except ConfigError as error:
        raise UserError(
            f"{loaded.path}: its configuration is of another version: {error}"
        ) from None
    return StoredRun(folder, config, loaded)


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """A run's configuration with other data or another input-output.

    Args:
        config: of the run.
        overrides: of the groups ``data`` and ``io`` only.

    Raises:
        ConfigError: for anything else, or a wrong value.
    """
    groups: dict[str, list[str]] = {"data": [], "io": []}
    for text in overrides:
        name, equals, _ = text.partition("=")
        group = name.split(".")[0]
        if not equals or group not in groups:
            raise ConfigError(text, None, "only data, io, n and checkpoint can be given here")
        groups[group].append(text)
    chosen = []
    for group, given in groups.items():
        if not any(text.startswith(f"{group}=") for text in given):
            values = flatten(config_to_dict(config)[group])
            chosen.append(f"{group}={values.pop('name')}")
            chosen += [f"{group}.{key}={_quoted(value)}" for key, value in values.items()]
        chosen += sorted(given, key=lambda text: "." in text.partition("=")[0])
    model = [f"model={config.model.name}", "warm_start=none", "algorithm=sgd", "device.n_states=10"]
    other = load_config([*model, *chosen])
    return replace(config, data=other.data, io=other.io)


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else show(value)


def effective_weights(run: StoredRun) -> dict[str, Tensor]:
    """Digital weights with which a plain network does what the run's network does, without noise.

    Args:
        run: the run; its data are read for the number of classes and the size of the images.

    Returns:
        tensors by the names of the digital network's ``state_dict``; scales are multiplied in.
    """
    from runner.data import load_data
    from runner.models import build_model
    from runner.training.seeding import deterministic

    data = load_data(run.config.data)
    with deterministic(run.config.run.seed, run.config.run.threads):
        model = build(run, run.config, data)
        fresh = replace(run.config.model, init_from=None)
        twin = build_model(fresh, data.n_classes, data.image_shape)
        return _digital_weights(model, twin)


def _digital_weights(model: nn.Module, twin: nn.Module) -> dict[str, Tensor]:
    import torch
    from aihwkit.nn.modules.base import AnalogLayerBase

    found = {name: t.clone() for name, t in twin.state_dict().items()}
    own = model.state_dict()
    analog = {n: m for n, m in model.named_modules() if isinstance(m, AnalogLayerBase)}
    for name, tensor in found.items():
        layer_name, _, kind = name.rpartition(".")
        if layer_name in analog:
            with torch.no_grad():
                weight, bias = analog[layer_name].get_weights()
            value = weight if kind == "weight" else bias
            assert value is not None  # the twin has it too
            found[name] = value.detach().reshape(tensor.shape).clone().contiguous()
        else:
            found[name] = own[name].detach().clone().contiguous()
    return found


def build(run: StoredRun, config: Config, data: Dataset) -> nn.Module:
    """The network of a run's checkpoint.

    Args:
        run: the run.
        config: its configuration, perhaps with another input-output.
        data: gives the number of classes and the size of the images.
    """
    from runner.analog import build_analog, set_tile_states
    from runner.models import build_model
    from runner.training.saver import restore_network

    fresh = replace(config.model, init_from=None)
    digital = build_model(fresh, data.n_classes, data.image_shape)
    model = build_analog(digital, config, data.image_shape).model
    restore_network(run.loaded, model, lambda states: set_tile_states(model, states))
    return model
