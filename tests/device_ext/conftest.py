"""Small analog models that the device tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.optim.context import AnalogContext
from aihwkit.simulator.configs import (
    DigitalRankUpdateRPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    TransferCompound,
    UnitCell,
)
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor, nn

from device_ext import KeyedAnalogTile, WarmStartTransferCompound, keyed_tiles, seed_tiles

ModelFactory = Callable[..., nn.Module]


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    """Bits of a BLAS call depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ideal_step(dw_min: float, **kwargs: Any) -> ConstantStepDevice:
    """A device whose every pulse moves the weight by exactly ``dw_min``, between -1 and 1."""
    return ConstantStepDevice(
        dw_min=dw_min,
        w_min=-1.0,
        w_max=1.0,
        dw_min_dtod=0.0,
        dw_min_std=0.0,
        w_min_dtod=0.0,
        w_max_dtod=0.0,
        up_down_dtod=0.0,
        **kwargs,
    )


def few_states(dw_min: float = 0.125, **kwargs: Any) -> SoftBoundsDevice:
    """A soft-bounds device with aihwkit's own spreads and cycle noise."""
    return SoftBoundsDevice(w_min=-1.0, w_max=1.0, dw_min=dw_min, **kwargs)


def chain(n: int, cls: type[TransferCompound] = WarmStartTransferCompound, **kwargs: Any) -> Any:
    """A transfer compound of n devices that learns in a few mini-batches; kwargs replace."""
    settings: dict[str, Any] = {
        "unit_cell_devices": [few_states()] * n,
        "gamma_vec": [0.3 ** (n - 1 - i) for i in range(n)],
        "transfer_every_vec": [float(2 ** (i + 1)) for i in range(n)],
        "transfer_lr_vec": [0.2 * 1.2 ** (n - 1 - i) for i in range(n)],
        "units_in_mbatch": True,
        "scale_transfer_lr": False,
        "fast_lr": 0.5,
        "scale_fast_lr": False,
        "transfer_forward": IOParameters(is_perfect=True),
        "transfer_update": UpdateParameters(),
    }
    if cls is WarmStartTransferCompound:
        settings["warm_start"] = True
    return cls(**{**settings, **kwargs})


def config(device: Any, *, perfect: bool = True, update: UpdateParameters | None = None) -> Any:
    """An RPU configuration with keyed tiles; ``perfect`` is for the forward and backward pass."""
    if isinstance(device, MixedPrecisionCompound):
        rpu: Any = DigitalRankUpdateRPUConfig(device=device)
    elif isinstance(device, UnitCell):
        rpu = UnitCellRPUConfig(device=device)
    else:
        rpu = SingleRPUConfig(device=device)
    rpu.forward = IOParameters(is_perfect=perfect)
    rpu.backward = IOParameters(is_perfect=perfect)
    if update is not None:
        rpu.update = update
    rpu.tile_class = KeyedAnalogTile
    return rpu


def scalar_tile(device: Any, update: UpdateParameters | None = None, seed: int = 1) -> Any:
    """A keyed 1 x 1 tile without bias, at weight 0."""
    torch.manual_seed(3)
    tile = KeyedAnalogTile(1, 1, config(device, update=update), bias=False)
    tile.seed(seed, 0)
    tile.set_learning_rate(1.0)
    return tile


def linear_model(
    device: Any,
    sizes: Sequence[int] = (6, 5, 3),
    torch_seed: int = 5,
    seed: int | None = 11,
    **kwargs: Any,
) -> nn.Sequential:
    """Linear layers with tanh between them; input [batch, sizes[0]]."""
    torch.manual_seed(torch_seed)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [AnalogLinear(n_in, n_out, rpu_config=config(device, **kwargs)), nn.Tanh()]
    model = nn.Sequential(*layers[:-1])
    if seed is not None:
        seed_tiles(model, seed)
    return model


def conv_model(
    device: Any, torch_seed: int = 5, seed: int | None = 11, **kwargs: Any
) -> nn.Sequential:
    """A convolution and a linear layer; input [batch, 1, 6, 6], output [batch, 3]."""
    torch.manual_seed(torch_seed)
    model = nn.Sequential(
        AnalogConv2d(1, 3, 3, rpu_config=config(device, **kwargs)),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        AnalogLinear(12, 3, rpu_config=config(device, **kwargs)),
    )
    if seed is not None:
        seed_tiles(model, seed)
    return model


def batches(shape: Sequence[int], sizes: Iterable[int], seed: int = 0) -> list[Tensor]:
    """Mini-batches of normal numbers: sizes[i] examples of ``shape`` each."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, *shape, generator=generator) for size in sizes]


def train(model: nn.Module, data: Iterable[Tensor], lr: float = 0.2) -> None:
    """One step of analog SGD on each mini-batch, pulling the outputs to 1."""
    optimizer = AnalogSGD(model.parameters(), lr=lr)
    optimizer.regroup_param_groups(model)
    model.train()
    for x in data:
        optimizer.zero_grad()
        ((model(x) - 1.0) ** 2).mean().backward()
        optimizer.step()


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Everything that training changes in a model: exact state of the tiles, digital parameters."""
    state = {
        f"digital.{name}": p.detach().clone()
        for name, p in model.named_parameters()
        if not isinstance(p, AnalogContext)
    }
    for name, tile in keyed_tiles(model):
        state |= {f"{name}.{key}": value for key, value in tile.get_exact_state().items()}
    return state


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """The entries that are not bitwise equal; [] where two states are the same."""
    missing = sorted(set(a) ^ set(b))
    return missing + [k for k in sorted(set(a) & set(b)) if not same_bits(a[k], b[k])]


def copy_bias(source: KeyedAnalogTile, target: KeyedAnalogTile) -> None:
    """Copy the digital bias, which is the module's own and not in the exact state."""
    assert source.bias is not None
    assert target.bias is not None
    target.bias.data.copy_(source.bias.data)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same type, shape and bits."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()


def advance_all(model: nn.Module) -> None:
    """Move every tile of a model to its next stage."""
    for _, tile in keyed_tiles(model):
        tile.advance()


NOISY = IOParameters()

# Compounds and devices of aihwkit itself, and whether their forward and backward pass is perfect.
STOCK: dict[str, tuple[Callable[[], Any], bool]] = {
    "transfer": (lambda: chain(3, TransferCompound), True),
    "transfer_noisy_io": (lambda: chain(3, TransferCompound, transfer_forward=NOISY), False),
    "transfer_fully_hidden": (lambda: chain(2, TransferCompound, gamma_vec=[0.0, 1.0]), True),
    "buffered": (
        lambda: BufferedTransferCompound(
            unit_cell_devices=[few_states(), few_states(0.05)],
            transfer_every=1,
            units_in_mbatch=True,
            fast_lr=0.5,
            transfer_lr=2.0,
            transfer_forward=NOISY,
        ),
        False,
    ),
    "chopped": (
        lambda: ChoppedTransferCompound(
            unit_cell_devices=[few_states(), few_states(0.05)],
            in_chop_prob=0.3,
            out_chop_prob=0.2,
            transfer_every=1,
            units_in_mbatch=True,
            fast_lr=0.5,
            transfer_lr=2.0,
        ),
        True,
    ),
    "dynamic": (
        lambda: DynamicTransferCompound(
            unit_cell_devices=[few_states(), few_states(0.05)],
            in_chop_prob=0.5,
            transfer_every=0.25,
            units_in_mbatch=True,
            fast_lr=0.5,
            transfer_lr=2.0,
        ),
        True,
    ),
    "mixed_precision": (
        lambda: MixedPrecisionCompound(
            device=few_states(0.05), transfer_every=2, n_x_bins=7, n_d_bins=7, stoc_round_x=True
        ),
        False,
    ),
    "soft_bounds": (few_states, True),
    "soft_bounds_noisy_io": (few_states, False),
    "constant_step": (lambda: ConstantStepDevice(dw_min=0.05), True),
    "write_noise": (lambda: few_states(write_noise_std=0.5), True),
    "write_noise_in_transfer": (
        lambda: chain(3, TransferCompound, unit_cell_devices=[few_states(write_noise_std=0.5)] * 3),
        True,
    ),
    "decay_and_diffusion": (lambda: few_states(lifetime=50.0, diffusion=0.01), True),
}


@pytest.fixture(params=sorted(STOCK))
def stock_model(request: pytest.FixtureRequest) -> ModelFactory:
    """A factory of a linear model on one of aihwkit's own compounds or devices."""
    device, perfect = STOCK[request.param]
    return lambda **kwargs: linear_model(device(), perfect=perfect, **kwargs)
