"""Networks on tiles."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from device_ext import keyed_tiles
from runner.analog import build_analog, format_layers, read_tiles, set_tile_states, tile_states
from runner.config import load_config
from runner.config.schema import LeNet5Config
from runner.models import build_model

SHAPE = (1, 28, 28)
ALGORITHMS = ["resl", "analog_sgd", "fp_sgd", "sgd"]


def build(*overrides: str):
    cfg = load_config(["data=mnist5k", "algorithm=resl", *overrides])
    torch.manual_seed(cfg.run.seed)
    return build_analog(build_model(cfg.model, 10, SHAPE), cfg, SHAPE)


def train(built, n: int, first: int = 0) -> None:
    for step in range(first, first + n):
        generator = torch.Generator().manual_seed(step)
        built.optimizer.zero_grad()
        output = built.model(torch.rand(4, *SHAPE, generator=generator))
        F.nll_loss(output, torch.randint(10, (4,), generator=generator)).backward()
        built.optimizer.step()


def answer(built) -> torch.Tensor:
    built.model.eval()
    with torch.no_grad():
        output = built.model(torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(99)))
    built.model.train()
    return output


def test_table_of_a_fully_analog_network():
    layers = build("algorithm.n_tiles=4").layers
    assert [(la.name, la.kind, la.out_size, la.in_size, la.vectors) for la in layers] == [
        ("conv1", "analog", 16, 25, 576),
        ("conv2", "analog", 32, 400, 64),
        ("fc1", "analog", 128, 512, 1),
        ("fc2", "analog", 10, 128, 1),
    ]
    assert sum(layer.cross_points for layer in layers) == 4 * (400 + 12800 + 65536 + 1280)
    text = format_layers(layers)
    assert "320,064" in text
    assert len({len(line) for line in text.splitlines()}) == 1


def test_block_types_leave_blocks_digital():
    built = build("model.block_types=[D,A,D,A]")
    assert [layer.kind for layer in built.layers] == ["digital", "analog", "digital", "analog"]
    assert {reading.layer for reading in read_tiles(built.model)} == {"conv2", "fc2"}
    train(built, 1)


def test_a_layer_can_be_split_over_tiles():
    built = build(
        "mapping.max_input_size=256", "mapping.max_output_size=256", "algorithm.n_tiles=2"
    )
    assert [layer.tiles for layer in built.layers] == [1, 2, 2, 1]
    names = [reading.layer for reading in read_tiles(built.model)]
    assert names[2:6] == ["conv2.0.0", "conv2.0.0", "conv2.1.0", "conv2.1.0"]


def test_analog_networks_start_as_the_digital_one():
    digital, analog = build("algorithm=sgd_plain"), build("algorithm=fp_sgd")
    torch.testing.assert_close(answer(analog), answer(digital), atol=1e-6, rtol=1e-5)


def test_floating_point_tiles_train_as_plain_torch_does():
    digital, analog = build("algorithm=sgd_plain"), build("algorithm=fp_sgd")
    before = answer(digital)
    for built in (digital, analog):
        train(built, 20)
    torch.testing.assert_close(answer(analog), answer(digital), atol=1e-4, rtol=1e-4)
    assert (answer(digital) - before).abs().max() > 1e-2


@pytest.mark.parametrize("algorithm", ["resl", "analog_sgd"])
def test_training_is_a_function_of_the_seed(algorithm):
    a, b, c = (build(f"algorithm={algorithm}", f"run.seed={seed}") for seed in (1, 1, 2))
    for built in (a, b, c):
        train(built, 3)
    assert torch.equal(answer(a), answer(b))
    assert not torch.equal(answer(a), answer(c))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_tile_states_continue_to_the_bit(algorithm):
    a, b = (build(f"algorithm={algorithm}") for _ in range(2))
    train(a, 3)
    set_tile_states(b.model, {key: t.clone() for key, t in tile_states(a.model).items()})
    with torch.no_grad():
        for (_, p), (_, q) in zip(
            b.model.named_parameters(), a.model.named_parameters(), strict=True
        ):
            if type(p) is torch.nn.Parameter:
                p.copy_(q)
    assert torch.equal(answer(a), answer(b))
    if a.optimizer.state_dict()["state"]:  # momentum
        b.optimizer.load_state_dict(copy.deepcopy(a.optimizer.state_dict()))
    for built in (a, b):
        train(built, 3, first=3)
    assert torch.equal(answer(a), answer(b))


def test_states_of_another_network_are_refused():
    states = tile_states(build("algorithm.n_tiles=3").model)
    with pytest.raises(ValueError, match=r"\w"):
        set_tile_states(build("algorithm.n_tiles=4").model, states)
    with pytest.raises(ValueError, match="there is no tile 'nonsense'"):
        set_tile_states(build().model, {"nonsense/x": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"\w"):
        set_tile_states(build("algorithm=fp_sgd").model, {})


def test_the_configuration_knows_how_many_vectors_a_layer_sees():
    # It refuses periods that overflow before torch is imported, so it keeps the counts itself.
    layers = build("algorithm=sgd").layers
    assert tuple(layer.vectors for layer in layers) == LeNet5Config().vectors_per_image(28)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("algorithm.scale_fast_lr=false", True),
        ("algorithm.scale_fast_lr=true", False),
        ("algorithm.scale_transfer_lr=true", False),
        ("algorithm=analog_sgd", False),
    ],
)
def test_a_rate_that_moves_no_tile_is_said(override, said):
    assert any("optim.lr" in note and "no tile" in note for note in build(override).notes) is said


def test_readings_name_layer_and_device():
    built = build("algorithm.n_tiles=2")
    train(built, 4)
    readings = read_tiles(built.model)
    assert [(r.layer, r.device) for r in readings[:3]] == [("conv1", 0), ("conv1", 1), ("conv2", 0)]
    gradient_tile = readings[0]
    assert gradient_tile.pulses
    assert gradient_tile.weights.shape == (16, 25)
    assert 0 <= gradient_tile.share_at_bound <= 1
    assert gradient_tile.metrics() == {
        "tiles/conv1/device0/share_at_bound": gradient_tile.share_at_bound,
        "tiles/conv1/device0/mean_abs_weight": gradient_tile.weights.abs().mean().item(),
        "tiles/conv1/device0/transfers": gradient_tile.transfers,
        "tiles/conv1/device0/pulses": gradient_tile.pulses,
    }


def test_momentum_reaches_the_weights_of_floating_point_tiles():
    digital = build("algorithm=sgd", "optim.weight_decay=0")
    analog = build("algorithm=fp_sgdm")
    assert {layer.kind for layer in analog.layers} == {"analog"}
    for built in (digital, analog):
        train(built, 20)
    torch.testing.assert_close(answer(analog), answer(digital), atol=1e-4, rtol=1e-4)
    plain = build("algorithm=fp_sgdm", "optim.momentum=0")
    train(plain, 20)
    assert (answer(plain) - answer(analog)).abs().max() > 1e-2


def test_patterns_choose_analog_layers():
    built = build("algorithm=analog_sgd", "model.analog_layers=[fc*,conv2]")
    assert [layer.kind for layer in built.layers] == ["digital", "analog", "analog", "analog"]


@pytest.mark.parametrize("types", ["[A,A,A,A]", "[D,A,A,A]", "[D,D,A,D]", "[A,D,D,A]"])
def test_training_writes_every_tile_of_any_mixture(types):
    built = build("algorithm.n_tiles=3", "device.n_states=16", f"model.block_types={types}")
    train(built, 8)
    tiles = list(keyed_tiles(built.model))
    assert len(tiles) == types.count("A")
    for name, tile in tiles:
        assert tile.telemetry()[0].pulses, name
