"""The same x, d, weights and keys give the same bits: for any number of threads, any kernels, any
layout in memory, and after the state was saved and restored.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs.compounds import MixedPrecisionCompound
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor

from device_ext import KeyedAnalogTile, _core
from device_ext.layout import PatchGeometry, unfolded_patches
from tests.engine.tiles import (
    KERNELS,
    chain,
    constant_step,
    exp_step,
    linear_step,
    make_tile,
    normal_batch,
    pow_reference,
    pow_step,
    reference,
    soft_bounds,
)

State = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]

DEVICES: dict[str, Callable[[], Any]] = {
    "single": lambda: soft_bounds(0.05, up_down=0.1),
    "single_write_noise": lambda: soft_bounds(0.05, write_noise_std=1.0),
    "reference": lambda: reference(0.05),
    "linear": lambda: linear_step(0.05, mult_noise=False),
    "constant": lambda: constant_step(0.05),
    "exp": lambda: exp_step(0.05),
    "exp_complex": lambda: exp_step(0.05, dw_min_std_add=0.1, dw_min_std_slope=0.1),
    "pow": lambda: pow_step(0.05),
    "pow_reference": lambda: pow_reference(0.05),
    "chain": chain,
    "chain_write_noise": lambda: chain(device=soft_bounds(0.1, write_noise_std=0.5)),
    "warm_direct": lambda: chain(warm_start=True, period=1.0),
    "warm_chained": lambda: chain(warm_start=True, route="chained"),
    "noisy_transfer": lambda: chain(transfer_forward=IOParameters(out_noise=0.1)),
}
SUMS = {
    "mixed": lambda: MixedPrecisionCompound(
        device=soft_bounds(0.05), transfer_every=1, n_x_bins=0, n_d_bins=0
    )
}
"""Devices that few pulses reach."""
FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
# Around the widths of the kernels (8, 16), a single line, and sizes with a remainder for both.
SIZES = [(1, 1), (3, 7), (16, 16), (17, 33), (64, 8), (5, 130)]


def updated(tile: KeyedAnalogTile, batches: list[Batch]) -> State:
    for x, d in batches:
        tile.update(x, d)
    return tile.get_exact_state()


def assert_same_bits(a: State, b: State) -> None:
    assert a.keys() == b.keys()
    for name in a:
        same = a[name].numpy().tobytes() == b[name].numpy().tobytes()
        assert same, f"{name} differs in {int((a[name] != b[name]).sum())} of {a[name].numel()}"


def some_batches(out_size: int, in_size: int, sizes: tuple[int, ...] = (20, 20, 7)) -> list[Batch]:
    return [normal_batch(n, in_size, out_size, seed, 0.3) for seed, n in enumerate(sizes)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("device", DEVICES | SUMS)
def test_kernels_give_the_same_bits(device: str, size: tuple[int, int]) -> None:
    results = []
    for kernels in KERNELS:
        assert _core.use_kernels(kernels)
        assert _core.kernels() == kernels
        made = make_tile((DEVICES | SUMS)[device](), *size)
        results.append(updated(made, some_batches(*size)))
    for result in results[1:]:
        assert_same_bits(results[0], result)


@pytest.mark.parametrize("device", DEVICES)
def test_threads_give_the_same_bits(device: str) -> None:
    # Enough lines and pulses that the engine does start its threads.
    out_size, in_size = 131, 203
    batches = some_batches(out_size, in_size, (900, 650))
    results = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        tile = make_tile(DEVICES[device](), out_size, in_size)
        results.append(updated(tile, batches))
        pulses = tile.telemetry()[0].pulses
        assert pulses is not None
        assert pulses > 2 * 20000
    for result in results[1:]:
        assert_same_bits(results[0], result)


def test_chosen_kernels_must_exist() -> None:
    assert not _core.use_kernels("no such kernels")
    assert _core.kernels() == KERNELS[-1]


# -- layouts ---------------------------------------------------------------------------------------


def column_major(v: Tensor) -> Tensor:
    return v.t().contiguous().t()


def every_other(v: Tensor) -> Tensor:
    wide = torch.full((2 * v.shape[0], 2 * v.shape[1]), float("nan"))
    wide[::2, 1::2] = v
    return wide[::2, 1::2]


def offset_rows(v: Tensor) -> Tensor:
    return torch.cat((torch.full((v.shape[0], 3), float("nan")), v), dim=1)[:, 3:]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "column_major": column_major,
    "every_other": every_other,
    "offset_rows": offset_rows,
    "images": lambda v: v.view(4, -1, v.shape[1]),
    "patches": lambda v: v.view(4, -1, v.shape[1]).transpose(1, 2).contiguous().transpose(1, 2),
    "four_dimensions": lambda v: v.view(2, 2, -1, v.shape[1]),
    "requires_grad": lambda v: v.clone().requires_grad_(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(17, 33), (3, 7)], ids=str)
def test_layouts_give_the_same_bits(layout: str, size: tuple[int, int]) -> None:
    change = LAYOUTS[layout]
    batches = some_batches(*size, (20, 60))
    plain = updated(make_tile(chain(), *size), batches)
    for sides in ((True, False), (False, True), (True, True)):
        laid_out = [tuple(change(v) if on else v.view(change(v).shape) for v, on in
                          zip(batch, sides, strict=True)) for batch in batches]  # fmt: skip
        assert_same_bits(plain, updated(make_tile(chain(), *size), laid_out))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("bl_management", [True, False])
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0])
def test_vectors_side_by_side_give_the_bits_of_rows(
    kernels: str, bl_management: bool, scale: float
) -> None:
    # Vectors whose lines lie side by side are looked over together; few of them are then drawn.
    assert _core.use_kernels(kernels)
    out_size, in_size, n = 37, 50, 300
    x, d = normal_batch(n, in_size, out_size, 4, scale)
    d[:, :16] *= 0.01  # the first block is silent where the others are not
    d[::3] = 0.0
    update = UpdateParameters(desired_bl=5, update_bl_management=bl_management)
    results, pulses = [], []
    for change in (lambda v: v, column_major, lambda v: column_major(v).view(10, -1, v.shape[1])):
        tile = make_tile(soft_bounds(0.02), out_size, in_size, update=update)
        results.append(updated(tile, [(change(x), change(d))] * 3))
        pulses.append(tile.telemetry()[0].pulses)
    for result in results[1:]:
        assert_same_bits(results[0], result)
    assert pulses[0]
    assert (pulses[0] < 2 * n) == (scale == 1e-4)


def test_transposed_inputs_give_the_same_bits() -> None:
    batches = some_batches(17, 33)
    plain = updated(make_tile(chain(), 17, 33), batches)
    tile = make_tile(chain(), 17, 33)
    tile.in_trans = tile.out_trans = True
    assert_same_bits(plain, updated(tile, [(x.t(), d.t()) for x, d in batches]))


def test_a_single_vector_is_a_batch_of_one() -> None:
    batches = [normal_batch(1, 33, 17, seed) for seed in range(6)]
    plain = updated(make_tile(chain(), 17, 33), batches)
    assert_same_bits(plain, updated(make_tile(chain(), 17, 33), [(x[0], d[0]) for x, d in batches]))


@pytest.mark.parametrize(
    "geometry",
    [
        PatchGeometry((3, 3), (1, 1), (0, 0), (1, 1)),
        PatchGeometry((5, 3), (2, 1), (1, 2), (1, 1)),
        PatchGeometry((2, 3), (1, 3), (0, 1), (2, 1)),
        PatchGeometry((1, 1), (1, 1), (0, 0), (1, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("device", ["single", "chain", "mixed"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("formats", [*itertools.product(FORMATS, FORMATS)], ids=str)
def test_patches_in_place_give_the_bits_of_unfolded_ones(
    geometry: PatchGeometry, device: str, channels: int, formats: tuple[str, str]
) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(4, channels, 11, 9, generator=generator)
    images = images.to(memory_format=FORMATS[formats[0]])
    unfolded = unfolded_patches(images, geometry)
    conv = torch.nn.functional.conv2d(
        images, torch.zeros(6, channels, *geometry.kernel), None,
        geometry.stride, geometry.padding, geometry.dilation,
    )  # fmt: skip
    d = torch.randn(conv.shape, generator=generator).to(memory_format=FORMATS[formats[1]])
    results = []
    for in_place in (True, False):
        tile = make_tile((DEVICES | SUMS)[device](), 6, unfolded.shape[-1])
        if in_place:
            tile.patches = geometry
            results.append(updated(tile, [(images, d)] * 3))
        else:
            results.append(updated(tile, [(unfolded, d.flatten(2).transpose(1, 2))] * 3))
    assert_same_bits(*results)


# -- saved and restored ----------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_restored_state_goes_on_with_the_same_bits(device: str) -> None:
    size = (17, 33)
    batches = some_batches(*size, (20,) * 7)
    whole = updated(make_tile(DEVICES[device](), *size), batches)

    halfway = updated(make_tile(DEVICES[device](), *size), batches[:3])
    fresh = make_tile(DEVICES[device](), *size)
    fresh.set_exact_state(halfway)
    assert_same_bits(whole, updated(fresh, batches[3:]))


@pytest.mark.parametrize("device", ["single", "chain", "warm_direct", "noisy_transfer"])
def test_a_copy_goes_on_with_the_same_bits(device: str) -> None:
    size = (17, 33)
    batches = some_batches(*size, (20,) * 7)
    tile = make_tile(DEVICES[device](), *size)
    updated(tile, batches[:3])
    twin = copy.deepcopy(tile)
    assert_same_bits(updated(tile, batches[3:]), updated(twin, batches[3:]))


@pytest.mark.parametrize("device", ["warm_direct", "warm_chained"])
def test_a_switch_is_part_of_the_state(device: str) -> None:
    size = (17, 33)
    batches = some_batches(*size, (20,) * 8)
    tile = make_tile(DEVICES[device](), *size)
    updated(tile, batches[:2])
    tile.advance()
    halfway = updated(tile, batches[2:4])
    fresh = make_tile(DEVICES[device](), *size)
    fresh.set_exact_state(halfway)
    assert fresh.stage == tile.stage
    results = []
    for each in (tile, fresh):
        updated(each, batches[4:6])
        each.advance()
        results.append(updated(each, batches[6:]))
    assert_same_bits(*results)


def test_global_generators_do_not_matter() -> None:
    size = (17, 33)
    batches = some_batches(*size)
    results = []
    for torch_seed in (1, 2):
        tile = make_tile(chain(), *size)
        torch.manual_seed(torch_seed)
        results.append(updated(tile, batches))
    assert_same_bits(*results)
