"""ResNets for small images: their sizes, their options, and weights from a file."""

from __future__ import annotations

import dataclasses

import pytest
import safetensors.torch
import torch
from torch import nn

from device_ext import keyed_tiles
from runner.analog import build_analog
from runner.analog.layers import digital_layers
from runner.config import load_config
from runner.config.schema import LeNet5Config, ResNetConfig
from runner.errors import UserError
from runner.models import build_model

SHAPE = (3, 32, 32)


def build(**options) -> nn.Module:
    torch.manual_seed(1)
    return build_model(ResNetConfig(**options), 10, SHAPE)


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_173_962), ("resnet34", 21_282_122)]
)
def test_number_of_parameters(name, parameters):
    """The figures that are usual for these networks on CIFAR-10 (option B shortcuts)."""
    model = build(name=name)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_blocks_are_modules_of_the_network():
    names = {name for name, _ in build().named_children()}
    assert set(ResNetConfig.blocks) <= names


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "tanh"},
        {"batch_norm": False},
        {"shortcut": False},
        {"block_numbers": (1, 1, 1, 1)},
    ],
)
def test_options_train(options):
    model = build(**{"block_numbers": (1, 1, 1, 1), **options})
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == options.get(
        "batch_norm", True
    )
    output = model(torch.rand(2, *SHAPE))
    assert output.shape == (2, 10)
    torch.testing.assert_close(output.exp().sum(1), torch.ones(2), atol=1e-4, rtol=0)
    output.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_no_shortcut_means_none():
    assert not any("shortcut" in name for name, _ in build(shortcut=False).named_modules())


def test_the_last_stages_are_analog():
    cfg = load_config(
        ["model=resnet18", "model.block_numbers=[1,1,1,1]", "data=fake", "algorithm.n_tiles=2"]
    )
    torch.manual_seed(1)
    built = build_analog(build_model(cfg.model, 10, SHAPE), cfg, SHAPE)
    analog = [layer.name for layer in built.layers if layer.kind == "analog"]
    assert analog[0] == "layer3.0.conv1"
    assert analog[-1] == "fc"
    assert all(name.startswith(("layer3", "layer4", "fc")) for name in analog)
    assert len(analog) == 7


def test_weights_from_a_file_go_onto_the_most_significant_device(tmp_path):
    source = build_model(load_config().model, 10, (1, 28, 28))
    weights = {name: t.clone().contiguous() for name, t in source.state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "w.safetensors")
    cfg = load_config(
        [
            f"model.init_from={tmp_path / 'w.safetensors'}",
            "algorithm.n_tiles=3",
            "device.n_states=64",
        ]
    )
    torch.manual_seed(5)
    built = build_analog(build_model(cfg.model, 10, (1, 28, 28)), cfg, (1, 28, 28))
    tile = next(tile for name, tile in keyed_tiles(built.model) if name.startswith("fc1"))
    devices = [device.weights for device in tile.telemetry()]
    assert torch.equal(devices[0], torch.zeros_like(devices[0]))
    # Programmed as far as each cross-point's own bounds reach.
    assert (devices[-1] - weights["fc1.weight"]).abs().max() < 0.05
    torch.testing.assert_close(tile.bias, weights["fc1.bias"])


def test_a_file_of_another_network(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file({"fc.weight": torch.zeros(3, 4)}, path)
    with pytest.raises(UserError, match=r"model.init_from=.*lacks conv1.bias"):
        build_model(load_config([f"model.init_from={path}"]).model, 10, (1, 28, 28))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="is not a safetensors file"):
        build_model(load_config([f"model.init_from={path}"]).model, 10, (1, 28, 28))
    gone = dataclasses.replace(load_config().model, init_from="/nowhere/w.safetensors")
    with pytest.raises(UserError, match="can not be read"):
        build_model(gone, 10, (1, 28, 28))


def test_images_of_another_size():
    with pytest.raises(UserError, match="takes images of 1 x 28 x 28; the data has 3 x 32 x 32"):
        build_model(load_config().model, 10, SHAPE)


@pytest.mark.parametrize("cfg", [
    LeNet5Config(), ResNetConfig(), ResNetConfig(name="resnet34"),
    ResNetConfig(block_numbers=(1, 2, 1, 1), shortcut=False, batch_norm=False),
])  # fmt: skip
def test_the_configuration_knows_the_layers_of_the_network(cfg):
    shape = cfg.image_shape or SHAPE
    found = [layer.name for layer in digital_layers(build_model(cfg, 10, shape), shape)]
    assert sorted(found) == sorted(cfg.layer_names())


def test_patterns_choose_layers_inside_a_block():
    cfg = ResNetConfig(analog_layers=("layer4.*.conv2", "fc"))
    assert cfg.analog(cfg.layer_names()) == ["layer4.0.conv2", "layer4.1.conv2", "fc"]
