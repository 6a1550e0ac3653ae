"""The network of the paper."""

from __future__ import annotations

import torch

from runner.config.schema import LeNet5Config
from runner.models import build_model
from runner.models.lenet5 import LeNet5


def test_weights_of_each_block():
    model = build_model(LeNet5Config(), 10, (1, 28, 28))
    sizes = {name: p.numel() for name, p in model.named_parameters() if name.endswith("weight")}
    assert sizes == {
        "conv1.weight": 16 * 25,
        "conv2.weight": 32 * 16 * 25,
        "fc1.weight": 512 * 128,
        "fc2.weight": 128 * 10,
    }


def test_blocks_of_the_configuration_are_modules_of_the_network():
    model = build_model(LeNet5Config(), 10, (1, 28, 28))
    names = {name for name, _ in model.named_children()}
    assert set(LeNet5Config.blocks) <= names


def test_output_is_a_distribution_over_the_classes():
    torch.manual_seed(0)
    output = LeNet5(n_classes=7)(torch.rand(3, 1, 28, 28))
    assert output.shape == (3, 7)
    torch.testing.assert_close(output.exp().sum(1), torch.ones(3), atol=1e-5, rtol=0)


def test_pooling_before_tanh_is_tanh_before_pooling():
    torch.manual_seed(0)
    model, images = LeNet5(), torch.rand(3, 1, 28, 28)
    x = model.pool(torch.tanh(model.conv1(images)))
    x = torch.tanh(model.pool(torch.tanh(model.conv2(x))))
    x = torch.tanh(model.fc1(x.flatten(1)))
    torch.testing.assert_close(model(images), torch.log_softmax(model.fc2(x), dim=1))
