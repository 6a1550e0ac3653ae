"""How the engine finds the vectors of an update inside a tensor, without copying them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.nn.functional import pad, unfold

from device_ext import _core

Pair = tuple[int, int]


class VectorLayout(NamedTuple):
    """Strides in elements; see ``VectorBatch`` in ``src/engine/engine.h``."""

    n_inner: int
    n_middle: int
    outer: int
    middle: int
    inner: int
    line: int
    offsets: int = 0
    """Address of int64 line offsets, or 0."""


class Place(NamedTuple):
    """Where the vectors of a tensor of some shape and strides lie."""

    n: int
    """Number of vectors."""
    n_lines: int
    """Length of each."""
    layout: VectorLayout
    offsets: Tensor | None = None
    """Holds the memory that ``layout.offsets`` points to."""


class Vectors(NamedTuple):
    """The vectors of one side of an update."""

    values: Tensor
    """Holds the memory that they lie in."""
    place: Place


class PatchGeometry(NamedTuple):
    """Which patches of an image a convolution's tile sees, as in ``torch.nn.Conv2d``."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


def batch_vectors(values: Tensor) -> Vectors:
    """Describe a batch [..., lines] of float32 vectors.

    Raises:
        TypeError: for another type.
    """
    if values.dtype != torch.float32:
        raise TypeError(f"tile inputs must be float32, are {values.dtype}")
    if values.dim() == 1:
        values = values.unsqueeze(0)
    if values.dim() > 3:
        values = values.flatten(0, -3)
    return Vectors(values, _batch_place(values.shape, values.stride()))


@lru_cache(maxsize=256)
def _batch_place(shape: Size, strides: tuple[int, ...]) -> Place:
    if len(shape) == 2:
        n, lines = shape
        return Place(n, lines, VectorLayout(n, 1, 0, 0, *strides))
    outer, inner, lines = shape
    layout = VectorLayout(inner, 1, strides[0], 0, strides[1], strides[2])
    return Place(outer * inner, lines, layout)


def channels_first(image: Tensor) -> Tensor:
    """Return an image batch [n, channels, height, width] with each channel's pixels side by side.

    Out of torch's channels-last layout two to three times faster than ``contiguous`` for images of
    LeNet-5's size.
    """
    if image.is_contiguous():
        return image
    if image.dtype != torch.float32 or not image.is_contiguous(memory_format=torch.channels_last):
        return image.contiguous()
    target = torch.empty(image.shape)
    n, channels, height, width = image.shape
    _core.channels_first(image.data_ptr(), target.data_ptr(), n, height * width, channels)
    return target


def pixel_vectors(image: Tensor) -> Vectors:
    """Describe an image batch [n, channels, height, width]: one vector of channels a pixel."""
    return Vectors(image, _pixel_place(image.shape, image.stride()))


@lru_cache(maxsize=256)
def _pixel_place(shape: Size, strides: tuple[int, ...]) -> Place:
    n, channels, height, width = shape
    batch, channel, row, column = strides
    if row == width * column:  # rows follow each other: one level of strides less to walk
        layout = VectorLayout(height * width, 1, batch, 0, column, channel)
    else:
        layout = VectorLayout(width, height, batch, row, column, channel)
    return Place(n * height * width, channels, layout)


def patch_vectors(image: Tensor, geometry: PatchGeometry) -> Vectors:
    """Describe the patches of an image batch [n, channels, height, width], in unfold's order."""
    pad_h, pad_w = geometry.padding
    if pad_h or pad_w:
        image = pad(image, (pad_w, pad_w, pad_h, pad_h))
    return Vectors(image, _patch_place(image.shape, image.stride(), geometry))


@lru_cache(maxsize=256)
def _patch_place(shape: Size, strides: tuple[int, ...], geometry: PatchGeometry) -> Place:
    (kernel_h, kernel_w), (stride_h, stride_w), _, (dil_h, dil_w) = geometry
    n, channels, height, width = shape
    batch, channel, row, column = strides
    out_h = (height - dil_h * (kernel_h - 1) - 1) // stride_h + 1
    out_w = (width - dil_w * (kernel_w - 1) - 1) // stride_w + 1
    c = torch.arange(channels).view(-1, 1, 1) * channel
    h = torch.arange(kernel_h).view(1, -1, 1) * (dil_h * row)
    w = torch.arange(kernel_w).view(1, 1, -1) * (dil_w * column)
    offsets = (c + h + w).flatten()
    layout = VectorLayout(
        out_w, out_h, batch, stride_h * row, stride_w * column, 0, offsets.data_ptr()
    )
    return Place(n * out_h * out_w, offsets.numel(), layout, offsets)


def unfolded_patches(image: Tensor, geometry: PatchGeometry) -> Tensor:
    """Return the patches as a tensor [n, patches, lines], as aihwkit's own update takes them."""
    kernel, stride, padding, dilation = geometry
    return unfold(image, kernel, dilation, padding, stride).transpose(-1, -2)
