"""What is timed: tiles and LeNet-5 on stock aihwkit, on our tiles, and in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import (
    BufferedTransferCompound,
    DigitalRankUpdateRPUConfig,
    MixedPrecisionCompound,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
)
from aihwkit.simulator.parameters import IOParameters, MappingParameter, UpdateParameters
from aihwkit.simulator.tiles.analog import AnalogTile
from torch import Tensor, nn
from torch.nn import functional as F

from device_ext import (
    CONVERSION_MAP,
    KeyedAnalogTile,
    KeyedSGD,
    WarmStartTransferCompound,
    seed_tiles,
    set_engine,
)
from runner.analog import build_analog
from runner.analog.layers import digital_layers
from runner.config import load_config
from runner.models import build_model
from runner.models.lenet5 import LeNet5

ANALOG = ("stock", "exact", "fast")
"""Ways to train a tile: aihwkit as it comes; our tile on aihwkit's pulses; the engine."""

Work = Callable[[], object]


def residual(n_tiles: int, n_states: int, *, stock: bool) -> Any:
    """Residual learning as in arXiv 2510.02516: aihwkit's compound, or ours."""
    settings: dict[str, Any] = {
        "unit_cell_devices": [SoftBoundsDevice(dw_min=2 / n_states, w_min=-1, w_max=1)] * n_tiles,
        "gamma_vec": [0.5 ** (n_tiles - 1 - i) for i in range(n_tiles)],
        "transfer_every_vec": [float(3 * 2**i) for i in range(n_tiles)],
        "transfer_lr_vec": [0.3 * 1.2 ** (n_tiles - 1 - i) for i in range(n_tiles)],
        "units_in_mbatch": True,
        "scale_transfer_lr": False,
        "fast_lr": 1.0,
        "scale_fast_lr": False,
        "transfer_forward": IOParameters(is_perfect=True),
        "transfer_update": UpdateParameters(),
    }
    return TransferCompound(**settings) if stock else WarmStartTransferCompound(**settings)


def rpu_config(device: Any, *, stock: bool) -> Any:
    """Perfect passes, whole layers; a keyed tile unless `stock`."""
    mixed = isinstance(device, MixedPrecisionCompound)
    cls: Any = DigitalRankUpdateRPUConfig if mixed else UnitCellRPUConfig
    extra: dict[str, Any] = {} if stock else {"tile_class": KeyedAnalogTile}
    return cls(
        device=device,
        forward=IOParameters(is_perfect=True),
        backward=IOParameters(is_perfect=True),
        update=UpdateParameters(),
        mapping=MappingParameter(max_input_size=0, max_output_size=0),
        **extra,
    )


def vectors(n: int, in_size: int, out_size: int, pulses: float) -> tuple[Tensor, Tensor]:
    """Inputs as after a ReLU [n, in] and gradients [n, out] that make about so many pulses.

    The rate of pulses is `lr |x| |d| / dw_min` summed over everything; the scale of d is chosen
    for 4 states and a learning rate of 1.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, in_size, generator=generator).clamp_(min=0)
    d = torch.randn(n, out_size, generator=generator)
    expected = float((x.abs().sum(1) * d.abs().sum(1)).sum()) / 0.5
    return x, d * (pulses / expected)


def tile(kind: str, in_size: int, out_size: int, n_tiles: int = 8, n_states: int = 4) -> AnalogTile:
    """A tile of residual learning for one of `ANALOG`."""
    torch.manual_seed(7)
    stock = kind == "stock"
    config = rpu_config(residual(n_tiles, n_states, stock=stock), stock=stock)
    cls = AnalogTile if stock else KeyedAnalogTile
    made = cls(out_size, in_size, config, bias=False)
    made.set_learning_rate(0.05)
    if isinstance(made, KeyedAnalogTile):
        made.seed(1, 0)
        made.engine = "fast" if kind == "fast" else "exact"
    return made


def tile_update(kind: str, x: Tensor, d: Tensor, n_tiles: int = 8, n_states: int = 4) -> Work:
    """One mini-batch's update of a tile, or of a digital layer of its size (``digital``)."""
    if kind == "digital":
        weight = torch.zeros(d.shape[1], x.shape[1])
        return lambda: weight.addmm_(d.t(), x, alpha=-0.05)
    made = tile(kind, x.shape[1], d.shape[1], n_tiles, n_states)
    return lambda: made.update(x, d)


def pulses_of(work_tile: KeyedAnalogTile, x: Tensor, d: Tensor) -> int:
    """Pulses that one update puts onto the gradient tile."""
    before = work_tile.telemetry()[0].pulses or 0
    work_tile.update(x, d)
    return (work_tile.telemetry()[0].pulses or 0) - before


@dataclass
class TrainingStep:
    """A training step of a network whose parts can be called one by one."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    images: Tensor
    labels: Tensor
    loss: Tensor | None = None

    def forward(self) -> None:
        """Forward pass and loss."""
        self.optimizer.zero_grad()
        self.loss = F.nll_loss(self.model(self.images), self.labels)

    def backward(self) -> None:
        """Backward pass; in a digital layer the gradient of the weights is in it."""
        assert self.loss is not None
        self.loss.backward()

    def update(self) -> None:
        """The optimizer's step: pulses on tiles, additions in digital layers."""
        self.optimizer.step()

    def step(self) -> None:
        """All three."""
        self.forward()
        self.backward()
        self.update()


def lenet_device(algorithm: str, *, stock: bool) -> Any:
    """The device of an algorithm: residual (8 tiles, 4 states), ttv2 or mp (10 states)."""
    soft = SoftBoundsDevice(dw_min=0.2, w_min=-1, w_max=1)
    if algorithm == "residual":
        return residual(8, 4, stock=stock)
    if algorithm == "ttv2":
        return BufferedTransferCompound(
            unit_cell_devices=[soft, soft],
            transfer_forward=IOParameters(is_perfect=True),
            fast_lr=0.1,
            scale_fast_lr=False,
            transfer_lr=1.0,
        )
    return MixedPrecisionCompound(device=soft)


def lenet_step(kind: str, algorithm: str = "residual", batch: int = 8) -> TrainingStep:
    """LeNet-5 on random images; `kind` is one of `ANALOG` or ``digital``."""
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 1, 28, 28, generator=generator)
    labels = torch.randint(0, 10, (batch,), generator=generator)
    model: nn.Module = LeNet5()
    if kind == "digital":
        return TrainingStep(model, torch.optim.SGD(model.parameters(), lr=0.05), images, labels)
    stock = kind == "stock"
    config = rpu_config(lenet_device(algorithm, stock=stock), stock=stock)
    conversion: dict[str, Any] = {} if stock else {"conversion_map": CONVERSION_MAP}
    model = convert_to_analog(model, config, ensure_analog_root=False, **conversion)
    if not stock:
        seed_tiles(model, 1)
        refused = set_engine(model, "fast" if kind == "fast" else "exact")
        if refused:
            raise RuntimeError(f"the engine refuses a tile: {refused}")
    optimizer = AnalogSGD if stock else KeyedSGD
    return TrainingStep(model, optimizer(model.parameters(), lr=0.05), images, labels)


def resnet_step(kind: str, name: str, batch: int = 128) -> TrainingStep:
    """A ResNet, D D D A A A, 8 tiles of 4 states, on random images of 3 x 32 x 32.

    Args:
        kind: one of `ANALOG` or ``digital``.
        name: ``resnet18`` or ``resnet34``.
        batch: images.
    """
    experiment = [f"experiment={name}_cifar10"]
    cfg = load_config([*experiment, "algorithm=sgd"] if kind == "digital" else experiment)
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 10, (batch,), generator=generator)
    network = build_model(cfg.model, 10, (3, 32, 32))
    if kind != "stock":
        built = build_analog(network, cfg, (3, 32, 32))
        if kind == "exact":
            set_engine(built.model, "exact")
        return TrainingStep(built.model, built.optimizer, images, labels)
    layers = [layer.name for layer in digital_layers(network, (3, 32, 32))]
    analog = set(cfg.model.analog(layers))
    model = convert_to_analog(
        network,
        rpu_config(residual(8, 4, stock=True), stock=True),
        exclude_modules=[n for n in layers if n not in analog],
        ensure_analog_root=False,
    )
    return TrainingStep(model, AnalogSGD(model.parameters(), lr=0.1), images, labels)


def warm_up(step: TrainingStep, steps: int = 50) -> TrainingStep:
    """Train a little, so that gradients and saturation are those of a training."""
    for _ in range(steps):
        step.step()
    return step
