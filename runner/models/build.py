"""From ``model.name`` to a digital network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from runner.config.schema import LeNet5Config, ModelConfig, ResNetConfig
from runner.errors import UserError
from runner.models.lenet5 import LeNet5
from runner.models.resnet import ResNet


def build_model(
    cfg: ModelConfig,
    n_classes: int,
    image_shape: Sequence[int],
    weights: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """A digital network with freshly drawn weights (torch's global generator), or given ones.

    Args:
        cfg: the network.
        n_classes: classes of the data.
        image_shape: channels, height, width of the data.
        weights: by the names of the network's ``state_dict``; None = those of the file
            ``model.init_from`` where it is set, else freshly drawn ones.

    Raises:
        UserError: the images do not fit the network, or ``model.init_from`` does not.
    """
    if isinstance(cfg, LeNet5Config):
        if tuple(image_shape) != cfg.image_shape:
            shape = " x ".join(map(str, image_shape))
            raise UserError(f"model=lenet5 takes images of 1 x 28 x 28; the data has {shape}")
        model: nn.Module = LeNet5(n_classes)
    elif not isinstance(cfg, ResNetConfig):
        model = cfg.build(n_classes, image_shape)
    else:
        model = ResNet(
            cfg.depths,
            n_classes,
            image_shape[0],
            cfg.activation,
            batch_norm=cfg.batch_norm,
            shortcut=cfg.shortcut,
        )
    if cfg.init_from is not None and weights is None:
        weights = read_weights(Path(cfg.init_from).expanduser())
    if weights is not None:
        _put_weights(model, weights, f"model.init_from={cfg.init_from}")
    return model


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        UserError: the file can not be read.
    """
    key = f"model.init_from={path}"
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise UserError(f"{key}: can not be read: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise UserError(f"{key}: is not a safetensors file: {error}") from error


def _put_weights(model: nn.Module, found: Mapping[str, Tensor], key: str) -> None:
    """Raise `UserError` where names or shapes are not the network's."""
    wanted = model.state_dict()
    for name in [*sorted(wanted.keys() - found.keys()), *sorted(found.keys() - wanted.keys())]:
        where = "lacks" if name in wanted else "has a tensor of another network:"
        raise UserError(f"{key}: {where} {name}")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise UserError(
                f"{key}: {name} has shape {list(found[name].shape)}, not {list(tensor.shape)}"
            )
    model.load_state_dict(dict(found))
